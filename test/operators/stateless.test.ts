import { describe, expect, it } from 'vitest';
import type { Step } from '../../lib/core/operator.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { filter, flatMap, map } from '../../operators/stateless.ts';

const run = async <I, O>(operator: Step<I, O>, values: readonly I[]): Promise<unknown[]> => {
  const harness = await OperatorHarness.open(operator);
  return values.flatMap((value, at) =>
    harness.element(value, at).map((output) => (output.kind === 'record' ? [output.value, output.timestamp] : output)),
  );
};

describe('map', () => {
  it('emits one result for each value, with its timestamp', async () => {
    expect(
      await run(
        map((value: number) => value * 2),
        [],
      ),
    ).toEqual([]);
    expect(
      await run(
        map((value: number) => value * 2),
        [1],
      ),
    ).toEqual([[2, 0]]);
    expect(await run(map(String), [1, 2])).toEqual([
      ['1', 0],
      ['2', 1],
    ]);
  });

  it('emits undefined and null like any other result', async () => {
    expect(
      await run(
        map((value: number) => (value === 1 ? undefined : null)),
        [1, 2],
      ),
    ).toEqual([
      [undefined, 0],
      [null, 1],
    ]);
  });

  it('passes watermarks and idleness on', async () => {
    const harness = await OperatorHarness.open(map((value: number) => value));
    expect(harness.watermark(5)).toEqual([{ kind: 'watermark', timestamp: 5 }]);
    expect(harness.watermark(5)).toEqual([]);
    expect(harness.status(true)).toEqual([{ kind: 'status', idle: true }]);
  });

  it('lets an error of the function through and goes on after it', async () => {
    const harness = await OperatorHarness.open(
      map((value: number) => {
        if (value === 2) throw new Error('two');
        return value;
      }),
    );
    expect(() => harness.element(2)).toThrow('two');
    expect(harness.element(3, 1)).toEqual([{ kind: 'record', value: 3, timestamp: 1 }]);
  });
});

describe('filter', () => {
  it('keeps what the predicate holds for, also when it is only truthy', async () => {
    expect(
      await run(
        filter((value: number) => value % 2 === 0),
        [1, 2, 3, 4],
      ),
    ).toEqual([
      [2, 1],
      [4, 3],
    ]);
    expect(
      await run(
        filter((value: string) => value as unknown as boolean),
        ['', 'a'],
      ),
    ).toEqual([['a', 1]]);
  });

  it('narrows the type', async () => {
    const texts: Step<string | number, string> = filter(
      (value: string | number): value is string => typeof value === 'string',
    );
    expect(await run(texts, [1, 'a'])).toEqual([['a', 1]]);
  });
});

describe('flatMap', () => {
  it('emits everything there is, from any iterable', async () => {
    expect(
      await run(
        flatMap((value: number) => Array.from({ length: value }, () => value)),
        [0, 1, 2],
      ),
    ).toEqual([
      [1, 1],
      [2, 2],
      [2, 2],
    ]);
    expect(
      await run(
        flatMap((value: string) => new Set(value)),
        ['aab'],
      ),
    ).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
  });
});

it.each([
  ['map', map(async (value: number) => value)],
  ['filter', filter((async () => false) as unknown as (value: number) => boolean)],
  ['flatMap', flatMap((async () => []) as unknown as (value: number) => number[])],
] as const)('I13: %s refuses a promise', async (_name, operator) => {
  const harness = await OperatorHarness.open(operator as Step<number, unknown>);
  expect(() => harness.element(1)).toThrow(
    expect.objectContaining({
      code: 'ASYNC_IN_TURN',
      message: 'the function of operator `operator` returned a promise',
    }),
  );
});

it('a function that is none is refused at once', () => {
  expect(() => map(undefined as unknown as () => number)).toThrow('Expected `fn` to be a function, got `undefined`');
  expect(() => filter('keep' as unknown as () => boolean)).toThrow('Expected `keep` to be a function');
});

describe('flatMap without an end', () => {
  const naturals = function* (): Generator<number> {
    for (let n = 0; ; n += 1) yield n;
  };

  it('is refused behind `valuesMax` values of one record, and another one has as many', async () => {
    const harness = await OperatorHarness.open(
      flatMap((size: number) => Array.from({ length: size }, (_, n) => n), { valuesMax: 3 }),
    );
    expect(harness.element(3).length + harness.element(3).length).toBe(6);
    const endless = await OperatorHarness.open(flatMap(naturals, { valuesMax: 3 }));
    expect(() => endless.element(1)).toThrow(
      expect.objectContaining({
        code: 'VALUES_EXCEEDED',
        retryable: false,
        message: expect.stringMatching(/^operator `.+` gave more than 3 values for one record$/),
      }),
    );
  });

  it('is refused without an option too', async () => {
    let given = 0;
    const counted = function* (): Generator<number> {
      for (const n of naturals()) {
        given += 1;
        yield n;
      }
    };
    const harness = await OperatorHarness.open(flatMap(counted));
    expect(() => harness.element(1)).toThrow(expect.objectContaining({ code: 'VALUES_EXCEEDED' }));
    expect(given).toBe(1_000_001);
  });

  it.each([0, -1, 1.5, '7'])('refuses `valuesMax: %s`', (valuesMax) => {
    expect(() => flatMap(naturals, { valuesMax: valuesMax as number })).toThrow(/`valuesMax`/);
  });
});
