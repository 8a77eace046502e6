/**
 * Runs one operator by hand: records, watermarks and the clock go in step by step, and what comes out of each step is
 * given back. The operator stands in the engine's own host on a memory store, so state, timers, work and the checkpoint
 * are the real ones; there is no loop, and time stands still unless it is moved (I9).
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { invariant, StreamError } from '../core/errors.ts';
import { checkTimestampOrNone } from '../core/timestamp.ts';
import type { JournalEntry } from '../core/journal.ts';
import { ownKey, type Key } from '../core/key.ts';
import type { MultiInputOperator, Operator, Step } from '../core/operator.ts';
import type { OutputTag } from '../core/output-tag.ts';
import type { StateDescriptor } from '../core/state-descriptor.ts';
import { callable, durationMs, knownOptions, refusal, type Duration, type OptionNames } from '../core/options.ts';
import type { HostServices } from '../runtime/hosts/operator-context.ts';
import { OperatorHost, type HostSnapshot } from '../runtime/hosts/operator-host.ts';
import { MetricTree } from '../runtime/job/metric-group.ts';
import type { Receiver } from '../runtime/edges/receiver.ts';
import { Places } from '../runtime/edges/places.ts';
import type { WorkServices } from '../runtime/work/work.ts';
import type { TimersAtEnd } from '../core/timers-at-end.ts';
import { KeyContext } from '../state/key-context.ts';
import { WorkingSet } from '../state/keyed-state.ts';
import { MemoryStorage } from '../state/memory-storage.ts';
import type { Store } from '../state/store.ts';
import { ManualClock } from './clock.ts';
import { kindOf, type HarnessInputOptions } from './harness-inputs.ts';
import { HarnessOutputs, type HarnessOutput } from './harness-outputs.ts';
import { HarnessWork, jobId } from './harness-work.ts';

export interface OperatorHarnessOptions<I> {
  /** The key of a value. @defaultValue the operator is not keyed */
  readonly keyOf?: ((value: I) => Key) | undefined;
  /**
   * Of an operator of several inputs: each of them, with the key of its values. @defaultValue one input, with `keyOf`
   */
  readonly inputs?: readonly HarnessInputOptions[] | undefined;
  /** Side outputs to write down. @defaultValue none */
  readonly sides?: readonly OutputTag<unknown>[] | undefined;
  /** Where the clock stands at the beginning. @defaultValue 0, or where `clock` stands */
  readonly now?: Timestamp | undefined;
  /** Share it with a scripted model, say. @defaultValue one that stands at `now` */
  readonly clock?: ManualClock | undefined;
  /** @internal What runs the operator's work. @defaultValue the engine's own, on a journal in memory */
  readonly work?: WorkServices | undefined;
  /** Freezes what goes into state, so that a function that changes it in place is found out. @defaultValue true */
  readonly freeze?: boolean | undefined;
  /** What becomes of processing-time timers at the final watermark. @defaultValue 'drop' */
  readonly processingTimersAtEnd?: TimersAtEnd | undefined;
  /** @internal Of several inputs; see `WatermarkMergeOptions`. @defaultValue true */
  readonly finalEndsInput?: boolean | undefined;
}

const optionNames = {
  keyOf: true,
  inputs: true,
  sides: true,
  now: true,
  clock: true,
  work: true,
  freeze: true,
  processingTimersAtEnd: true,
  finalEndsInput: true,
} as const satisfies OptionNames<OperatorHarnessOptions<unknown>>;

/** One input of an operator of several. */
export interface HarnessInput<V, O> {
  /** A record comes. `timestamp` @defaultValue none; `key` @defaultValue what `keyOf` of the input says */
  element(value: V, timestamp?: Timestamp, key?: Key): readonly HarnessOutput<O>[];
  /** A watermark of this input comes; the operator sees it when the other inputs let it pass. */
  watermark(timestamp: Timestamp): readonly HarnessOutput<O>[];
  /** The input becomes idle, or active again. */
  status(idle: boolean): readonly HarnessOutput<O>[];
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
  /** What the journal of its work held. */
  readonly journal: readonly JournalEntry[];
}

type AnyOperator<I, O> = Operator<I, O> | Step<I, O> | MultiInputOperator<readonly never[], O>;

const everything = { gte: new Uint8Array(0), lt: new Uint8Array(64).fill(0xff) };

