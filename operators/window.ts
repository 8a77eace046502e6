/**
 * Windows per key: a pane for each (key, window) collects its records until a watermark passes the window's end, then
 * the function is called and its result leaves with the timestamp `end - 1`.
 *
 *  - A window fires when the watermark reaches `end - 1`, and goes when it reaches `end - 1 + allowedLateness`.
 *  - In between, each late record fires it again at once, with all it holds.
 *  - A record is late when all its windows are gone: it goes to the late side output or is counted, never silently lost
 *    (I3).
 *
 * Timers are registered when a pane is made, not for each record: the watermark never goes back, so what a pane's first
 * record saw holds for the rest. They follow from the panes, so they are not stored.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { refuseThenable, StreamError } from '../lib/core/errors.ts';
import { keyText, mapKeyOf, type Key, type MapKey } from '../lib/core/key.ts';
import type { Operator, OperatorContext } from '../lib/core/operator.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import { givenAway, mapState, unshared, type MapState, type StateDescriptor } from '../lib/core/state-descriptor.ts';
import { durationMs, type Duration } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import type { AggregateFunction, ReduceFunction } from '../lib/core/aggregate-function.ts';
import { aggregatorOf } from './aggregate.ts';
import type { StateSpec } from './process.ts';
import { WindowCall, type ProcessWindowFunction } from './window-function.ts';
import type { WindowAssigner } from './window-assigners.ts';

export interface WindowOptions<T> {
  /** Says which windows a record is in. */
  readonly assigner: WindowAssigner;
  /**
   * How long after its end a window still takes records. `Infinity`: for ever, and its state stays too. @defaultValue 0
   */
  readonly allowedLateness?: Duration | undefined;
  /**
   * Where late records go. Those that nobody reads there are counted too. @defaultValue nowhere: counted in
   * `numLateRecordsDropped`
   */
  readonly lateTag?: OutputTag<T> | undefined;
}

const panesOf = <P>(inPlace = false): StateDescriptor<MapState<number, P>> =>
  mapState<number, P>('panes', { indexed: false, inPlace });

/** What a pane keeps of its records: `P` is state, `C` is what the window's function is given. */
interface Contents<T, P, C> {
  /** How panes are kept (I21). */
  readonly panes: StateDescriptor<MapState<number, P>>;
  add(pane: P | undefined, value: T, start: Timestamp): P;
  /** `kept`: the pane stays, so what is given is a copy (I21). */
  get(pane: P, start: Timestamp, kept: boolean): C;
  /** Forgets what is kept beside the pane. */
  clear?(pane: P, start: Timestamp): void;
}

/**
 * Reduces the records of each window to one. With `fn` its result is what leaves, called with the reduced record.
 *
 * @example
 * const largest = reduceWindow<number>({ assigner: TumblingEventTimeWindows.of('1h') }, (a, b) => Math.max(a, b));
 * const harness = await OperatorHarness.open(largest, { keyOf: () => 'all' });
 * harness.element(3, 0);
 * harness.element(2, 1_000);
 * console.log(harness.watermark(3_600_000)[0]); // prints { kind: 'record', value: 3, timestamp: 3599999 }
 */
export function reduceWindow<T>(options: WindowOptions<T>, reduce: ReduceFunction<T>): Operator<T, T>;
export function reduceWindow<T, O, W, S extends StateSpec, K extends Key = Key>(
  options: WindowOptions<T>,
  reduce: ReduceFunction<T>,
  fn: ProcessWindowFunction<T, O, W, S, K>,
): Operator<T, O>;
export function reduceWindow<T>(
  options: WindowOptions<T>,
  reduce: ReduceFunction<T>,
  fn: ProcessWindowFunction<T, unknown> = (value) => value,
): Operator<T, unknown> {
  const contents = ({ uid }: OperatorContext<never>): Contents<T, T, T> => ({
    panes: givenAway(panesOf()),
    add: (pane, value) =>
      pane === undefined ? value : refuseThenable(reduce(pane, value), 'the reducing function', uid),
    get: (pane, _start, kept) => (kept ? looseCopy(pane) : pane),
  });
  return windowOperator(options, { contents, fn });
}

/**
 * Aggregates the records of each window. With `fn` its result is what leaves, called with the aggregate's result.
 *
 * @example
 * const counts = aggregateWindow<string, number, number>({ assigner: TumblingEventTimeWindows.of('1h') }, {
 *   createAccumulator: () => 0,
 *   add: (_value, count) => count + 1,
 *   getResult: (count) => count,
 * });
 * const harness = await OperatorHarness.open(counts, { keyOf: (value) => value });
 * harness.element('a', 0);
 * console.log(harness.watermark(3_600_000)[0]); // prints { kind: 'record', value: 1, timestamp: 3599999 }
 */
