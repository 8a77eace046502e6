/**
 * The kinds of records that an item of work leaves in the journal, in one table: the byte in the key, what the value
 * holds, which outcomes it keeps, and how it joins what is known of its item when the journal is read back (I8). A new
 * state of work is a new row.
 */
import { callName, type WorkId } from '../../core/journal.ts';
import type { Key } from '../../core/key.ts';
import { encodeText } from '../../core/serde.ts';
import type { Outcome } from '../../core/work.ts';

/** Log sequence number: counts the records of one job's journal. */
export type Lsn = number;

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
  /**
   * Undefined: the call failed and its body with it, so it is made again, and its next outcome has the place that this
   * record has in the log.
   */
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

/**
 * Changed code has asked for another call in the place of this one: what was recorded before of it and of all behind it
 * holds no more.
 */
export interface VoidedRecord extends ItemFacts {
  readonly kind: 'voided';
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly call: number;
}

export type WorkRecord = PendingRecord | CalledRecord | DoneRecord | ClaimedRecord | VoidedRecord;

/** What is known of one item, joined from its records. */
export interface JournaledItem {
  /** The name it goes by. */
  work: WorkId;
  /** Every record of one item carries the same key and digest. */
  readonly facts: WorkRecord;
  readonly calls: Map<number, CallRecords>;
  done?: DoneRecord | undefined;
  /** The first call that changed code has replaced by another. */
  voided?: number | undefined;
  /** LSN of the oldest record. */
  first: Lsn;
  /** Keys of all records. */
  readonly keys: Uint8Array[];
}

export interface CallRecords {
  readonly pending?: PendingRecord | undefined;
  readonly called?: CalledRecord | undefined;
}

/** The items that records join. */
export interface JoiningItems {
  /** That of a record, made with its first one. */
  of(work: WorkId, record: WorkRecord): JournaledItem;
  /** That which goes by a name, or by one that it was given since; undefined when there is none. */
  find(work: WorkId): JournaledItem | undefined;
  /** From now on the records of `from` go by the name of `to`. Gives them. */
  rename(from: WorkId, to: WorkId): JournaledItem | undefined;
}

/** What lies behind LSN, key and digest in the value of a record, and in its key. */
interface Packed {
  readonly lsn: Lsn;
  readonly work: WorkId;
  readonly key: Key;
  readonly digest: number;
  /** From the key. */
  readonly call: number;
}

interface RecordKind<R extends WorkRecord> {
  /** Stands in the key. */
  readonly byte: number;
  /** Its key names a call; that of a record of the whole item names call 0. */
  readonly ofCall: boolean;
  /** The text of what the value holds behind LSN, key and digest, a comma in front of each field. */
  pack(record: R): string;
  /** The checksum has been verified, so the fields are what `pack` gave. */
  unpack(packed: Packed, fields: readonly unknown[]): R;
  /** Names of the durable calls whose outcome it keeps. */
  outcomes(record: R): readonly string[];
  /**
   * When it joins: what says something about other records comes when they are there; records of one turn by their LSN.
   */
  readonly joins: 'at once' | 'when items are there' | 'when names are known';
  join(record: R, items: JoiningItems): void;
}

const none: readonly string[] = [];

const pending: RecordKind<PendingRecord> = {
  byte: 0,
  ofCall: true,
  pack: ({ id, args }) => `,${encodeText(id)},${encodeText(args)}`,
  unpack: ({ lsn, work, key, digest, call }, fields) => {
    const [id, args] = fields as [string, string]; // What `pack` gave.
    return { kind: 'pending', lsn, work, key, digest, call, id, args };
  },
  outcomes: () => none,
  joins: 'at once',
  join(record, items) {
    const { calls } = items.of(record.work, record);
    calls.set(record.call, { ...calls.get(record.call), pending: record });
  },
};

const called: RecordKind<CalledRecord> = {
  byte: 1,
  ofCall: true,
  pack: ({ id, args, outcome, again }) =>
    `,${encodeText(id)},${encodeText(args)}${packOutcome(outcome)}${again === true ? ',1' : ''}`,
  unpack: ({ lsn, work, key, digest, call }, fields) => {
    const [id, args, ...rest] = fields as [string, string, ...unknown[]]; // What `pack` gave.
    const named = { kind: 'called', lsn, work, key, digest, call, id, args } as const;
    if (rest[0] === madeAgain) return { ...named, outcome: undefined };
    return { ...named, outcome: unpackOutcome(rest), ...(rest[2] === 1 ? { again: true } : {}) };
  },
  outcomes: ({ work, call, outcome }) => (outcome === undefined ? none : [callName(work, call)]),
  joins: 'at once',
  join(record, items) {
    const { calls } = items.of(record.work, record);
    calls.set(record.call, { ...calls.get(record.call), called: record });
  },
};

