/** A body that has nothing to do but wait before another attempt gives its place to others (I10). */
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import type { WorkContext } from '../../../../lib/core/work.ts';
import { Gates, tasks, Working, type Task } from './working.ts';

/** Waits before another attempt end when the test says so. */
const waiting = (): { readonly clock: Clock; pass(): void } => {
  const timers: (() => void)[] = [];
  return {
    clock: {
      ...systemClock,
      setTimer: (_ms, fn) => {
        timers.push(fn);
        return () => void timers.splice(timers.indexOf(fn), 1);
      },
    },
    pass: () => timers.splice(0).forEach((fn) => fn()),
  };
};

const retry = { attempts: 10, initialInterval: '1m', jitter: 0 } as const;

/** `run` is the body of task `a`; others end when they have started. One may be in flight. */
const alone = async (run: (context: WorkContext, gates: Gates) => Promise<unknown>) => {
  const [gates, ran, { clock, pass }]: [Gates, string[], ReturnType<typeof waiting>] = [new Gates(), [], waiting()];
  const working = await Working.begun({
    clock,
    tasks: tasks('a', 'b', 'c'),
    work: { inFlightMax: 1 },
    run: async ({ name }: Task, context) => {
      ran.push(name);
      return name === 'a' ? run(context, gates) : name;
    },
  });
  await working.life.records(3);
  await working.life.quiet();
  return { gates, ran, pass, working };
};

/** Fails so often, then gives its id. */
const failing = (times: number) => {
  let left = times;
  return (context: WorkContext, id: string): Promise<string> =>
    context.call(
      id,
      () => {
        left -= 1;
        if (left >= 0) throw new Error('503');
        return id;
      },
      { retry },
    );
};

describe('a body whose calls all wait before their next attempt', () => {
  test('gives its place to others, and takes one again', async () => {
    const call = failing(1);
    const { ran, pass, working } = await alone((context) => call(context, 'x'));
    expect(working.told).toEqual([
      ['b', 'b'],
      ['c', 'c'],
    ]);
    expect(working.life.queues()[0]?.inFlight).toBe(0);
    pass();
    await working.life.quiet();
    expect([ran, working.told.at(-1)]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'x'],
    ]);
    expect(working.life.queues()[0]?.inFlight).toBe(0);
  });

  test('so does one of whose calls the others have ended since', async () => {
    const call = failing(1);
    const { gates, ran, pass, working } = await alone((context, inner) =>
      Promise.all([call(context, 'x'), context.call('y', () => inner.wait('y'))]),
    );
    expect(ran).toEqual(['a']); // It waits for `y`.
    gates.open('y');
    await working.life.quiet();
    expect(ran).toEqual(['a', 'b', 'c']);
    pass();
    await working.life.quiet();
    expect(working.told.at(-1)).toEqual(['a', ['x', 'y']]);
    expect(working.life.queues()[0]?.inFlight).toBe(0);
  });

  test('waits for a place before it does anything more', async () => {
    const call = failing(1);
    const { gates, ran, pass, working } = await alone(async (context, inner) => {
      await Promise.all([call(context, 'x'), context.call('y', () => inner.wait('y'))]);
      return context.call('z', () => inner.wait('z'));
    });
    gates.open('y');
    await working.life.quiet();
    pass();
    await working.life.quiet();
    expect([ran, gates.started]).toEqual([
      ['a', 'b', 'c'],
      ['y', 'z'],
    ]);
    expect(working.life.queues()[0]?.inFlight).toBe(1);
    gates.open('z');
    await working.life.quiet();
    expect(working.told.at(-1)).toEqual(['a', 'z']);
    expect(working.life.queues()[0]?.inFlight).toBe(0);
  });
});
