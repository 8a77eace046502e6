/** The TypeScript blocks of a page, as modules: what is shown to users must compile, and run unless it says `no-run`. */

export interface Block {
  /** The page, from the root of the project. */
  readonly path: string;
  /** The line of the page on which the module's own block starts, from 1. */
  readonly line: number;
  readonly run: boolean;
  /** The module; each of its lines is on the line that it has in the page, so that errors point there. */
  readonly text: string;
}

/** A block that starts with `// continues` goes on with the module of the block before. */
export const blocksOf = (path: string, page: string): readonly Block[] => {
  const blocks: Block[] = [];
  for (const { line, words, body } of fences(path, page)) {
    if (!/^(ts|typescript)$/.test(words[0] ?? '')) continue;
    const [mode, ...rest] = words.slice(1);
    if (rest.length > 0 || (mode !== undefined && mode !== 'no-run'))
      throw new SyntaxError(`${path}:${line - 1} expected \`ts\` or \`ts no-run\``);
    const run = mode === undefined;
    const before = /^\s*\/\/ continues\b/.test(body[0] ?? '') ? blocks.at(-1) : { text: '', run, line, path };
    if (before === undefined) throw new SyntaxError(`${path}:${line - 1} continues, but no block is before it`);
    const lines = before.text === '' ? 0 : before.text.split('\n').length;
    const text = [...(before.text === '' ? [] : [before.text]), ...Array.from({ length: line - 1 - lines }, () => ''), ...body].join('\n');
    if (before === blocks.at(-1) && run === before.run) blocks.pop();
    const joined = before.run === run;
    blocks.push({ path, line: joined ? before.line : line, run: run && before.run, text });
  }
  return blocks;
};

interface Fence {
  /** Of the first line inside, from 1. */
  readonly line: number;
  readonly words: readonly string[];
  readonly body: readonly string[];
}

function* fences(path: string, page: string): Generator<Fence> {
  const lines = page.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const open = /^```(.*)$/.exec(lines[at] ?? '');
    if (open === null) continue;
    const end = lines.findIndex((line, index) => index > at && line.trimEnd() === '```');
    if (end < 0) throw new SyntaxError(`${path}:${at + 1} a block that does not end`);
    yield { line: at + 2, words: (open[1] ?? '').trim().split(/\s+/), body: lines.slice(at + 1, end) };
    at = end;
  }
}
