/**
 * An empty project of a user that gets the packed package: where it is made, what is written into it, how its programs
 * are run.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../house.ts';

export interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}

// as it is declared there
export const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as Manifest;

export const peers = Object.keys(manifest.peerDependencies).filter(
  (name) => manifest.peerDependenciesMeta[name]?.optional !== true,
);
export const optionalPeers = Object.keys(manifest.peerDependencies).filter((name) => !peers.includes(name));

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  /** Both streams. */
  readonly output: string;
}

const limitMs = 300_000;

/** Runs a program to its end. */
export const run = (program: string, parameters: readonly string[], cwd: string): Promise<Ran> =>
  new Promise((resolve) => {
    // npm tells scripts about the package it runs for; what is started here is another one.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS|VITEST)/i.test(name)),
    );
    const options = { cwd, env, timeout: limitMs, maxBuffer: 64 * 2 ** 20 };
    execFile(program, [...parameters], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, stdout, output: `${stdout}${stderr}` });
    });
  });

/** What an npm prints, or an error with all that it said. */
export const succeed = async (program: string, parameters: readonly string[], cwd: string): Promise<string> => {
  const { code, stdout, output } = await run(program, parameters, cwd);
  if (code !== 0) throw new Error(`${program} ${parameters.join(' ')} ended with ${code}:\n${output}`);
  return stdout;
};

export const temporary = async (name: string): Promise<string> =>
  realpath(await mkdtemp(join(tmpdir(), `millrace-${name}-`)));

/** The files that a clone has, with the packages that `npm ci` puts beside them. */
export const freshClone = async (): Promise<string> => {
  const clone = await temporary('clone');
  const made = new Set(['.git', 'node_modules', 'dist', 'coverage', '.millrace']);
  for (const name of await readdir(root)) {
    if (!made.has(name) && !name.endsWith('.log')) await cp(join(root, name), join(clone, name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
  return clone;
};

/** Packs a clone as `npm pack` does without a word more, and gives the path of the tarball. */
export const pack = async (clone: string): Promise<string> => {
  const directory = await temporary('tarball');
  await succeed('npm', ['pack', '--pack-destination', directory], clone);
  const [name] = await readdir(directory);
  if (name === undefined) throw new Error('npm pack made nothing');
  return join(directory, name);
};

export const unpack = async (tarball: string): Promise<string> => {
  const directory = await temporary('unpacked');
  await succeed('tar', ['xzf', tarball, '-C', directory], directory);
  return join(directory, 'package');
};

/** A user's project. */
export class Project {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(name: string): Promise<Project> {
    const project = new Project(await temporary(name));
    await project.write({ 'package.json': JSON.stringify({ name: 'app', private: true, type: 'module' }) });
    return project;
  }

  /**
   * A project with the package in a strict layout, as pnpm makes it: the package sees what it declares, the project
   * what it has installed (the peers, and what `installed` names), and neither sees the packages of the other. Needs no
   * registry.
   */
  static async strict(unpacked: string, installed: readonly string[] = []): Promise<Project> {
    const project = await Project.make('strict');
    const modules = join(project.directory, 'node_modules');
    const store = join(modules, '.store', 'node_modules');
    await mkdir(store, { recursive: true });
    await cp(unpacked, join(store, 'millrace'), { recursive: true });
    await symlink(join(store, 'millrace'), join(modules, 'millrace'));
    const link = async (name: string, into: string): Promise<void> => {
      await mkdir(dirname(join(into, name)), { recursive: true });
      await symlink(await realpath(join(root, 'node_modules', name)), join(into, name));
    };
    const known = (name: string): boolean => name in manifest.dependencies || name in manifest.peerDependencies;
    for (const name of new Set([...Object.keys(manifest.dependencies), ...peers, ...installed.filter(known)]))
      await link(name, store);
    for (const name of new Set([...peers, ...installed])) await link(name, modules);
    return project;
  }

  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.directory, name), text);
  }

  /** Runs a program of Node's in the project. */
  node(...parameters: readonly string[]): Promise<Ran> {
    return run(process.execPath, parameters, this.directory);
  }

  /** Checks the types, libraries included, and gives what the compiler says: nothing when all is right. */
  async typesOf(
    files: readonly string[],
    compiler: string = join(root, 'node_modules', 'typescript'),
  ): Promise<string> {
    const strict = {
      strict: true,
      skipLibCheck: false,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      types: [],
    };
    const compilerOptions = {
      ...strict,
      target: 'es2022',
      module: 'nodenext',
      outDir: 'out',
      experimentalDecorators: true,
    };
    await this.write({ 'types.json': JSON.stringify({ compilerOptions, files }) });
    const { output, code } = await this.node(join(compiler, 'bin', 'tsc'), '-p', 'types.json');
    return code === 0 ? output : `${output} (ended with ${code})`;
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A file of a package of this project's own, such as a command of its. */
export const ownFile = (specifier: string): string => fileURLToPath(import.meta.resolve(specifier));
