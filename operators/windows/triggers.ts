/** Triggers that go by the elements of a window, and those that change what another trigger says. */
import type { Timestamp } from '../../lib/core/element.ts';
import { MAX_TIMESTAMP } from '../../lib/core/element.ts';
import { callable, flag, integer, knownOptions, withMethods, type Duration } from '../../lib/core/options.ts';
import type { TimeDomain } from '../../lib/core/timer.ts';
import type { TimeWindow, Trigger, TriggerContext, TriggerResult } from './contract.ts';
import { wholeMs } from './whole-ms.ts';

export interface CountTriggerOptions {
  /**
   * Fires at the end of the input too, when elements have come since it fired last. @defaultValue false, as in Flink
   */
  readonly tail?: boolean | undefined;
}

const countOf = (state: unknown): number => (typeof state === 'number' ? state : 0);

/**
 * Fires at each `n`th element of a window. It counts on when what the window holds is purged.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('1m'));
 * const counts = windows.trigger(CountTrigger.of(2)).process((values) => values.length);
 * console.log(await counts.executeAndCollect()); // prints [ 2 ]
 */
export const CountTrigger = {
  /** `n`: an integer from 1 up. */
  of: (n: number, options: CountTriggerOptions = {}): Trigger => {
    integer('n', n, { min: 1 });
    knownOptions('CountTrigger.of', options, { tail: true });
    const tail = flag('tail', options.tail ?? false);
    const atTheEnd = {
      onEventTime: (time: Timestamp, _window: TimeWindow, ctx: TriggerContext): TriggerResult =>
        time === MAX_TIMESTAMP && countOf(ctx.state) > 0 ? 'fire' : 'continue',
      clear: (_window: TimeWindow, ctx: TriggerContext) => ctx.delete(MAX_TIMESTAMP),
    };
    return {
      onElement(_value, _timestamp, _window, ctx) {
        const count = countOf(ctx.state) + 1;
        ctx.state = count < n ? count : undefined;
        if (tail) ctx.register(MAX_TIMESTAMP);
        return count < n ? 'continue' : 'fire';
      },
      onMerge(_window, ctx, states) {
        const count = states.reduce<number>((sum, state) => sum + countOf(state), 0);
        ctx.state = count === 0 ? undefined : count;
        if (tail) ctx.register(MAX_TIMESTAMP);
      },
      ...(tail && atTheEnd),
      toString: () => `CountTrigger(${n})`,
    };
  },
};

/**
 * Fires when an element differs from that of the last result by more than a threshold; the first one of a window is
 * what the others are compared with.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(GlobalWindows.create());
 * const jumps = windows.trigger(DeltaTrigger.of(10, (last: Order, next) => Math.abs(next.euros - last.euros)));
 * console.log(await jumps.process((values) => values.length).executeAndCollect()); // prints [ 2, 3 ]
 */
export const DeltaTrigger = {
  of: <T>(threshold: number, delta: (last: T, next: T) => number): Trigger<T> => {
    callable('delta', delta);
    return {
      onElement(value, _timestamp, _window, ctx) {
        const last = ctx.state as { readonly of: T } | undefined; // Nothing else is put in.
        if (last !== undefined && !(delta(last.of, value) > threshold)) return 'continue';
        ctx.state = { of: value };
        return last === undefined ? 'continue' : 'fire';
      },
      toString: () => `DeltaTrigger(${threshold})`,
    };
  },
};

const purged = (result: TriggerResult): TriggerResult => (result === 'fire' ? 'fire-and-purge' : result);

/**
 * Fires when another trigger does, and then lets go of what the window held: each result is of the elements since the
 * one before.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(GlobalWindows.create());
 * const ones = windows.trigger(PurgingTrigger.of(CountTrigger.of(1))).process((values) => values.length);
 * console.log(await ones.executeAndCollect()); // prints [ 1, 1, 1 ]
 */
export const PurgingTrigger = {
  of: <T>(trigger: Trigger<T>): Trigger<T> => {
    withMethods('trigger', trigger, 'a Trigger', ['onElement']);
    return {
      initialState: trigger.initialState,
      onElement: (value, timestamp, window, ctx) => purged(trigger.onElement(value, timestamp, window, ctx)),
      onEventTime: (time, window, ctx) => purged(trigger.onEventTime?.(time, window, ctx) ?? 'continue'),
      onProcessingTime: (time, window, ctx) => purged(trigger.onProcessingTime?.(time, window, ctx) ?? 'continue'),
      ...(trigger.onMerge && {
        onMerge: (window: TimeWindow, ctx: TriggerContext, states: readonly unknown[]) =>
          trigger.onMerge?.(window, ctx, states),
      }),
      clear: (window, ctx) => trigger.clear?.(window, ctx),
      toString: () => `PurgingTrigger(${trigger})`,
    };
  },
};

