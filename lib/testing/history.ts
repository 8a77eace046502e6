/**
 * The disk of a simulated world: a memory storage that remembers which turns survive each crash, which outcomes were
 * journaled, and which checkpoints are durable, so that I6, I7 and I8 can be judged from outside. What it tells, it
 * reads from what is stored, with the engine's own readers; the live turns are told by the environment's `onTurn`.
 */
import { callName, type ActionStateStore, type JournalEntry } from '../core/journal.ts';
import { keyText } from '../core/key.ts';
import { decode } from '../core/serde.ts';
import { emptyHeader, type Header } from '../runtime/checkpoint/header.ts';
import { decodeJournalEntry, encodeTurns, journaledCalls, turnsKey } from '../runtime/journal/journal-format.ts';
import { Recovery } from '../runtime/recovery/recovery.ts';
import { packTurn, type Turn } from '../runtime/journal/turn.ts';
import { readNewestCheckpoint } from '../state/checkpoint.ts';
import { everyTimer } from '../state/every-timer.ts';
import { prefixes, prefixRange } from '../state/layout.ts';
import { MemoryStorage, type MemoryCrash, type MemoryStorageOptions } from '../state/memory-storage.ts';
import type { OpenStorage, Storage, Store } from '../state/store.ts';

/**
 * When a simulated process touches its disk. Each may kill it: `before` a write is issued, or `after` it is durable and
 * nobody knows.
 */
export interface DiskProbe {
  alive(): boolean;
  /** The number of a write that begins. */
  next(): number;
  before(write: number): void;
  after(write: number): void;
}

/** What the state database holds when a job is over. */
export interface FinalState {
  /** Keyed state and timers, as hexadecimal keys and decoded values. */
  readonly rows: readonly (readonly [key: string, value: unknown])[];
  /** Per operator: watermark, counters, holds, positions and counts. */
  readonly nodes: Readonly<Record<string, unknown>>;
}

const [turnsTag] = turnsKey(0);

export class SimulatedDisk {
  readonly #storage: MemoryStorage;
  /** Every record of work that was ever appended, the newest of each key. */
  readonly #work = new Map<string, JournalEntry>();
  /** Length of the history at the instant of each checkpoint. */
  readonly #instants = new Map<number, number>();
  #history: Turn[] = [];
  /** Names of the calls whose outcome was journaled, as found at the starts. */
  readonly journaled = new Set<string>();
  /** The newest checkpoint known to be durable. */
  durable = 0;
  #jobId: string | undefined;

  constructor(options: MemoryStorageOptions = {}) {
    this.#storage = new MemoryStorage(options);
  }

  /** The turns that the state of the job is made of, in order. */
  get history(): readonly Turn[] {
    return this.#history;
  }

  note(turn: Turn): void {
    this.#history.push(turn);
  }

  crash(landed: MemoryCrash): void {
    this.#storage.crash(landed);
  }