export function aggregateWindow<T, A, R>(
  options: WindowOptions<T>,
  aggregate: AggregateFunction<T, A, R>,
): Operator<T, R>;
export function aggregateWindow<T, A, R, O, W, S extends StateSpec, K extends Key = Key>(
  options: WindowOptions<T>,
  aggregate: AggregateFunction<T, A, R>,
  fn: ProcessWindowFunction<R, O, W, S, K>,
): Operator<T, O>;
export function aggregateWindow<T, A, R>(
  options: WindowOptions<T>,
  aggregate: AggregateFunction<T, A, R>,
  fn: ProcessWindowFunction<R, unknown> = (result) => result,
): Operator<T, unknown> {
  const contents = ({ uid }: OperatorContext<never>): Contents<T, A, R> => {
    const { mutable, createAccumulator, add, getResult } = aggregatorOf(aggregate, uid);
    return {
      panes: givenAway(panesOf(mutable)),
      add: (pane, value) => add(value, pane === undefined ? createAccumulator() : pane),
      get: (pane, _start, kept) => getResult(kept ? looseCopy(pane) : pane),
    };
  };
  return windowOperator(options, { contents, fn });
}

/**
 * Keeps all records of each window, in the order of arrival, and calls `fn` with them.
 *
 * @example
 * const hours = { assigner: TumblingEventTimeWindows.of('1h') };
 * const lines = processWindow(hours, (words: readonly string[]) => words.join(' '));
 * const harness = await OperatorHarness.open(lines, { keyOf: () => 'all' });
 * for (const word of ['to', 'be']) harness.element(word, 0);
 * console.log(harness.watermark(3_600_000)[0]); // prints { kind: 'record', value: 'to be', timestamp: 3599999 }
 */
export const processWindow = <T, O, W, S extends StateSpec, K extends Key = Key>(
  options: WindowOptions<T>,
  fn: ProcessWindowFunction<readonly T[], O, W, S, K>,
): Operator<T, O> =>
  windowOperator(options, {
    contents: (context) => new ListContents<T>(context),
    fn,
  });

/**
 * Records in a pane's own row before they move to one of their own, so that a large window is not serialised whole for
 * each record.
 */
const tailMax = 32;

interface ListPane<T> {
  /** Full rows beside the pane. */
  readonly chunks: number;
  readonly tail: readonly T[];
}

/** Elements are copied one by one when they come, so a pane is nobody else's. */
class ListContents<T> implements Contents<T, ListPane<T>, readonly T[]> {
  readonly panes = unshared(panesOf<ListPane<T>>());
  readonly #context: OperatorContext<never>;
  readonly #rows: MapState<string, readonly T[]>;

  constructor(context: OperatorContext<never>) {
    this.#context = context;
    this.#rows = context.state(unshared(mapState<string, readonly T[]>('elements', { indexed: false })));
  }

  add(pane: ListPane<T> | undefined, value: T, start: Timestamp): ListPane<T> {
    const own = this.#own(value);
    if (pane === undefined) return { chunks: 0, tail: [own] };
    const { chunks, tail } = pane;
    if (tail.length < tailMax) return { chunks, tail: [...tail, own] };
    this.#rows.set(`${start}/${chunks}`, tail);
    return { chunks: chunks + 1, tail: [own] };
  }

  get({ chunks, tail }: ListPane<T>, start: Timestamp, kept: boolean): readonly T[] {
    const elements: T[] = [];
    for (let chunk = 0; chunk < chunks; chunk += 1)
      for (const element of this.#rows.get(`${start}/${chunk}`) ?? []) elements.push(element);
    for (const element of tail) elements.push(element);
    return kept ? looseCopy(elements) : elements;
  }

  clear({ chunks }: ListPane<T>, start: Timestamp): void {
    for (let chunk = 0; chunk < chunks; chunk += 1) this.#rows.delete(`${start}/${chunk}`);
  }

  #own(value: T): T {
    try {
      return this.#context.handOver(value);
    } catch (cause) {
      if (!(cause instanceof StreamError)) throw cause;
      const { uid } = this.#context;
      const what = `a record for key ${keyText(this.#context.currentKey())} can not be kept in the windows of \`${uid}\``;
      throw new StreamError('NOT_SERIALISABLE', `${what}: ${cause.message}`, { details: { ...cause.details, uid } });
    }
  }
}

/** What a window operator is made of: how it keeps what a pane holds, and what it calls with that. */
interface WindowParts<T, P, C, O, W, S extends StateSpec, K extends Key> {
  readonly contents: (context: OperatorContext<never>) => Contents<T, P, C>;
  readonly fn: ProcessWindowFunction<C, O, W, S, K>;
}

