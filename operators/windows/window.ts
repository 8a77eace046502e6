/**
 * Windows per key: a pane for each (key, window) collects its records until the window's trigger fires, then the
 * function is called and its result leaves with the timestamp `end - 1`, or that of the newest element where the window
 * has no end.
 *
 *  - A window of event time fires, unless it has a trigger of its own, when the watermark reaches `end - 1`, and goes
 *    when it reaches `end - 1 + allowedLateness`.
 *  - In between, each late record fires it again at once, with all it holds.
 *  - A record is late when all its windows are gone: it goes to the late side output or is counted, never silently lost
 *    (I3).
 *
 * Three operators do the work, by what is asked of them: `aligned-window.ts`, `sliced-window.ts`, `general-window.ts`.
 */
import type { AggregateFunction, ReduceFunction } from '../../lib/core/aggregate-function.ts';
import { refuseThenable } from '../../lib/core/errors.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Operator } from '../../lib/core/operator.ts';
import { durationMs, type Duration } from '../../lib/core/options.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { aggregatorOf } from '../aggregate.ts';
import type { StateSpec } from '../process.ts';
import { alignedWindow } from './aligned-window.ts';
import { aggregatedContents, ListContents, noContents, reducedContents, type MakeContents } from './contents.ts';
import type { Evictor, Trigger, WindowAssigner } from './contract.ts';
import { evictingContents, type Fold } from './evicting-contents.ts';
import { generalWindow } from './general-window.ts';
import { slicedWindow } from './sliced-window.ts';
import { EventTimeTrigger } from './time-triggers.ts';
import type { ProcessWindowFunction } from './window-function.ts';

export interface WindowOptions<T> {
  /** Says which windows a record is in. */
  readonly assigner: WindowAssigner<NoInfer<T>>;
  /** Says when a window gives a result, in place of the assigner's own. @defaultValue that of the assigner */
  readonly trigger?: Trigger<NoInfer<T>> | undefined;
  /** Says which elements stay in a window when it fires. @defaultValue all stay */
  readonly evictor?: Evictor<NoInfer<T>> | undefined;
  /**
   * How long after its end a window of event time still takes records. `Infinity`: for ever, and its state stays too.
   * @defaultValue 0
   */
  readonly allowedLateness?: Duration | undefined;
  /**
   * Where late records go. Those that nobody reads there are counted too. @defaultValue nowhere: counted in
   * `numLateRecordsDropped`
   */
  readonly lateTag?: OutputTag<T> | undefined;
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
  const fold =
    (uid: string) =>
    (values: readonly T[]): T | typeof noContents =>
      values.length === 0
        ? noContents
        : values.reduce((before, value) => refuseThenable(reduce(before, value), 'the reducing function', uid));
  return windowOperator(options, { contents: reducedContents(reduce), merges: 'windows', fold, fn });
}

/**
 * Aggregates the records of each window. With `fn` its result is what leaves, called with the aggregate's result. An
 * aggregate with `merge` adds a record once, also where many windows hold it.
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
  const fold = (uid: string) => {
    const { createAccumulator, add, getResult } = aggregatorOf(aggregate, uid);
    return (values: readonly T[]): R =>
      getResult(values.reduce((accumulator, value) => add(value, accumulator), createAccumulator()));
  };
  const merges = aggregate.merge === undefined ? 'nothing' : 'slices';
  return windowOperator(options, { contents: aggregatedContents(aggregate), merges, fold, fn });
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
    merges: 'windows',
    fold: () => (values: readonly T[]) => values,
    fn,
  });

/** What tells one kind of window operator from another. */
export interface WindowKind<T, P, C, O, W, S extends StateSpec, K extends Key> {
  readonly contents: MakeContents<T, P, C>;
  /**
   * What their contents can be merged for: windows that meet, whose elements come in the order of the windows, or
   * slices as well, since nothing depends on the order.
   */
  readonly merges: 'nothing' | 'windows' | 'slices';
  /** Makes the same of all values of a window at once. */
  readonly fold: (uid: string) => Fold<T, C>;
  readonly fn: ProcessWindowFunction<C, O, W, S, K>;
  /** What the function returns is a list, whose members leave one by one. @defaultValue false */
  readonly spreads?: boolean | undefined;
}

/** The operator for what is asked. `O` is what leaves. */
export const windowOperator = <T, P, C, O, W, S extends StateSpec, K extends Key>(
  { assigner, trigger = assigner.defaultTrigger, evictor, allowedLateness = 0, lateTag }: WindowOptions<T>,
  { contents: makeContents, merges, fold, fn, spreads }: WindowKind<T, P, C, O, W, S, K>,
): Operator<T, O> => {
  const latenessMs = durationMs('allowedLateness', allowedLateness);
  const hasOwnState = typeof fn === 'object' && (fn.windowState !== undefined || fn.clear !== undefined);
  if (assigner.merging === true) checkMerging({ trigger, merges: evictor !== undefined || merges !== 'nothing', fn });
  const rest = { fn, spreads, latenessMs, lateTag };
  const rules = { assigner, trigger };
  if (evictor !== undefined) return generalWindow(rules, { ...rest, makeContents: evictingContents(evictor, fold) });
  const parts = { ...rest, makeContents };
  const isPlain = assigner.time === 'event' && trigger === EventTimeTrigger.create();
  if (isPlain && merges === 'slices' && assigner.slices !== undefined && !hasOwnState)
    return slicedWindow(assigner.slices, parts);
  if (isPlain && assigner.fixed !== undefined) return alignedWindow(assigner.fixed, parts);
  return generalWindow(rules, parts);
};

/** Throws for what windows that become one can not have. */
const checkMerging = ({
  trigger,
  merges,
  fn,
}: {
  readonly trigger: Trigger;
  readonly merges: boolean;
  readonly fn: unknown;
}): void => {
  if (trigger.onMerge === undefined)
    throw new TypeError(`Expected \`trigger\` to have \`onMerge\`, since the windows merge, got \`${trigger}\``);
  if (!merges) throw new TypeError('Expected an aggregate with `merge`, since the windows merge, got one without');
  if (typeof fn === 'object' && fn !== null && 'windowState' in fn)
    throw new TypeError('Expected a window function without `windowState`, since the windows merge: use `state`');
};
