/**
 * LevelDB's files, as far as it takes to see whether they are whole: the records of a log or manifest, the blocks of a
 * table and their checksums. LevelDB itself skips what is damaged in a log and does not verify tables unless it is told
 * to, which its binding can not. The formats are those of `doc/log_format.md` and `doc/table_format.md` in LevelDB.
 */

// ---------- CRC-32C, eight bytes at a step

const polynomial = 0x82f63b78;

const tables: readonly Uint32Array[] = (() => {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    return crc >>> 0;
  });
  const all = [first];
  for (let table = 1; table < 8; table += 1) {
    const before = all[table - 1] ?? first;
    all.push(before.map((crc) => (crc >>> 8) ^ (first[crc & 0xff] ?? 0)));
  }
  return all;
})();
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as readonly [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array, // made above
];

/**
 * The checksum of `bytes` from `start` to `end`. Every index below is within its table or the range, so no fallback is
 * ever taken.
 */
export const crc32c = (bytes: Buffer, start: number, end: number, seed = 0): number => {
  let crc = ~seed;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    crc ^= bytes.readInt32LE(at);
    const next = bytes.readInt32LE(at + 4);
    crc =
      (t7[crc & 0xff] ?? 0) ^
      (t6[(crc >>> 8) & 0xff] ?? 0) ^
      (t5[(crc >>> 16) & 0xff] ?? 0) ^
      (t4[crc >>> 24] ?? 0) ^
      (t3[next & 0xff] ?? 0) ^
      (t2[(next >>> 8) & 0xff] ?? 0) ^
      (t1[(next >>> 16) & 0xff] ?? 0) ^
      (t0[next >>> 24] ?? 0);
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return ~crc >>> 0;
};

/** LevelDB stores a checksum rotated and moved, since checksums of checksums are weak. */
const isSum = (stored: number, crc: number): boolean => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0 === stored;

// ---------- logs

const logBlock = 32_768;
const logHeader = 7;
const kinds = { full: 1, first: 2, middle: 3, last: 4 } as const;

export interface LogRecords {
  /** The records up to the first that is not whole. */
  readonly records: readonly Buffer[];
  /** Bytes behind them are no whole record: the log is torn, or damaged. */
  readonly torn: boolean;
  /** A whole record begins somewhere behind the damage, so that it was no crash that cut the log. */
  readonly hole: boolean;
}

interface Fragment {
  readonly kind: number;
  readonly data: Buffer;
  readonly end: number;
}

/** The fragment at a place; undefined when none is whole there. */
const fragmentAt = (log: Buffer, at: number): Fragment | undefined => {
  if (at + logHeader > log.length) return undefined;
  const end = at + logHeader + log.readUInt16LE(at + 4);
  const kind = log[at + 6] ?? 0;
  if (kind < kinds.full || kind > kinds.last || end > log.length || end > blockEnd(at)) return undefined;
  return isSum(log.readUInt32LE(at), crc32c(log, at + 6, end))
    ? { kind, data: log.subarray(at + logHeader, end), end }
    : undefined;
};

const blockEnd = (at: number): number => at - (at % logBlock) + logBlock;

export const readLog = (log: Buffer): LogRecords => {
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  let at = 0;
  while (at < log.length) {
    if (blockEnd(at) - at < logHeader) {
      at = blockEnd(at); // Too little room for a header is left empty.
      continue;
    }
    const fragment = fragmentAt(log, at);
    const starts = fragment?.kind === kinds.full || fragment?.kind === kinds.first;
    if (fragment === undefined || starts !== (parts.length === 0))
      return { records, torn: true, hole: beginsBehind(log, at) };
    parts.push(fragment.data);
    at = fragment.end;
    if (fragment.kind === kinds.full || fragment.kind === kinds.last) {
      records.push(parts.length === 1 ? fragment.data : Buffer.concat(parts));
      parts = [];
    }
  }
  return { records, torn: parts.length > 0, hole: false };
};

/** Whether a record begins behind damage: right behind it, or at the start of a later block. */
const beginsBehind = (log: Buffer, at: number): boolean => {
  const next = at + logHeader <= log.length ? at + logHeader + log.readUInt16LE(at + 4) : log.length;
  const places = [next];
  for (let block = blockEnd(at); block < log.length; block += logBlock) places.push(block);
  return places.some((place) => {
    for (let fragment = fragmentAt(log, place); fragment !== undefined; fragment = fragmentAt(log, fragment.end)) {
      if (fragment.kind === kinds.full || fragment.kind === kinds.first) return true;
    }
    return false;
  });
};

