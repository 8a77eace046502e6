import { expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import { Macrotasks } from '../../../../lib/runtime/work/macrotasks.ts';

/** Deferred callbacks run when the test says so. */
const stepping = (): { readonly clock: Clock; readonly deferred: (() => void)[]; step(): void } => {
  const deferred: (() => void)[] = [];
  return {
    clock: { ...systemClock, defer: (fn) => void deferred.push(fn) },
    deferred,
    step: () => deferred.splice(0).forEach((fn) => fn()),
  };
};

test('all that happens between two deferred callbacks is one macrotask, and one callback serves who waits', () => {
  const { clock, deferred, step } = stepping();
  const macrotasks = new Macrotasks(clock);
  const [first, ran]: [number, string[]] = [macrotasks.current(), []];
  expect(macrotasks.current()).toBe(first);
  for (const name of ['a', 'b']) macrotasks.next(() => ran.push(name));
  expect([ran, deferred.length]).toEqual([[], 1]);
  step();
  expect([ran, deferred.length]).toEqual([['a', 'b'], 0]);
  expect(macrotasks.current()).not.toBe(first);
});

test('what asks for the next one in a macrotask gets the one behind it', () => {
  const { clock, step } = stepping();
  const macrotasks = new Macrotasks(clock);
  const seen: number[] = [];
  macrotasks.next(() => {
    seen.push(macrotasks.current());
    macrotasks.next(() => seen.push(macrotasks.current()));
  });
  step();
  expect(seen).toHaveLength(1);
  step();
  expect([seen.length, new Set(seen).size]).toEqual([2, 2]);
});