  /** The disk as one process sees it. */
  storage(probe: DiskProbe): Storage {
    return {
      name: 'simulated',
      open: async () => {
        if (!probe.alive()) return never();
        const open = await this.#storage.open();
        await this.#survey(open);
        return {
          jobId: (this.#jobId ??= open.jobId),
          state: this.#watchState(open.state, probe),
          journal: this.#watchJournal(open.journal, probe),
          close: () => open.close(),
        };
      },
    };
  }

  /**
   * A disk that holds nothing but this one's history: on it a job does all turns anew, from the first one, calling
   * nobody.
   */
  async replica(): Promise<SimulatedDisk> {
    const disk = new SimulatedDisk();
    disk.#jobId = this.#jobId;
    const { journal, close } = await disk.#storage.open();
    const turns = encodeTurns({ kind: 'turns', lsn: 1, first: 0, turns: this.#history.map(packTurn) });
    await journal.append([turns, ...this.#work.values()]);
    await close();
    return disk;
  }

  /** What is stored, of a disk that no job has open. */
  async finalState(): Promise<FinalState> {
    const open = await this.#storage.open();
    const rows: [string, unknown][] = [];
    for await (const [key, value] of open.state.entries(prefixRange(Uint8Array.of(prefixes.state))))
      rows.push([Buffer.from(key).toString('hex'), decodedBody(value)]);
    // Which chunk holds a timer depends on when there were checkpoints.
    const timers: [string, unknown][] = [];
    for await (const timer of everyTimer(open.state))
      timers.push([`${timer.operator} ${timer.domain} ${timer.time} ${timer.namespace} ${keyText(timer.key)}`, 'timer']);
    rows.push(...timers.sort(([a], [b]) => (a < b ? -1 : 1)));
    const header = await headerOf(open.state);
    await open.close();
    return {
      rows,
      nodes: Object.fromEntries(Object.entries(header.nodes).map(([uid, node]) => [uid, comparable(node)])),
    };
  }

  /** After an opening: the turns behind the checkpoint are those the journal has kept. */
  async #survey({ state, journal }: OpenStorage): Promise<void> {
    const newest = await readNewestCheckpoint(state);
    const header = await headerOf(state);
    const recovery = await Recovery.load(journal, header);
    this.durable = newest?.id ?? 0;
    this.#history = [...this.#history.slice(0, this.#instants.get(this.durable) ?? 0), ...recovery.turns];
    for await (const entry of journal.rebuildState()) {
      const record = decodeJournalEntry(entry);
      for (const call of journaledCalls(record)) this.journaled.add(call);
      // It failed with its body: what was an outcome is none any more.
      if (record.kind === 'called' && record.outcome === undefined)
        this.journaled.delete(callName(record.work, record.call));
    }
  }

  #watchState(store: Store, probe: DiskProbe): Store {
    let next = this.durable;
    return {
      get: (key) => store.get(key),
      entries: (range) => store.entries(range),
      clear: (range) => store.clear(range),
      close: () => store.close(),
      batch: () => {
        // The engine makes the batch of a checkpoint at its instant.
        const batch = store.batch();
        const id = (next += 1);
        this.#instants.set(id, this.#history.length);
        return {
          get length() {
            return batch.length;
          },
          get bytes() {
            return batch.bytes;
          },
          put: (key, value) => batch.put(key, value),
          delete: (key) => batch.delete(key),
          close: () => batch.close(),
          write: () =>
            watched(probe, async () => {
              await batch.write();
              this.durable = id;
            }),
        };
      },
    };
  }

  #watchJournal(journal: ActionStateStore, probe: DiskProbe): ActionStateStore {
    return {
      append: (entries) => {
        for (const entry of entries)
          if (entry.key[0] !== turnsTag) this.#work.set(Buffer.from(entry.key).toString('latin1'), entry);
        return watched(probe, () => journal.append(entries));
      },
      get: (key) => journal.get(key),
      getRecoveryMarker: () => journal.getRecoveryMarker(),
      rebuildState: (marker) => journal.rebuildState(marker),
      pruneState: (keys) => watched(probe, () => journal.pruneState(keys)),
      close: () => journal.close(),
    };
  }
}

const watched = async (probe: DiskProbe, write: () => Promise<void>): Promise<void> => {
  if (!probe.alive()) return never();
  const number = probe.next();
  probe.before(number);
  if (!probe.alive()) return never();
  await write();
  probe.after(number);
  return probe.alive() ? undefined : never();
};

const headerOf = async (store: Store): Promise<Header> =>
  // The digest was verified, so the engine wrote it.
  ((await readNewestCheckpoint(store))?.body as Header | undefined) ?? emptyHeader(1);

const never = (): Promise<never> => new Promise(() => undefined);

/** Behind the checksum (4 bytes) and the version. */
const decodedBody = (value: Uint8Array): unknown => decode(value.subarray(5));

/** What of a node must not depend on where the job crashed: not what pends in sinks, nor how long a split was quiet. */
const comparable = ({ host, source, sink, valve }: Header['nodes'][string]): unknown => ({
  host,
  sink: sink?.number,
  valve,
  source: source && {
    merge: source.merge,
    splits: Object.entries(source.splits).map(([name, { position, records, ended, generator }]) => ({
      name,
      position,
      records,
      ended,
      emitted: generator.emitted,
    })),
  },
});
