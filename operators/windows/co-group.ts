/**
 * Windows over two inputs: a window holds the records of both sides of a key, and its function sees them apart. A
 * window join is made of that: it is called for each pair.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Duration } from '../../lib/core/options.ts';
import type { Operator } from '../../lib/core/operator.ts';
import { tooManyValues, valuesMaxDefault } from '../../lib/core/values-bound.ts';
import { ListContents } from './contents.ts';
import type { WindowAssigner, Trigger } from './contract.ts';
import type { ProcessWindowFunction, WindowContext } from './window-function.ts';
import { processWindow, windowOperator, type WindowOptions } from './window.ts';

/** A record of one of two inputs. */
export type Sided<A, B> = { readonly side: 'left'; readonly value: A } | { readonly side: 'right'; readonly value: B };

export interface CoGroupOptions<A, B> {
  /** As of a window of one input: it is asked about the values of both. */
  readonly assigner: WindowAssigner<A | B>;
  /** Says when a window gives a result; it sees the values of both. @defaultValue that of the assigner */
  readonly trigger?: Trigger<A | B> | undefined;
  /**
   * How long after its end a window of event time still takes records: it gives all its results again for each.
   * @defaultValue 0
   */
  readonly allowedLateness?: Duration | undefined;
}

/**
 * Called when a window fires, with the values of both sides in the order of arrival; of one of them there may be none.
 * What it returns leaves, with the window's last millisecond, unless it is undefined.
 */
export type CoGroupFunction<A, B, O, K extends Key = Key> = (
  left: readonly A[],
  right: readonly B[],
  ctx: WindowContext<unknown, object, K>,
) => O | undefined;

/** Called for each pair of a window, those of the first left value first. */
export type JoinFunction<A, B, O, K extends Key = Key> = (
  left: A,
  right: B,
  ctx: WindowContext<unknown, object, K>,
) => O | undefined;

/** The windows of two inputs. */
const sidedOptions = <A, B>({
  assigner,
  trigger,
  allowedLateness,
}: CoGroupOptions<A, B>): WindowOptions<Sided<A, B>> => {
  const { time, defaultTrigger, merging, fixed, naming } = assigner;
  return {
    assigner: {
      time,
      defaultTrigger,
      merging,
      fixed,
      naming,
      assign: ({ value }: Sided<A, B>, timestamp: Timestamp, context) => assigner.assign(value, timestamp, context),
      toString: () => `${assigner}`,
    },
    ...(trigger && { trigger: sidedTrigger(trigger) }),
    allowedLateness,
  };
};

const sidedTrigger = <A, B>(trigger: Trigger<A | B>): Trigger<Sided<A, B>> => ({
  ...trigger,
  onElement: ({ value }, timestamp, window, ctx) => trigger.onElement(value, timestamp, window, ctx),
});

/**
 * Makes the operator of `coGroup`: calls `fn` with what both sides of a window hold.
 *
 * @example
 * const lines = coGroupWindow({ assigner: TumblingEventTimeWindows.of('1h') }, (left: readonly string[], right) =>
 *   `${left.join()} | ${right.join()}`,
 * );
 * const harness = await OperatorHarness.open(lines, { keyOf: () => 'all' });
 * harness.element({ side: 'left', value: 'a' }, 0);
 * console.log(harness.watermark(3_600_000)[0]); // prints { kind: 'record', value: 'a | ', timestamp: 3599999 }
 */
export const coGroupWindow = <A, B, O, K extends Key = Key>(
  options: CoGroupOptions<A, B>,
  fn: CoGroupFunction<A, B, O, K>,
): Operator<Sided<A, B>, O> =>
  processWindow<Sided<A, B>, O, unknown, never, K>(sidedOptions(options), (elements, ctx) => {
    const { left, right } = sidesOf(elements);
    return fn(left, right, ctx);
  });

const sidesOf = <A, B>(elements: readonly Sided<A, B>[]): { readonly left: A[]; readonly right: B[] } => {
  const left: A[] = [];
  const right: B[] = [];
  for (const element of elements) {
    if (element.side === 'left') left.push(element.value);
    else right.push(element.value);
  }
  return { left, right };
};

/**
 * Makes the operator of a window join: calls `fn` with each pair of values of a window, one of each side. A late record
 * makes all pairs of its window anew.
 *
 * @example
 * const hours = { assigner: TumblingEventTimeWindows.of('1h') };
 * const pairs = joinWindow(hours, (left: string, right: string) => left + right);
 * const harness = await OperatorHarness.open(pairs, { keyOf: () => 'all' });
 * harness.element({ side: 'left', value: 'a' }, 0);
 * harness.element({ side: 'right', value: 'b' }, 0);
 * console.log(harness.watermark(3_600_000)[0]); // prints { kind: 'record', value: 'ab', timestamp: 3599999 }
 */
export const joinWindow = <A, B, O, K extends Key = Key>(
  options: CoGroupOptions<A, B>,
  fn: JoinFunction<A, B, O, K>,
): Operator<Sided<A, B>, O> =>
  windowOperator<Sided<A, B>, unknown, readonly Sided<A, B>[], O, unknown, never, K>(sidedOptions(options), {
    contents: (context) => new ListContents<Sided<A, B>>(context),
    merges: 'windows',
    fold: () => (elements) => elements,
    fn: pairing(fn),
    spreads: true,
  });

type Window<A, B, O, K extends Key> = ProcessWindowFunction<readonly Sided<A, B>[], O, unknown, never, K>;

/** Gives the list of all that `fn` makes of the pairs of a window. */
const pairing = <A, B, O, K extends Key>(fn: JoinFunction<A, B, O, K>): Window<A, B, O, K> => {
  const process = (elements: readonly Sided<A, B>[], ctx: WindowContext<unknown, object, K>): readonly O[] => {
    const { left, right } = sidesOf(elements);
    if (left.length * right.length > valuesMaxDefault) throw tooManyValues('a join of a window', valuesMaxDefault, {});
    return left.flatMap((one) =>
      right.flatMap((other) => {
        const result = fn(one, other, ctx);
        return result === undefined ? [] : [result];
      }),
    );
  };
  return process as unknown as Window<A, B, O, K>; // The members of the list leave one by one.
};
