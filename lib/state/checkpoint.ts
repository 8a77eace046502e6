/**
 * Headers of checkpoints in the state database, and the chain by which a hole is found. Keeps I5 (a checkpoint is whole
 * or absent).
 *
 * The newest checkpoint is a full row, older ones are short links: batch n writes the full row n and replaces the full
 * row n-1 by its link. LevelDB may silently lose a record in the middle of its log, which is one whole batch. Then an
 * id is missing or a row was never replaced by its link, and reading the chain finds either. Batch 1 replaces nothing,
 * so it brings the row of an id 0 along. The loss of the last batches can't be told from a crash before them.
 */
import type { KeyRange, Store, StoreBatch } from './store.ts';
import { invariant, messageOf, StreamError } from '../core/errors.ts';
import { murmur2 } from '../core/key.ts';
import { frameValue, unframeValue } from '../core/frame.ts';
import { digest } from '../core/serde.ts';
import { prefixes } from './layout.ts';

/** Names a checkpoint and what came before it. */
export interface CheckpointLink {
  /** 1 for the first checkpoint of a job, then one more each time. */
  readonly id: number;
  /** The fingerprint of this checkpoint's header, then that of the one before (zeros for the first). */
  readonly digest: string;
}

export interface NewCheckpoint {
  readonly id: number;
  /** What `writeCheckpoint` returned, or `readNewestCheckpoint` found, for the one before; undefined for the first. */
  readonly previous: CheckpointLink | undefined;
  /** Plain data; this file does not look into it. */
  readonly body: unknown;
  /** Of the other rows in the batch; see `digestedBatch`. */
  readonly rowsDigest: number;
}

export interface StoredCheckpoint extends CheckpointLink {
  readonly body: unknown;
}

/** Links that are kept behind the newest checkpoint. */
export const chainMax = 10_000;

/** The fingerprint before the first checkpoint. */
const none = '0'.repeat(16);

/** @internal Where the header of a checkpoint is: `c` and the id in 8 bytes, big endian. */
export const checkpointKey = (id: number): Buffer => {
  const key = Buffer.allocUnsafe(9);
  key[0] = prefixes.checkpoint;
  key.writeBigUInt64BE(BigInt(id), 1);
  return key;
};

/** Adds the header to the batch that carries the checkpoint's rows, and makes the row of the one before a link. */
export const writeCheckpoint = (batch: StoreBatch, checkpoint: NewCheckpoint): CheckpointLink => {
  const { id, previous, body, rowsDigest } = checkpoint;
  invariant(
    Number.isSafeInteger(id) && id === (previous?.id ?? 0) + 1,
    `I5: checkpoint ${id} can not follow ${previous?.id ?? 'nothing'}`,
  );
  const before = ownDigest(previous);
  const row = frameValue({ kind: 'full', id, before, rowsDigest, body } satisfies FullRow);
  batch.put(checkpointKey(id), row);
  const link: LinkRow = { kind: 'link', id: id - 1, digest: previous?.digest ?? none + none };
  batch.put(checkpointKey(link.id), frameValue(link));
  return { id, digest: digest(row) + before };
};

/**
 * Reads and verifies the chain; undefined when nothing was ever checkpointed. Throws `STORE_DAMAGED` with the id where
 * the chain breaks, also when the store holds rows that no checkpoint can have written.
 */
export const readNewestCheckpoint = async (store: Store): Promise<StoredCheckpoint | undefined> => {
  let newest: StoredCheckpoint | CheckpointLink | undefined;
  const breaks: { readonly id: number; readonly error: StreamError }[] = [];
  for await (const [key, value] of store.entries(rangeOf(0, Number.MAX_SAFE_INTEGER))) {
    const row = readRow(key, value);
    const error = breakBetween(newest, row);
    if (error !== undefined) breaks.push({ id: row.id, error });
    newest = row;
  }
  if (newest === undefined) return assertEmpty(store);
  // Links so old that they may be pruned can have gaps: pruning is not atomic.
  const last = newest.id;
  const broken = breaks.find(({ id }) => id > last - chainMax);
  if (broken !== undefined) throw broken.error;
  if (!('body' in newest)) throw damaged(newest.id, 'its header was replaced, but the checkpoint after it is missing');
  return newest;
};

/** The id in the key of a header, or of a link. */
export const checkpointIdOf = (key: Uint8Array): number => keyId(key);

/** What the row of a header holds. */
export const bodyOf = (value: Uint8Array): unknown =>
  // Framed and full, since it is the newest of its store.
  (unframeValue(value, 'the header of a checkpoint') as FullRow).body;

