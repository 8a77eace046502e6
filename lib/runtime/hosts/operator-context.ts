/**
 * What an operator is given: its capabilities, and nothing of the host that runs it. What it has asked for stands in
 * `Asked`, where its host finds it. Keeps I2 and I13.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import type { Logger } from '../../core/logger.ts';
import type { MetricGroup } from '../../core/metric.ts';
import type { HoldOptions, Holds } from '../../core/hold.ts';
import type { OperatorContext, Output, Place, PlaceOptions } from '../../core/operator.ts';
import type { OutputTag } from '../../core/output-tag.ts';
import { mapState, unshared, type StateDescriptor } from '../../core/state-descriptor.ts';
import type { OperatorStateHandle } from '../../core/operator-state.ts';
import type { Ttl } from '../../core/state-ttl.ts';
import type { DerivedTimer, DerivedTimerOptions, DerivedTimers, Timer, Timers } from '../../core/timer.ts';
import type { Work, Worker, WorkOptions } from '../../core/work.ts';
import { flag, integer, knownOptions, oneOf, refusal, type OptionNames } from '../../core/options.ts';
import { deepFreeze, ownCopy } from '../../core/own-copy.ts';
import type { TimersAtEnd } from '../../core/timers-at-end.ts';
import { checkTimestamp } from '../../core/timestamp.ts';
import { agedDescriptor, Aging } from '../../state/aged.ts';
import type { KeyContext } from '../../state/key-context.ts';
import type { OperatorState, WorkingSet } from '../../state/keyed-state.ts';
import { operatorHandle } from '../../state/operator-handle.ts';
import { TimerService } from '../../state/timers.ts';
import { ttlHandle, type Expiring } from '../../state/ttl-handles.ts';
import type { Partitioning } from '../edges/graph.ts';
import { heldRows, HoldQueue, holdRows, type HoldsReceiver } from '../edges/holds.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import type { Later } from '../edges/later.ts';
import type { Places } from '../edges/places.ts';
import type { Receiver } from '../edges/receiver.ts';
import { WorkQueue, workRows, type WorkServices } from '../work/work.ts';
import { checkedHolds, checkedOutput } from './checked-output.ts';
import { SideOutputs } from './side-outputs.ts';
import { Sequence } from './sequence.ts';

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
  /** @defaultValue nobody listens */
  readonly logger?: Pick<Logger, 'warn'> | undefined;
  /** What becomes of processing-time timers at the end of input. @defaultValue 'drop' */
  readonly timersAtEnd?: TimersAtEnd | undefined;
  /** Freeze all that user code is given: a test mode. */
  readonly freeze?: boolean | undefined;
  /** Time of the turn in progress; recorded with it. */
  now(): Timestamp;
  /** What is left for slices, when more is due than a turn takes. Without it a turn takes all. */
  readonly later?: Later | undefined;
}

export interface ContextOptions<O> {
  readonly uid: string;
  /** The operator's number in the uid dictionary. */
  readonly number: number;
  /**
   * Numbers of the states that the checkpoint holds, by name: a state keeps its number whatever is declared beside it.
   */
  readonly stateNumbers: ReadonlyMap<string, number>;
  /** The number of the next state that the checkpoint does not hold. */
  readonly nextState: number;
  /** For each input how records come to it. The edge of a `hash` one enters and leaves the key context. */
  readonly inputs: readonly Partitioning['kind'][];
  /** The key context of the edges in front. */
  readonly keys: KeyContext;
  readonly output: Receiver<O>;
  /** Receivers of the side outputs by tag id. */
  readonly sides: ReadonlyMap<string, Receiver<unknown>>;
  /** Ids of tags of which the start of the job has said that nobody reads them. */
  readonly toldUnread?: readonly string[] | undefined;
  readonly services: HostServices;
  /** It is a user's own: the timestamps that it hands on are checked. */
  readonly foreign?: boolean | undefined;
}

