/** Which of some names is most like another: what somebody who has mistyped one meant. */

/** The names, those that need the fewest letters changed, added or left out first. */
export const nearestFirst = (name: string, names: readonly string[]): string[] =>
  names
    .map((each) => ({ each, changes: changesBetween(name, each) }))
    .toSorted((a, b) => a.changes - b.changes)
    .map(({ each }) => each);

/** The name that somebody has mistyped: a letter of it differs, of longer ones two. Undefined: none looks like it. */
export const nearest = (name: string, names: readonly string[]): string | undefined => {
  const [first] = nearestFirst(name, names);
  return first !== undefined && changesBetween(name, first) <= (name.length > 5 ? 2 : 1) ? first : undefined;
};

/** Levenshtein's distance, a row of the table at a time. */
const changesBetween = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let line = 1; line <= from.length; line += 1) {
    const next = [line];
    for (let at = 1; at <= to.length; at += 1) {
      const kept = (row[at - 1] ?? 0) + (from[line - 1] === to[at - 1] ? 0 : 1);
      next.push(Math.min(kept, (row[at] ?? 0) + 1, (next[at - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
};
