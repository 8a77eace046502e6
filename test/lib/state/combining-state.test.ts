/** State that keeps what its values come to: reducing and aggregating. */
import { describe, expect, it } from 'vitest';
import type { AggregateFunction } from '../../../lib/core/aggregate-function.ts';
import { aggregatingState, reducingState, valueState } from '../../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { process, type } from '../../../operators/process.ts';
import { openStore, save, setUp } from './working-set-fixture.ts';

const mean: AggregateFunction<number, { sum: number; count: number }, number> = {
  createAccumulator: () => ({ sum: 0, count: 0 }),
  add: (value, { sum, count }) => ({ sum: sum + value, count: count + 1 }),
  getResult: ({ sum, count }) => sum / count,
};

const lists = (mutable: boolean): AggregateFunction<number, number[], number[]> => ({
  mutable,
  createAccumulator: () => [],
  add(value, list) {
    list.push(value);
    return list;
  },
  getResult: (list) => list,
});

const add = (a: number, b: number): number => a + b;

describe('a reducing state', () => {
  it('is undefined before the first value, keeps that as it is, then what the values come to', async () => {
    const { state, at } = setUp(await openStore());
    const sum = state(reducingState('sum', add));
    expect(at('a', () => sum.get())).toBeUndefined();
    at('a', () => sum.add(2));
    at('b', () => sum.add(10));
    at('a', () => sum.add(3));
    expect([at('a', () => sum.get()), at('b', () => sum.get())]).toEqual([5, 10]);
    at('a', () => sum.clear());
    expect(at('a', () => sum.get())).toBeUndefined();
    at('a', () => sum.add(7));
    expect(at('a', () => sum.get())).toBe(7);
  });

  it('shares nothing with who adds and who reads (I21)', async () => {
    const { state, at } = setUp(await openStore());
    const box = { list: [1] };
    const last = state(reducingState<typeof box>('last', (_, value) => value));
    at('a', () => last.add(box));
    box.list.push(2);
    at('a', () => last.get()?.list.push(3));
    expect(at('a', () => last.get())).toEqual({ list: [1] });
  });

  it('stays as it was when its function throws, also one that has changed what it was given', async () => {
    const { state, at } = setUp(await openStore());
    const boxes = state(
      reducingState<{ n: number }>('boxes', (kept, { n }) => {
        kept.n += n;
        if (n < 0) throw new Error('negative');
        return kept;
      }),
    );
    at('a', () => boxes.add({ n: 1 }));
    expect(() => at('a', () => boxes.add({ n: -5 }))).toThrow('negative');
    at('a', () => boxes.add({ n: 2 }));
    expect(at('a', () => boxes.get())).toEqual({ n: 3 });
  });

  it('refuses a function that gives a promise, or nothing, and what is none', async () => {
    const { state, at } = setUp(await openStore());
    const late = state(reducingState<unknown>('late', async () => 1));
    const empty = state(reducingState<unknown>('empty', () => undefined));
    for (const each of [late, empty]) at('a', () => each.add(1));
    expect(() => at('a', () => late.add(1))).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    expect(() => at('a', () => empty.add(1))).toThrow(/reducing state 'empty'/);
    expect(() => reducingState('x', 1 as never)).toThrow(/reduce/);
    expect(() => at('b', () => late.add(() => 1))).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
    expect(() => late.get()).toThrow(/current key/);
    expect(() => late.add(1)).toThrow(/current key/);
    expect(() => late.clear()).toThrow(/current key/);
  });
});

describe('an aggregating state', () => {
  it('gives the result over its values, undefined before the first', async () => {
    const { state, at } = setUp(await openStore());
    const means = state(aggregatingState('mean', mean));
    expect(at('a', () => means.get())).toBeUndefined();
    at('a', () => {
      means.add(1);
      means.add(4);
    });
    expect(at('a', () => means.get())).toBe(2.5);
    at('a', () => means.clear());
    expect(at('a', () => means.get())).toBeUndefined();
  });

  it.each([false, true])('shares no part of its accumulator, mutable %s', async (mutable) => {
    const { state, at } = setUp(await openStore());
    const all = state(aggregatingState('all', lists(mutable)));
    at('a', () => all.add(1));
    at('a', () => all.get()?.push(9));
    at('a', () => all.add(2));
    expect(at('a', () => all.get())).toEqual([1, 2]);
  });

  it('refuses a function that gives a promise, and what is none', async () => {
    const { state, at } = setUp(await openStore());
    const late = state(aggregatingState('late', { ...mean, add: (async () => 1) as never }));
    expect(() => at('a', () => late.add(1))).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    expect(() => aggregatingState('x', { add } as never)).toThrow(/aggregate/);
  });
});

it('goes on from what was stored, and an older form is migrated', async () => {
  const store = await openStore();
  const first = setUp(store);
  const [sum, means] = [first.state(reducingState('sum', add)), first.state(aggregatingState('mean', mean))];
  first.at('a', () => {
    sum.add(1);
    means.add(3);
  });
  await save(first.set, store);
  expect(first.set.states().map(({ kind }) => kind)).toEqual(['reducing', 'aggregating']);
  const second = setUp(store, { restored: true });
  // What an older program has stored has any form.
  const times10 = (old: unknown): unknown => Number(old) * 10;
  const twice = (old: unknown): unknown => ({ ...(old as object), count: 2 });
  const sumNow = second.state(reducingState('sum', add, { version: 2, migrate: times10 }));
  const meansNow = second.state(aggregatingState('mean', mean, { version: 2, migrate: twice }));
  second.at('a', () => {
    sumNow.add(2);
    expect([sumNow.get(), meansNow.get()]).toEqual([12, 1.5]);
  });
});

it('is read by the kind of state it is', async () => {
  const spec = { sum: reducingState('sum', add), count: valueState<number>('count') };
  const sums = process({
    emits: type<number>(),
    state: spec,
    process: (value: number, ctx) => {
      ctx.state.sum.add(value);
      ctx.emit(ctx.state.sum.get() ?? 0);
    },
  });
  const harness = await OperatorHarness.open(sums, { keyOf: () => 'all' });
  harness.element(1, 0);
  await harness.restore(await harness.snapshot());
  expect(harness.element(2, 1)).toEqual([{ kind: 'record', value: 3, timestamp: 1 }]);
  expect(harness.read('all', spec.sum, (sum) => sum.get())).toBe(3);
});
