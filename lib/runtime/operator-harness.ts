/**
 * Runs one operator by hand: records, watermarks and the clock go in step by step, and what comes out of each step is given back. The
 * operator stands in the engine's own host on a memory store, so state, timers and the checkpoint are the real ones; there is no loop,
 * and time stands still unless it is moved (I9).
 */
import type { Clock } from '../core/clock.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { invariant } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { Operator, OutputTag, Step } from '../core/operator.ts';
import { KeyContext } from '../state/key-context.ts';
import { WorkingSet } from '../state/keyed-state.ts';
import { MemoryStorage } from '../state/memory-store.ts';
import type { Store } from '../state/store.ts';
import { OperatorHost, type HostServices, type HostSnapshot } from './host.ts';
import { MetricTree } from './metric-group.ts';
import { Places } from './places.ts';
import type { Receiver } from './receiver.ts';
import type { WorkServices } from './work.ts';

/** What came out, in order. */
export type HarnessOutput<O> =
  | { readonly kind: 'record'; readonly value: O; readonly timestamp: Timestamp }
  | { readonly kind: 'side'; readonly tag: string; readonly value: unknown; readonly timestamp: Timestamp }
  | { readonly kind: 'watermark'; readonly timestamp: Timestamp }
  | { readonly kind: 'status'; readonly idle: boolean };

export interface OperatorHarnessOptions<I> {
  /** Undefined: the operator is not keyed. */
  readonly keyOf?: ((value: I) => Key) | undefined;
  /** Side outputs to write down. @defaultValue none */
  readonly sides?: readonly OutputTag<unknown>[] | undefined;
  /** Where the clock stands at the beginning. @defaultValue 0 */
  readonly now?: Timestamp | undefined;
  /** @internal What runs the operator's work. @defaultValue nothing: an operator that asks for work is refused */
  readonly work?: WorkServices | undefined;
  /** Freezes what goes into state, so that a function that changes it in place is found out. @defaultValue true */
  readonly freeze?: boolean | undefined;
}

/** State of an operator between two steps. */
export interface HarnessSnapshot {
  /** @internal */
  readonly host: HostSnapshot;
  readonly now: Timestamp;
  /** Rows of the state database. */
  readonly rows: readonly (readonly [key: Uint8Array, value: Uint8Array])[];
  /** Numbers of the operator's states by name. */
  readonly states: ReadonlyMap<string, number>;
}

const everything = { gte: new Uint8Array(0), lt: new Uint8Array(64).fill(0xff) };

/**
 * @example
 * const harness = await OperatorHarness.open(reduce<number>((a, b) => a + b), { keyOf: (value) => value % 2 });
 * harness.element(1, 0);
 * harness.element(3, 1); // [{ kind: 'record', value: 4, timestamp: 1 }]
 */
export class OperatorHarness<I, O> {
  readonly #operator: Operator<I, O> | Step<I, O>;
  readonly #options: OperatorHarnessOptions<I>;
  readonly #tree: MetricTree;
  #now: Timestamp;
  #outputs: HarnessOutput<O>[] = [];
  #host: OperatorHost<I, O> | undefined;
  #keys = new KeyContext();
  #workingSet: WorkingSet | undefined;
  #places = new Places();

  private constructor(operator: Operator<I, O> | Step<I, O>, options: OperatorHarnessOptions<I>) {
    this.#operator = operator;
    this.#options = options;
    this.#now = options.now ?? 0;
    this.#tree = new MetricTree({ job: 'harness', clock: stoppedClock(() => this.#now) });
  }

  /** Opens the operator without state, or with that of a snapshot. */
  static async open<I, O>(
    operator: Operator<I, O> | Step<I, O>,
    options: OperatorHarnessOptions<I> = {},
    snapshot?: HarnessSnapshot,
  ): Promise<OperatorHarness<I, O>> {
    const harness = new OperatorHarness(operator, options);
    await harness.#start(snapshot);
    return harness;
  }

