/** The way to a part of a value, as errors tell it: `.order.items[3]`. */

/** The step to a property of this name. */
export const propertyStep = (name: string): string =>
  /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;

/** The steps as one path, cut behind the twentieth; and the words for where that is. */
export const shownPath = (steps: readonly string[]): { readonly path: string; readonly where: string } => {
  const path = steps.length > 20 ? [...steps.slice(0, 20), '...'].join('') : steps.join('');
  return { path, where: path === '' ? 'the value' : `\`${path}\`` };
};
