/**
 * An example as a process of its own, and what it left behind: for the tests that kill it and those that read it as a
 * user would.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJournalEntry, journaledCalls, LevelStorage } from 'millrace';
import { root } from './house.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExampleProcess {
  readonly child: ChildProcess;
  readonly exit: Promise<Exit>;
}

export interface StartOptions {
  readonly args?: readonly string[] | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  /** @defaultValue node with the example */
  readonly command?: readonly [string, ...string[]] | undefined;
}

/** Starts an example; a model that the environment of the tests names is not asked. */
export const startExample = (
  name: string,
  { args = [], environment = {}, command }: StartOptions = {},
): ExampleProcess => {
  const { MILLRACE_MODEL: _model, MILLRACE_BASE_URL: _baseUrl, DEBUG: _debug, ...inherited } = process.env;
  const [file, ...before] = command ?? [process.execPath, '--import', 'tsx', `examples/${name}.ts`];
  const child = spawn(file, [...before, ...args], {
    cwd: root,
    env: { ...inherited, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exit = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, exit };
};

export const runExample = (name: string, options?: StartOptions): Promise<Exit> => startExample(name, options).exit;

/** A line of `--calls`. */
export interface CallLine {
  readonly call: string;
  readonly key: string;
  readonly prompt: string;
}

export const linesOf = <T>(path: string): readonly T[] => {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  // What stands behind the last newline is still being written.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T);
};

/** Whole lines so far; cheap enough to ask every few milliseconds. */
export const countLines = (path: string): number => {
  if (!existsSync(path)) return 0;
  const bytes = readFileSync(path);
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count += 1;
  return count;
};

/** The calls whose outcome the journal of a state directory holds. */
export const journaledCallsIn = async (directory: string): Promise<ReadonlySet<string>> => {
  const names = new Set<string>();
  if (!existsSync(join(directory, 'millrace.json'))) return names; // Killed before the directory was made.
  const storage = await new LevelStorage(directory).open();
  try {
    for await (const entry of storage.journal.rebuildState()) {
      for (const name of journaledCalls(decodeJournalEntry(entry))) names.add(name);
    }
  } finally {
    await storage.close();
  }
  return names;
};

/** Waits until `holds` is true or the process has ended. */
export const waitUntil = async ({ child }: ExampleProcess, holds: () => boolean): Promise<void> => {
  while (child.exitCode === null && child.signalCode === null && !holds()) await delay(3);
};

export const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));
