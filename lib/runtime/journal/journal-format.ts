/**
 * The records of the journal and their bytes. Key forms, all numbers big endian:
 *
 *   t <lsn:8>                                                    turns noted since the previous `t` record
 *   j <operator:2> <keyGroup:2> <branch:2> <number:8> <call:2> <kind:1>   pending | called | done | claimed | voided of one item of work
 *
 * A value is CRC-32, version and tagged JSON. An operator's number comes from the uid dictionary of the checkpoint header.
 */
import { StreamError } from '../../core/errors.ts';
import { callName, type JournalEntry, type WorkId } from '../../core/journal.ts';
import type { Outcome } from '../../core/operator.ts';
import type { Key } from '../../core/key.ts';
import { sealValue, unsealValue } from '../../core/serde.ts';
import type { PackedTurn } from './turn.ts';

/** Log sequence number: counts the records of one job's journal. */
export type Lsn = number;

export interface TurnsRecord {
  readonly kind: 'turns';
  readonly lsn: Lsn;
  /** Number of its first turn, counted over the life of the job: by it a gap shows. */
  readonly first: number;
  readonly turns: readonly PackedTurn[];
}

/** What is known of the item itself, so that its records can be claimed after a divergence. */
export interface ItemFacts {
  readonly key: Key;
  /** Digest of the submitted item. */
  readonly digest: number;
}

export interface PendingRecord extends ItemFacts {
  readonly kind: 'pending';
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly call: number;
  readonly id: string;
  readonly args: string;
}

export interface CalledRecord extends ItemFacts {
  readonly kind: 'called';
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly call: number;
  readonly id: string;
  readonly args: string;
  /** Undefined: the call failed and its body with it, so it is made again, and its next outcome has the place that this record has in the log. */
  readonly outcome: Outcome<unknown> | undefined;
  /** It had failed before: what is recorded behind it may follow from that failure. */
  readonly again?: boolean | undefined;
}

export interface DoneRecord extends ItemFacts {
  readonly kind: 'done';
  readonly lsn: Lsn;
  readonly work: WorkId;
  /** Durable calls that the item made: their outcomes are part of its own, also of those that have no record. */
  readonly calls: number;
  readonly outcome: Outcome<unknown>;
}

/** What the journal holds of this item is another's: one of a later branch has the same content. */
export interface ClaimedRecord extends ItemFacts {
  readonly kind: 'claimed';
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly by: Pick<WorkId, 'branch' | 'number'>;
}

/** Changed code has asked for another call in the place of this one: what was recorded before of it and of all behind it holds no more. */
export interface VoidedRecord extends ItemFacts {
  readonly kind: 'voided';
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly call: number;
}

export type WorkRecord = PendingRecord | CalledRecord | DoneRecord | ClaimedRecord | VoidedRecord;
export type JournalRecord = TurnsRecord | WorkRecord;

const turnsTag = 0x74; // t
const workTag = 0x6a; // j
const kinds = { pending: 0, called: 1, done: 2, claimed: 3, voided: 4 } as const;
const workKeyLength = 18;
/** Stands where an outcome says whether it is one. */
const madeAgain = 2;

/** @internal */
export const turnsKey = (lsn: Lsn): Buffer => {
  const key = Buffer.allocUnsafe(9);
  key[0] = turnsTag;
  key.writeBigUInt64BE(BigInt(lsn), 1);
  return key;
};

/** @internal */
export const workKey = (work: WorkId, call: number, kind: WorkRecord['kind']): Buffer => {
  const key = Buffer.allocUnsafe(workKeyLength);
  key[0] = workTag;
  key.writeUInt16BE(work.operator, 1);
  key.writeUInt16BE(work.keyGroup, 3);
  key.writeUInt16BE(work.branch, 5);
  key.writeUInt32BE(Math.floor(work.number / 2 ** 32), 7);
  key.writeUInt32BE(work.number >>> 0, 11);
  key.writeUInt16BE(call, 15);
  key[17] = kinds[kind];
  return key;
};

export const encodeTurns = (record: TurnsRecord): JournalEntry => ({
  key: turnsKey(record.lsn),
  value: sealValue([record.lsn, record.first, record.turns]),
});

