/**
 * The file of a savepoint: blocks with a checksum each, and an end that has the digest of all before it. It is written
 * aside, synced and renamed, so under its name there is a whole one or the one before. Reading looks at every byte
 * before anything of it is used (I5). The form is in the README of this folder.
 */
import type { FileHandle } from 'node:fs/promises';
import { createHash, type Hash } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { StreamError } from '../../core/errors.ts';
import { openRegular } from '../../core/regular-file.ts';
import { systemCodeOf, systemError } from '../../core/system-error.ts';

export type Row = readonly [key: Uint8Array, value: Uint8Array];

/** What blocks hold, by the byte that says it. */
const kinds = { facts: 1, header: 2, state: 3, journal: 4, end: 5 } as const;

const magic = Buffer.from('millrace savepoint\n', 'latin1');

/** Of the form of the file. */
export const savepointFormat = 1;

/** Bytes of a block before what it holds: length, CRC-32, kind. */
const blockHead = 9;
const blockBytes = 2 ** 20;
const privateFile = 0o600;

/** What a file says of itself first, for whoever looks at it. */
export interface SavepointFacts {
  readonly format: number;
  /** Unique. */
  readonly id: string;
  readonly job: string;
  readonly jobId: string;
  readonly checkpoint: number;
  readonly maxParallelism: number;
  readonly operators: readonly {
    readonly uid: string;
    readonly number: number;
    readonly states: readonly object[];
  }[];
}

export interface SavepointContent {
  readonly facts: SavepointFacts;
  /** The row of the checkpoint's header, as it stands in the state database. */
  readonly header: Uint8Array;
  readonly state: AsyncIterable<Row>;
  readonly journal: AsyncIterable<Row>;
}

/** A file that was read to its end and found whole. */
export interface Savepoint {
  readonly path: string;
  readonly facts: SavepointFacts;
  readonly header: Uint8Array;
  /** Its rows, in groups; `header` and facts are left out. */
  rows(): AsyncIterable<{ readonly of: 'state' | 'journal'; readonly rows: readonly Row[] }>;
}

// ---------- writing

