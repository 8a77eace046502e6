/**
 * Says beside an output which sink of which job writes it, for as long as that runs, so that another job is refused
 * before it cuts or mixes anything. A note whose process is gone, or that another machine has left, holds nobody back:
 * what it means is then noticed by the commits, which find bytes that are not theirs.
 */
import { readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { StreamError } from '../../lib/core/errors.ts';
import { openRegular, readRegular } from '../../lib/core/regular-file.ts';
import { systemCodeOf } from '../../lib/core/system-error.ts';

/** @internal What only the owner may read. */
export const privateMode = 0o600;

/** Notes of sinks that are open in this process: one with its number that is not among them is of a process before. */
const openHere = new Map<string, object>();

const notePath = (output: string, owner: string): string => `${output}.${owner}.writing`;

interface Note {
  readonly pid: number;
  readonly host: string;
}

/**
 * @internal Takes an output for an owner. Rejects with `OUTPUT_IN_USE` while another one has it. The result gives it
 * back, and may be called twice.
 */
export const takeOutput = async (output: string, owner: string): Promise<() => Promise<void>> => {
  await refuseOthers(output, owner);
  const path = resolve(notePath(output, owner));
  // What this very sink has left behind in a crash is its own.
  await rm(path, { force: true });
  const handle = await openRegular(path, 'make', privateMode);
  openHere.set(path, handle);
  const release = async (): Promise<void> => {
    // A sink that was given up and opened anew has left the note to its successor.
    if (openHere.get(path) !== handle) return;
    openHere.delete(path);
    await rm(path, { force: true });
  };
  try {
    await handle.writeFile(JSON.stringify({ pid: process.pid, host: hostname() } satisfies Note));
    // Of two that came at once, each has seen the other by now.
    await refuseOthers(output, owner);
    return release;
  } catch (error) {
    await release();
    throw error;
  } finally {
    await handle.close();
  }
};

const refuseOthers = async (output: string, owner: string): Promise<void> => {
  const start = `${basename(output)}.`;
  for (const name of await readdir(dirname(output))) {
    if (!name.startsWith(start) || !/^[0-9a-f]{8}\.writing$/.test(name.slice(start.length))) continue;
    const path = resolve(dirname(output), name);
    if (name === basename(notePath(output, owner)) || !(await holds(path))) continue;
    throw new StreamError('OUTPUT_IN_USE', `output "${output}" is being written by another job, as "${name}" says`, {
      details: { path: output, note: join(dirname(output), name) },
    });
  }
};

/** Whether whoever wrote a note still runs. */
const holds = async (path: string): Promise<boolean> => {
  const note = await noteAt(path);
  if (note === undefined || note.host !== hostname()) return false;
  return note.pid === process.pid ? openHere.has(path) : isAlive(note.pid);
};

/** Undefined when it is gone or not whole: it is written in one go, so its process has died over it. */
const noteAt = async (path: string): Promise<Note | undefined> => {
  try {
    // Looked at in the next line.
    const { pid, host } = JSON.parse((await readRegular(path)).toString('utf8')) as Partial<Note>;
    return typeof pid === 'number' && pid > 0 && typeof host === 'string' ? { pid, host } : undefined;
  } catch {
    return undefined;
  }
};

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCodeOf(error) === 'EPERM';
  }
};
