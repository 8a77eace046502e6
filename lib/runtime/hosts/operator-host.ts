/**
 * Hosts one operator: gives it its capabilities, brings it records, watermarks and timers, and keeps the order among them: timers fire
 * before the watermark that makes them due is forwarded, and the watermark waits for holds. Keeps I2, I3 and I13.
 */
import type { Timestamp } from '../../core/element.ts';
import { MIN_TIMESTAMP } from '../../core/element.ts';
import { isThenable, refusedPromise, StreamError } from '../../core/errors.ts';
import type { MetricGroup } from '../../core/metric.ts';
import { invalidTimestamp, isTimestamp, isTimestampOrNone } from '../../core/timestamp.ts';
import type {
  DerivedTimer,
  HoldOptions,
  Holds,
  Operator,
  OperatorContext,
  Output,
  OutputTag,
  Place,
  PlaceOptions,
  Processor,
  StateDescriptor,
  Step,
  TimeDomain,
  Timer,
  Timers,
  Work,
  Worker,
  WorkOptions,
} from '../../core/operator.ts';
import type { KeyContext } from '../../state/key-context.ts';
import type { OperatorState, WorkingSet } from '../../state/keyed-state.ts';
import { DerivedTimers } from '../../state/derived-timers.ts';
import { TimerService } from '../../state/timers.ts';
import { HoldQueue, holdRows, type HoldsReceiver, type HoldsSnapshot } from '../edges/holds.ts';
import { fuse, fusedStep, recordCounter, type FusedStep, type RecordCounter } from '../edges/fusion.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import type { Places } from '../edges/places.ts';
import { nowhere, type Receiver } from '../edges/receiver.ts';
import { Sequence, type SequenceSnapshot } from './sequence.ts';
import { WorkQueue, workRows, type WorkServices } from '../work/work.ts';

/** What a host needs of its job. */
export interface HostServices {
  readonly workingSet: WorkingSet;
  readonly places: Places;
  readonly maxParallelism: number;
  readonly jobId: string;
  readonly branch: () => number;
  /** Undefined where nothing can run work (a test of a synchronous operator). */
  readonly work: WorkServices | undefined;
  metrics(uid: string): MetricGroup;
  /** Time of the turn in progress; recorded with it. */
  now(): Timestamp;
}

export interface HostOptions<I, O> {
  readonly uid: string;
  /** The operator's number in the uid dictionary. */
  readonly number: number;
  readonly operator: Operator<I, O> | Step<I, O>;
  /** Numbers of the states that the checkpoint holds, by name: a state keeps its number whatever is declared beside it. */
  readonly stateNumbers: ReadonlyMap<string, number>;
  /** The number of the next state that the checkpoint does not hold. */
  readonly nextState: number;
  /** The key context of the edge in front; `keyed` says whether that edge enters and leaves it. */
  readonly keys: KeyContext;
  readonly keyed: boolean;
  readonly output: Receiver<O>;
  /** Receivers of the side outputs by tag id. */
  readonly sides: ReadonlyMap<string, Receiver<unknown>>;
  readonly services: HostServices;
}

/** The part of a host that is in the checkpoint header. */
export interface HostSnapshot {
  readonly watermark: Timestamp;
  /** Of the operator, and of its work: how much work was submitted before must not show in the operator's own numbers. */
  readonly sequence: SequenceSnapshot;
  readonly workSequence: SequenceSnapshot;
  readonly holds?: HoldsSnapshot | undefined;
}

/** Steps that become one function. */
interface Fused {
  readonly steps: readonly FusedStep[];
  readonly emit: (value: unknown, timestamp: Timestamp) => void;
}

/** Key of everything that an operator without a keyed edge keeps. */
const unkeyed = '';

const defaultInFlightMax = 1000;

export class OperatorHost<I, O> implements Receiver<I>, OperatorContext<O> {
  readonly uid: string;
  readonly number: number;
  readonly jobId: string;
  readonly metrics: MetricGroup;
  /** The steps from this operator on that become one function, and what they emit to; undefined for an operator with capabilities. */
  readonly fused: Fused | undefined;
  /** Records that it was given in this life. Fused steps count for themselves, and so does a keyed edge. */
  readonly counter: RecordCounter;
  readonly #options: HostOptions<I, O>;
  readonly #state: OperatorState;
  readonly #processor: Processor<I> | undefined;
  readonly #sequence = new Sequence();
  readonly #workSequence = new Sequence();
  #timers: TimerService | undefined;
  #derived: DerivedTimers | undefined;
  #holds: HoldQueue<O> | undefined;
  #work: WorkQueue | undefined;
  #record: ((value: I, timestamp: Timestamp) => void) | undefined;
  #output: Output<O> | undefined;
  /** Where watermarks go on: to the holds, or past them. */
  #behind: { watermark(timestamp: Timestamp): void; status(idle: boolean): void } | undefined;
  #keyUsed = false;
  #nextState: number;
  #watermark = MIN_TIMESTAMP;