export const writeSavepoint = async (path: string, content: SavepointContent): Promise<void> => {
  const aside = `${path}.tmp`;
  try {
    const file = await openRegular(aside, 'empty', privateFile);
    try {
      await writeContent(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
    await syncFolderOf(path);
  } catch (cause) {
    await rm(aside, { force: true }).catch(() => {}); // What stopped the writing is told.
    throw systemError('SAVEPOINT_FAILED', `the savepoint '${path}' can not be written`, cause, { details: { path } });
  }
};

const writeContent = async (file: FileHandle, content: SavepointContent): Promise<void> => {
  const digest = createHash('sha256');
  const write = async (bytes: Uint8Array): Promise<void> => {
    digest.update(bytes);
    await file.writeFile(bytes); // Writes on where the last one ended.
  };
  await write(magic);
  await write(block('facts', Buffer.from(JSON.stringify(content.facts), 'utf8')));
  await write(block('header', content.header));
  for (const kind of ['state', 'journal'] as const)
    for await (const packed of packedRows(content[kind])) await write(block(kind, packed));
  await file.writeFile(block('end', digest.digest()));
};

const block = (kind: keyof typeof kinds, body: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(blockHead + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes[8] = kinds[kind];
  bytes.set(body, blockHead);
  bytes.writeUInt32BE(crc32(bytes.subarray(8)), 4);
  return bytes;
};

const packedRows = async function* (rows: AsyncIterable<Row>): AsyncIterable<Buffer> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const row of rows) {
    for (const part of row) {
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(part.length);
      parts.push(length, Uint8Array.from(part)); // A store may use its buffers again.
      size += 4 + part.length;
    }
    if (size < blockBytes) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts);
};

/** @internal Makes a change of names in a folder durable. */
export const syncFolderOf = async (path: string): Promise<void> => {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

// ---------- reading

interface Block {
  readonly kind: number;
  readonly body: Buffer;
}

/**
 * Reads all of a file. Throws `SAVEPOINT_DAMAGED` when it is not whole or not as it was written, `STORE_FORMAT` when a
 * newer version has written it, `SAVEPOINT_FAILED` when it can't be read.
 */
export const readSavepoint = async (path: string): Promise<Savepoint> => {
  let facts: SavepointFacts | undefined;
  let header: Buffer | undefined;
  for await (const { kind, body } of blocksOf(path)) {
    if (kind === kinds.facts && facts === undefined) facts = factsOf(path, body);
    else if (facts === undefined) throw damaged(path, 'it does not begin with its facts');
    else if (kind === kinds.header) header = Buffer.from(body);
    else unpackRows(path, body);
  }
  if (facts === undefined || header === undefined) throw damaged(path, 'its header is missing');
  return { path, facts, header, rows: () => rowsOf(path) };
};

/** What a file says of itself first; nothing behind it is looked at. Undefined when there is no file. */
export const readFacts = async (path: string): Promise<SavepointFacts | undefined> => {
  try {
    for await (const { kind, body } of blocksOf(path)) if (kind === kinds.facts) return factsOf(path, body);
  } catch (error) {
    if (error instanceof StreamError && systemCodeOf(error.cause) === 'ENOENT') return undefined;
    throw error;
  }
  throw damaged(path, 'it does not hold its facts');
};

const rowsOf = async function* (path: string): ReturnType<Savepoint['rows']> {
  for await (const { kind, body } of blocksOf(path)) {
    if (kind === kinds.state) yield { of: 'state', rows: unpackRows(path, body) };
    if (kind === kinds.journal) yield { of: 'journal', rows: unpackRows(path, body) };
  }
};

const factsOf = (path: string, body: Buffer): SavepointFacts => {
  const facts = JSON.parse(body.toString('utf8')) as SavepointFacts; // Its checksum was right: it is what was written.
  if (facts.format > savepointFormat) {
    const message = `the savepoint '${path}' has format ${facts.format}, this version reads up to ${savepointFormat}`;
    throw new StreamError('STORE_FORMAT', message, { hint: 'use the version of Millrace that has written it' });
  }
  return facts;
};

/** All blocks but the end, which must be there and be right. */
const blocksOf = async function* (path: string): AsyncGenerator<Block> {
  const file = await opened(path);
  try {
    const { size } = await file.stat();
    const digest = createHash('sha256');
    const start = await bytesAt(file, 0, Math.min(magic.length, size));
    if (!start.equals(magic)) throw damaged(path, size === 0 ? 'it is empty' : 'it is no savepoint');
    digest.update(start);
    for (let at = magic.length; ;) {
      const { bytes, kind, body } = await blockAt(path, file, at, size);
      at += bytes.length;
      if (kind === kinds.end) return assertEnd(path, { body, digest, isLast: at === size });
      digest.update(bytes);
      yield { kind, body };
    }
  } finally {
    await file.close();
  }
};

const assertEnd = (
  path: string,
  { body, digest, isLast }: { readonly body: Buffer; readonly digest: Hash; readonly isLast: boolean },
): void => {
  if (!body.equals(digest.digest())) throw damaged(path, 'it does not match its digest');
  if (!isLast) throw damaged(path, 'something stands behind its end');
};

const blockAt = async (
  path: string,
  file: FileHandle,
  at: number,
  size: number,
): Promise<Block & { readonly bytes: Buffer }> => {
  if (at + blockHead > size) throw damaged(path, 'it is cut short');
  const length = (await bytesAt(file, at, 4)).readUInt32BE(0);
  if (at + blockHead + length > size) throw damaged(path, 'it is cut short, or a length is damaged');
  const bytes = await bytesAt(file, at, blockHead + length);
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32BE(4))
    throw damaged(path, `the block at byte ${at} does not match its checksum`);
  return { bytes, kind: bytes.readUInt8(8), body: bytes.subarray(blockHead) };
};

const unpackRows = (path: string, body: Buffer): readonly Row[] => {
  const rows: Row[] = [];
  let at = 0;
  const part = (): Buffer => {
    const end = at + 4 + (at + 4 > body.length ? 0 : body.readUInt32BE(at));
    if (end > body.length) throw damaged(path, 'a row is cut short');
    const bytes = body.subarray(at + 4, end);
    at = end;
    return bytes;
  };
  while (at < body.length) rows.push([part(), part()]);
  return rows;
};

const opened = async (path: string): Promise<FileHandle> => {
  try {
    return await openRegular(path, 'read');
  } catch (cause) {
    throw systemError('SAVEPOINT_FAILED', `the savepoint '${path}' can not be read`, cause, { details: { path } });
  }
};

const bytesAt = async (file: FileHandle, at: number, length: number): Promise<Buffer> => {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) break; // It has become shorter meanwhile: the checksum says so.
    done += bytesRead;
  }
  return bytes;
};

const damaged = (path: string, what: string): StreamError =>
  new StreamError('SAVEPOINT_DAMAGED', `the savepoint '${path}' can not be used: ${what}`, { details: { path } });
