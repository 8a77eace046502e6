import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as rules from './house-rules.ts';
import { filesBelow, parse, readSource, root, type SourceFile } from './house.ts';

const sourcesBelow = (...folders: string[]): readonly SourceFile[] =>
  folders
    .flatMap(filesBelow)
    .filter((path) => path.endsWith('.ts'))
    .map(source);

const read = new Map<string, SourceFile>();

function source(path: string): SourceFile {
  const known = read.get(path);
  if (known !== undefined) return known;
  const file = readSource(path);
  read.set(path, file);
  return file;
}

/** Findings as `file:line what`, so that an editor jumps there. */
const findings = (files: readonly SourceFile[], rule: rules.Rule): readonly string[] =>
  files.flatMap((file) => rule(file).map(({ line, message }) => `${file.path}:${line} ${message}`));

const published = sourcesBelow('lib', 'operators', 'connectors');
const code = [...published, ...sourcesBelow('examples')];
const all = [...code, ...sourcesBelow('test')];
const roof = new Set(['lib/index.ts', 'lib/testing.ts']);

test('there is something to look at', () => {
  expect(published.length).toBeGreaterThan(50);
});

describe('the floors', () => {
  test('a file imports from its own floor or below, and the packages that its place may', () => {
    expect(findings(code, rules.floors(source))).toEqual([]);
  });

  // What package.json says; the rule looks at the names.
  const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as Parameters<typeof rules.declaredIn>[0];
  const declared = rules.declaredIn(manifest);

  test('what is published imports dependencies and peers only, and an optional peer when it is used', () => {
    expect(findings(published, rules.dependencies(declared))).toEqual([]);
  });

  test.each([...declared.optional])('%s may be missing: one folder imports it', (name) => {
    expect(rules.homesOf(name, published)).toHaveLength(1);
  });

  test('the roof holds the only barrels', () => {
    expect(
      findings(
        published.filter(({ path }) => !roof.has(path)),
        rules.noBarrel,
      ),
    ).toEqual([]);
  });

  test('the top level is what it was', () => {
    const fixed = [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'connectors',
      'examples',
      'lib',
      'operators',
      'package-lock.json',
      'package.json',
      'test',
      'tsconfig.json',
    ];
    const made = new Set(['node_modules', 'dist', 'coverage']);
    const entries = readdirSync(root).filter(
      (name) => !name.startsWith('.') && !made.has(name) && !name.endsWith('.log'),
    );
    expect(entries.toSorted()).toEqual(fixed);
  });

  test('every folder says what lives there', () => {
    const below = (folder: string): string[] =>
      readdirSync(`${root}${folder}`, { withFileTypes: true }).flatMap((each) =>
        each.isDirectory() ? [`${folder}/${each.name}`] : [],
      );
    const folders = [
      'lib',
      ...below('lib'),
      ...below('lib/agents'),
      ...below('lib/runtime'),
      'operators',
      'connectors',
      ...below('connectors'),
      'examples',
      'test',
      'test/bench',
    ];
    expect(folders.filter((folder) => !existsSync(`${root}${folder}/README.md`))).toEqual([]);
  });

  test("a folder's page names every file of it", () => {
    const unnamed = code.flatMap(({ path }) => {
      const [folder, file] = [dirname(path), basename(path)];
      const page = `${root}${folder}/README.md`;
      return !existsSync(page) || readFileSync(page, 'utf8').includes(`\`${file}\``) ? [] : [path];
    });
    expect(unnamed).toEqual([]);
  });
});

const hasMember = (text: string, name: string): boolean => new RegExp(`(^|[\\s.])${name}\\b`, 'm').test(text);

