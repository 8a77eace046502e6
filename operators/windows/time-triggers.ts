/** Triggers that go by time alone: once at the end of a window, or again and again before it. */
import { MAX_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import { knownOptions, withMethods, type Duration } from '../../lib/core/options.ts';
import type { TimeDomain } from '../../lib/core/timer.ts';
import { lastOf, type TimeWindow, type Trigger, type TriggerContext } from './contract.ts';
import { wholeMs } from './whole-ms.ts';

/** Fires when the watermark reaches the end of the window, and at once for each element that comes later. */
const atEnd: Trigger<unknown> = {
  onElement(_value, _timestamp, window, ctx) {
    if (lastOf(window) <= ctx.watermark) return 'fire';
    ctx.register(lastOf(window));
    return 'continue';
  },
  onEventTime: (time, window) => (time === lastOf(window) ? 'fire' : 'continue'),
  onMerge(window, ctx) {
    if (lastOf(window) > ctx.watermark) ctx.register(lastOf(window));
  },
  clear: (window, ctx) => ctx.delete(lastOf(window)),
  toString: () => 'EventTimeTrigger()',
};

/** The same, and before the end whenever another trigger fires. */
const withEarly = <T>(early: Trigger<T>): Trigger<T> => ({
  initialState: early.initialState,
  onElement(value, timestamp, window, ctx) {
    if (lastOf(window) <= ctx.watermark) return 'fire';
    ctx.register(lastOf(window));
    return early.onElement(value, timestamp, window, ctx);
  },
  onEventTime: (time, window, ctx) =>
    time === lastOf(window) ? 'fire' : (early.onEventTime?.(time, window, ctx) ?? 'continue'),
  onProcessingTime: (time, window, ctx) => early.onProcessingTime?.(time, window, ctx) ?? 'continue',
  ...(early.onMerge && {
    onMerge(window: TimeWindow, ctx: TriggerContext, states: readonly unknown[]) {
      atEnd.onMerge?.(window, ctx, states);
      early.onMerge?.(window, ctx, states);
    },
  }),
  clear(window, ctx) {
    ctx.delete(lastOf(window));
    early.clear?.(window, ctx);
  },
  toString: () => `EventTimeTrigger(early ${early})`,
});

export interface EventTimeTriggerOptions<T = never> {
  /**
   * Early results: fires before the end of the window whenever this one does, with what the window holds by then.
   * @defaultValue none
   */
  readonly early?: Trigger<T> | undefined;
}

/**
 * Fires when the watermark reaches the end of the window, and within the allowed lateness at once for each element that
 * comes later. The trigger of event-time windows, unless another one is set.
 *
 * @example
 * const trigger = EventTimeTrigger.create({ early: CountTrigger.of(1) });
 * const sums = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('10s')).trigger(trigger);
 * const counts = sums.process((values) => values.length);
 * console.log(await counts.executeAndCollect()); // prints [ 1, 2, 1, 2, 1 ]
 */
export const EventTimeTrigger = {
  create: <T = never>(options: EventTimeTriggerOptions<T> = {}): Trigger<T> => {
    knownOptions('EventTimeTrigger.create', options, { early: true });
    return options.early === undefined
      ? atEnd
      : withEarly(withMethods('early', options.early, 'a Trigger', ['onElement']));
  },
};

const atEndByClock: Trigger<unknown> = {
  onElement(_value, _timestamp, window, ctx) {
    ctx.register(lastOf(window), 'processing');
    return 'continue';
  },
  onProcessingTime: () => 'fire',
  onMerge(window, ctx) {
    if (lastOf(window) > ctx.now()) ctx.register(lastOf(window), 'processing');
  },
  clear: (window, ctx) => ctx.delete(lastOf(window), 'processing'),
  toString: () => 'ProcessingTimeTrigger()',
};

/**
 * Fires when the clock has reached the end of the window. The trigger of processing-time windows, unless another one is
 * set.
 *
 * @example
 * console.log(`${ProcessingTimeTrigger.create()}`); // prints ProcessingTimeTrigger()
 */
export const ProcessingTimeTrigger = {
  create: (): Trigger => atEndByClock,
};

const never: Trigger<unknown> = {
  onElement: () => 'continue',
  onMerge: () => {},
  toString: () => 'NeverTrigger()',
};

/**
 * Never fires: the trigger of `GlobalWindows`, unless another one is set.
 *
 * @example
 * console.log(`${NeverTrigger.create()}`); // prints NeverTrigger()
 */
export const NeverTrigger = {
  create: (): Trigger => never,
};

const endOfStream: Trigger<unknown> = {
  onElement(_value, _timestamp, _window, ctx) {
    ctx.register(MAX_TIMESTAMP);
    return 'continue';
  },
  onEventTime: (time) => (time === MAX_TIMESTAMP ? 'fire' : 'continue'),
  onMerge: (_window, ctx) => ctx.register(MAX_TIMESTAMP),
  clear: (_window, ctx) => ctx.delete(MAX_TIMESTAMP),
  toString: () => 'EndOfStreamTrigger()',
};

/**
 * Fires when the input has ended.
 *
 * @example
 * const all = orders.keyBy(() => 'all').window(GlobalWindows.create()).trigger(EndOfStreamTrigger.create());
 * console.log(await all.process((values) => values.length).executeAndCollect()); // prints [ 3 ]
 */
export const EndOfStreamTrigger = {
  create: (): Trigger => endOfStream,
};

/** The next time that a continuous trigger fires at; its state. */
type Next = Timestamp | undefined;

const registerNext = (
  from: Timestamp,
  intervalMs: number,
  window: TimeWindow,
  ctx: TriggerContext,
  domain: TimeDomain,
): void => {
  const next = Math.min(from + intervalMs, lastOf(window));
  ctx.state = next;
  ctx.register(next, domain);
};

/** The least of several times that triggers wait for. */
const earliest = (states: readonly unknown[]): Next => {
  const times = states.filter((state) => typeof state === 'number');
  return times.length === 0 ? undefined : Math.min(...times);
};

/** What the two continuous triggers share. */
const continuous = (name: string, intervalMs: number, domain: TimeDomain): Trigger<unknown> => {
  /** A time has come: fires if it was the one that was waited for. */
  const fired = (time: Timestamp, window: TimeWindow, ctx: TriggerContext): boolean => {
    if (ctx.state !== time) return false;
    ctx.state = undefined;
    registerNext(time, intervalMs, window, ctx, domain);
    return true;
  };
  return {
    onElement(_value, timestamp, window, ctx) {
      if (domain === 'event') {
        if (lastOf(window) <= ctx.watermark) return 'fire';
        ctx.register(lastOf(window));
      }
      const now = domain === 'event' ? timestamp : ctx.now();
      if (ctx.state === undefined) registerNext(now - (now % intervalMs), intervalMs, window, ctx, domain);
      return 'continue';
    },
    onEventTime(time, window, ctx) {
      if (domain !== 'event') return 'continue';
      if (time === lastOf(window)) return 'fire';
      // At the end of the input a window without end would go on for ever: it fires once more, at its end.
      if (ctx.watermark === MAX_TIMESTAMP && lastOf(window) === MAX_TIMESTAMP) return 'continue';
      return fired(time, window, ctx) ? 'fire' : 'continue';
    },
    onProcessingTime: (time, window, ctx) =>
      domain === 'processing' && fired(time, window, ctx) ? 'fire' : 'continue',
    onMerge(window, ctx, states) {
      const next = earliest(states);
      if (domain === 'event' && lastOf(window) > ctx.watermark) ctx.register(lastOf(window));
      if (next === undefined) return;
      ctx.state = next;
      ctx.register(next, domain);
    },
    clear(window, ctx) {
      if (typeof ctx.state === 'number') ctx.delete(ctx.state, domain);
      if (domain === 'event') ctx.delete(lastOf(window));
    },
    toString: () => `${name}(${intervalMs})`,
  };
};

/**
 * Fires each time that the watermark passes a multiple of the interval, from the first element on, and at the end of
 * the window. A watermark that passes several of them fires as often, so the results may be equal.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(TumblingEventTimeWindows.of('20s'));
 * const counts = windows.trigger(ContinuousEventTimeTrigger.of('10s')).process((values) => values.length);
 * console.log(await counts.executeAndCollect()); // prints [ 3, 3 ]
 */
export const ContinuousEventTimeTrigger = {
  /** `interval`: whole milliseconds from 1 up. */
  of: (interval: Duration): Trigger =>
    continuous('ContinuousEventTimeTrigger', wholeMs('interval', interval, 1), 'event'),
};

/**
 * Fires each time that the clock passes a multiple of the interval, from the first element on.
 *
 * @example
 * const windows = orders.keyBy(() => 'all').window(GlobalWindows.create());
 * windows.trigger(ContinuousProcessingTimeTrigger.of('1s')).process((values) => values.length).print();
 */
export const ContinuousProcessingTimeTrigger = {
  /** `interval`: whole milliseconds from 1 up. */
  of: (interval: Duration): Trigger =>
    continuous('ContinuousProcessingTimeTrigger', wholeMs('interval', interval, 1), 'processing'),
};
