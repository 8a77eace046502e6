import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { examplesOf, publicNames, withoutDefault, withoutExample, withoutWords } from './doc-examples.ts';
import { filesBelow, parse, readSource, root, type SourceFile } from './house.ts';
import { ShownCode } from './shown-code.ts';

const files = new Map(
  ['lib', 'operators', 'connectors']
    .flatMap(filesBelow)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, readSource(path)]),
);
const fileAt = (path: string): SourceFile => files.get(path) ?? readSource(path);

/** The files behind what users import, as package.json says. */
const doorsOf = ({
  exports,
}: {
  readonly exports: Readonly<Record<string, unknown>>;
}): ReadonlyMap<string, SourceFile> =>
  new Map(
    Object.entries(exports).flatMap(([door, target]) => {
      const types = /"types":"\.\/dist\/([^"]+)\.d\.ts"/.exec(JSON.stringify(target))?.[1];
      return types === undefined ? [] : [[`millrace${door.slice(1)}`, fileAt(`${types}.ts`)] as const];
    }),
  );

const names = publicNames(
  doorsOf(JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Parameters<typeof doorsOf>[0]),
);
const examples = [...files.values()].flatMap((file) => examplesOf(file, names));

let shown: ShownCode;
beforeAll(() => {
  shown = new ShownCode(examples);
});
afterAll(() => shown.close());

test('every public function, class and constant has an example, and every public method is shown in one', () => {
  expect(withoutExample(names, fileAt)).toEqual([]);
});

test('every public method says what it does', () => {
  expect([...new Set(withoutWords(names, fileAt))]).toEqual([]);
});

test('every option says what it means, and what it is when nobody gives it', () => {
  expect(withoutDefault(names, fileAt)).toEqual([]);
});

test('every example type-checks', async () => {
  expect(await shown.typeErrors()).toEqual([]);
});

describe('runs, and prints what it says', () => {
  test.each(examples.map((example) => [`${example.path}:${example.line}`, example] as const))(
    '%s',
    async (_, example) => {
      expect(await shown.run(example)).toEqual(example.prints);
    },
  );
});

describe('finds', () => {
  const door = (text: string): ReadonlyMap<string, SourceFile> => new Map([['millrace', parse('lib/index.ts', text)]]);
  const moduleOf = (text: string, exported = ''): string => {
    const [example] = examplesOf(parse('lib/a.ts', text), publicNames(door(exported)));
    return example?.text.replaceAll(/\n+/g, '\n') ?? '';
  };

  test.each([
    ['a constant', 'export const a = 1;'],
    ['a function', '/** Runs. */\nexport function a(): void {}'],
    ['a class', '/** @example new A(); */\nconst b = 1;\nexport class a {}'],
  ])('%s without an example', (_what, text) => {
    const names = publicNames(door("export { a as b } from './a.ts';"));
    expect(withoutExample(names, (path) => parse(path, text))).toEqual(['b in lib/a.ts']);
  });

  test.each([
    ['a type', 'export interface a {}', "export type { a } from './a.ts';"],
    ['a constant', '/** @example a; */\nexport const a = 1;', "export { a } from './a.ts';"],
    [
      'a function of several forms',
      '/** @example a(); */\nexport function a(): void;\nexport function a(): void {}',
      "export { a } from './a.ts';",
    ],
  ])('%s that needs none, or has one', (_what, text, exported) => {
    expect(withoutExample(publicNames(door(exported)), (path) => parse(path, text))).toEqual([]);
  });

  test('methods that no example shows', () => {
    const methods =
      'b(): void {} static c(): void {} /** @example a.d(); */ d(): void {} e(): void {} get f() {} #g(): void {} toJSON() {}';
    const text = `/** @example new a().b(); */\nexport class a { ${methods} private h(): void {} /** @internal */ i(): void {} }`;
    const names = publicNames(door("export { a } from './a.ts';"));
    expect(withoutExample(names, (path) => parse(path, text))).toEqual(['a.c in lib/a.ts', 'a.e in lib/a.ts']);
  });

  test('options without meaning or default', () => {
    const text =
      'export interface AOptions { a: 1; /** Says. */ b?: 2; /** Says. */ c: 3; /** Says. @defaultValue 4 */ d?: 4; /** @internal */ e?: 5 }';
    const names = publicNames(door("export type { AOptions } from './a.ts';"));
    expect(withoutDefault(names, (path) => parse(path, text))).toEqual([
      'AOptions.a in lib/a.ts',
      'AOptions.b in lib/a.ts',
    ]);
  });

  test('each example of a comment, with the line and the column that it has in its file', () => {
    const examples = examplesOf(
      parse(
        'lib/a.ts',
        '\n/**\n * Runs.\n *\n * @example\n *   run();\n *\n * @example\n * stop(); // prints 1\n *\n * @returns nothing\n */\n',
      ),
      [],
    );
    expect(examples.map(({ line, prints }) => [line, prints])).toEqual([
      [5, []],
      [8, ['1']],
    ]);
    expect(examples[0]?.text.split('\n')[5]).toBe('     run();');
    expect(examples[1]?.text).not.toContain('@returns');
  });

  test('what an example names: what is public, what its file exports, and fixtures; but not what it declares', () => {
    const text = '/** @example const b = a(c, orders); b.d; let { e: [g] } = b; */\nexport const a = 1;';
    const imports = moduleOf(text, "export { b, c, d, e, g, type C } from './b.ts';").split('\n')[0];
    expect(imports).toBe(
      "import { a } from '../../../lib/a.ts'; import { c } from 'millrace'; import { e } from 'millrace'; " +
        "import { Fixtures } from '../../doc-fixtures.ts'; const fixtures = new Fixtures(); const { orders } = fixtures; export {};",
    );
  });

  test('a pipeline that nobody starts is run at its end', () => {
    expect(moduleOf('\n/** @example orders.print(); */')).toMatch(/orders\.print\(\); *\nawait fixtures\.run\(\);$/);
    expect(moduleOf('\n/** @example await orders.executeAndCollect(); */')).not.toContain('fixtures.run');
  });
});