/** What one operator has asked for. */
export class Asked<O> {
  /**
   * Numbers of the operator, and of its work: how much work was submitted before must not show in the operator's own
   * numbers.
   */
  readonly sequence = new Sequence();
  readonly workSequence = new Sequence();
  /** Handles of its states by name. */
  readonly states = new Map<string, unknown>();
  /** What it keeps for no key. */
  ofOperator: OperatorState | undefined;
  timers: TimerService | undefined;
  /** Of derived ones: what they depend on. */
  timersDependOn: string | undefined;
  holds: HoldQueue<O> | undefined;
  work: WorkQueue | undefined;
  /** The operator is made: what it asked for later would be restored by nobody, and brought nothing. */
  isComplete = false;

  /** Whether a key has to be current while the operator works. */
  get usesKey(): boolean {
    return this.states.size > 0 || this.timers !== undefined;
  }
}

/** Behind an operator: its main output, and the watermarks of all outputs. */
export const behindHolds = <O>({ output, sides }: Pick<ContextOptions<O>, 'output' | 'sides'>): Receiver<O> => {
  const all = [output, ...sides.values()]; // No record is given to them as one of all.
  return {
    record: output.record,
    watermark: (timestamp) => all.forEach((each) => each.watermark(timestamp)),
    status: (idle) => all.forEach((each) => each.status(idle)),
  };
};

const defaultInFlightMax = 1000;

const workOptionNames = {
  inFlightMax: true,
  pendingMax: true,
  timeout: true,
} as const satisfies OptionNames<WorkOptions>;

const holdOptionNames = {
  order: true,
  overtakeWatermarks: true,
  keyOrder: true,
} as const satisfies OptionNames<HoldOptions>;

export class HostContext<O> implements OperatorContext<O> {
  readonly uid: string;
  readonly jobId: string;
  readonly metrics: MetricGroup;
  readonly #options: ContextOptions<O>;
  readonly #state: OperatorState;
  readonly #asked: Asked<O>;
  readonly #sides: SideOutputs;
  /** States that have a time to live, by number. */
  readonly #expiring = new Map<number, Expiring>();
  #output: Output<O> | undefined;
  #nextState: number;

