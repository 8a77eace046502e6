/**
 * Savepoints: what a checkpoint and the journal hold of a job, as one file, and an empty place for state made of such
 * a file, for a graph that may have changed and with another number of key groups. Keeps I4 (a savepoint is a
 * checkpoint), I11 and I12.
 */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { StreamError } from '../../core/errors.ts';
import type { ActionStateStore, JournalEntry } from '../../core/journal.ts';
import { asBuffer } from '../../core/serde.ts';
import { noneIfAbsent } from '../../core/system-error.ts';
import { bodyOf, checkpointIdOf, checkpointKey, readNewestCheckpoint, withBody } from '../../state/checkpoint.ts';
import { prefixes } from '../../state/layout.ts';
import { assertComplete, putOrigin, readOrigin } from '../../state/savepoint/origin.ts';
import { operatorOf, reKeyed, stateOf } from '../../state/savepoint/re-keyed.ts';
import {
  readFacts,
  readSavepoint,
  savepointFormat,
  syncFolderOf,
  writeSavepoint,
  type Row,
  type Savepoint,
} from '../../state/savepoint/savepoint-file.ts';
import type { OpenStorage, Store, StoreBatch } from '../../state/store.ts';
import { checkHeader, checkStates, type Header, type NodeSnapshot, type StateFacts } from '../checkpoint/header.ts';
import type { SequenceSnapshot } from '../hosts/sequence.ts';
import { decodeJournalEntry, encodeTurns, turnsTag } from '../journal/journal-format.ts';

/** Where a job that has nothing yet takes its state from. */
export interface RestoreOptions {
  /** The file of a savepoint. */
  readonly path: string;
  /**
   * `copy` leaves the file where it is; `claim` removes it once all of it is in the place for state, so that no other
   * job goes on from it. @defaultValue 'copy'
   */
  readonly mode?: 'copy' | 'claim' | undefined;
  /** Drop what belongs to operators, sources and sinks that are gone, instead of refusing. @defaultValue false */
  readonly allowNonRestoredState?: boolean | undefined;
}

// ---------- export

const everything = { gte: new Uint8Array(0), lt: Uint8Array.of(0xff) };

/** Writes the newest checkpoint of a store that may be in use. Every read sees the store as of one checkpoint. */
export const exportSavepoint = async (storage: OpenStorage, path: string): Promise<void> => {
  const { id, row, state, journal } = await asOfOne(storage);
  const header = bodyOf(row) as Header; // The chain was verified: it is what this engine wrote.
  const rows = async function* (): AsyncIterable<Row> {
    for await (const [key, value] of state) {
      const isHeader = key[0] === prefixes.checkpoint && checkpointIdOf(key) === id;
      if (!isHeader && key[0] !== prefixes.origin) yield [key, value];
    }
  };
  await writeSavepoint(path, {
    facts: {
      format: savepointFormat,
      id: randomUUID(),
      job: header.job ?? '',
      jobId: storage.jobId,
      checkpoint: id,
      maxParallelism: header.maxParallelism,
      operators: Object.entries(header.nodes).map(([uid, { number, states = [] }]) => ({ uid, number, states })),
    },
    header: row,
    state: rows(),
    journal: coveredBy(header, journal),
  });
};

/**
 * State and journal as of one checkpoint: a journal is pruned behind the next one, so both must be looked at before
 * that.
 */
const asOfOne = async ({
  state,
  journal,
}: OpenStorage): Promise<{
  readonly id: number;
  readonly row: Uint8Array;
  readonly state: AsyncIterable<Row>;
  readonly journal: AsyncIterable<JournalEntry>;
}> => {
  for (;;) {
    const newest = await readNewestCheckpoint(state);
    if (newest === undefined) throw new StreamError('SAVEPOINT_FAILED', 'nothing was ever checkpointed');
    const { id } = newest;
    const row = state.get(checkpointKey(id));
    const rows = await begun(state.entries(everything));
    const entries = await begun(journal.rebuildState());
    if (row !== undefined && state.get(checkpointKey(id + 1)) === undefined)
      return { id, row, state: rows, journal: entries };
    await Promise.all([rows.return(), entries.return()]);
  }
};

