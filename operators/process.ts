/**
 * `process`: a user's own function with state, timers and side outputs. One context object per operator is used again
 * for every record, so nothing is allocated on the way. Keeps I2 (the handles throw outside a turn) and I13 (a promise
 * is refused).
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { isThenable, refusedPromise, refuseThenable, StreamError } from '../lib/core/errors.ts';
import type { Key } from '../lib/core/key.ts';
import { integer } from '../lib/core/options.ts';
import { tooManyValues, valuesMaxDefault } from '../lib/core/values-bound.ts';
import { checkTimestamp } from '../lib/core/timestamp.ts';
import type { MetricGroup } from '../lib/core/metric.ts';
import type { Operator, OperatorContext, Output, Processor } from '../lib/core/operator.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import type { StateDescriptor } from '../lib/core/state-descriptor.ts';
import type { Timer, Timers } from '../lib/core/timer.ts';

/** States by the name they have on `ctx.state`. Each descriptor's own name is the stored one. */
export type StateSpec = Readonly<Record<string, StateDescriptor<unknown>>>;

/** The handles of a `StateSpec`. */
export type StateHandles<S> = { readonly [N in keyof S]: S[N] extends StateDescriptor<infer H> ? H : never };

/**
 * What a process function may use while it handles a record or a timer. Not to be kept: it is the same object each
 * time.
 */
export interface ProcessContext<O, S = object, K = Key> {
  /** Key of the record or timer in hand. */
  readonly key: K;
  /** Timestamp of the record, or of the event-time timer; `MIN_TIMESTAMP` where there is none. */
  readonly timestamp: Timestamp;
  readonly state: StateHandles<S>;
  /** Throws unless the function has `onTimer`. */
  readonly timers: Timers;
  readonly metrics: MetricGroup;
  /**
   * Hands on a value. Which type that is can't be inferred from calls of `emit`, so it must be said:
   * `process<Summary>(...)`, or `emits: type<Summary>()` in an object; unsaid it is `never`. `timestamp` @defaultValue
   * that of the record or timer in hand; what is no finite number is refused with `TIMESTAMP_INVALID`
   */
  emit(value: O, timestamp?: Timestamp): void;
  /** Hands on a value to a side output. `timestamp` as for `emit`. */
  side<X>(tag: OutputTag<X>, value: X, timestamp?: Timestamp): void;
  /** Time of this turn in milliseconds; the same in a replay. */
  now(): Timestamp;
}

/** Carries the type of a function's results; see `ProcessObject.emits`. */
export interface TypeOf<O> {
  readonly type?: O;
}

/**
 * Names a type where a value is needed: `emits: type<Summary>()` says what a process function emits.
 *
 * @example
 * const large = orders.process({
 *   emits: type<number>(),
 *   process({ id, euros }, ctx) {
 *     if (euros > 20) ctx.emit(id);
 *   },
 * });
 * console.log(await large.executeAndCollect()); // prints [ 1, 3 ]
 */
export const type = <O>(): TypeOf<O> => ({});

export interface ProcessObject<I, O, S extends StateSpec = StateSpec, K = Key> {
  /** The type of what is emitted, since it can't be inferred from calls of `ctx.emit`. */
  readonly emits?: TypeOf<O>;
  readonly state?: S;
  /** Runs once before the first turn; state may be visited by `forEachKey`. Must not emit. */
  open?(ctx: ProcessContext<O, S, K>): void | Promise<void>;
  /** Handles a record. Results are emitted; one that is returned, or a promise, is refused. */
  process(value: I, ctx: ProcessContext<O, S, K>): void;
  /** Handles a timer of a key, which is the current one then. */
  onTimer?(timer: Timer, ctx: ProcessContext<O, S, K>): void;
  /** Runs when the job stops or fails, if the operator was opened. */
  close?(): void | Promise<void>;
  /**
   * Values of one record or timer, side outputs too. They leave at once, and nothing else happens meanwhile, so one
   * more fails with `VALUES_EXCEEDED`. From 1. @defaultValue 1_000_000
   */
  readonly valuesMax?: number | undefined;
}

/** A function of value and context, or an object of such functions with state. `K` is the type of the keys. */
export type ProcessFunction<I, O, S extends StateSpec = StateSpec, K = Key> =
  ((value: I, ctx: ProcessContext<O, object, K>) => void) | ProcessObject<I, O, S, K>;

/**
 * Makes an operator of a process function.
 *
 * @example
 * const counts = processOperator({
 *   emits: type<string>(),
 *   state: { count: valueState<number>('count') },
 *   process(word: string, ctx) {
 *     const count = (ctx.state.count.value() ?? 0) + 1;
 *     ctx.state.count.update(count);
 *     ctx.emit(`${word} ${count}`);
 *   },
 * });
 * const harness = await OperatorHarness.open(counts, { keyOf: (word) => word });
 * harness.element('a', 0);
 * console.log(harness.element('a', 5)); // prints [ { kind: 'record', value: 'a 2', timestamp: 5 } ]
 */
export const process = <I, O = never, S extends StateSpec = StateSpec, K extends Key = Key>(
  fn: ProcessFunction<I, O, S, K>,
): Operator<I, O> => {
  // The stream in front of the operator says which keys there are.
  const user = (typeof fn === 'function' ? { process: fn } : fn) as ProcessObject<I, O, S>;
  checkValuesMax(user);
  return (context) => {
    const ctx = new ReusedContext(context, user);
    const frame = frameOf(context, ctx, user);
    return {
      process(value, timestamp) {
        ctx.enter(timestamp);
        const returned = user.process(value, ctx);
        ctx.leave();
        return returned; // The engine looks at it, and refuses a promise.
      },
      ...frame,
    };
  };
};

