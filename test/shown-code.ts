/**
 * Code that is shown to users, of pages and of docstrings, as modules in a directory of their own: type-checked all at
 * once, and run in a working directory that holds the inputs of the examples.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format, promisify } from 'node:util';
import { filesBelow, root } from './house.ts';

export interface ShownModule {
  /** The file that shows it, from the root of the project. */
  readonly path: string;
  /** The line of that file on which it starts, from 1. */
  readonly line: number;
  /** The module; each of its lines is on the line that it has in the file, so that errors point there. */
  readonly text: string;
}

const fileOf = ({ path, line }: ShownModule): string =>
  `${path.replaceAll('/', '--').replace(/\.(md|ts)$/, '')}-${line}.ts`;

export class ShownCode {
  readonly #modules: readonly ShownModule[];
  readonly #directory: string;
  readonly #before = process.cwd();

  /** Writes the modules, and makes their working directory that of the process until `close`. */
  constructor(modules: readonly ShownModule[]) {
    this.#modules = modules;
    mkdirSync(`${root}test/.readme`, { recursive: true });
    this.#directory = mkdtempSync(`${root}test/.readme/`);
    const compilerOptions = {
      moduleDetection: 'force',
      noUnusedLocals: false,
      noUnusedParameters: false,
      declaration: false,
    };
    const settings = { extends: '../../../tsconfig.json', compilerOptions, files: modules.map(fileOf), include: [] };
    writeFileSync(`${this.#directory}/tsconfig.json`, JSON.stringify(settings));
    for (const module of modules) writeFileSync(`${this.#directory}/${fileOf(module)}`, module.text);
    // They read and write files by short names, as in a user's directory.
    const work = `${this.#directory}/work`;
    mkdirSync(work);
    for (const path of filesBelow('examples'))
      if (/\.(jsonl|ya?ml)$/.test(path)) copyFileSync(`${root}${path}`, `${work}/${basename(path)}`);
    process.chdir(work);
  }

  close(): void {
    process.chdir(this.#before);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** What the compiler has to say, with the places of the files that show the code. */
  async typeErrors(): Promise<readonly string[]> {
    const command = [`${root}node_modules/typescript/bin/tsc`, '-p', this.#directory, '--pretty', 'false'];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, command, { maxBuffer: 2 ** 26 })
      .catch(
        // What it has to say is on standard output.
        (error: unknown) => error as { stdout: string; stderr: string; code: unknown },
      )
      .then((result) => ('code' in result && result.stdout === '' ? Promise.reject(result) : result));
    const paths = new Map(this.#modules.map((module) => [fileOf(module), module.path]));
    return [...stdout.split('\n'), stderr]
      .filter((line) => line.trim() !== '')
      .map((line) =>
        line.replace(
          /^\S*?([^/\s]+\.ts)\((\d+),(\d+)\)/,
          (all, file: string, row: string, column: string) => `${paths.get(file) ?? all}:${row}:${column}`,
        ),
      );
  }

  /** Runs a module and gives the lines that it prints. */
  run(module: ShownModule): Promise<readonly string[]> {
    return printedBy(() => import(/* @vite-ignore */ pathToFileURL(`${this.#directory}/${fileOf(module)}`).href));
  }
}

/** The lines that a text says it prints: those of comments `// prints ...`. */
export const printsOf = (lines: readonly string[]): readonly string[] =>
  lines.flatMap((line) => /\/\/ prints (.*)$/.exec(line)?.[1] ?? []);

/** The lines that go to the standard output meanwhile, `console.log` included. */
const printedBy = async (run: () => Promise<unknown>): Promise<readonly string[]> => {
  const { log } = console;
  const { write } = process.stdout;
  let text = '';
  console.log = (...values: unknown[]) => void (text += `${format(...values)}\n`);
  process.stdout.write = (chunk: string | Uint8Array, ...rest: readonly unknown[]) => {
    text += String(chunk);
    const written = rest.at(-1);
    if (typeof written === 'function') written();
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