  /** A record comes. `timestamp` @defaultValue none; `key` @defaultValue what `keyOf` says */
  element(
    value: I,
    timestamp: Timestamp = MIN_TIMESTAMP,
    key: Key | undefined = this.#options.keyOf?.(value),
  ): readonly HarnessOutput<O>[] {
    return this.#step(() => {
      if (key === undefined) {
        this.host.record(value, timestamp);
        return;
      }
      this.#keys.enter(key);
      try {
        this.host.record(value, timestamp);
      } finally {
        this.#keys.leave();
      }
    });
  }

  watermark(timestamp: Timestamp): readonly HarnessOutput<O>[] {
    return this.#step(() => this.host.watermark(timestamp));
  }

  status(idle: boolean): readonly HarnessOutput<O>[] {
    return this.#step(() => this.host.status(idle));
  }

  /** Sets the clock; timers up to it fire, this time included. A running job fires those before it. */
  processingTime(now: Timestamp): readonly HarnessOutput<O>[] {
    return this.#step(() => {
      this.#now = now;
      this.host.timerService?.advanceProcessingTime(now);
    });
  }

  /** Runs `body` as a step: work hands over its outcome, say. */
  turn(body: () => void): readonly HarnessOutput<O>[] {
    return this.#step(body);
  }

  get now(): Timestamp {
    return this.#now;
  }

  /** @internal */
  get host(): OperatorHost<I, O> {
    invariant(this.#host !== undefined, 'the harness is open');
    return this.#host;
  }

  /** Timers that are registered. */
  get timers(): Readonly<Record<'event' | 'processing', number>> {
    return this.host.timerCount ?? { event: 0, processing: 0 };
  }

  /** Entries of keyed state in memory: one per key of a value, one per row of a list or map. */
  get stateEntries(): number {
    return this.#workingSet?.entries ?? 0;
  }

  /** A counter of the operator's own metrics. */
  counter(name: string): number {
    return this.#tree.root.getSubGroup('operator', this.host.uid).getCounter(name).value;
  }

  /** The state as a checkpoint would hold it. */
  async snapshot(): Promise<HarnessSnapshot> {
    const { host } = this;
    const workingSet = this.#workingSet;
    invariant(workingSet !== undefined, 'the harness is open');
    const { store } = workingSet;
    const cuts = [workingSet.cut(), ...(host.timerService === undefined ? [] : [host.timerService.cut()])];
    const batch = store.batch();
    const snapshot = host.snapshot();
    for (const cut of cuts) for (const iterator = cut.write(batch); iterator.next().done !== true;);
    await batch.write();
    await batch.close();
    for (const cut of cuts) cut.durable();
    const states = new Map(workingSet.states().map(({ name, state }) => [name, state]));
    return { host: snapshot, now: this.#now, rows: await rowsOf(store), states };
  }

  /** Throws the operator away and makes a new one from a snapshot. */
  async restore(snapshot: HarnessSnapshot): Promise<void> {
    await this.#host?.close();
    await this.#start(snapshot);
  }

  async #start(snapshot: HarnessSnapshot | undefined): Promise<void> {
    const { keyOf, sides = [], freeze = true } = this.#options;
    const { state: store } = await new MemoryStorage().open();
    if (snapshot !== undefined) await write(store, snapshot.rows);
    this.#now = snapshot?.now ?? this.#now;
    this.#keys = new KeyContext();
    this.#places = new Places();
    this.#workingSet = new WorkingSet({ store, maxParallelism: 128, restored: snapshot !== undefined, freeze });
    const host = new OperatorHost<I, O>({
      uid: 'operator',
      number: 1,
      operator: this.#operator,
      stateNumbers: snapshot?.states ?? new Map(),
      keys: this.#keys,
      keyed: keyOf !== undefined,
      output: this.#receiver(),
      sides: new Map(sides.map(({ id }) => [id, this.#sideReceiver(id)])),
      services: this.#services(this.#workingSet),
    });
    this.#host = host;
    if (snapshot !== undefined) await host.restore(snapshot.host);
    await host.open();
  }

  #services(workingSet: WorkingSet): HostServices {
    return {
      workingSet,
      places: this.#places,
      maxParallelism: 128,
      jobId: 'harness',
      branch: () => 0,
      work: this.#options.work,
      metrics: (uid) => this.#tree.root.getSubGroup('operator', uid),
      now: () => this.#now,
    };
  }

  #receiver(): Receiver<O> {
    return {
      record: (value, timestamp) => void this.#outputs.push({ kind: 'record', value, timestamp }),
      watermark: (timestamp) => void this.#outputs.push({ kind: 'watermark', timestamp }),
      status: (idle) => void this.#outputs.push({ kind: 'status', idle }),
    };
  }

  /** Watermarks go to side outputs too; written down are those of the main output. */
  #sideReceiver(tag: string): Receiver<unknown> {
    return {
      record: (value, timestamp) => void this.#outputs.push({ kind: 'side', tag, value, timestamp }),
      watermark: () => {},
      status: () => {},
    };
  }

  #step(body: () => void): readonly HarnessOutput<O>[] {
    this.#outputs = [];
    body();
    return this.#outputs;
  }
}

const rowsOf = async (store: Store): Promise<[Uint8Array, Uint8Array][]> => {
  const rows: [Uint8Array, Uint8Array][] = [];
  for await (const [key, value] of store.entries(everything)) rows.push([Uint8Array.from(key), Uint8Array.from(value)]);
  return rows;
};

const write = async (store: Store, rows: HarnessSnapshot['rows']): Promise<void> => {
  const batch = store.batch();
  for (const [key, value] of rows) batch.put(key, value);
  await batch.write();
  await batch.close();
};

/** Time that only the harness moves. Nothing is delayed, because nothing of a harness waits. */
const stoppedClock = (now: () => Timestamp): Clock => ({
  now,
  elapsed: now,
  setTimer: () => () => {},
  defer: () => {},
  random: () => 0,
});
