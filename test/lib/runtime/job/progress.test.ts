import { describe, expect, test } from 'vitest';
import { InvariantError, StreamError } from '../../../../lib/core/errors.ts';
import { fruitlessMax, isTerminal, Progress } from '../../../../lib/runtime/job/progress.ts';
import { noteOutside } from '../../../../lib/runtime/work/outside.ts';

const own = (): StreamError => new StreamError('OPERATOR_FAILED', 'a map threw', { retryable: true });
const refused = (): StreamError => {
  const error = new StreamError('WORK_FAILED', '503', { retryable: true });
  noteOutside(error);
  return error;
};
/** How often in a row a job may start again. */
const starts = (progress: Progress, error: () => unknown, max = 20): number => {
  let count = 0;
  while (count < max && progress.mayRestart(error())) count += 1;
  return count;
};

describe('a job that fails again and again', () => {
  test('by its own code is given up when it gets no further', () => {
    const progress = new Progress();
    expect([progress.stuck, starts(progress, own), progress.stuck]).toEqual([false, fruitlessMax, true]);
  });

  test.each([
    ['something outside', () => new StreamError('SINK_FAILED', 'gone', { retryable: true })],
    ['a call that was refused', refused],
    [
      'an action whose own cause has a code',
      () =>
        new StreamError('ACTION_FAILED', 'x', { retryable: true, cause: new StreamError('MODEL_UNAVAILABLE', 'x') }),
    ],
  ])('by %s is tried for ever', (_what, error) => {
    expect(starts(new Progress(), error)).toBe(20);
  });

  test.each([
    ['what says so of itself', new StreamError('SINK_FAILED', 'no such table', { retryable: false })],
    ['a broken invariant', new InvariantError('I4: x')],
    ['a mistake in code', new TypeError('x is not a function')],
  ])('is not tried again when that is no use: %s', (_what, error) => {
    expect([isTerminal(error), new Progress().mayRestart(error)]).toEqual([true, false]);
  });

  test('has its tries again when the store holds something new', () => {
    const progress = new Progress();
    progress.begin(5);
    for (let life = 0; life < fruitlessMax; life += 1) {
      expect(progress.mayRestart(own())).toBe(true);
      progress.begin(5);
    }
    progress.begin(6);
    expect(starts(progress, own)).toBe(fruitlessMax);
  });

  test('has them when a checkpoint covers more, and not when only time has passed', () => {
    const progress = new Progress();
    progress.begin(0);
    expect(progress.mayRestart(own())).toBe(true);
    progress.onCheckpoint(3);
    expect(starts(progress, own)).toBe(fruitlessMax);
    progress.onCheckpoint(3);
    expect(progress.mayRestart(own())).toBe(false);
  });
});