/** What the calls of a user's functions need of their context. */
type Entered = Pick<ReusedContext<never, StateSpec>, 'enter' | 'leave' | 'useTimers'>;

/** What a user's functions have beside those that take records. `C` is their context. */
interface AroundRecords<C> {
  open?(ctx: C): void | Promise<void>;
  onTimer?(timer: Timer, ctx: C): void;
  close?(): void | Promise<void>;
}

/** Refuses a bound that is none. */
export const checkValuesMax = ({
  valuesMax = valuesMaxDefault,
}: Pick<ProcessObject<never, never>, 'valuesMax'>): void => void integer('valuesMax', valuesMax, { min: 1 });

/** What is the same for any number of inputs: the timers, how the functions open and close. */
export const frameOf = <C extends Entered>(
  context: OperatorContext<never>,
  ctx: C,
  user: AroundRecords<NoInfer<C>>,
): Pick<Processor<never>, 'open' | 'close'> => {
  if (user.onTimer !== undefined) ctx.useTimers(context.timers((timer) => onTimer(timer)));
  const onTimer = (timer: Timer): void => {
    ctx.enter(timer.domain === 'event' ? timer.timestamp : MIN_TIMESTAMP);
    const returned: unknown = user.onTimer?.(timer, ctx);
    ctx.leave();
    refuseThenable(returned, '`onTimer`', context.uid);
  };
  const { open, close } = user;
  return {
    ...(open && { open: async () => open.call(user, ctx) }),
    ...(close && { close: async () => close.call(user) }),
  };
};

/** Makes the handles of a spec, for user code. */
export const openStates = <S extends StateSpec>(
  context: OperatorContext<never>,
  spec: S | undefined,
): StateHandles<S> => {
  const handles: Record<string, unknown> = {};
  for (const [name, descriptor] of Object.entries(spec ?? {})) handles[name] = context.state(descriptor);
  return handles as StateHandles<S>; // Name by name what the mapped type says.
};

export type ReusedContextOptions<S extends StateSpec> = Pick<ProcessObject<never, never, S>, 'state' | 'valuesMax'>;

/** The context of a function's calls: one object, entered and left for each. */
export class ReusedContext<O, S extends StateSpec> implements ProcessContext<O, S> {
  readonly state: StateHandles<S>;
  timestamp = MIN_TIMESTAMP;
  readonly #context: OperatorContext<O>;
  readonly #output: Output<O>;
  #timers: Timers | undefined;
  readonly #valuesMax: number;
  /** What the user's function may still give. */
  #left = 0;
  #running = false;

  constructor(context: OperatorContext<O>, { state, valuesMax = valuesMaxDefault }: ReusedContextOptions<S>) {
    this.#context = context;
    this.#output = context.output;
    this.state = openStates(context, state);
    this.#valuesMax = valuesMax;
  }

  get key(): Key {
    return this.#context.currentKey();
  }

  get timers(): Timers {
    if (this.#timers === undefined)
      throw new TypeError('Expected a process function that uses `timers` to have `onTimer`');
    return this.#timers;
  }

  get metrics(): MetricGroup {
    return this.#context.metrics;
  }

  useTimers(timers: Timers): void {
    this.#timers = timers;
  }

  /** The user's function runs. What throws need not leave: the job is over. */
  enter(timestamp: Timestamp): void {
    this.timestamp = timestamp;
    this.#left = this.#valuesMax;
    this.#running = true;
  }

  leave(): void {
    this.#running = false;
  }

  // Bound, so that a function may take them out of its context.
  readonly emit = (value: O, timestamp: Timestamp = this.timestamp): void => {
    if (!this.#running || isThenable(value)) throw this.#refusal(value);
    this.#left -= 1;
    if (this.#left < 0) throw this.#tooMany();
    // That of the record in hand may be none; another one is a time.
    if (timestamp !== this.timestamp) checkTimestamp(timestamp, this.#context.uid, 'a record that it emits');
    this.#output.emit(value, timestamp);
  };

  readonly side = <X>(tag: OutputTag<X>, value: X, timestamp: Timestamp = this.timestamp): void => {
    if (!this.#running || isThenable(value)) throw this.#refusal(value);
    this.#left -= 1;
    if (this.#left < 0) throw this.#tooMany();
    if (timestamp !== this.timestamp)
      checkTimestamp(timestamp, this.#context.uid, `a record that it sends to side output \`${tag.id}\``);
    this.#output.side(tag, value, timestamp);
  };

  /** A value is emitted while a record or timer is in hand, and is there already. */
  #refusal(value: unknown): StreamError {
    const { uid } = this.#context;
    if (isThenable(value)) return refusedPromise(`operator \`${uid}\``, value, { did: 'emitted' });
    return new StreamError('EMIT_OUTSIDE_TURN', `operator \`${uid}\` emitted while it handled no record and no timer`, {
      hint: 'emit before `process` or `onTimer` returns; use `asyncMap` for work that waits',
    });
  }

  #tooMany(): StreamError {
    const { uid } = this.#context;
    return tooManyValues(`operator \`${uid}\``, this.#valuesMax, { uid });
  }

  readonly now = (): Timestamp => this.#context.now();
}
