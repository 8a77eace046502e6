import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, type Block } from './readme-blocks.ts';
import { filesBelow, root } from './house.ts';

const folders = ['lib', 'operators', 'connectors', 'examples', 'test'];
const readmes = ['README.md', ...folders.flatMap(filesBelow).filter((path) => basename(path) === 'README.md')];
const blocks: readonly Block[] = readmes
  .filter((path) => existsSync(`${root}${path}`))
  .flatMap((path) => blocksOf(path, readFileSync(`${root}${path}`, 'utf8')));

mkdirSync(`${root}test/.readme`, { recursive: true });
const directory = mkdtempSync(`${root}test/.readme/`);
const before = process.cwd();

const fileOf = ({ path, line }: Block): string => `${path.replaceAll('/', '--').replace(/\.md$/, '')}-${line}.ts`;

beforeAll(() => {
  writeFileSync(
    `${directory}/tsconfig.json`,
    JSON.stringify({
      extends: '../../../tsconfig.json',
      compilerOptions: { moduleDetection: 'force', noUnusedLocals: false, noUnusedParameters: false, declaration: false },
      files: blocks.map(fileOf),
      include: [],
    }),
  );
  for (const block of blocks) writeFileSync(`${directory}/${fileOf(block)}`, block.text);
  // A block reads and writes files by short names, as in a user's directory: the inputs of the examples are there.
  mkdirSync(`${directory}/work`);
  for (const path of filesBelow('examples'))
    if (/\.(jsonl|ya?ml)$/.test(path)) copyFileSync(`${root}${path}`, `${directory}/work/${basename(path)}`);
  process.chdir(`${directory}/work`);
});

afterAll(() => {
  process.chdir(before);
  rmSync(directory, { recursive: true, force: true });
});

test('every block type-checks', async () => {
  if (blocks.length === 0) return;
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [tsc, '-p', directory, '--pretty', 'false'], {
    maxBuffer: 2 ** 26,
  })
    .catch(
      (error: unknown) => error as { stdout: string; stderr: string; code: unknown }, // What it has to say is on standard output.
    )
    .then((result) => ('code' in result && result.stdout === '' ? Promise.reject(result) : result));
  const files = new Map(blocks.map((block) => [fileOf(block), block.path]));
  const errors = stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) =>
      line.replace(
        /^\S*?([^/\s]+\.ts)\((\d+),(\d+)\)/,
        (all, file: string, row: string, column: string) => `${files.get(file) ?? all}:${row}:${column}`,
      ),
    );
  expect([...errors, stderr].filter((line) => line !== '')).toEqual([]);
});

const runnable = blocks.filter(({ run }) => run);

describe.runIf(runnable.length > 0)('runs', () => {
  test.each(runnable.map((block) => [`${block.path}:${block.line}`, block] as const))('%s', async (_, block) => {
    const printed = await printedBy(() => import(/* @vite-ignore */ pathToFileURL(`${directory}/${fileOf(block)}`).href));
    expect(printed).toEqual(block.prints);
  });
});

/** The lines that go to the standard output meanwhile, `console.log` included. */
const printedBy = async (run: () => Promise<unknown>): Promise<readonly string[]> => {
  const { log } = console;
  const { write } = process.stdout;
  let text = '';
  console.log = (...values: unknown[]) => void (text += `${format(...values)}\n`);
  process.stdout.write = (chunk: string | Uint8Array) => {
    text += String(chunk);
    return true;
  };
  try {
    await run();
  } finally {
    console.log = log;
    process.stdout.write = write;
  }
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
};

describe('blocks are found', () => {
  const at = (text: string): readonly (readonly [number, boolean, string])[] =>
    blocksOf('x.md', text).map(({ line, run, text }) => [line, run, text.trim().replaceAll(/\n+/g, ' ')]);

  test('with the line they stand on, and only those of TypeScript', () => {
    expect(at('a\n```ts\nlet a;\n```\n```sh\nls\n```\n```ts no-run\nlet b;\n```\n')).toEqual([
      [3, true, 'let a;'],
      [9, false, 'let b;'],
    ]);
    expect(blocksOf('x.md', '#\n\n```ts\nlet a;\n```')[0]?.text).toBe('\n\n\nlet a;');
  });

  test('a block that continues joins the one before', () => {
    expect(at('```ts\nlet a;\n```\n```ts\n// continues\na = 1;\n```\n```ts\nlet b;\n```')).toEqual([
      [2, true, 'let a; // continues a = 1;'],
      [9, true, 'let b;'],
    ]);
  });

  test('one that is not run leaves the one before as it was', () => {
    expect(at('```ts\nlet a;\n```\n```ts no-run\n// continues\na();\n```\n```ts\n// continues\na = 1;\n```')).toEqual([
      [2, true, 'let a;'],
      [5, false, 'let a; // continues a();'],
      [9, false, 'let a; // continues a(); // continues a = 1;'],
    ]);
  });

  test('with what they print', () => {
    const printsOf = (text: string): readonly (readonly string[])[] => blocksOf('x.md', text).map(({ prints }) => prints);
    const block = '```ts\nlog(1); // prints 1\nlog(2); // prints 2\n```\n';
    expect(printsOf(block)).toEqual([['1', '2']]);
    expect(printsOf(`${block}\n\`\`\`text\n3\n4\n\`\`\``)).toEqual([['1', '2', '3', '4']]);
    expect(printsOf(`${block}It prints nothing else.\n\`\`\`text\n3\n\`\`\``)).toEqual([['1', '2']]);
    expect(printsOf(`${block}\`\`\`ts\n// continues\nlog(3); // prints 3\n\`\`\``)).toEqual([['1', '2', '3']]);
  });

  test.each(['```ts\nlet a;', '```ts\n// continues\n```', '```ts norun\n```'])('a mistake is no silence: %j', (text) => {
    expect(() => blocksOf('x.md', text)).toThrow(/^x\.md:1 /);
  });
});
