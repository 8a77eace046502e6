/** What the tests of RxJS at the edges of a pipeline share. */
import { StreamExecutionEnvironment, type EnvironmentOptions } from 'millrace';
import { once } from './stories/story.ts';

export const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
export const thrown = (): never => {
  throw new RangeError('mine');
};
export const create = (options: EnvironmentOptions = {}): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ ...once, ...options });
