/** Which paths a pattern means, as shells read it. */

/** What a part of a pattern is as a regular expression; anything else stands for itself. */
const parts = /\*\*\/|\*\*|\*|\?|\[!?[^\]/]+\]|\{[^{}]*\}|[^*?[{]+|[[{]/g;

/**
 * @internal A test for paths with `/`: `*` and `?` stay within a name, `**` goes over directories, `[a-c]` is one of
 * some characters and `{a,b}` one of some texts. A name that begins with a dot has to be named with it.
 *
 * @example
 * globTest('*.{csv,json}')('a.csv') === true
 */
export const globTest = (pattern: string): ((path: string) => boolean) => {
  const whole = new RegExp(`^${sourceOf(pattern)}$`, 'u');
  const dots = /(?:^|\/)\./.test(pattern);
  return (path) => whole.test(path) && (dots || !/(?:^|\/)\./.test(path));
};

const sourceOf = (pattern: string): string =>
  pattern.replace(parts, (part) => {
    if (part === '**/') return '(?:[^/]+/)*';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    if (part.startsWith('[') && part.length > 1) return part.replace(/^\[!/, '[^').replaceAll('\\', '\\\\');
    if (part.startsWith('{') && part.length > 1)
      return `(?:${part.slice(1, -1).split(',').map(sourceOf).join('|')})`;
    return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  });