  constructor(options: HostOptions<I, O>) {
    const { uid, number, operator, keys, output, services } = options;
    this.uid = uid;
    this.number = number;
    this.jobId = services.jobId;
    this.metrics = services.metrics(uid);
    this.#options = options;
    this.#nextState = options.nextState;
    this.#state = services.workingSet.operator(number, keys);
    this.counter = recordCounter();
    if (typeof operator === 'function') {
      this.#processor = operator(this);
      this.#record = this.#makeRecord(this.#processor);
    } else {
      const next = output instanceof OperatorHost ? output.fused : undefined;
      const step = fusedStep(uid, operator, next?.steps[0]);
      this.fused = { steps: [step, ...(next?.steps ?? [])], emit: next?.emit ?? (output.record as Fused['emit']) };
    }
  }

  // ---------- what the chain calls

  /** Of an operator in the middle of fused steps nobody asks for it, so it is made when asked for. */
  get record(): (value: I, timestamp: Timestamp) => void {
    this.#record ??= fuse(this.fused?.steps ?? [], this.fused?.emit ?? nowhere.record);
    return this.#record;
  }

  watermark(timestamp: Timestamp): void {
    if (timestamp <= this.#watermark) return; // I3: it never goes back.
    this.#watermark = timestamp;
    this.#timers?.advanceWatermark(timestamp);
    this.#derived?.advanceWatermark(timestamp);
    this.#processor?.onWatermark?.(timestamp);
    this.#downstream.watermark(timestamp);
  }

  status(idle: boolean): void {
    this.#downstream.status(idle);
  }

  // ---------- what the operator sees

  get branch(): number {
    return this.#options.services.branch();
  }

  get output(): Output<O> {
    return (this.#output ??= this.#makeOutput());
  }

  state<H>(descriptor: StateDescriptor<H>): H {
    this.#keyUsed = true;
    return this.#state.state(descriptor, this.#stateNumber(descriptor.name));
  }

  timers(onTimer: (timer: Timer) => void): Timers {
    this.#askOnceForTimers();
    const { keys, number, services } = this.#options;
    const fire = this.#named(onTimer);
    const timers = new TimerService({ op: number, keys, maxParallelism: services.maxParallelism, fire });
    this.#timers = timers;
    return {
      get watermark() {
        return timers.watermark;
      },
      register: (timestamp, { namespace = 0, domain = 'event' } = {}) => {
        if (!isTimestamp(timestamp)) throw this.#invalid('a timer that operator', 'registers', timestamp);
        timers.register(timestamp, namespace, domain);
      },
      delete: (timestamp, { namespace = 0, domain = 'event' } = {}) => timers.delete(timestamp, namespace, domain),
    };
  }

  derivedTimers(onTimer: (timer: DerivedTimer) => void): DerivedTimers {
    this.#askOnceForTimers();
    this.#derived = new DerivedTimers({ keys: this.#options.keys, fire: this.#named(onTimer) });
    return this.#derived;
  }

  work<W, R>(worker: Worker<W, R>, options: WorkOptions = {}): Work<W> {
    this.#work ??= this.#makeWork(options);
    return this.#work.register(worker, options);
  }

  holds(options: HoldOptions = {}): Holds<O> {
    if (this.#holds !== undefined) throw new TypeError(`Expected operator \`${this.uid}\` to ask for \`holds\` once`);
    const { order = 'completion' } = options;
    this.#holds = new HoldQueue({ order, keys: this.#options.keys, rows: this.state(holdRows), out: this.#afterHolds() });
    return this.#holds;
  }

  currentKey(): ReturnType<OperatorContext<O>['currentKey']> {
    return this.#options.keys.key;
  }

  keyGroup(): number {
    return this.#options.keys.group(this.#options.services.maxParallelism);
  }

  sequence(): number {
    return this.#sequence.next(this.keyGroup());
  }

  now(): Timestamp {
    return this.#options.services.now();
  }

  place(options: PlaceOptions): Place {
    return this.#options.services.places.make({ ...options, name: `${this.uid}.${options.name}` });
  }

  // ---------- what the job calls

  get timerService(): TimerService | undefined {
    return this.#timers;
  }

  /** Records that it was given in this life of the job. */
  get recordsIn(): number {
    return (this.fused?.steps[0]?.counter ?? this.counter)[0] ?? 0;
  }

  /** Registered timers by time domain; undefined for an operator without any. */
  get timerCount(): Readonly<Record<TimeDomain, number>> | undefined {
    return this.#timers?.count ?? (this.#derived && { event: this.#derived.count, processing: 0 });
  }

  get workQueue(): WorkQueue | undefined {
    return this.#work;
  }

  get holdQueue(): HoldQueue<O> | undefined {
    return this.#holds;
  }

  get currentWatermark(): Timestamp {
    return this.#watermark;
  }

  snapshot(): HostSnapshot {
    const sequences = { sequence: this.#sequence.snapshot(), workSequence: this.#workSequence.snapshot() };
    return { watermark: this.#watermark, ...sequences, ...(this.#holds && { holds: this.#holds.snapshot() }) };
  }

  /** Restores from the header's part and the stored rows, then lets the operator look at its state. */
  async restore(snapshot: HostSnapshot): Promise<void> {
    this.#watermark = snapshot.watermark;
    this.#sequence.restore(snapshot.sequence);
    this.#workSequence.restore(snapshot.workSequence);
    this.#state.openPhase = true;
    if (this.#timers !== undefined) {
      this.#timers.watermark = snapshot.watermark;
      await this.#timers.restore(this.#options.services.workingSet.store);
    }
    if (this.#derived !== undefined) this.#derived.watermark = snapshot.watermark;
    if (snapshot.holds !== undefined) await this.#holds?.restore(snapshot.holds);
    await this.#work?.restore();
    this.#state.openPhase = false;
  }

  /** Runs before the first turn, after a restore if there was one. */
  async open(): Promise<void> {
    this.#state.openPhase = true;
    await this.#processor?.open?.();
    this.#state.openPhase = false;
  }

  async close(): Promise<void> {
    await this.#processor?.close?.();
  }

  #makeOutput(): Output<O> {
    const { output, sides } = this.#options;
    const { record } = output;
    return {
      emit: (value, timestamp) => {
        if (!isTimestampOrNone(timestamp)) throw this.#invalid('a record that operator', 'emits', timestamp);
        record(value, timestamp);
      },
      side: (tag: OutputTag<unknown>, value: unknown, timestamp) => {
        if (!isTimestampOrNone(timestamp)) throw this.#invalid('a record that operator', `sends to side output \`${tag.id}\``, timestamp);
        (sides.get(tag.id) ?? nowhere).record(value, timestamp);
      },
    };
  }

  #invalid(what: string, does: string, timestamp: unknown): StreamError {
    return invalidTimestamp(`${what} \`${this.uid}\` ${does}`, timestamp, { uid: this.uid });
  }

  #askOnceForTimers(): void {
    if (this.#timers !== undefined || this.#derived !== undefined)
      throw new TypeError(`Expected operator \`${this.uid}\` to ask for \`timers\` or \`derivedTimers\` once`);
    this.#keyUsed = true;
  }

  /** What it throws says which operator failed. */
  #named<A>(fn: (argument: A) => void): (argument: A) => void {
    return (argument) => {
      try {
        fn(argument);
      } catch (error) {
        throw operatorFailure(this.uid, error);
      }
    };
  }

  #stateNumber(name: string): number {
    return this.#options.stateNumbers.get(name) ?? this.#nextState++;
  }

  get #downstream(): { watermark(timestamp: Timestamp): void; status(idle: boolean): void } {
    return (this.#behind ??= this.#holds ?? this.#afterHolds());
  }

  /** Behind the holds: the outputs, and the watermarks of all of them. */
  #afterHolds(): HoldsReceiver<O> {
    const { output, sides } = this.#options;
    const all = [output as Receiver<never>, ...sides.values()];
    return {
      record: output.record,
      side: (tag, value, timestamp) => (sides.get(tag) ?? nowhere).record(value, timestamp),
      watermark: (timestamp) => all.forEach((each) => each.watermark(timestamp)),
      status: (idle) => all.forEach((each) => each.status(idle)),
    };
  }

  #makeRecord(processor: Processor<I>): (value: I, timestamp: Timestamp) => void {
    const { uid, keys, keyed } = this.#options;
    const { counter } = this;
    const looked = (value: I, timestamp: Timestamp): void => {
      const returned: unknown = processor.process(value, timestamp);
      if (returned !== undefined) this.#refuseAsync(returned);
    };
    const process = processor.direct === true ? processor.process : looked;
    // The keyed edge counts, and says which operator failed.
    if (keyed) return process;
    const enters = this.#keyUsed;
    return (value, timestamp) => {
      counter[0] = (counter[0] ?? 0) + 1;
      if (enters) keys.enter(unkeyed);
      try {
        process(value, timestamp);
      } catch (error) {
        throw operatorFailure(uid, error);
      }
      if (enters) keys.leave();
    };
  }

  #refuseAsync(returned: unknown): never {
    if (isThenable(returned)) throw refusedPromise(`\`process\` of operator \`${this.uid}\``, returned);
    throw new StreamError('ASYNC_IN_TURN', `operator \`${this.uid}\` returned a value from \`process\`, which it should emit`);
  }

  #makeWork({ inFlightMax = defaultInFlightMax, pendingMax = 2 * inFlightMax }: WorkOptions): WorkQueue {
    const { services, number, keys } = this.#options;
    if (services.work === undefined) throw new TypeError(`Expected operator \`${this.uid}\` to run where work can run`);
    return new WorkQueue({
      operator: number,
      uid: this.uid,
      keys,
      rows: this.state(workRows),
      sequence: () => this.#workSequence.next(this.keyGroup()),
      keyGroup: () => this.keyGroup(),
      maxParallelism: services.maxParallelism,
      now: () => this.now(),
      place: this.place({ name: 'work', max: pendingMax }),
      inFlightMax,
      services: services.work,
    });
  }
}