test('the walks through the runtime name what is there', () => {
  const page = readFileSync(`${root}lib/runtime/README.md`, 'utf8');
  const walks = page.slice(page.indexOf('## Four walks'), page.indexOf('## Metrics')).split(/^\*\*/m).slice(1);
  const missing = walks.flatMap((walk) => {
    // A name belongs to one of the files that the walk has named by then.
    const texts: string[] = [];
    return [...walk.matchAll(/`([^`]+)`/g)].flatMap(([, name = '']) => {
      if (!name.endsWith('.ts')) return texts.some((text) => hasMember(text, name)) ? [] : [name];
      const path = /^(lib|operators)\//.test(name) ? name : `lib/runtime/${name}`;
      if (!existsSync(`${root}${path}`)) return [path];
      texts.push(readFileSync(`${root}${path}`, 'utf8'));
      return [];
    });
  });
  expect(walks).toHaveLength(4);
  expect(missing).toEqual([]);
});

describe('the style', () => {
  test('time, delay and randomness come from the Clock', () => {
    const outside = published.filter(({ path }) => !path.startsWith('connectors/') && path !== 'lib/core/clock.ts');
    expect(findings(outside, rules.injectedTime)).toEqual([]);
  });

  test('any number may listen to a signal of ours', () => {
    const home = 'lib/core/abort.ts';
    expect(
      findings(
        published.filter(({ path }) => path !== home),
        rules.signals,
      ),
    ).toEqual([]);
    expect(rules.signals(source(home))).toHaveLength(1);
  });

  test('what RxJS takes as it is stands in one file', () => {
    const home = 'lib/runtime/edges/direct-observer.ts';
    expect(
      findings(
        published.filter(({ path }) => path !== home),
        rules.observers,
      ),
    ).toEqual([]);
    expect(rules.observers(source(home))).toHaveLength(1);
  });

  test('no any, no !, no enum, no namespace, no default export', () => {
    // vitest wants its configuration as a default export.
    expect(
      findings(
        all.filter(({ path }) => path !== 'test/vitest.config.ts'),
        rules.syntax,
      ),
    ).toEqual([]);
  });

  test(`no line of more than ${rules.widthMax} columns, unless a text or a template reaches over it`, () => {
    expect(findings(all, rules.width)).toEqual([]);
  });

  test('a cast says why it holds', () => {
    expect(findings(published, rules.castReasons)).toEqual([]);
  });

  test(`no file of more than ${rules.linesMax} lines`, () => {
    expect(findings(all, rules.fileSize)).toEqual([]);
  });

  test(`no function of more than ${rules.functionLinesMax} lines`, () => {
    expect(findings(code, rules.functionSize)).toEqual([]);
  });

  test('every file says what it is for', () => {
    const tests = /\.(test|suite)\.ts$|vitest\.config\.ts$/;
    expect(
      findings(
        all.filter(({ path }) => !tests.test(path)),
        rules.header,
      ),
    ).toEqual([]);
  });

  test('a number of what always holds is one that lib/README.md explains', () => {
    const explained = new Set(readFileSync(`${root}lib/README.md`, 'utf8').match(/(?<=^\| )I\d+(?= \|)/gm));
    const unexplained = published.flatMap(({ path, text }) =>
      (text.match(/\bI\d{1,2}\b/g) ?? []).flatMap((number) => (explained.has(number) ? [] : `${path} ${number}`)),
    );
    expect(unexplained).toEqual([]);
  });

  test('names say what a thing does', () => {
    expect(findings(all, rules.names)).toEqual([]);
    const files = ['lib', 'operators', 'connectors', 'examples', 'test'].flatMap(filesBelow);
    // The files of a golden store are named by LevelDB, those of Java by their classes.
    const named = files.filter((path) => !path.endsWith('.java') && !/^test\/golden\/stores\/\d/.test(path));
    expect(named.flatMap((path) => rules.badFileName(path) ?? [])).toEqual([]);
  });
});

/** A rule that finds nothing is worth nothing: each must find what it is for. */
describe('the rules find', () => {
  const found = (rule: rules.Rule, text: string, path = 'lib/runtime/some.ts'): readonly string[] =>
    rule(parse(path, text)).map(({ line, message }) => `${line} ${message.split(':')[0]}`);
  const floors = rules.floors((path) =>
    parse(path, path.includes('plain') ? "import { of } from 'rxjs';" : "import { Kafka } from 'kafkajs';"),
  );

  test.each([
    ['lib/core/a.ts', "import { b } from '../state/b.ts';"],
    ['lib/core/a.ts', "import { of } from 'rxjs';"],
    ['lib/core/a.ts', "const { of } = await import('rxjs');"],
    ['lib/state/a.ts', "import type { Observable } from 'rxjs';"],
    ['lib/state/a.ts', "let a: import('../runtime/job/job.ts').Job;"],
    ['lib/runtime/job/a.ts', "export { z } from 'zod';"],
    ['lib/runtime/hosts/a.ts', "import type { Logger } from 'pino';"],
    ['lib/runtime/work/a.ts', "export * from '../../../operators/windows/window.ts';"],
    ['lib/runtime/work/a.ts', "import { Domain } from '../domain/domain.ts';"],
    ['lib/runtime/recovery/a.ts', "import type { Domain } from '../domain/domain.ts';"],
    ['lib/agents/a.ts', "import { ClassicLevel } from 'classic-level';"],
    ['lib/agents/a.ts', "import '../index.ts';"],
    ['operators/a.ts', "import { x } from '../lib/environment.ts';"],
    ['operators/a.ts', "import { x } from '../connectors/plain.ts';"],
    ['operators/a.ts', "import { Container } from 'inversify';"],
    ['lib/a.ts', "import { kafka } from '../connectors/kafka.ts';"],
    ['lib/a.ts', "import { x } from '../test/x.ts';"],
    ['connectors/a.ts', "import { x } from '../lib/runtime/x.ts';"],
    ['examples/a.ts', "import { x } from '../lib/index.ts';"],
  ])('in %s: %s', (path, text) => {
    expect(found(floors, `\n${text}`, path)).toHaveLength(1);
    expect(found(floors, `\n${text}`, path)[0]).toMatch(/^2 imports /);
  });

  test.each([
    ['lib/core/a.ts', "import type { Observable } from 'rxjs';"],
    ['lib/core/a.ts', "import { crc32 } from 'node:zlib';"],
    ['lib/state/a.ts', "import { ClassicLevel } from 'classic-level';"],
    ['lib/agents/definition/a.ts', "import 'reflect-metadata'; import { of } from 'rxjs/operators';"],
    ['operators/a.ts', "import { of } from 'rxjs'; import { x } from '../lib/agents/x.ts';"],
    ['lib/a.ts', "import { x } from '../connectors/plain.ts'; import { y } from '../operators/y.ts';"],
    [
      'connectors/a.ts',
      "import { Kafka } from 'kafkajs'; import { x } from './b.ts'; import { y } from '../lib/core/y.ts';",
    ],
    ['examples/a.ts', "import { x } from 'millrace'; import { y } from './data.ts';"],
  ])('nothing in %s: %s', (path, text) => {
    expect(found(floors, text, path)).toEqual([]);
  });

  test.each([
    'const t = Date.now();',
    'const t = globalThis.Date.now();',
    'const t = new Date();',
    'const t = Date();',
    'const t = [1].map(Math.random);',
    'setTimeout(() => {}, 1);',
    'const later = setImmediate;',
    'globalThis.setInterval(() => {}, 1);',
    'const t = process.hrtime.bigint();',
    'const t = performance.now();',
    "import { setTimeout as wait } from 'node:timers/promises';",
  ])('time from outside: %s', (text) => {
    expect(found(rules.injectedTime, text).length).toBeGreaterThan(0);
  });

  test.each([
    'const t = new Date(0);',
    '// Date.now() is banned',
    "const t = 'Date.now()';",
    'clock.now(); clock.random();',
    'const n = Math.max(1, 2);',
  ])('no time from outside: %s', (text) => {
    expect(found(rules.injectedTime, text)).toEqual([]);
  });

  test('syntax', () => {
    const text = [
      'let a: any;',
      'const b = a!;',
      'enum C { d }',
      'namespace E {}',
      'export default 1;',
      'class F { g!: string }',
      'let h = a !== b;',
    ].join('\n');
    expect(found(rules.syntax, text).map((each) => Number.parseInt(each, 10))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([
    'const a = b as string;',
    'const a = <string>b;',
    "const a = 'https://b.c' as Url;",
    'const a = (b as unknown) === c;',
    'const a = {\n  b: 1,\n} as unknown as C;',
    '// Why.\nconst a = b as C;\nconst d = e as F;',
    '// Why.\n\nconst a = b as C;',
    'const a = b as C;\n// Why, too late.',
    'const a = b as readonly [const: 1];',
  ])('a cast without a reason: %s', (text) => {
    expect(found(rules.castReasons, text)).toHaveLength(1);
  });

  test.each([
    'const a = [b] as const;',
    'const a = <const>[b];',
    'const a = b satisfies C;',
    "import { a as b } from './c.ts';",
    'const a = b as C; // Why.',
    '// Why.\nconst a = b as C;',
    '/**\n * Why.\n */\nconst a = b as C;',
    'const a = {\n  b: 1, // Why.\n} as C;',
    'const a = b as /* why */ C;',
  ])('no cast without a reason: %s', (text) => {
    expect(found(rules.castReasons, text)).toEqual([]);
  });

  test('sizes', () => {
    const body = (lines: number): string => Array.from({ length: lines }, () => '  run();').join('\n');
    expect(found(rules.functionSize, `class A {\n  a() {\n${body(68)}\n  }\n  b() {\n${body(69)}\n  }\n}`)).toEqual([
      '72 a function of 71 lines, more than 70',
    ]);
    expect(found(rules.functionSize, `const a = () => {\n${body(69)}\n};`)).toHaveLength(1);
    expect(found(rules.fileSize, '\n'.repeat(400))).toEqual([]);
    expect(found(rules.fileSize, '\n'.repeat(401))).toHaveLength(1);
    const shown = '/**\n * Runs.\n *\n * @example\n * run();\n *\n * stop();\n */\n';
    expect(found(rules.fileSize, `${shown}${'\n'.repeat(396)}`)).toEqual([]);
    expect(found(rules.fileSize, `${shown}${'\n'.repeat(397)}`)).toHaveLength(1);
    expect(found(rules.fileSize, '\n'.repeat(500), 'test/a.ts')).toEqual([]);
    expect(found(rules.fileSize, '\n'.repeat(501), 'test/a.ts')).toHaveLength(1);
  });

  test('width', () => {
    const wide = 'run(); '.repeat(20);
    expect(found(rules.width, `${wide}\n// ${'word '.repeat(30)}`)).toEqual([
      '1 140 columns wide, more than 120',
      '2 153 columns wide, more than 120',
    ]);
    expect(found(rules.width, `const a = '${'x'.repeat(130)}';\nconst b = \`\n${'x'.repeat(130)}\n\`;`)).toEqual([]);
    expect(found(rules.width, `const a = '${'x'.repeat(30)}'; ${wide}`)).toHaveLength(1);
  });

  test('a missing header, and barrels', () => {
    expect(found(rules.header, "import { a } from './a.ts';\n/** Says what a is for here. */")).toHaveLength(1);
    expect(found(rules.header, '/** Short. */')).toHaveLength(1);
    expect(found(rules.header, '#!/usr/bin/env node\n/** Says what it is for. */\n')).toEqual([]);
    expect(
      found(
        rules.noBarrel,
        "export * from './a.ts';\nexport { b } from '../b.ts';\nexport type { C } from 'pino';\nexport const d = 1;",
      ),
    ).toHaveLength(2);
  });

  test('names', () => {
    const text = [
      'class JobImpl {}',
      'const util = 1;',
      'function taskManager() {}',
      'interface IStore {}',
      'type A = { helperOf: 1 };',
      'class B { #stateHelper = 1 }',
    ];
    expect(found(rules.names, text.join('\n')).map((each) => Number.parseInt(each, 10))).toEqual([1, 2, 3, 4, 6]);
    expect(found(rules.names, 'interface Id {}\nconst implement = 1;\nclass Utility {}')).toEqual([]);
    expect(
      ['lib/taskLoop.ts', 'lib/Job.ts', 'lib/utils.ts', 'lib/core/my-helper.test.ts'].map(rules.badFileName),
    ).not.toContain(undefined);
    expect(
      ['lib/README.md', 'lib/core/key.prop.test.ts', 'test/golden/01-x.json'].flatMap(
        (path) => rules.badFileName(path) ?? [],
      ),
    ).toEqual([]);
  });

  test('observers', () => {
    const text =
      'class A extends Subscriber<number> {}\nconst b = class extends Subscription {};\nclass C extends DirectObserver {}';
    expect(found(rules.observers, text).map((each) => Number.parseInt(each, 10))).toEqual([1, 2]);
  });

  test('dependencies', () => {
    const rule = rules.dependencies({ present: new Set(['@a/b', 'rxjs']), optional: new Set(['kafkajs', '@c/d']) });
    expect(
      found(rule, "import '@a/b/c'; import 'rxjs'; import 'millrace'; import './x.ts'; import 'node:fs';"),
    ).toEqual([]);
    expect(found(rule, "import '@a/c'; import 'vitest'; await import('@a/c');")).toHaveLength(3);
    expect(
      found(rule, "import type { A } from 'kafkajs'; const b = await import('@c/d/e'); let c: import('kafkajs').C;"),
    ).toEqual([]);
    expect(
      found(rule, "import { A } from 'kafkajs'; export { b } from '@c/d'; import { type C } from 'kafkajs';"),
    ).toHaveLength(3);
    const native = rules.dependencies({ present: new Set(['classic-level']), optional: new Set() });
    expect(found(native, "import type { A } from 'classic-level'; await import('classic-level');")).toEqual([]);
    expect(found(native, "import { A } from 'classic-level';")).toHaveLength(1);
    const peers = { peerDependencies: { b: '1', c: '1' }, peerDependenciesMeta: { c: { optional: true } } };
    expect(rules.declaredIn({ dependencies: { a: '1' }, ...peers })).toEqual({
      present: new Set(['a', 'b']),
      optional: new Set(['c']),
    });
    const files = [
      parse('lib/a/b.ts', "import type { C } from 'c';"),
      parse('lib/a/d.ts', "await import('c/e');"),
      parse('lib/f.ts', ''),
    ];
    expect(rules.homesOf('c', files)).toEqual(['lib/a']);
    expect(rules.homesOf('c', [...files, parse('lib/g.ts', "export * from 'c';")])).toHaveLength(2);
  });
});
