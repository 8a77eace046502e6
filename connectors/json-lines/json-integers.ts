/**
 * Reads JSON whose integers go beyond 2^53 without losing their digits. `JSON.parse` gives the nearest double, so two
 * ids become one; here such an integer is a text or a bigint. A text without one takes the way of `JSON.parse` alone.
 */

/** Strings, which are passed over, and integers of at least 16 digits. */
const long = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\w.+-])-?\d{16,}(?![\d.eE])/g;

/** @internal Parses JSON; integers that a number can not hold exactly become what `as` says. Throws a `SyntaxError`. */
export const parseWithIntegers = (text: string, as: 'text' | 'bigint'): unknown => {
  const value: unknown = JSON.parse(text);
  if (!/\d{16}/.test(text)) return value;
  // No string of the text decodes to as many of these characters in a row.
  const mark = as === 'text' ? '' : '\\u0001'.repeat(1 + (text.match(/\\u0001/g)?.length ?? 0));
  let found = false;
  const marked = text.replace(long, (token) => {
    if (token.startsWith('"') || Number.isSafeInteger(Number(token))) return token;
    found = true;
    return `"${mark}${token}"`;
  });
  if (!found) return value;
  if (as === 'text') return JSON.parse(marked);
  const prefix = '\u0001'.repeat(mark.length / 6);
  return JSON.parse(marked, (_, each: unknown) =>
    typeof each === 'string' && each.startsWith(prefix) ? BigInt(each.slice(prefix.length)) : each,
  );
};
