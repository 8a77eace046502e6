import { ManualClock, seededRandom, settled, SimulatedClock } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { sleep } from '../../../lib/core/clock.ts';

describe('ManualClock', () => {
  test('stands still until it is moved, and fires what comes due in its order', async () => {
    const clock = new ManualClock({ now: 100 });
    const fired: [string, number][] = [];
    clock.setTimer(20, () => fired.push(['b', clock.now()]));
    clock.setTimer(10, () => fired.push(['a', clock.now()]));
    const cancel = clock.setTimer(15, () => fired.push(['never', 0]));
    cancel();
    await settled();
    expect(fired).toEqual([]);
    await clock.advance(15);
    expect([fired, clock.now(), clock.waiting]).toEqual([[['a', 110]], 115, 1]);
    await clock.advance(5);
    expect(fired).toEqual([
      ['a', 110],
      ['b', 120],
    ]);
  });

  test('lets a promise chain set the next timer while time moves', async () => {
    const clock = new ManualClock();
    const times: number[] = [];
    const loop = (async () => {
      for (let round = 0; round < 3; round += 1) {
        await sleep(clock, 10);
        times.push(clock.now());
      }
    })();
    await clock.advance(30);
    await loop;
    expect(times).toEqual([10, 20, 30]);
  });

  test('steps from timer to timer', async () => {
    const clock = new ManualClock();
    clock.setTimer(7, () => {});
    expect([await clock.step(), clock.now(), await clock.step()]).toEqual([7, 7, undefined]);
  });
});

describe('SimulatedClock', () => {
  const history = (seed: number, order?: 'fixed'): string => {
    const clock = new SimulatedClock({ seed, now: 0, order });
    const seen: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      clock.setTimer(5, () => seen.push(`${name}${clock.now()}`));
      clock.defer(() => seen.push(name));
    }
    while (clock.step());
    return seen.join(' ');
  };

  test('gives one order for one seed, and other orders for others', () => {
    expect(history(1)).toBe(history(1));
    expect(new Set(Array.from({ length: 20 }, (_, seed) => history(seed))).size).toBeGreaterThan(10);
  });

  test('keeps the order of deferred callbacks, whatever the seed', () => {
    for (let seed = 0; seed < 50; seed += 1)
      expect(
        history(seed)
          .replaceAll(/\w\d\S* ?/g, '')
          .trim(),
      ).toBe('a b c d');
  });

  test('in fixed order runs what is deferred, then timers as they were set', () => {
    expect(history(9, 'fixed')).toBe('a b c d a5 b5 c5 d5');
  });

  test('discards what a dead process has asked for, and asks for', () => {
    const clock = new SimulatedClock({ seed: 1 });
    const [dead, live] = [clock.process(), clock.process()];
    const seen: string[] = [];
    dead.setTimer(1, () => seen.push('dead timer'));
    dead.defer(() => seen.push('dead callback'));
    live.setTimer(1, () => seen.push('live'));
    dead.kill();
    dead.defer(() => seen.push('after death'));
    while (clock.step());
    expect([seen, dead.alive, live.alive]).toEqual([['live'], false, true]);
  });
});

test('seeded numbers are even, repeatable, and refuse a bad seed', () => {
  const [a, b] = [seededRandom(5), seededRandom(5)];
  const values = Array.from({ length: 1000 }, () => a());
  expect(values).toEqual(Array.from({ length: 1000 }, () => b()));
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(values.reduce((sum, value) => sum + value, 0) / 1000).toBeCloseTo(0.5, 1);
  expect(() => seededRandom(-1)).toThrow('Expected `seed` to be an integer');
});
