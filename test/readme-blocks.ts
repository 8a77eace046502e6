/**
 * The TypeScript blocks of a page, as modules: what is shown to users must compile, and run unless it says `no-run`.
 * What a block prints is what the page says it prints: in comments `// prints ...`, a line each, or in a `text` block
 * right behind it.
 */
import { printsOf, type ShownModule } from './shown-code.ts';

export interface Block extends ShownModule {
  readonly run: boolean;
  /** The lines that the page says it prints, in order: those of comments first. */
  readonly prints: readonly string[];
}

/** A block that starts with `// continues` goes on with the module of the block before. */
export const blocksOf = (path: string, page: string): readonly Block[] => {
  const blocks: Block[] = [];
  for (const { line, words, body, behind } of fences(path, page)) {
    if (words[0] === 'text' && /^(ts|typescript)$/.test(behind)) addPrints(blocks, body);
    if (!/^(ts|typescript)$/.test(words[0] ?? '')) continue;
    const [mode, ...rest] = words.slice(1);
    if (rest.length > 0 || (mode !== undefined && mode !== 'no-run'))
      throw new SyntaxError(`${path}:${line - 1} expected \`ts\` or \`ts no-run\``);
    const run = mode === undefined;
    const before = /^\s*\/\/ continues\b/.test(body[0] ?? '')
      ? blocks.at(-1)
      : { text: '', run, line, path, prints: [] };
    if (before === undefined) throw new SyntaxError(`${path}:${line - 1} continues, but no block is before it`);
    const lines = before.text === '' ? 0 : before.text.split('\n').length;
    const text = [
      ...(before.text === '' ? [] : [before.text]),
      ...Array.from({ length: line - 1 - lines }, () => ''),
      ...body,
    ].join('\n');
    if (before === blocks.at(-1) && run === before.run) blocks.pop();
    const joined = before.run === run;
    const prints = [...before.prints, ...printsOf(body)];
    blocks.push({ path, line: joined ? before.line : line, run: run && before.run, text, prints });
  }
  return blocks;
};

const addPrints = (blocks: Block[], lines: readonly string[]): void => {
  const last = blocks.pop();
  if (last !== undefined) blocks.push({ ...last, prints: [...last.prints, ...lines] });
};

interface Fence {
  /** Of the first line inside, from 1. */
  readonly line: number;
  readonly words: readonly string[];
  readonly body: readonly string[];
  /** The language of the fence that ends right above it, blank lines aside; empty when something else is there. */
  readonly behind: string;
}

function* fences(path: string, page: string): Generator<Fence> {
  const lines = page.split('\n');
  let behind = '';
  for (let at = 0; at < lines.length; at += 1) {
    const open = /^```(.*)$/.exec(lines[at] ?? '');
    if (open === null) {
      if (lines[at]?.trim() !== '') behind = '';
      continue;
    }
    const end = lines.findIndex((line, index) => index > at && line.trimEnd() === '```');
    if (end < 0) throw new SyntaxError(`${path}:${at + 1} a block that does not end`);
    const words = (open[1] ?? '').trim().split(/\s+/);
    yield { line: at + 2, words, body: lines.slice(at + 1, end), behind };
    behind = words[0] ?? '';
    at = end;
  }
}
