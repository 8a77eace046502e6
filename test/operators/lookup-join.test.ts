import { describe, expect, it } from 'vitest';
import { outputTag } from '../../lib/core/output-tag.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { DeadLetter } from '../../operators/dead-letter.ts';
import { lookupJoin, type LookupJoinOptions } from '../../operators/lookup-join.ts';

type Options = Partial<LookupJoinOptions<number, number, string, string>>;

/** Looks numbers up by their last digit; `asked` has each lookup that was made. */
const open = async (options: Options = {}) => {
  const asked: number[] = [];
  const harness = await OperatorHarness.open(
    lookupJoin<number, number, string, string>({
      key: (value) => value % 10,
      lookup: async (key) => (asked.push(key), key === 0 ? undefined : `row ${key}`),
      join: (value, row) => `${value} ${row ?? 'none'}`,
      order: 'arrival',
      ...options,
    }),
  );
  const give = async (...values: number[]): Promise<unknown[]> => {
    for (const value of values) harness.element(value, 0);
    return (await harness.settled()).flatMap((output) => (output.kind === 'record' ? [output.value] : []));
  };
  return { asked, harness, give };
};

describe('a lookup join', () => {
  it('asks once for records of one key that come at the same time, and again for later ones', async () => {
    const { asked, give } = await open();
    expect(await give(1, 11, 10, 21)).toEqual(['1 row 1', '11 row 1', '10 none', '21 row 1']);
    expect(asked).toEqual([1, 0]);
    await give(31);
    expect(asked).toEqual([1, 0, 1]);
  });

  it('keeps the rows that were asked for last, and that there is none if it is to', async () => {
    const { asked, give } = await open({ cache: { max: 2 } });
    for (const value of [1, 0, 1, 0, 2, 0, 1]) await give(value);
    expect(asked).toEqual([1, 0, 2, 1]);
    const without = await open({ cache: { missing: false } });
    for (const value of [1, 0, 1, 0]) await without.give(value);
    expect(without.asked).toEqual([1, 0, 0]);
  });

  it('asks again after a failure, which all that wait for it share', async () => {
    let failures = 1;
    const { give } = await open({
      lookup: async (key) => {
        if (failures-- > 0) throw new Error('away');
        return `row ${key}`;
      },
      cache: {},
      onError: 'ignore',
    });
    expect(await give(1, 11)).toEqual([]);
    expect(await give(21)).toEqual(['21 row 1']);
  });

  describe('when the time of the record that asks is over', () => {
    it.each([
      ['heeds it', (signal: AbortSignal) => new Promise<never>((_, no) => signal.addEventListener('abort', no))],
      ['never ends', () => new Promise<never>(() => {})],
    ])('asks again for those that wait, though the lookup %s', async (_, hangs) => {
      let asked = 0;
      const { harness } = await open({
        lookup: (key, { signal }) => ((asked += 1) === 1 ? hangs(signal) : `row ${key}`),
        timeout: 100,
        onTimeout: (value) => `${value} too late`,
      });
      harness.element(1, 0);
      await harness.advance(60);
      for (const value of [11, 21]) harness.element(value, 0);
      expect(await harness.advance(39)).toEqual([]);
      const outputs = [...(await harness.advance(1)), ...(await harness.settled())];
      expect(outputs.map((output) => output.kind === 'record' && output.value)).toEqual([
        '1 too late',
        '11 row 1',
        '21 row 1',
      ]);
      expect(asked).toBe(2);
    });

    it('fails for those that wait only when theirs is over too', async () => {
      const { harness } = await open({
        lookup: () => new Promise<never>(() => {}),
        timeout: 100,
        onTimeout: (value) => `${value} too late`,
      });
      harness.element(1, 0);
      await harness.advance(60);
      harness.element(11, 0);
      expect(await harness.advance(40)).toMatchObject([{ value: '1 too late' }]);
      expect(await harness.advance(59)).toEqual([]);
      expect(await harness.advance(1)).toMatchObject([{ value: '11 too late' }]);
      expect(harness.workOpen).toBe(0);
    });
  });

  it('lets a row go when its time is over, counted from when it was looked up', async () => {
    const { asked, give, harness } = await open({ cache: { ttl: 100 } });
    await give(1);
    await harness.advance(99);
    await give(1);
    expect(asked).toEqual([1]);
    await harness.advance(1);
    await give(1);
    expect(asked).toEqual([1, 1]);
  });

  it('keeps no more rows than it may, whatever their time', async () => {
    const { asked, give } = await open({ cache: { max: 1, ttl: 100 } });
    for (const value of [1, 2, 2, 1]) await give(value);
    expect(asked).toEqual([1, 2, 1]);
  });

  it('gives each join a row of its own', async () => {
    const harness = await OperatorHarness.open(
      lookupJoin<number, number, { n: number }, number>({
        key: () => 1,
        lookup: () => ({ n: 1 }),
        join: (_value, row) => (row === undefined ? 0 : ++row.n),
        cache: {},
      }),
    );
    for (const value of [1, 2]) harness.element(value, 0);
    expect((await harness.settled()).map((output) => output.kind === 'record' && output.value)).toEqual([2, 2]);
  });

  it('gives nothing where `join` makes nothing, and letters of what failed beside its stream', async () => {
    const letters = outputTag<DeadLetter<number>>('letters');
    const joined = StreamExecutionEnvironment.create({ logger: 'silent' })
      .fromCollection([1, 2, 3])
      .lookupJoin({
        key: (value) => value,
        lookup: async (key) => {
          if (key === 2) throw new Error('away');
          return key;
        },
        join: (value, row) => (row === 1 ? undefined : value),
        deadLetters: letters,
      });
    const all = joined.union(joined.sideOutput(letters).map(({ input }) => input * 100));
    expect((await all.executeAndCollect()).toSorted()).toEqual([200, 3]);
  });

  it('refuses options that are none', async () => {
    await expect(open({ cache: { max: 0 } })).rejects.toThrow('`max`');
    await expect(open({ key: 1 as never })).rejects.toThrow('`key`');
    await expect(open({ inFlightMax: 0 })).rejects.toThrow('`inFlightMax`');
  });
});