/**
 * Runs one operator by hand, with its state, timers and work: records, watermarks and time come from the test, and each
 * call gives what came out.
 *
 * @example
 * const sums = await OperatorHarness.open(reduce<number>((a, b) => a + b), { keyOf: (value) => value % 2 });
 * sums.element(1, 0);
 * console.log(sums.element(3, 1)); // prints [ { kind: 'record', value: 4, timestamp: 1 } ]
 * console.log(sums.status(true)); // prints [ { kind: 'status', idle: true } ]
 *
 * const lengths = await OperatorHarness.open(asyncMap(async (id: string) => id.length));
 * lengths.element('abc', 0);
 * console.log(await lengths.settled()); // prints [ { kind: 'record', value: 3, timestamp: 0 } ]
 */
export class OperatorHarness<I, O> {
  readonly clock: ManualClock;
  readonly #operator: AnyOperator<I, O>;
  readonly #options: OperatorHarnessOptions<I>;
  readonly #tree: MetricTree;
  readonly #outputs = new HarnessOutputs<O>();
  #host: OperatorHost<I, O> | undefined;
  #receivers: readonly Receiver<never>[] = [];
  #keys = new KeyContext();
  #workingSet: WorkingSet | undefined;
  #work: HarnessWork | undefined;
  #places = new Places();

  private constructor(operator: AnyOperator<I, O>, options: OperatorHarnessOptions<I>) {
    this.#operator = operator;
    this.#options = options;
    this.clock = options.clock ?? new ManualClock();
    if (options.now !== undefined) this.clock.jumpTo(options.now);
    this.#tree = new MetricTree({ job: jobId, clock: this.clock });
  }

  /** Opens the operator without state, or with that of a snapshot. */
  static async open<I, O>(
    operator: Operator<I, O> | Step<I, O>,
    options?: OperatorHarnessOptions<I>,
    snapshot?: HarnessSnapshot,
  ): Promise<OperatorHarness<I, O>>;
  static async open<A, B, O>(
    operator: MultiInputOperator<readonly [A, B], O>,
    options: OperatorHarnessOptions<never> & Required<Pick<OperatorHarnessOptions<never>, 'inputs'>>,
    snapshot?: HarnessSnapshot,
  ): Promise<OperatorHarness<A, O>>;
  static async open<O>(
    operator: AnyOperator<never, O>,
    options: OperatorHarnessOptions<never> = {},
    snapshot?: HarnessSnapshot,
  ): Promise<OperatorHarness<never, O>> {
    knownOptions('OperatorHarness.open', options, optionNames);
    const { keyOf, inputs = [{ keyOf }] } = options;
    for (const input of inputs) if (input.keyOf !== undefined) callable('keyOf', input.keyOf);
    const harness = new OperatorHarness(operator, options);
    await harness.#start(snapshot);
    return harness;
  }

  /** A record comes. `timestamp` @defaultValue none; `key` @defaultValue what `keyOf` says */
  element(value: I, timestamp: Timestamp = MIN_TIMESTAMP, key?: Key): readonly HarnessOutput<O>[] {
    return this.input<I>(1).element(value, timestamp, key);
  }

