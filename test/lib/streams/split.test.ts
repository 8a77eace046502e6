import { describe, expect, it } from 'vitest';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';

const numbers = (...values: (number | string)[]) =>
  StreamExecutionEnvironment.create({ logger: 'silent' }).fromCollection(values);

const isText = (value: number | string): value is string => typeof value === 'string';

describe('split', () => {
  it('gives a value to the first predicate that holds, and what none takes to the rest', async () => {
    const parts = numbers(1, 2, 3, 4, 5, 6).split({
      even: (value) => Number(value) % 2 === 0,
      large: (value) => Number(value) > 3,
    });
    const all = parts.even
      .map((value) => `even ${value}`)
      .union(parts.large.map((value) => `large ${value}`), parts.rest.map((value) => `rest ${value}`));
    expect((await all.executeAndCollect()).toSorted()).toEqual([
      'even 2',
      'even 4',
      'even 6',
      'large 5',
      'rest 1',
      'rest 3',
    ]);
  });

  it('narrows the type of a part by a predicate that does', async () => {
    const { texts } = numbers(1, 'a').split({ texts: isText });
    const lengths: number[] = await texts.map((text) => text.length).executeAndCollect();
    expect(lengths).toEqual([1]);
  });

  it('makes one stream of a part that is read twice, and none of one that nobody reads', async () => {
    const parts = numbers(1).split({ one: (value) => value === 1 });
    expect(parts.one).toBe(parts.one);
    expect(await parts.rest.executeAndCollect()).toEqual([]);
  });

  it('refuses what is no predicate, a part called rest, and a promise', async () => {
    expect(() => numbers(1).split({ one: 1 as never })).toThrow('`parts.one`');
    expect(() => numbers(1).split({ rest: () => true })).toThrow('rest');
    expect(() => numbers(1).split(null as never)).toThrow('`parts`');
    const { one } = numbers(1).split({ one: async () => true });
    await expect(one.executeAndCollect()).rejects.toMatchObject({ code: 'ASYNC_IN_TURN' });
    const thrown = numbers(1).split({ one: () => JSON.parse('{') as boolean });
    await expect(thrown.one.executeAndCollect()).rejects.toMatchObject({ code: 'OPERATOR_FAILED' });
  });
});