/** What the three have in common. */
const windowOperator = <T, P, C, O, W, S extends StateSpec, K extends Key>(
  { assigner, allowedLateness = 0, lateTag }: WindowOptions<T>,
  parts: WindowParts<T, P, C, O, W, S, K>,
): Operator<T, O> => {
  const latenessMs = durationMs('allowedLateness', allowedLateness);
  const { sizeMs } = assigner;
  return (context) => {
    const contents = parts.contents(context);
    const panes = context.state(contents.panes);
    // Of windows that stay when they have fired: nothing else tells after a restart that their timer is gone.
    const fired = context.state(unshared(mapState<number, true>('fired', { indexed: false })));
    const dropped = context.metrics.getCounter('numLateRecordsDropped');
    const last = (start: Timestamp): Timestamp => start + sizeMs - 1;
    const timers = context.derivedTimers(({ timestamp, namespace: start }) => {
      const due = last(start);
      if (timestamp === due) fire(start);
      if (timestamp >= due + latenessMs) clear(start, timestamp > due); // It stayed, so it is written down as fired.
    });
    const call = new WindowCall({ context, timers, sizeMs, fn: parts.fn });
    const fire = (start: Timestamp): void => {
      const pane = panes.get(start);
      if (pane === undefined) return;
      if (latenessMs > 0 && fired.get(start) === undefined) fired.set(start, true);
      call.fire(start, contents.get(pane, start, latenessMs > 0));
    };
    const clear = (start: Timestamp, stayed: boolean): void => {
      const pane = panes.get(start);
      if (pane === undefined) return;
      contents.clear?.(pane, start);
      panes.delete(start);
      if (stayed) fired.delete(start);
      call.clear(start);
    };
    /** Registers what a pane waits for: to fire, unless it has, and to go. */
    const schedule = (start: Timestamp, hasFired: boolean): void => {
      const due = last(start);
      if (!hasFired) timers.register(due, start);
      const goes = due + staysMs(latenessMs, hasFired);
      if (goes > due && goes < MAX_TIMESTAMP) timers.register(goes, start);
    };
    /** False when the window is gone. */
    const add = (start: Timestamp, value: T): boolean => {
      const due = last(start);
      if (due + latenessMs <= timers.watermark) return false;
      const pane = panes.get(start);
      panes.set(start, contents.add(pane, value, start));
      if (pane === undefined) schedule(start, due <= timers.watermark);
      if (due <= timers.watermark) fire(start);
      return true;
    };
    const late = (value: T, timestamp: Timestamp): void => {
      if (lateTag === undefined || !context.output.isRead(lateTag)) dropped.inc();
      if (lateTag !== undefined) context.output.side(lateTag, value, timestamp);
    };
    return {
      open: () => forEachPane(panes, fired, schedule),
      process(value, timestamp) {
        if (timestamp === MIN_TIMESTAMP) throw timestampMissing(context.uid);
        if (assigner.starts === undefined) {
          if (!add(assigner.lastStart(timestamp), value)) late(value, timestamp);
          return;
        }
        let taken = false;
        for (const start of assigner.starts(timestamp)) taken = add(start, value) || taken;
        // A record in the gap between two windows belongs to none, so only one that is behind the watermark is late.
        if (!taken && timestamp + latenessMs <= timers.watermark) late(value, timestamp);
      },
    };
  };
};

/**
 * Says of each pane whether it has fired. That is read in one pass before, since a look for each pane would be a read
 * of the store for each.
 */
const forEachPane = async (
  panes: MapState<Timestamp, unknown>,
  fired: MapState<Timestamp, true>,
  visit: (start: Timestamp, hasFired: boolean) => void,
): Promise<void> => {
  const firedOf = new Map<MapKey, Set<Timestamp>>();
  await fired.forEachEntry((key, start) => {
    const mapKey = mapKeyOf(key);
    const starts = firedOf.get(mapKey);
    if (starts === undefined) firedOf.set(mapKey, new Set([start]));
    else starts.add(start);
  });
  await panes.forEachEntry((key, start) => visit(start, firedOf.get(mapKeyOf(key))?.has(start) === true));
};

/**
 * A pane that stayed and has no lateness since a restart goes with the next watermark, by a timer that does not fire it
 * again.
 */
const staysMs = (latenessMs: number, hasFired: boolean): number => (hasFired ? Math.max(latenessMs, 1) : latenessMs);

const timestampMissing = (uid: string): StreamError =>
  new StreamError('TIMESTAMP_MISSING', `a record without a timestamp came to the event-time windows of \`${uid}\``);
