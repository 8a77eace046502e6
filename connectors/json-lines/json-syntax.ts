/**
 * Finds where a text stops being JSON. `JSON.parse` names the place in some of its messages only, and a malformed line
 * of an input file has to be found by a person. Runs on text that `JSON.parse` has refused, never on the fast path.
 */

type Expected = 'value' | 'first-value' | 'key' | 'first-key' | 'colon' | 'next';

const blank = /[ \t\n\r]*/y;
/** Control characters are excluded by where printable ones begin. */
const string =
  /"[\x20\x21\x23-\x5b\x5d-\uffff]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[\x20\x21\x23-\x5b\x5d-\uffff]*)*"/y;
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/**
 * The index of the first character that can't continue a JSON text; the length when the text ends too early or is
 * whole.
 */
export const syntaxErrorIndex = (text: string): number => {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  for (let at = after(blank, text, 0); at < text.length; at = after(blank, text, at)) {
    const char = text.charAt(at);
    const inside = open.at(-1);
    const closes =
      (char === ']' && inside === '[' && (expected === 'first-value' || expected === 'next')) ||
      (char === '}' && inside === '{' && (expected === 'first-key' || expected === 'next'));
    let end = at + 1;
    if (closes) {
      open.pop();
      expected = 'next';
    } else if (expected === 'colon') {
      if (char !== ':') return at;
      expected = 'value';
    } else if (expected === 'next') {
      if (char !== ',' || inside === undefined) return at;
      expected = inside === '{' ? 'key' : 'value';
    } else if (expected === 'key' || expected === 'first-key') {
      end = after(string, text, at);
      expected = 'colon';
    } else if (char === '{' || char === '[') {
      open.push(char);
      expected = char === '{' ? 'first-key' : 'first-value';
    } else {
      end = after(char === '"' ? string : scalar, text, at);
      expected = 'next';
    }
    if (end === at) return at;
    at = end;
  }
  return text.length;
};

/** Where the pattern's match at this place ends; the place itself when there is none. */
const after = (pattern: RegExp, text: string, at: number): number => {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
};