/** What is read sees its store as of now. */
const begun = async <T>(source: AsyncIterable<T>): Promise<AsyncIterable<T> & { return(): Promise<unknown> }> => {
  const iterator = source[Symbol.asyncIterator]();
  let first: IteratorResult<T> | undefined = await iterator.next();
  const rest = {
    async next(): Promise<IteratorResult<T>> {
      const step = first ?? (await iterator.next());
      first = undefined;
      return step;
    },
    async return(): Promise<IteratorResult<T>> {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => rest, return: rest.return };
};

/** Turns behind the checkpoint are not part of it. Work that is open has its records, also those that came later. */
const coveredBy = async function* (header: Header, entries: AsyncIterable<JournalEntry>): AsyncIterable<Row> {
  for await (const entry of entries) {
    if (entry.key[0] !== turnsTag) {
      yield [entry.key, entry.value];
      continue;
    }
    const record = decodeJournalEntry(entry);
    if (record.kind !== 'turns') continue;
    const turns = record.turns.slice(0, Math.max(0, header.journal.turns - record.first));
    if (turns.length === 0) continue;
    const { key, value } = encodeTurns({ ...record, turns });
    yield [key, value];
  }
};

// ---------- import

/** The states that the operators of a graph declare, by uid. */
export type Declared = ReadonlyMap<string, readonly StateFacts[]>;

/** What a savepoint is restored on. */
export interface RestoredOn {
  readonly uids: ReadonlySet<string>;
  readonly maxParallelism: number;
  /** Makes the operators beside that header. */
  declared(header: Header): Promise<Declared>;
}

/** Whether the state was filled from this savepoint. Its file may be gone since. */
export const isMadeOf = async (state: Store, options: RestoreOptions): Promise<boolean> => {
  const origin = readOrigin(state);
  if (origin?.complete !== true) return false;
  const path = resolve(options.path);
  const facts = await readFacts(path);
  return facts === undefined ? path === origin.path : facts.id === origin.savepoint;
};

/** Removes the file, so that no other job goes on from it, once all of it is in the place for state. */
export const claim = async ({ path, mode }: RestoreOptions): Promise<void> => {
  if (mode === 'claim')
    await rm(path)
      .then(() => syncFolderOf(path))
      .catch(noneIfAbsent);
};

/**
 * A savepoint that fits the graph, and what is needed to go on from it. It needs no place for state, so what is refused
 * touches nothing.
 */
export class Restore {
  readonly #path: string;
  readonly #savepoint: Savepoint;
  readonly #maxParallelism: number;
  /** What the job begins with. */
  readonly #header: Header;
  readonly #dropped: Dropped;

  private constructor(savepoint: Savepoint, before: Header, after: Header) {
    this.#path = savepoint.path;
    this.#savepoint = savepoint;
    this.#maxParallelism = after.maxParallelism;
    this.#header = after;
    this.#dropped = droppedOf(before, after);
  }

  /** Reads and verifies the file, and whether the graph can go on from it. */
  static async read(options: RestoreOptions, target: RestoredOn): Promise<Restore> {
    const savepoint = await readSavepoint(resolve(options.path));
    const header = bodyOf(savepoint.header) as Header; // Its digest was right: it is what this engine wrote.
    const { allowNonRestoredState: allowUnclaimedState = false } = options;
    checkHeader(header, { uids: target.uids, maxParallelism: header.maxParallelism, allowUnclaimedState });
    const declaredBy = await target.declared(header);
    for (const [uid, { states: stored = [] }] of Object.entries(header.nodes)) {
      const declared = declaredBy.get(uid);
      if (declared !== undefined) checkStates({ uid, stored, declared, allowUnclaimedState });
    }
    return new Restore(savepoint, header, headerOn(header, target, declaredBy));
  }

  /** Fills an empty place for state. One that was filled by half is emptied first. */
  async into(storage: OpenStorage): Promise<void> {
    if (readOrigin(storage.state)?.complete !== false && (await holdsAnything(storage)))
      throw new StreamError('STATE_NOT_EMPTY', `the savepoint '${this.#path}' can not be restored over other state`);
    await this.#fill(storage, this.#savepoint);
  }

  async #fill({ state, journal }: OpenStorage, { facts, header, rows }: Savepoint): Promise<void> {
    const origin = { savepoint: facts.id, path: this.#path, jobId: facts.jobId };
    await written(state, (batch) => putOrigin(batch, { ...origin, complete: false }));
    await emptied(state, journal);
    const isReKeyed = facts.maxParallelism !== this.#maxParallelism;
    for await (const group of rows()) {
      if (group.of === 'journal') await journal.append(this.#kept(group.rows).map(([key, value]) => ({ key, value })));
      else
        await written(state, (batch) => {
          for (const row of this.#keptState(group.rows))
            batch.put(...(isReKeyed ? reKeyed(row, this.#maxParallelism) : row));
        });
    }
    await written(state, (batch) => {
      batch.put(
        checkpointKey(facts.checkpoint),
        withBody(header, () => this.#header),
      );
      putOrigin(batch, { ...origin, complete: true });
    });
  }

  #keptState(rows: readonly Row[]): readonly Row[] {
    const { operators, states } = this.#dropped;
    return rows.filter((row) => {
      const operator = operatorOf(row);
      return operator === undefined || !(operators.has(operator) || states.has(stateOf(row) ?? ''));
    });
  }

  /** Turns belong to nobody; the records of work to an operator, whose number stands behind their tag as in rows. */
  #kept(rows: readonly Row[]): readonly Row[] {
    return rows.filter(([key]) => key[0] === turnsTag || !this.#dropped.operators.has(asBuffer(key).readUInt16BE(1)));
  }
}

/**
 * The place for state under the id of the job that began it: what is made of a savepoint goes on under that of its job.
 * Throws `STORE_DAMAGED` when a restore was interrupted.
 */
export const asItsJob = (storage: OpenStorage): OpenStorage => {
  const origin = readOrigin(storage.state);
  if (origin === undefined) return storage;
  assertComplete(origin);
  const { state, journal } = storage;
  return { jobId: origin.jobId, state, journal, close: () => storage.close() };
};

/** What the job begins with: another branch, so that no id of it names what the old job has done since. */
const headerOn = (header: Header, { uids, maxParallelism }: RestoredOn, declared: Declared): Header => {
  const { journalPosition: _, ...rest } = header; // Of another journal.
  const kept = Object.entries(header.nodes).filter(([uid]) => uids.has(uid));
  const isReKeyed = maxParallelism !== header.maxParallelism;
  const nodes = kept.map(([uid, node]) => {
    const own = withDropped(node, declared.get(uid));
    return [uid, isReKeyed ? countedOn(own, maxParallelism) : own] as const;
  });
  return { ...rest, maxParallelism, branch: header.branch + 1, nodes: Object.fromEntries(nodes) };
};

/** A node whose operator goes on without the states that it does not declare. */
const withDropped = (node: NodeSnapshot, declared: readonly StateFacts[] | undefined): NodeSnapshot => {
  if (node.states === undefined || declared === undefined) return node;
  const names = new Set(declared.map(({ name }) => name));
  return { ...node, states: node.states.map((facts) => (names.has(facts.name) ? facts : { ...facts, dropped: true })) };
};

/** What a savepoint holds and the job does not go on with. */
interface Dropped {
  readonly operators: ReadonlySet<number>;
  readonly states: ReadonlySet<string>;
}

const droppedOf = (before: Header, after: Header): Dropped => ({
  operators: new Set(Object.entries(before.nodes).flatMap(([uid, { number }]) => (uid in after.nodes ? [] : [number]))),
  states: new Set(
    Object.values(after.nodes).flatMap(({ number, states = [] }) =>
      states.flatMap(({ state, dropped }) => (dropped === true ? [`${number}/${state}`] : [])),
    ),
  ),
});

/** Every group counts on from the largest number of all, since the keys of several may meet in it. */
const countedOn = (node: NodeSnapshot, maxParallelism: number): NodeSnapshot => {
  const { host } = node;
  if (host === undefined) return node;
  const counted = (snapshot: SequenceSnapshot): SequenceSnapshot => {
    if (snapshot.length === 0) return snapshot;
    const next = snapshot.reduce((most, [, each]) => Math.max(most, each), 0);
    return Array.from({ length: maxParallelism }, (_, group) => [group, next] as const);
  };
  return { ...node, host: { ...host, sequence: counted(host.sequence), workSequence: counted(host.workSequence) } };
};

const holdsAnything = async ({ state, journal }: OpenStorage): Promise<boolean> => {
  for await (const _row of state.entries(everything)) return true;
  for await (const _entry of journal.rebuildState()) return true;
  return false;
};

/** Removes what an interrupted restore has written, but the row that says so. */
const emptied = async (state: Store, journal: ActionStateStore): Promise<void> => {
  const origin = Uint8Array.of(prefixes.origin);
  await state.clear({ gte: everything.gte, lt: origin });
  await state.clear({ gte: Uint8Array.of(prefixes.origin, 0), lt: everything.lt });
  const keys: Uint8Array[] = [];
  for await (const { key } of journal.rebuildState()) keys.push(Uint8Array.from(key));
  if (keys.length > 0) await journal.pruneState(keys);
};

const written = async (state: Store, fill: (batch: StoreBatch) => void): Promise<void> => {
  const batch = state.batch();
  try {
    fill(batch);
    await batch.write();
  } finally {
    await batch.close();
  }
};