// ---------- what the records say

export class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.bytes.readUInt8(this.at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new RangeError('it ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text(): Buffer {
    return this.take(this.varint());
  }
}

/** The number of the last operation of a batch: operations are counted over the life of a database. */
export const lastSequenceOf = (batch: Buffer): number => Number(batch.readBigUInt64LE(0)) + batch.readUInt32LE(8) - 1;

export interface Manifest {
  /** Sizes of the tables in use, by number. */
  readonly tables: ReadonlyMap<number, number>;
  /** Logs with a lower number are not used any more. */
  readonly logNumber: number;
  readonly lastSequence: number;
}

/** Adds up the edits of a manifest. Throws a `RangeError` when one can not be read. */
export const readManifest = (edits: readonly Buffer[]): Manifest => {
  const found = new Map<number, number>();
  let [logNumber, lastSequence] = [0, 0];
  for (const edit of edits) {
    const cursor = new Cursor(edit);
    while (!cursor.done) {
      const tag = cursor.varint();
      if (tag === 1) cursor.text();
      else if (tag === 2) logNumber = cursor.varint();
      else if (tag === 3 || tag === 9) cursor.varint();
      else if (tag === 4) lastSequence = cursor.varint();
      else if (tag === 5) [cursor.varint(), cursor.text()];
      else if (tag === 6) {
        cursor.varint(); // the level
        found.delete(cursor.varint());
      } else if (tag === 7) {
        cursor.varint();
        found.set(cursor.varint(), cursor.varint());
        [cursor.text(), cursor.text()];
      } else throw new RangeError(`a manifest has an unknown field ${tag}`);
    }
  }
  return { tables: found, logNumber, lastSequence };
};

// ---------- tables

const footerLength = 48;
const trailerLength = 5;
const magic = 0xdb4775248b80fb57n;

/** Verifies every block of a table. Throws a `RangeError` that says where it is damaged. */
export const verifyTable = (table: Buffer): void => {
  const footer = table.length - footerLength;
  if (footer < 0 || table.readBigUInt64LE(table.length - 8) !== magic) throw new RangeError('it has no end');
  const cursor = new Cursor(table.subarray(footer));
  for (const handle of [handleAt(cursor), handleAt(cursor)]) {
    for (const part of handlesIn(blockAt(table, handle))) blockAt(table, part);
  }
};

interface Handle {
  readonly offset: number;
  readonly size: number;
}

const handleAt = (cursor: Cursor): Handle => ({ offset: cursor.varint(), size: cursor.varint() });

/** The content of a block as it is stored, with its trailer's kind. */
const blockAt = (table: Buffer, { offset, size }: Handle): { readonly data: Buffer; readonly packed: boolean } => {
  const end = offset + size;
  if (end + trailerLength > table.length || !isSum(table.readUInt32LE(end + 1), crc32c(table, offset, end + 1))) {
    throw new RangeError(`the block at ${offset} does not match its checksum`);
  }
  return { data: table.subarray(offset, end), packed: table[end] === 1 };
};

/** The handles that an index holds. */
const handlesIn = ({ data, packed }: { readonly data: Buffer; readonly packed: boolean }): readonly Handle[] => {
  const block = packed ? unpackSnappy(data) : data;
  const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4);
  const cursor = new Cursor(block.subarray(0, end));
  const handles: Handle[] = [];
  while (!cursor.done) {
    cursor.varint(); // shared with the key before
    const [own, length] = [cursor.varint(), cursor.varint()];
    cursor.take(own);
    handles.push(handleAt(new Cursor(cursor.take(length))));
  }
  return handles;
};

const unpackSnappy = (packed: Buffer): Buffer => {
  const cursor = new Cursor(packed);
  const out = Buffer.alloc(cursor.varint());
  let at = 0;
  while (!cursor.done) {
    const tag = cursor.take(1).readUInt8();
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >>> 2;
      const length = 1 + (short < 60 ? short : cursor.take(short - 59).readUIntLE(0, short - 59));
      at += cursor.take(length).copy(out, at);
      continue;
    }
    const length = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
    const back =
      kind === 1
        ? ((tag >>> 5) << 8) | cursor.take(1).readUInt8()
        : cursor.take(kind === 2 ? 2 : 4).readUIntLE(0, kind === 2 ? 2 : 4);
    // May read what it has just written.
    for (let copied = 0; copied < length; copied += 1, at += 1) out[at] = out[at - back] ?? 0;
  }
  return out;
};
