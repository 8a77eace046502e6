/**
 * Running aggregates per key: a result for each record, with that record's timestamp. State is one value per key. Keeps
 * I13: a function that returns a promise is refused.
 */
import type { AggregateFunction, Aggregator, ReduceFunction } from '../lib/core/aggregate-function.ts';
import { aggregator } from '../lib/core/aggregate-function.ts';
import { refuseThenable } from '../lib/core/errors.ts';
import type { Operator } from '../lib/core/operator.ts';
import { givenAway, valueState } from '../lib/core/state-descriptor.ts';
import { looseCopy } from '../lib/core/own-copy.ts';

/**
 * Makes the operator of `reduce`: emits the key's values so far, reduced to one.
 *
 * @example
 * const harness = await OperatorHarness.open(reduce<number>((a, b) => a + b), { keyOf: () => 'all' });
 * console.log(harness.element(1, 0)[0]); // prints { kind: 'record', value: 1, timestamp: 0 }
 * console.log(harness.element(2, 5)[0]); // prints { kind: 'record', value: 3, timestamp: 5 }
 */
export const reduce =
  <T>(fn: ReduceFunction<T>): Operator<T, T> =>
  (context) => {
    const reduced = context.state(givenAway(valueState<T>('reduced')));
    return {
      direct: true,
      process(value, timestamp) {
        const before = reduced.value();
        const after = before === undefined ? value : refuseThenable(fn(before, value), 'the function', context.uid);
        reduced.update(after);
        context.output.emit(after, timestamp);
      },
    };
  };

/**
 * Makes the operator of `aggregate`: emits the result over the key's values so far.
 *
 * @example
 * const count = aggregate<string, number, number>({
 *   createAccumulator: () => 0,
 *   add: (_word, count) => count + 1,
 *   getResult: (count) => count,
 * });
 * const harness = await OperatorHarness.open(count, { keyOf: (word) => word });
 * harness.element('a', 0);
 * console.log(harness.element('a', 5)); // prints [ { kind: 'record', value: 2, timestamp: 5 } ]
 */
export const aggregate =
  <T, A, R>(fn: AggregateFunction<T, A, R>): Operator<T, R> =>
  (context) => {
    const { mutable, createAccumulator, add, getResult } = aggregatorOf(fn, context.uid);
    const accumulator = context.state(givenAway(valueState<A>('accumulator', { inPlace: mutable })));
    return {
      direct: true,
      process(value, timestamp) {
        const after = add(value, accumulator.value() ?? createAccumulator());
        accumulator.update(after);
        const result = getResult(after);
        context.output.emit(mutable ? looseCopy(result) : result, timestamp); // It may be part of what is kept (I21).
      },
    };
  };

/** An aggregate as an operator calls it. */
export const aggregatorOf = <T, A, R>(fn: AggregateFunction<T, A, R>, uid: string): Aggregator<T, A, R> =>
  aggregator(fn, (returned, what) => refuseThenable(returned, what, uid));
