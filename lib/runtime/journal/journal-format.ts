/**
 * The records of the journal and their bytes. Key forms, all numbers big endian:
 *
 *   t <lsn:8>                                                    turns noted since the previous `t` record
 *   j <operator:2> <keyGroup:2> <branch:2> <number:8> <call:2> <kind:1>   what is known of one item of work:
 *   `work-record.ts`
 *
 * A value is CRC-32, version and tagged JSON. An operator's number comes from the uid dictionary of the checkpoint
 * header. A number that its place in a key can't hold is refused where it is made: calls of one item, branches of a
 * job.
 */
import { invariant, StreamError } from '../../core/errors.ts';
import type { JournalEntry, WorkId } from '../../core/journal.ts';
import type { Key } from '../../core/key.ts';
import { frameText, frameValue, unframeValue } from '../../core/frame.ts';
import { encodeText } from '../../core/serde.ts';
import type { PackedTurn } from './turn.ts';
import { kindOf, kindOfByte, type Lsn, type WorkRecord } from './work-record.ts';

export interface TurnsRecord {
  readonly kind: 'turns';
  readonly lsn: Lsn;
  /** Number of its first turn, counted over the life of the job: by it a gap shows. */
  readonly first: number;
  readonly turns: readonly PackedTurn[];
}

export type JournalRecord = TurnsRecord | WorkRecord;

/** @internal The first byte of the key of a turns record: `t`. */
export const turnsTag = 0x74;
const workTag = 0x6a; // j
const workKeyLength = 18;

/** How many durable calls of one item have a name, and how many branches of one job. */
export const callsMax = 2 ** 16;
export const branchesMax = 2 ** 16;

/** @internal */
export const turnsKey = (lsn: Lsn): Buffer => {
  const key = Buffer.allocUnsafe(9);
  key[0] = turnsTag;
  key.writeBigUInt64BE(BigInt(lsn), 1);
  return key;
};

/** @internal */
export const workKey = (work: WorkId, call: number, kind: WorkRecord['kind']): Buffer => {
  invariant(
    call < callsMax && work.branch < branchesMax,
    `I8: call ${call} in branch ${work.branch} has a name of its own`,
  );
  const key = Buffer.allocUnsafe(workKeyLength);
  key[0] = workTag;
  key.writeUInt16BE(work.operator, 1);
  key.writeUInt16BE(work.keyGroup, 3);
  key.writeUInt16BE(work.branch, 5);
  key.writeUInt32BE(Math.floor(work.number / 2 ** 32), 7);
  key.writeUInt32BE(work.number >>> 0, 11);
  key.writeUInt16BE(call, 15);
  key[17] = kindOf(kind).byte;
  return key;
};

export const encodeTurns = (record: TurnsRecord): JournalEntry => ({
  key: turnsKey(record.lsn),
  value: frameValue([record.lsn, record.first, record.turns]),
});

/**
 * Gives the names of the durable calls whose outcome a record keeps, as `callName` makes them.
 *
 * @example
 * import { concat, firstValueFrom, NEVER, of } from 'rxjs';
 * const storage = new MemoryStorage();
 * const env = StreamExecutionEnvironment.create({ storage });
 * const lengths = env.fromObservable(concat(of('four'), NEVER)).asyncMap((word) => word.length);
 * const length = firstValueFrom(lengths.asObservable());
 * const job = await env.executeAsync();
 * console.log(await length); // prints 4
 * await job.cancel();
 * const { journal } = await storage.open();
 * for await (const entry of journal.rebuildState()) {
 *   const calls = journaledCalls(decodeJournalEntry(entry));
 *   if (calls.length > 0) console.log(calls.length); // prints 1
 * }
 */
export const journaledCalls = (record: JournalRecord): readonly string[] =>
  record.kind === 'turns' ? [] : kindOf(record.kind).outcomes(record);

export const encodeWork = (record: WorkRecord): JournalEntry => {
  const { lsn, work, key, digest } = record;
  const call = 'call' in record ? record.call : 0;
  const kind = kindOf(record.kind);
  return {
    key: workKey(work, call, record.kind),
    value: frameText(`[${lsn},${encodeText(key)},${digest}${kind.pack(record)}]`),
  };
};

/**
 * Reads one entry of the journal. Throws `VALUE_DAMAGED` when it is not what was written.
 *
 * @example
 * const { journal, close } = await new LevelStorage('.millrace/reviews').open();
 * for await (const entry of journal.rebuildState()) console.log(decodeJournalEntry(entry).kind);
 * await close();
 */
export const decodeJournalEntry = ({ key, value }: JournalEntry): JournalRecord => {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  // Its checksum was verified: it is what was framed.
  const fields = unframeValue(value, 'a journal record') as readonly unknown[];
  if (bytes[0] === turnsTag) {
    const [lsn, first, turns] = fields as [Lsn, number, PackedTurn[]]; // What was framed under this tag.
    return { kind: 'turns', lsn, first, turns };
  }
  if (bytes[0] !== workTag || bytes.length !== workKeyLength) {
    throw new StreamError('VALUE_DAMAGED', 'a journal key has an unknown form');
  }
  return decodeWork(bytes, fields);
};

const decodeWork = (bytes: Buffer, fields: readonly unknown[]): WorkRecord => {
  const work = {
    operator: bytes.readUInt16BE(1),
    keyGroup: bytes.readUInt16BE(3),
    branch: bytes.readUInt16BE(5),
    number: bytes.readUInt32BE(7) * 2 ** 32 + bytes.readUInt32BE(11),
  };
  // What was framed under every other tag.
  const [lsn, key, digest, ...rest] = fields as [Lsn, Key, number, ...unknown[]];
  const byte = bytes.readUInt8(17);
  const kind = kindOfByte(byte);
  if (kind === undefined)
    throw new StreamError(
      'STORE_FORMAT',
      `the journal holds a record of kind ${byte}, which this version does not know`,
    );
  return kind.unpack({ lsn, work, key, digest, call: bytes.readUInt16BE(15) }, rest);
};