export interface ProcessingTimeoutOptions {
  /** Each element begins the time anew; else it counts from the first one. @defaultValue false */
  readonly resetTimerOnNewRecord?: boolean | undefined;
  /** The other trigger begins anew when the time is over. @defaultValue false */
  readonly shouldClearOnTimeout?: boolean | undefined;
}

/** What a timeout keeps: when it is, and what the other trigger keeps. */
interface TimeoutState {
  readonly at: Timestamp | undefined;
  readonly inner: unknown;
}

/** The context of the trigger inside: its own state, and all else as outside. */
class InnerContext implements TriggerContext {
  readonly #initialState: () => unknown;
  #outer: TriggerContext | undefined;

  constructor(initialState: (() => unknown) | undefined) {
    this.#initialState = initialState ?? (() => undefined);
  }

  in(outer: TriggerContext): this {
    this.#outer = outer;
    return this;
  }

  get outer(): TriggerContext {
    if (this.#outer === undefined)
      throw new TypeError('Expected a trigger context to be used while its trigger is called');
    return this.#outer;
  }

  get kept(): TimeoutState {
    // Nothing else is put in.
    return (this.outer.state as TimeoutState | undefined) ?? { at: undefined, inner: this.#initialState() };
  }

  get state(): unknown {
    return this.kept.inner;
  }

  set state(inner: unknown) {
    this.keep({ ...this.kept, inner });
  }

  keep(state: TimeoutState): void {
    this.outer.state = state.at === undefined && state.inner === undefined ? undefined : state;
  }

  get watermark(): Timestamp {
    return this.outer.watermark;
  }

  now(): Timestamp {
    return this.outer.now();
  }

  register(time: Timestamp, domain?: TimeDomain): void {
    this.outer.register(time, domain);
  }

  delete(time: Timestamp, domain?: TimeDomain): void {
    this.outer.delete(time, domain);
  }
}

/**
 * Fires when another trigger does, and when this time has passed by the clock since its first element, or the last one.
 *
 * @example
 * const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(100), '5s', { shouldClearOnTimeout: true });
 * const batches = orders.keyBy(() => 'all').window(GlobalWindows.create()).trigger(PurgingTrigger.of(trigger));
 * batches.process((values) => values.length).print();
 */
export const ProcessingTimeoutTrigger = {
  /** `timeout`: whole milliseconds from 1 up. */
  of: <T>(trigger: Trigger<T>, timeout: Duration, options: ProcessingTimeoutOptions = {}): Trigger<T> => {
    withMethods('trigger', trigger, 'a Trigger', ['onElement']);
    const timeoutMs = wholeMs('timeout', timeout, 1);
    const names = { resetTimerOnNewRecord: true, shouldClearOnTimeout: true } as const;
    knownOptions('ProcessingTimeoutTrigger.of', options, names);
    const resets = flag('resetTimerOnNewRecord', options.resetTimerOnNewRecord ?? false);
    const clears = flag('shouldClearOnTimeout', options.shouldClearOnTimeout ?? false);
    const context = new InnerContext(trigger.initialState);
    const clear = (window: TimeWindow, ctx: TriggerContext): void => {
      const inner = context.in(ctx);
      if (inner.kept.at !== undefined) ctx.delete(inner.kept.at, 'processing');
      trigger.clear?.(window, inner);
      ctx.state = undefined;
    };
    const timed = (result: TriggerResult, window: TimeWindow, ctx: TriggerContext): TriggerResult => {
      if (clears) clear(window, ctx);
      return result === 'purge' || result === 'fire-and-purge' ? 'fire-and-purge' : 'fire';
    };
    return {
      onElement(value, timestamp, window, ctx) {
        const inner = context.in(ctx);
        const result = trigger.onElement(value, timestamp, window, inner);
        if (result === 'fire' || result === 'fire-and-purge') {
          clear(window, ctx);
          return result;
        }
        const { at, inner: state } = inner.kept;
        if (at !== undefined && !resets) return result;
        if (at !== undefined) ctx.delete(at, 'processing');
        const due = ctx.now() + timeoutMs;
        inner.keep({ at: due, inner: state });
        ctx.register(due, 'processing');
        return result;
      },
      onEventTime: (time, window, ctx) =>
        timed(trigger.onEventTime?.(time, window, context.in(ctx)) ?? 'continue', window, ctx),
      onProcessingTime: (time, window, ctx) =>
        timed(trigger.onProcessingTime?.(time, window, context.in(ctx)) ?? 'continue', window, ctx),
      clear,
      toString: () => `ProcessingTimeoutTrigger(${trigger}, ${timeoutMs})`,
    };
  },
};