  /**
   * One of several inputs, counted from 1. `element`, `watermark` and `status` of the harness are those of the first.
   *
   * @example
   * const operator = coSteps(map((n: number) => n), map((text: string) => text.length));
   * const harness = await OperatorHarness.open(operator, { inputs: [{}, {}] });
   * console.log(harness.input(2).element('abc', 0)); // prints [ { kind: 'record', value: 3, timestamp: 0 } ]
   * harness.watermark(5);
   * console.log(harness.input(2).watermark(4)); // prints [ { kind: 'watermark', timestamp: 4 } ]
   */
  input<V = unknown>(number: number): HarnessInput<V, O> {
    const receiver = (): Receiver<V> => {
      const found = this.#receivers[number - 1];
      if (found === undefined) throw refusal('number', `from 1 to ${this.#receivers.length}`, number);
      return found as Receiver<V>; // The caller says what the input takes.
    };
    const { keyOf } = (this.#inputs[number - 1] ?? {}) as { readonly keyOf?: (value: V) => Key }; // as above
    return {
      element: (value, timestamp = MIN_TIMESTAMP, key = keyOf?.(value)) => {
        checkTimestampOrNone(timestamp, 'operator', 'an element that it is given');
        return this.#step(() => this.#under(key, () => receiver().record(value, timestamp)));
      },
      watermark: (timestamp) => this.#step(() => receiver().watermark(timestamp)),
      status: (idle) => this.#step(() => receiver().status(idle)),
    };
  }

  /**
   * A watermark comes: timers up to it fire, then it goes on.
   *
   * @example
   * const operator = reduceWindow<number>({ assigner: TumblingEventTimeWindows.of('1s') }, (a, b) => a + b);
   * const harness = await OperatorHarness.open(operator, { keyOf: () => 'all' });
   * harness.element(1, 0);
   * console.log(harness.watermark(999).map(({ kind }) => kind)); // prints [ 'record', 'watermark' ]
   */
  watermark(timestamp: Timestamp): readonly HarnessOutput<O>[] {
    return this.input(1).watermark(timestamp);
  }

  /**
   * The input becomes idle, or active again.
   */
  status(idle: boolean): readonly HarnessOutput<O>[] {
    return this.input(1).status(idle);
  }

  /**
   * Sets the clock; timers before it fire, as in a running job: one is due when the clock has passed it. What work
   * waits for fires with the next `advance`.
   *
   * @example
   * const alarm = processOperator<number, string>({
   *   process: (_value, ctx) => ctx.timers.register(ctx.now() + 500, { domain: 'processing' }),
   *   onTimer: ({ timestamp }, ctx) => ctx.emit(`rang at ${timestamp}`),
   * });
   * const harness = await OperatorHarness.open(alarm, { keyOf: () => 'all' });
   * harness.element(1);
   * console.log(harness.processingTime(501).length); // prints 1
   */
  processingTime(now: Timestamp): readonly HarnessOutput<O>[] {
    this.clock.jumpTo(now);
    return this.#step(() => this.host.processingTime(now - 1));
  }

  /**
   * Moves the clock on, timer by timer: those of the operator, and what its work waits for. Gives what came out of it.
   *
   * @example
   * const slow = asyncMap(async (id: string) => id.length, { timeout: '10s' });
   * const harness = await OperatorHarness.open(slow);
   * harness.element('abc', 0);
   * console.log((await harness.advance('1s')).length, harness.now); // prints 1 1000
   */
  async advance(duration: Duration): Promise<readonly HarnessOutput<O>[]> {
    await this.move(duration);
    return this.#outputs.take();
  }

  /** @internal The same; what comes out is left to whoever waits for it. */
  async move(duration: Duration): Promise<void> {
    const { timerService, workQueue } = this.host;
    await this.#engine.quiet(workQueue);
    const until = this.now + durationMs('duration', duration);
    for (let now = this.now; ; now = this.now) {
      const next = Math.min(until, Math.max(now, (timerService?.nextProcessingTime ?? until) + 1));
      await this.clock.advance(next - now);
      await this.#engine.quiet(workQueue);
      this.#outputs.keep(this.#step(() => this.host.processingTime(next - 1)));
      if (next >= until) break;
    }
    await this.#engine.quiet(workQueue);
  }

  /**
   * Waits until no work is open, or all that is waits before its next attempt, which `advance` brings. Gives what came
   * out meanwhile, and rejects with what work has failed with, or when it takes longer than `timeout` in real time.
   * @defaultValue timeout '5s'
   */
  async settled(options: { readonly timeout?: Duration | undefined } = {}): Promise<readonly HarnessOutput<O>[]> {
    const { timeout = '5s' } = options;
    const { workQueue } = this.host;
    if (await this.#engine.settled(workQueue, durationMs('timeout', timeout))) return this.#outputs.take();
    throw new StreamError(
      'WORK_TIMEOUT',
      `${workQueue?.open} items of work did not end within ${timeout} of real time`,
      {
        hint: 'if they wait for the clock of the harness, move it with `advance`',
      },
    );
  }

  /** Work that is submitted and has not ended. */
  get workOpen(): number {
    return this.host.workQueue?.open ?? 0;
  }

  /** @internal Runs `body` as a step: work hands over its outcome, say. */
  turn(body: () => void): readonly HarnessOutput<O>[] {
    return this.#step(body);
  }

  get now(): Timestamp {
    return this.clock.now();
  }

  /** @internal */
  get host(): OperatorHost<I, O> {
    invariant(this.#host !== undefined, 'the harness is open');
    return this.#host;
  }

  get #engine(): HarnessWork {
    invariant(this.#work !== undefined, 'the harness is open');
    return this.#work;
  }

  /**
   * Looks at a state of one key, which can't be changed this way. Throws a `TypeError` when the operator has no state
   * of that name.
   *
   * @example
   * const count = valueState<number>('count');
   * const counting = processOperator({
   *   emits: type<never>(),
   *   state: { count },
   *   process: (_word: string, ctx) => ctx.state.count.update((ctx.state.count.value() ?? 0) + 1),
   * });
   * const harness = await OperatorHarness.open(counting, { keyOf: (word) => word });
   * harness.element('a');
   * console.log(harness.read('a', count, (state) => state.value())); // prints 1
   */
  read<H, T>(key: Key, { name }: StateDescriptor<H>, look: (state: H) => T): T {
    const { states } = this.host;
    if (!states.has(name)) throw new TypeError(`Expected the operator to have a state '${name}'`);
    let found: T | undefined;
    this.#keys.reading(ownKey(key), () => {
      found = look(states.get(name) as H); // A state's name says which descriptor it was made with.
    });
    return found as T; // Written by `look` above, or that has thrown.
  }

  /** Timers that are registered. */
  get timers(): Readonly<Record<'event' | 'processing', number>> {
    return this.host.timerCount ?? { event: 0, processing: 0 };
  }

  /** Entries of keyed state in memory: one per key of a value, one per row of a list or map. */
  get stateEntries(): number {
    return this.#workingSet?.entries ?? 0;
  }

  /**
   * Gives the count of a counter of the operator's own metrics; 0 when nothing has counted.
   *
   * @example
   * const operator = processOperator<number, number>((value, ctx) => {
   *   if (value < 0) return ctx.metrics.getCounter('refused').inc();
   *   ctx.emit(value);
   * });
   * const harness = await OperatorHarness.open(operator);
   * harness.element(-1);
   * console.log(harness.counter('refused')); // prints 1
   */
  counter(name: string): number {
    return this.#tree.root.getSubGroup('operator', this.host.uid).getCounter(name).value;
  }

  /**
   * The state as a checkpoint would hold it.
   *
   * @example
   * const sum = reduce<number>((a, b) => a + b);
   * const harness = await OperatorHarness.open(sum, { keyOf: () => 'all' });
   * harness.element(1, 0);
   * const snapshot = await harness.snapshot();
   * harness.element(2, 1); // forgotten by the crash
   * await harness.restore(snapshot);
   * console.log(harness.element(5, 2)); // prints [ { kind: 'record', value: 6, timestamp: 2 } ]
   */
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
    for (const cut of cuts) for (const forgetting = cut.durable(); forgetting.next().done !== true;);
    const states = new Map(workingSet.states().map(({ name, state }) => [name, state]));
    return { host: snapshot, now: this.now, rows: await rowsOf(store), states, journal: await this.#engine.entries() };
  }

  /**
   * The process dies, and a new operator begins from a snapshot as from a checkpoint. The journal is as it is now: what
   * work has asked for since the snapshot is not asked for again.
   */
  async restore(snapshot: HarnessSnapshot): Promise<void> {
    this.#engine.kill();
    this.#outputs.take();
    await this.#host?.close();
    await this.#start({ ...snapshot, journal: await this.#engine.entries() });
  }

  async #start(snapshot: HarnessSnapshot | undefined): Promise<void> {
    const { sides = [], freeze = true } = this.#options;
    const { state: store } = await new MemoryStorage().open();
    if (snapshot !== undefined) await write(store, snapshot.rows);
    if (snapshot !== undefined) this.clock.jumpTo(snapshot.now);
    this.#work = await HarnessWork.open(this.clock, snapshot?.journal ?? []);
    this.#keys = new KeyContext();
    this.#places = new Places();
    this.#workingSet = new WorkingSet({ store, maxParallelism: 128, restored: snapshot !== undefined, freeze });
    const host = new OperatorHost<I, O>({
      uid: 'operator',
      number: 1,
      operator: this.#operator,
      stateNumbers: snapshot?.states ?? new Map(),
      nextState: snapshot?.states.size ?? 0,
      keys: this.#keys,
      inputs: this.#inputs.map(kindOf),
      finalEndsInput: this.#options.finalEndsInput,
      output: this.#outputs.main,
      sides: new Map(sides.map(({ id }) => [id, this.#outputs.side(id)])),
      services: this.#services(this.#workingSet),
    });
    this.#host = host;
    this.#receivers = this.#inputs.map((_, port) => host.input(port));
    if (snapshot !== undefined) await host.restore(snapshot.host);
    await host.open();
    if (this.#options.work === undefined) this.#work.resume(host.workQueue);
  }

  #services(workingSet: WorkingSet): HostServices {
    return {
      workingSet,
      places: this.#places,
      maxParallelism: 128,
      jobId,
      branch: () => 0,
      work: this.#options.work ?? this.#engine.services,
      metrics: (uid) => this.#tree.root.getSubGroup('operator', uid),
      now: () => this.#engine.now(),
      timersAtEnd: this.#options.processingTimersAtEnd,
    };
  }

  get #inputs(): readonly HarnessInputOptions[] {
    const { keyOf, inputs = [{ keyOf }] } = this.#options;
    return inputs;
  }

  #under(key: Key | undefined, body: () => void): void {
    if (key === undefined) return body();
    this.#keys.enter(ownKey(key));
    try {
      body();
    } finally {
      this.#keys.leave();
    }
  }

  #step(body: () => void): readonly HarnessOutput<O>[] {
    return this.#outputs.of(() => this.#engine.step(body));
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
