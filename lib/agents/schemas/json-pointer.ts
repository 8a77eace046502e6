/** JSON pointers as fragments, such as `#/$defs/node`: names as steps, and what stands at the end of one. */

/** The part of a schema there; undefined when there is none. */
export const partAt = (root: unknown, pointer: string): unknown => {
  let part = root;
  for (const step of pointer.split('/').slice(1)) {
    const name = unescaped(step);
    if (name === undefined || typeof part !== 'object' || part === null || !Object.hasOwn(part, name)) return undefined;
    part = Reflect.get(part, name);
  }
  return part;
};

export const escaped = (name: string): string => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'));

const unescaped = (step: string): string | undefined => {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return undefined;
  }
};