/** Names of the durable calls whose outcome a record keeps. */
export const journaledCalls = (record: JournalRecord): readonly string[] => {
  if (record.kind === 'called') return record.outcome === undefined ? [] : [callName(record.work, record.call)];
  return record.kind === 'done' ? Array.from({ length: record.calls }, (_, call) => callName(record.work, call)) : [];
};

/** A pending call has no outcome; a done item has no call, id and arguments. */
export const encodeWork = (record: WorkRecord): JournalEntry => {
  const { lsn, work, key, digest } = record;
  switch (record.kind) {
    case 'pending':
      return { key: workKey(work, record.call, 'pending'), value: sealValue([lsn, key, digest, record.id, record.args]) };
    case 'called':
      return {
        key: workKey(work, record.call, 'called'),
        value: sealValue([lsn, key, digest, record.id, record.args, ...packOutcome(record.outcome), ...(record.again === true ? [1] : [])]),
      };
    case 'done':
      return { key: workKey(work, 0, 'done'), value: sealValue([lsn, key, digest, record.calls, ...packOutcome(record.outcome)]) };
    case 'claimed':
      return { key: workKey(work, 0, 'claimed'), value: sealValue([lsn, key, digest, record.by.branch, record.by.number]) };
    case 'voided':
      return { key: workKey(work, record.call, 'voided'), value: sealValue([lsn, key, digest]) };
  }
};

/** Reads one entry. Throws `VALUE_DAMAGED` when it is not what was written. */
export const decodeJournalEntry = ({ key, value }: JournalEntry): JournalRecord => {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  // The checksum has been verified, so the fields are what the encoders above wrote.
  const fields = unsealValue(value, 'a journal record') as never[];
  if (bytes[0] === turnsTag) {
    const [lsn, first, turns] = fields as unknown as [Lsn, number, PackedTurn[]];
    return { kind: 'turns', lsn, first, turns };
  }
  if (bytes[0] !== workTag || bytes.length !== workKeyLength) {
    throw new StreamError('VALUE_DAMAGED', 'a journal key has an unknown form');
  }
  return decodeWork(bytes, fields);
};

const decodeWork = (bytes: Buffer, fields: readonly never[]): WorkRecord => {
  const work = {
    operator: bytes.readUInt16BE(1),
    keyGroup: bytes.readUInt16BE(3),
    branch: bytes.readUInt16BE(5),
    number: bytes.readUInt32BE(7) * 2 ** 32 + bytes.readUInt32BE(11),
  };
  const call = bytes.readUInt16BE(15);
  const [lsn, key, digest, ...rest] = fields as unknown as [Lsn, Key, number, ...unknown[]];
  const facts = { lsn, work, key, digest };
  const kind = bytes[17];
  if (kind === kinds.done) {
    const [calls, ...outcome] = rest as [number, ...unknown[]];
    return { kind: 'done', ...facts, calls, outcome: unpackOutcome(outcome) };
  }
  if (kind === kinds.claimed) {
    const [branch, number] = rest as [number, number];
    return { kind: 'claimed', ...facts, by: { branch, number } };
  }
  if (kind === kinds.voided) return { kind: 'voided', ...facts, call };
  const [id, args, ...outcome] = rest as [string, string, ...unknown[]];
  const named = { ...facts, call, id, args };
  if (kind === kinds.pending) return { kind: 'pending', ...named };
  if (kind !== kinds.called) throw new StreamError('STORE_FORMAT', `the journal holds a record of kind ${kind}, which this version does not know`);
  if (outcome[0] === madeAgain) return { kind: 'called', ...named, outcome: undefined };
  return { kind: 'called', ...named, outcome: unpackOutcome(outcome), ...(outcome[2] === 1 ? { again: true } : {}) };
};

const packOutcome = (outcome: Outcome<unknown> | undefined): readonly unknown[] => {
  if (outcome === undefined) return [madeAgain];
  return outcome.ok ? [1, outcome.value] : [0, outcome.error];
};

const unpackOutcome = ([ok, content]: readonly unknown[]): Outcome<unknown> =>
  ok === 1 ? { ok: true, value: content } : { ok: false, error: content };