const done: RecordKind<DoneRecord> = {
  byte: 2,
  ofCall: false,
  pack: ({ calls, outcome }) => `,${calls}${packOutcome(outcome)}`,
  unpack: ({ lsn, work, key, digest }, fields) => {
    const [calls, ...outcome] = fields as [number, ...unknown[]]; // What `pack` gave.
    return { kind: 'done', lsn, work, key, digest, calls, outcome: unpackOutcome(outcome) };
  },
  outcomes: ({ work, calls }) => Array.from({ length: calls }, (_, call) => callName(work, call)),
  joins: 'at once',
  join(record, items) {
    items.of(record.work, record).done = record;
  },
};

const claimed: RecordKind<ClaimedRecord> = {
  byte: 3,
  ofCall: false,
  pack: ({ by }) => `,${by.branch},${by.number}`,
  unpack: ({ lsn, work, key, digest }, fields) => {
    const [branch, number] = fields as [number, number]; // What `pack` gave.
    return { kind: 'claimed', lsn, work, key, digest, by: { branch, number } };
  },
  outcomes: () => none,
  // In the order in which they were claimed: who claimed something may have been left behind and claimed in turn.
  joins: 'when items are there',
  join(record, items) {
    const work = { ...record.work, ...record.by };
    const item = items.rename(record.work, work);
    if (item === undefined) return;
    const to = items.of(work, record);
    to.first = Math.min(to.first, record.lsn);
    // What it has recorded itself is newer.
    for (const [call, before] of item.calls) {
      const own = to.calls.get(call);
      to.calls.set(call, { pending: own?.pending ?? before.pending, called: own?.called ?? before.called });
    }
    to.done ??= item.done;
    to.keys.push(...item.keys);
  },
};

const voided: RecordKind<VoidedRecord> = {
  byte: 4,
  ofCall: true,
  pack: () => '',
  unpack: ({ lsn, work, key, digest, call }) => ({ kind: 'voided', lsn, work, key, digest, call }),
  outcomes: () => none,
  joins: 'when names are known',
  join({ work, call, lsn }, items) {
    const item = items.find(work);
    if (item === undefined) return;
    item.voided = Math.min(item.voided ?? call, call);
    for (const [number, records] of item.calls) {
      if (number < call) continue;
      const kept = { pending: newer(records.pending, lsn), called: newer(records.called, lsn) };
      if (kept.pending === undefined && kept.called === undefined) item.calls.delete(number);
      else item.calls.set(number, kept);
    }
  },
};

const kinds: { readonly [K in WorkRecord['kind']]: RecordKind<Extract<WorkRecord, { readonly kind: K }>> } = {
  pending,
  called,
  done,
  claimed,
  voided,
};

// Given what they unpack.
const byByte = new Map(Object.values(kinds).map((kind) => [kind.byte, kind as unknown as RecordKind<WorkRecord>]));

/** The row of a record: what it is given is a record of its kind. */
export const kindOf = (kind: WorkRecord['kind']): RecordKind<WorkRecord> =>
  kinds[kind] as unknown as RecordKind<WorkRecord>;

/** The row with this byte; undefined for one of a version to come. */
export const kindOfByte = (byte: number): RecordKind<WorkRecord> | undefined => byByte.get(byte);

/** Stands where an outcome says whether it is one. */
const madeAgain = 2;

const packOutcome = (outcome: Outcome<unknown> | undefined): string => {
  if (outcome === undefined) return `,${madeAgain}`;
  return outcome.ok ? `,1,${encodeText(outcome.value)}` : `,0,${encodeText(outcome.error)}`;
};

const unpackOutcome = ([ok, content]: readonly unknown[]): Outcome<unknown> =>
  ok === 1 ? { ok: true, value: content } : { ok: false, error: content };

const newer = <R extends { readonly lsn: Lsn }>(record: R | undefined, lsn: Lsn): R | undefined =>
  record !== undefined && record.lsn > lsn ? record : undefined;
