/**
 * Runs recorded vectors of key groups (family 10). Which range of groups falls to whom is as recorded; which group a
 * key falls into is not, on purpose: it is murmur2 of the key's bytes, where a Kafka producer would put it.
 */
import { instanceOf, keyGroupRange, maxParallelismFor } from '../core/key-group-ranges.ts';
import { keyGroupOf, type Key } from '../core/key.ts';
import type { VectorConfig, VectorOutput, VectorRunner, VectorStep } from './vector-form.ts';

const maxParallelismDefault = 128;
const maxParallelismMax = 32_768;

export const keyGroupVectorRunner = ({ maxParallelism }: VectorConfig): VectorRunner => ({
  run: (step) => [step.op === 'ranges' ? ranges(step) : group(step, Number(maxParallelism ?? maxParallelismDefault))],
});

const ranges = ({ maxParallelism = maxParallelismDefault, parallelism = 1 }: VectorStep): VectorOutput => ({
  ranges: Array.from({ length: parallelism }, (_, index) => keyGroupRange(maxParallelism, parallelism, index)),
  defaultMaxParallelism: maxParallelismFor(parallelism),
});

const group = ({ key }: VectorStep, maxParallelism: number): VectorOutput => {
  const own: Key = key ?? ''; // Texts and numbers alike are keys.
  const keyGroup128 = keyGroupOf(own, maxParallelism);
  return {
    keyGroup128,
    operatorIndexP1to5: [1, 2, 3, 4, 5].map((parallelism) => instanceOf(keyGroup128, maxParallelism, parallelism)),
    keyGroup32768: keyGroupOf(own, maxParallelismMax),
  };
};
