/** Runs recorded vectors of rolling aggregates (family 12). */
import type { Operator } from '../core/operator.ts';
import { reduce } from '../../operators/aggregate.ts';
import { count, max, maxBy, min, minBy, sum } from '../../operators/rolling.ts';
import type { VectorConfig, VectorRunner } from './vector-form.ts';
import { harnessRunner, type Fields } from './vector-harness.ts';

interface Row {
  readonly key: string;
  readonly value: number;
  readonly id?: number | undefined;
}

export const rollingVectorRunner = (config: VectorConfig): Promise<VectorRunner> =>
  // A row is an object of named fields.
  harnessRunner(operatorOf(config) as Operator<Row, Fields>, ({ key = '', value, id }) => ({
    key,
    value: Number(value),
    ...(id !== undefined && { id }),
  }));

const operatorOf = ({ fn, first }: VectorConfig): Operator<Row, unknown> => {
  const options = typeof first === 'boolean' ? { first } : {};
  switch (fn) {
    case 'sum':
      return sum('value');
    case 'min':
      return min('value');
    case 'max':
      return max('value');
    case 'minBy':
      return minBy('value', options);
    case 'maxBy':
      return maxBy('value', options);
    case 'count':
      return count();
    case 'reduce':
      return reduce<Row>((a, b) => ({ ...b, value: (a.value * 31 + b.value) % 1_000_003 }));
    default:
      throw new TypeError(
        `Expected \`config.fn\` to be sum, min, max, minBy, maxBy, count or reduce, got \`${String(fn)}\``,
      );
  }
};