/** The row of a header with another body, for a state that is made of a savepoint: it follows what it did before. */
export const withBody = (value: Uint8Array, change: (body: unknown) => unknown): Uint8Array => {
  // Framed and full, since it is the newest of its store.
  const row = unframeValue(value, 'the header of a checkpoint') as FullRow;
  return frameValue({ ...row, body: change(row.body) } satisfies FullRow);
};

/** Forgets links more than `chainMax` behind the checkpoint `id`. Call it now and then; it is not urgent. */
export const pruneChain = async (store: Store, id: number): Promise<void> => {
  if (id > chainMax) await store.clear(rangeOf(0, id - chainMax));
};

export interface DigestedBatch extends StoreBatch {
  /**
   * Depends on keys, values and order of what was put and deleted so far. Values carry their own checksums, which are
   * used for it.
   */
  readonly rowsDigest: number;
}

/** A batch that keeps a digest of its rows, for `writeCheckpoint`. */
export const digestedBatch = (batch: StoreBatch): DigestedBatch => {
  let rowsDigest = 0;
  const mix = (key: Uint8Array, rest: number): void => {
    rowsDigest = (Math.imul(rowsDigest, 31) ^ murmur2(key) ^ Math.imul(rest, 0x9e3779b1)) >>> 0;
  };
  return {
    get rowsDigest() {
      return rowsDigest;
    },
    get length() {
      return batch.length;
    },
    get bytes() {
      return batch.bytes;
    },
    put(key, value) {
      mix(key, value.length < 4 ? murmur2(value) : checksumOf(value));
      batch.put(key, value);
    },
    delete(key) {
      mix(key, 1);
      batch.delete(key);
    },
    write: () => batch.write(),
    close: () => batch.close(),
  };
};

/** The first four bytes of a framed value; a number made of four bytes of any other. */
const checksumOf = ([first = 0, second = 0, third = 0, fourth = 0]: Uint8Array): number =>
  (first << 24) | (second << 16) | (third << 8) | fourth;

// ---------- rows

interface FullRow {
  readonly kind: 'full';
  readonly id: number;
  readonly before: string;
  readonly rowsDigest: number;
  readonly body: unknown;
}

interface LinkRow {
  readonly kind: 'link';
  readonly id: number;
  readonly digest: string;
}

const rangeOf = (first: number, end: number): KeyRange => ({ gte: checkpointKey(first), lt: checkpointKey(end) });

const ownDigest = (link: CheckpointLink | undefined): string => link?.digest.slice(0, 16) ?? none;

const beforeDigest = (link: CheckpointLink): string => link.digest.slice(16);

const readRow = (key: Uint8Array, value: Uint8Array): StoredCheckpoint | CheckpointLink => {
  const id = keyId(key);
  let row: FullRow | LinkRow;
  try {
    // framed, so written by `writeCheckpoint`
    row = unframeValue(value, `the header of checkpoint ${id}`) as FullRow | LinkRow;
  } catch (cause) {
    if (cause instanceof StreamError && cause.code === 'STORE_FORMAT') throw cause;
    throw damaged(id, messageOf(cause), cause);
  }
  if (row.id !== id) throw damaged(id, `its header is that of checkpoint ${row.id}`);
  return row.kind === 'full' ? { id, digest: digest(value) + row.before, body: row.body } : { id, digest: row.digest };
};

const keyId = (key: Uint8Array): number => {
  if (key.length !== 9) throw new StreamError('STORE_DAMAGED', 'the key of a checkpoint is damaged');
  return Number(new DataView(key.buffer, key.byteOffset).getBigUint64(1));
};

const breakBetween = (
  last: StoredCheckpoint | CheckpointLink | undefined,
  row: CheckpointLink,
): StreamError | undefined => {
  const expected = last === undefined ? 0 : last.id + 1;
  if (row.id !== expected || (last !== undefined && 'body' in last))
    return damaged(Math.max(expected, 1), 'its write was lost, although a later one is there');
  return beforeDigest(row) === ownDigest(last) ? undefined : damaged(row.id, 'it does not follow from the one before');
};

/** Rows come with a checkpoint only. */
const assertEmpty = async (store: Store): Promise<undefined> => {
  for await (const _row of store.entries({ gte: new Uint8Array(0), lt: Uint8Array.of(0xff) }))
    throw new StreamError('STORE_DAMAGED', 'the state holds rows but no checkpoint');
  return undefined;
};

const damaged = (id: number, what: string, cause?: unknown): StreamError =>
  new StreamError('STORE_DAMAGED', `checkpoint ${id} is damaged: ${what}`, { cause, details: { checkpoint: id } });
