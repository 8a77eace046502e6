/**
 * What a user's window function is given and how it is called. One context object per operator is used again for every
 * call. Keeps I2 (per-window state is that of the key and window in hand) and I13 (a promise is refused).
 */
import { MIN_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import { isThenable, refusedPromise, refuseThenable, StreamError } from '../../lib/core/errors.ts';
import type { Key } from '../../lib/core/key.ts';
import { checkTimestamp } from '../../lib/core/timestamp.ts';
import type { MetricGroup } from '../../lib/core/metric.ts';
import type { OperatorContext } from '../../lib/core/operator.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { looseCopy } from '../../lib/core/own-copy.ts';
import { givenAway, mapState, type MapState } from '../../lib/core/state-descriptor.ts';
import { tooManyValues, valuesMaxDefault } from '../../lib/core/values-bound.ts';
import { openStates, type StateHandles, type StateSpec } from '../process.ts';
import { noContents } from './contents.ts';
import { lastOf, type TimeWindow } from './contract.ts';

/** What a window function may use while it is called. Not to be kept: it is the same object each time. */
export interface WindowContext<W = unknown, S = object, K = Key> {
  readonly key: K;
  /** The window that fires. Of one without end `end` is `Infinity`. */
  readonly window: TimeWindow;
  readonly watermark: Timestamp;
  /**
   * State of this key and window, as `ProcessWindowObject.windowState` began it: change its properties. It goes with
   * the window. Windows that merge have none.
   */
  readonly windowState: W;
  /** State of this key, shared by its windows. */
  readonly state: StateHandles<S>;
  readonly metrics: MetricGroup;
  /** `timestamp` @defaultValue that of the result: the window's last millisecond */
  side<X>(tag: OutputTag<X>, value: X, timestamp?: Timestamp): void;
  /** Time of this turn in milliseconds; the same in a replay. */
  now(): Timestamp;
}

/** A window function with state. */
export interface ProcessWindowObject<C, O, W = unknown, S extends StateSpec = StateSpec, K = Key> {
  /** What `ctx.windowState` is for a new window: a plain object. */
  readonly windowState?: () => W;
  readonly state?: S;
  /**
   * Gives what leaves with the window's last millisecond, or that of its newest element where the window has no end;
   * `undefined` leaves nothing. Called each time that the window fires.
   */
  process(contents: C, ctx: WindowContext<W, S, K>): O | undefined;
  /** Runs when the window goes, before its state does. Must not emit. */
  clear?(ctx: WindowContext<W, S, K>): void;
}

/**
 * Called when a window fires, with what it holds: all its elements, or the result of its aggregate. What it returns
 * leaves, with the window's last millisecond as its timestamp, unless it is undefined. (The context has no `emit`, so
 * that the type of the results is inferred; for several return a list, and flatten the stream.)
 */
export type ProcessWindowFunction<C, O, W = unknown, S extends StateSpec = StateSpec, K = Key> =
  ((contents: C, ctx: WindowContext<unknown, object, K>) => O | undefined) | ProcessWindowObject<C, O, W, S, K>;

export interface WindowCallOptions<C, O, W, S extends StateSpec, K extends Key> {
  readonly context: OperatorContext<O>;
  /** Says what the watermark is. */
  readonly timers: { readonly watermark: Timestamp };
  readonly fn: ProcessWindowFunction<C, O, W, S, K>;
  /** What the function returns is a list, whose members leave one by one. @defaultValue false */
  readonly spreads?: boolean | undefined;
}

/** Calls a window function for the current key. */
export class WindowCall<C, O, W, S extends StateSpec, K extends Key> implements WindowContext<W, S, K> {
  readonly state: StateHandles<S>;
  readonly #context: OperatorContext<O>;
  readonly #timers: { readonly watermark: Timestamp };
  readonly #user: ProcessWindowObject<C, O, W, S, K>;
  readonly #spreads: boolean;
  readonly #windowStates: MapState<number, W> | undefined;
  #window: TimeWindow = { start: MIN_TIMESTAMP, end: MIN_TIMESTAMP };
  /** That of a result. */
  #timestamp = MIN_TIMESTAMP;
  /** What the user's function may still send; undefined while none runs. */
  #left: number | undefined;
  #windowState: W | undefined;

  constructor({ context, timers, fn, spreads = false }: WindowCallOptions<C, O, W, S, K>) {
    this.#context = context;
    this.#timers = timers;
    this.#spreads = spreads;
    // A function is the short form of `process`.
    this.#user = typeof fn === 'function' ? { process: fn as ProcessWindowObject<C, O, W, S, K>['process'] } : fn;
    this.state = openStates(context, this.#user.state);
    if (this.#user.windowState !== undefined)
      this.#windowStates = context.state(givenAway(mapState<number, W>('window-state', { indexed: false })));
  }

  /** `slot`: where the window's own state stands. `timestamp`: that of the result. */
  fire(window: TimeWindow, slot: number, contents: C | typeof noContents, timestamp = lastOf(window)): void {
    if (contents === noContents) return;
    this.#enter(window, slot, timestamp);
    const returned = this.#user.process(contents, this);
    this.#left = undefined; // What throws need not come here: the job is over.
    const result = refuseThenable(returned, 'the window function', this.#context.uid);
    if (this.#windowState !== undefined) this.#windowStates?.set(slot, this.#windowState);
    if (this.#spreads) this.#emitEach(result, timestamp);
    else if (result !== undefined) this.#context.output.emit(result, timestamp);
  }

  clear(window: TimeWindow, slot: number, timestamp = lastOf(window)): void {
    if (this.#user.clear !== undefined) {
      this.#enter(window, slot, timestamp);
      const returned: unknown = this.#user.clear(this);
      this.#left = undefined;
      refuseThenable(returned, '`clear`', this.#context.uid);
    }
    this.#windowStates?.delete(slot);
  }

  get key(): K {
    return this.#context.currentKey() as K; // The stream in front of the windows says which keys there are.
  }

  get window(): TimeWindow {
    return this.#window;
  }

  get watermark(): Timestamp {
    return this.#timers.watermark;
  }

  get windowState(): W {
    if (this.#windowState === undefined)
      throw new TypeError('Expected a window function that uses `windowState` to say how a new one looks');
    return this.#windowState;
  }

  get metrics(): MetricGroup {
    return this.#context.metrics;
  }

  // Bound, so that a function may take it out of its context.
  readonly side = <X>(tag: OutputTag<X>, value: X, timestamp: Timestamp = this.#timestamp): void => {
    if (this.#left === undefined || isThenable(value)) throw this.#refusal(value);
    this.#left -= 1;
    if (this.#left < 0) throw this.#tooMany();
    if (timestamp !== this.#timestamp)
      checkTimestamp(timestamp, this.#context.uid, `a record that it sends to side output \`${tag.id}\``);
    this.#context.output.side(tag, value, timestamp);
  };

  readonly now = (): Timestamp => this.#context.now();

  #emitEach(results: unknown, timestamp: Timestamp): void {
    // The operator that asks for it gives a list.
    for (const result of results as readonly O[])
      this.#context.output.emit(refuseThenable(result, 'the window function', this.#context.uid), timestamp);
  }

  #refusal(value: unknown): StreamError {
    const { uid } = this.#context;
    if (isThenable(value)) return refusedPromise(`operator \`${uid}\``, value, { did: 'emitted', details: { uid } });
    return new StreamError('EMIT_OUTSIDE_TURN', `operator \`${uid}\` emitted while its window function did not run`, {
      hint: 'use `side` before the window function returns',
      details: { uid },
    });
  }

  #tooMany(): StreamError {
    const { uid } = this.#context;
    return tooManyValues(`a window of operator \`${uid}\``, valuesMaxDefault, {
      uid,
      hint: 'what a window gives leaves at once, and nothing else happens meanwhile: send fewer',
    });
  }

  /** A copy: it may be one object for all windows, and user code changes it (I21). */
  #newState(): W | undefined {
    return looseCopy(refuseThenable(this.#user.windowState?.(), '`windowState`', this.#context.uid));
  }

  #enter(window: TimeWindow, slot: number, timestamp: Timestamp): void {
    this.#window = window;
    this.#timestamp = timestamp;
    this.#left = valuesMaxDefault;
    this.#windowState = this.#windowStates?.get(slot) ?? this.#newState();
  }
}