  constructor(options: ContextOptions<O>, state: OperatorState, asked: Asked<O>) {
    const { uid, services, sides, toldUnread } = options;
    this.uid = uid;
    this.jobId = services.jobId;
    this.metrics = services.metrics(uid);
    this.#options = options;
    this.#state = state;
    this.#asked = asked;
    this.#sides = new SideOutputs({
      uid,
      read: sides,
      metrics: this.metrics,
      logger: services.logger,
      told: toldUnread,
    });
    this.#nextState = options.nextState;
  }

  get branch(): number {
    return this.#options.services.branch();
  }

  get output(): Output<O> {
    return (this.#output ??= this.#makeOutput());
  }

  state<H>(descriptor: StateDescriptor<H>): H {
    this.#askInTime('state');
    const { name, ttl } = descriptor;
    const number = this.#options.stateNumbers.get(name) ?? this.#nextState++;
    const handle = ttl === undefined ? this.#state.state(descriptor, number) : this.#aging(descriptor, ttl, number);
    this.#asked.states.set(name, handle);
    return handle as H; // A descriptor's kind says its handle, with a time to live or without one.
  }

  operatorState<H>(descriptor: StateDescriptor<H>): OperatorStateHandle<H> {
    this.#askInTime('operatorState');
    const { name, kind, ttl } = descriptor;
    if (this.#asked.states.has(name)) throw new TypeError(`Expected state '${name}' to be asked for once`);
    if (ttl !== undefined) throw refusal('ttl', 'left out: state of the operator lives as long as the job', ttl);
    const { number, services, stateNumbers, keys, inputs } = this.#options;
    const own = (this.#asked.ofOperator ??= services.workingSet.ofOperator(number));
    const inner = own.state({ ...descriptor, ofOperator: true }, stateNumbers.get(name) ?? this.#nextState++);
    const handle = operatorHandle(kind, inner, {
      own,
      keys,
      isShared: inputs.some((each) => each !== 'forward'),
    });
    this.#asked.states.set(name, handle);
    return handle as OperatorStateHandle<H>; // Its methods are those of the kind.
  }

  /** The operator is made. State that goes by itself needs timers, also where the operator has none. */
  complete(): void {
    this.#asked.isComplete = true;
    if (this.#expiring.size > 0) this.#asked.timers ??= this.#makeTimers(() => {}, true);
  }

  timers(onTimer: (timer: Timer) => void): Timers {
    this.#askOnceForTimers();
    const timers = this.#makeTimers(onTimer, true);
    this.#asked.timers = timers;
    return {
      get watermark() {
        return timers.watermark;
      },
      register: (timestamp, { namespace = 0, domain = 'event' } = {}) => {
        this.#checkTimer(timestamp);
        timers.register(timestamp, namespace, domain);
      },
      delete: (timestamp, { namespace = 0, domain = 'event' } = {}) => timers.delete(timestamp, namespace, domain),
    };
  }

  derivedTimers(onTimer: (timer: DerivedTimer) => void, options: DerivedTimerOptions = {}): DerivedTimers {
    this.#askOnceForTimers();
    knownOptions('derivedTimers', options, { dependsOn: true });
    const derived = this.#makeTimers(onTimer, false);
    this.#asked.timers = derived;
    this.#asked.timersDependOn = options.dependsOn ?? '';
    if (this.#options.foreign !== true) return derived;
    return {
      get watermark() {
        return derived.watermark;
      },
      get isAnew() {
        return derived.isAnew;
      },
      register: (timestamp, namespace) => {
        this.#checkTimer(timestamp);
        derived.register(timestamp, namespace);
      },
    };
  }

  work<W, R>(worker: Worker<W, R>, options: WorkOptions = {}): Work<W> {
    this.#askInTime('work');
    knownOptions('work', options, workOptionNames);
    if (this.#asked.work !== undefined && (options.inFlightMax !== undefined || options.pendingMax !== undefined))
      throw new TypeError(`Expected operator \`${this.uid}\` to bound its work once, with its first worker`);
    this.#asked.work ??= this.#makeWork(options);
    return this.#asked.work.register(worker, options);
  }

  holds(options: HoldOptions = {}): Holds<O> {
    this.#askInTime('holds');
    if (this.#asked.holds !== undefined)
      throw new TypeError(`Expected operator \`${this.uid}\` to ask for \`holds\` once`);
    checkHolds(options);
    const { keys, foreign = false } = this.#options;
    const out: HoldsReceiver<O> = {
      ...behindHolds(this.#options),
      side: (tag, value, timestamp) => this.#sides.of(tag).record(value, timestamp),
    };
    // What the engine's own operators emit in a hold has come out of their work, and is theirs.
    const held = this.state(foreign ? heldRows : unshared(heldRows));
    const { later } = this.#options.services;
    const holds = new HoldQueue({ ...options, keys, holds: this.state(holdRows), held, out, later });
    this.#asked.holds = holds;
    return foreign ? checkedHolds(this.uid, holds) : holds;
  }

  currentKey(): ReturnType<OperatorContext<O>['currentKey']> {
    return this.#options.keys.key;
  }

  keyGroup(): number {
    return this.#options.keys.group(this.#options.services.maxParallelism);
  }

  sequence(): number {
    return this.#asked.sequence.next(this.keyGroup());
  }

  handOver<T>(value: T): T {
    const copy = ownCopy(value);
    return this.#options.services.freeze === true ? deepFreeze(copy) : copy;
  }

  now(): Timestamp {
    return this.#options.services.now();
  }

  place({ name, max }: PlaceOptions): Place {
    this.#askInTime('place');
    return this.#options.services.places.make({ name: `${this.uid}.${name}`, max: integer('max', max, { min: 1 }) });
  }

  #makeOutput(): Output<O> {
    const { output, foreign } = this.#options;
    const made: Output<O> = {
      emit: output.record,
      side: (tag: OutputTag<unknown>, value: unknown, timestamp) => this.#sides.of(tag.id).record(value, timestamp),
      isRead: (tag) => this.#sides.isRead(tag.id),
    };
    return foreign === true ? checkedOutput(this.uid, made) : made;
  }

  #askInTime(what: keyof OperatorContext<O>): void {
    if (this.#asked.isComplete)
      throw new TypeError(`Expected operator \`${this.uid}\` to ask for \`${what}\` when it is made, and not later`);
  }

  #aging(descriptor: StateDescriptor<unknown>, ttl: Ttl, number: number): unknown {
    const { keys, services } = this.#options;
    const timers = (): TimerService | undefined => this.#asked.timers;
    const aging = new Aging({
      descriptor,
      ttl,
      keys,
      freeze: services.freeze === true,
      now: () => (ttl.time === 'event' ? (timers()?.watermark ?? MIN_TIMESTAMP) : this.now()),
      register: (due) => timers()?.register(due, number, `${ttl.time}-expiry`),
    });
    const isIndexed = descriptor.kind === 'map' && ttl.cleanup === 'background';
    const handle = ttlHandle(descriptor, aging, {
      inner: this.#state.state(agedDescriptor(descriptor), number),
      index: isIndexed
        ? this.state(unshared(mapState<string, true>(`expiry of ${descriptor.name}`, { ordered: true })))
        : undefined,
    });
    this.#expiring.set(number, handle);
    return handle;
  }

  #makeTimers(onTimer: (timer: Timer) => void, unique: boolean): TimerService {
    const { keys, number, services } = this.#options;
    const { maxParallelism, workingSet } = services;
    const fire = this.#named(onTimer);
    const expire = this.#named(({ namespace, timestamp }: Timer) => this.#expiring.get(namespace)?.expire(timestamp));
    return new TimerService({ op: number, keys, maxParallelism, unique, store: workingSet.store, fire, expire });
  }

  #checkTimer(timestamp: Timestamp): void {
    // At the end of the input: that timer fires with the final watermark.
    if (timestamp !== MAX_TIMESTAMP) checkTimestamp(timestamp, this.uid, 'a timer that it registers');
  }

  #askOnceForTimers(): void {
    this.#askInTime('timers');
    if (this.#asked.timers !== undefined)
      throw new TypeError(`Expected operator \`${this.uid}\` to ask for \`timers\` or \`derivedTimers\` once`);
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

  #makeWork({ inFlightMax = defaultInFlightMax, pendingMax = 2 * inFlightMax }: WorkOptions): WorkQueue {
    const { services, number, keys } = this.#options;
    integer('inFlightMax', inFlightMax, { min: 1 });
    integer('pendingMax', pendingMax, { min: 1 });
    if (services.work === undefined) throw new TypeError(`Expected operator \`${this.uid}\` to run where work can run`);
    return new WorkQueue({
      operator: number,
      uid: this.uid,
      keys,
      rows: this.state(workRows),
      sequence: () => this.#asked.workSequence.next(this.keyGroup()),
      keyGroup: () => this.keyGroup(),
      maxParallelism: services.maxParallelism,
      now: () => this.now(),
      place: this.place({ name: 'work', max: pendingMax }),
      inFlightMax,
      services: services.work,
    });
  }
}

const checkHolds = (options: HoldOptions): void => {
  knownOptions('holds', options, holdOptionNames);
  const { order = 'completion', overtakeWatermarks = false, keyOrder = false } = options;
  oneOf('order', order, ['completion', 'arrival']);
  flag('overtakeWatermarks', overtakeWatermarks);
  flag('keyOrder', keyOrder);
  if (order === 'arrival' && overtakeWatermarks)
    throw refusal(
      'overtakeWatermarks',
      "false or left out with order 'arrival', which lets no result overtake another",
      true,
    );
};
