/**
 * Looks at a database before LevelDB opens it, because LevelDB takes a damaged log for a torn one and goes on without
 * what was behind the damage, trusts its tables, and may end the process on one that is garbage. Keeps I5 and I8
 * against a disk that changes bytes.
 *
 * The newest log may end in the one write that nobody had acknowledged; everything before was. How far that was is
 * noted beside the database after each write, without a sync: after the end of the process the note is exact, after a
 * loss of power a lower bound. It stands outside of the database's own directory, so that one which was exchanged for
 * an older copy is noticed.
 */
import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf } from '../core/errors.ts';
import { readRegular } from '../core/regular-file.ts';
import { systemCodeOf } from '../core/system-error.ts';
import { lastSequenceOf, readLog, readManifest, verifyTable, type Manifest } from './level-format.ts';

/**
 * Tables are verified at the opening up to this many bytes, the newest first, so that a restart does not take longer
 * with more state.
 */
const tableBytesMax = 32 * 2 ** 20;

/**
 * Says what is damaged; undefined when nothing is, as far as LevelDB itself would not say so. `acknowledged` is the
 * last operation known to be durable.
 */
export const damageOf = async (
  path: string,
  acknowledged: number | undefined,
): Promise<{ readonly damage: string | undefined; readonly lastSequence: number }> => {
  if (acknowledged === undefined)
    return { damage: 'the note of what was acknowledged does not match its checksum', lastSequence: 0 };
  const manifest = await manifestOf(path);
  if (manifest === undefined) return { damage: undefined, lastSequence: acknowledged }; // LevelDB refuses it.
  let { lastSequence } = manifest;
  let torn: string | undefined;
  const logs = await logsFrom(path, manifest.logNumber);
  // A manifest that has lost its end names a log that has become tables since.
  if (manifest.logNumber > 0 && Number.parseInt(logs[0] ?? '', 10) !== manifest.logNumber) {
    return { damage: `the log ${manifest.logNumber}, which its manifest names, is missing`, lastSequence };
  }
  for (const name of logs) {
    const log = await contentOf(join(path, name));
    if (log === undefined) continue;
    const { records, ...rest } = readLog(log);
    const last = records.at(-1);
    if (last !== undefined) lastSequence = Math.max(lastSequence, lastSequenceOf(last));
    // Behind a torn log there may be empty ones: an opening that failed on its way has made them.
    const damagedLog = rest.hole ? name : last === undefined ? undefined : torn;
    if (damagedLog !== undefined)
      return { damage: `'${damagedLog}' is damaged, and later writes are whole`, lastSequence };
    if (rest.torn) torn ??= name;
  }
  if (lastSequence < acknowledged) {
    return { damage: `its log ends at operation ${lastSequence}, but ${acknowledged} were acknowledged`, lastSequence };
  }
  return { damage: await tableDamage(path, manifest), lastSequence };
};

const manifestOf = async (path: string): Promise<Manifest | undefined> => {
  try {
    const current = (await readRegular(join(path, 'CURRENT'))).toString('utf8');
    const { records } = readLog(await readRegular(join(path, current.trim())));
    return readManifest(records);
  } catch {
    return undefined;
  }
};

/** The logs from a number up, in their order. */
const logsFrom = async (path: string, from: number): Promise<readonly string[]> => {
  const number = (name: string): number => Number.parseInt(name, 10);
  return (await readdir(path))
    .filter((name) => /^\d+\.log$/.test(name) && number(name) >= from)
    .sort((a, b) => number(a) - number(b));
};

const tableDamage = async (path: string, { tables }: Manifest): Promise<string | undefined> => {
  let left = tableBytesMax;
  for (const [number, size] of [...tables].sort(([a], [b]) => b - a)) {
    left -= size;
    if (left < 0) return undefined;
    const name = `${String(number).padStart(6, '0')}.ldb`;
    const table = await contentOf(join(path, name));
    if (table === undefined) continue; // LevelDB says so when it looks for it.
    if (table.length !== size) return `'${name}' has ${table.length} bytes, it had ${size}`;
    try {
      verifyTable(table);
    } catch (error) {
      return `'${name}': ${messageOf(error)}`;
    }
  }
  return undefined;
};

/** Undefined when the file is gone: another process may have the database open. */
const contentOf = async (path: string): Promise<Buffer | undefined> => {
  try {
    return await readRegular(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** How many operations of a database were acknowledged, kept in a file of 16 bytes that is written in place. */
export class Acknowledged {
  readonly #bytes = Buffer.alloc(16);
  #file: number | undefined;
  #count: number;

  private constructor(file: number | undefined, count: number) {
    this.#file = file;
    this.#count = count;
  }

  /**
   * What the file says; 0 when it is not there, since then nothing is known; undefined when it is not as it was
   * written.
   */
  static read(path: string): number | undefined {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return 0;
      throw error;
    }
    if (bytes.length !== 16 || bytes.readUInt32LE(8) !== crc32(bytes.subarray(0, 8)) || bytes.readUInt32LE(12) !== 0)
      return undefined;
    return Number(bytes.readBigUInt64LE(0));
  }

  /** Goes on from `count`. Its first content is synced, so that it is whole from then on. */
  static open(path: string, count: number): Acknowledged {
    const made = new Acknowledged(openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600), count);
    made.add(0);
    if (made.#file !== undefined) fsyncSync(made.#file);
    return made;
  }

  /** Operations so far. */
  get count(): number {
    return this.#count;
  }

  /** Operations that were written and synced. */
  add(operations: number): void {
    this.#count += operations;
    if (this.#file === undefined) return;
    this.#bytes.writeBigUInt64LE(BigInt(this.#count), 0);
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(0, 8)), 8);
    try {
      writeSync(this.#file, this.#bytes, 0, 16, 0);
    } catch {
      this.close(); // It stays behind: less damage is found.
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
