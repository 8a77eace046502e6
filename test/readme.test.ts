import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, type Block } from './readme-blocks.ts';
import { filesBelow, root } from './house.ts';
import { ShownCode } from './shown-code.ts';

const folders = ['lib', 'operators', 'connectors', 'examples', 'test'];
const readmes = ['README.md', ...folders.flatMap(filesBelow).filter((path) => basename(path) === 'README.md')];
const blocks: readonly Block[] = readmes
  .filter((path) => existsSync(`${root}${path}`))
  .flatMap((path) => blocksOf(path, readFileSync(`${root}${path}`, 'utf8')));

let shown: ShownCode;
beforeAll(() => {
  shown = new ShownCode(blocks);
});
afterAll(() => shown.close());

test('every block type-checks', async () => {
  expect(await shown.typeErrors()).toEqual([]);
});

const linksOf = (page: string): readonly string[] =>
  [...page.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);

/** The anchors of a page, as GitHub makes them of its headings. */
const anchorsOf = (page: string): readonly string[] =>
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

describe('links lead somewhere', () => {
  const repository = 'https://github.com/millrace/millrace/blob/main/';
  const { files: shipped } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { files: readonly string[] };

  test.each(readmes)('%s', (path) => {
    const page = readFileSync(`${root}${path}`, 'utf8');
    const lost = linksOf(page).filter((link) => {
      const [target = '', anchor] = link.split('#');
      if (target.startsWith('https://') && !target.startsWith(repository)) return false;
      const absolute = target.startsWith(repository);
      const file = absolute ? target.slice(repository.length) : join(dirname(path), target);
      // The guide is read where nothing else of the repository is.
      if (path === 'README.md' && target !== '' && !absolute && !shipped.includes(target)) return true;
      if (target !== '' && !existsSync(`${root}${file}`)) return true;
      const there = target === '' ? page : file.endsWith('.md') ? readFileSync(`${root}${file}`, 'utf8') : '';
      return anchor !== undefined && !anchorsOf(there).includes(anchor);
    });
    expect(lost).toEqual([]);
  });
});

const runnable = blocks.filter(({ run }) => run);

describe('runs', () => {
  test.each(runnable.map((block) => [`${block.path}:${block.line}`, block] as const))('%s', async (_, block) => {
    expect(await shown.run(block)).toEqual(block.prints);
  });
});

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
    const printsOf = (text: string): readonly (readonly string[])[] =>
      blocksOf('x.md', text).map(({ prints }) => prints);
    const block = '```ts\nlog(1); // prints 1\nlog(2); // prints 2\n```\n';
    expect(printsOf(block)).toEqual([['1', '2']]);
    expect(printsOf(`${block}\n\`\`\`text\n3\n4\n\`\`\``)).toEqual([['1', '2', '3', '4']]);
    expect(printsOf(`${block}It prints nothing else.\n\`\`\`text\n3\n\`\`\``)).toEqual([['1', '2']]);
    expect(printsOf(`${block}\`\`\`ts\n// continues\nlog(3); // prints 3\n\`\`\``)).toEqual([['1', '2', '3']]);
  });

  test.each(['```ts\nlet a;', '```ts\n// continues\n```', '```ts norun\n```'])(
    'a mistake is no silence: %j',
    (text) => {
      expect(() => blocksOf('x.md', text)).toThrow(/^x\.md:1 /);
    },
  );
});
