import {
  listState,
  MIN_TIMESTAMP,
  outputTag,
  valueState,
  type Operator,
  type OperatorContext,
  type Timers,
} from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { describe, expect, it } from 'vitest';

const late = outputTag<string>('late');

/** The context that an operator is given. */
const contextOf = async (): Promise<OperatorContext<string>> => {
  let given: OperatorContext<string> | undefined;
  await OperatorHarness.open<string, string>((context) => {
    given = context;
    return { process: () => {} };
  });
  if (given === undefined) throw new Error('no context');
  return given;
};

describe('what an operator is given', () => {
  it('has nothing of the host that runs it', async () => {
    const context = await contextOf();
    const names = new Set<string>();
    for (
      let each: object | null = context;
      each !== null && each !== Object.prototype;
      each = Object.getPrototypeOf(each) as object | null
    ) {
      for (const name of Object.getOwnPropertyNames(each)) names.add(name);
    }
    names.delete('constructor');
    for (const name of ['watermark', 'restore', 'snapshot', 'record', 'status', 'open', 'close'])
      expect([...names]).not.toContain(name);
    expect([...names]).toEqual(expect.arrayContaining(['state', 'timers', 'work', 'holds', 'place', 'currentKey']));
  });

  it.each([
    ['timers', (context: OperatorContext<string>) => void (context.timers(() => {}), context.timers(() => {}))],
    [
      'timers of both kinds',
      (context: OperatorContext<string>) => void (context.timers(() => {}), context.derivedTimers(() => {})),
    ],
    ['holds', (context: OperatorContext<string>) => void (context.holds(), context.holds())],
    [
      'a state of one name',
      (context: OperatorContext<string>) => void (context.state(valueState('x')), context.state(listState('x'))),
    ],
  ])('asks once for %s', async (_what, ask) => {
    const operator: Operator<string, string> = (context) => {
      ask(context);
      return { process: () => {} };
    };
    await expect(OperatorHarness.open(operator)).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      cause: expect.any(TypeError),
    });
  });
});

describe('what its host brings it', () => {
  const noting =
    (seen: unknown[]): Operator<string, string> =>
    (context) => {
      const timers: Timers = context.timers(({ timestamp }) => {
        seen.push(`timer ${timestamp}`);
        context.output.emit('fired', timestamp);
      });
      return {
        process: (_value, timestamp) => timers.register(timestamp + 1),
        onWatermark: (timestamp) => void seen.push(`watermark ${timestamp}`),
      };
    };

  it('timers, then the watermark that made them due, which then goes on', async () => {
    const seen: unknown[] = [];
    const harness = await OperatorHarness.open(noting(seen), { keyOf: (value: string) => value });
    harness.element('a', 1);
    expect(harness.watermark(5)).toEqual([
      { kind: 'record', value: 'fired', timestamp: 2 },
      { kind: 'watermark', timestamp: 5 },
    ]);
    expect(seen).toEqual(['timer 2', 'watermark 5']);
  });

  it('I3: a watermark never goes back, after a restore neither', async () => {
    const seen: unknown[] = [];
    const harness = await OperatorHarness.open(noting(seen), { keyOf: (value: string) => value });
    expect([harness.watermark(5), harness.watermark(5), harness.watermark(4)].map(({ length }) => length)).toEqual([
      1, 0, 0,
    ]);
    await harness.restore(await harness.snapshot());
    expect([harness.watermark(5), harness.watermark(6)].map(({ length }) => length)).toEqual([0, 1]);
    expect(harness.host.currentWatermark).toBe(6);
  });

  it('numbers go on behind a restore, those of each key group by themselves', async () => {
    const numbers: number[] = [];
    const harness = await OperatorHarness.open<string, string>(
      (context) => ({ process: () => void numbers.push(context.sequence()) }),
      { keyOf: (value) => value },
    );
    for (const key of ['a', 'a', 'b']) harness.element(key);
    await harness.restore(await harness.snapshot());
    for (const key of ['a', 'b']) harness.element(key);
    expect(numbers).toEqual([0, 1, 0, 2, 1]);
  });

  it('a side output is given records, and what nobody takes is dropped', async () => {
    const operator: Operator<string, string> = (context) => ({
      process: (value, timestamp) => context.output.side(late, value, timestamp),
    });
    const heard = await OperatorHarness.open(operator, { sides: [late] });
    expect(heard.element('x', 3)).toEqual([{ kind: 'side', tag: 'late', value: 'x', timestamp: 3 }]);
    const unheard = await OperatorHarness.open(operator);
    expect(unheard.element('x', 3)).toEqual([]);
  });
});

describe('what `process` may return', () => {
  it.each([
    ['a promise', () => Promise.resolve(1), 'ASYNC_IN_TURN'],
    ['a thenable', () => ({ then: () => {} }), 'ASYNC_IN_TURN'],
    ['a value', () => 7, 'OPERATOR_FAILED'],
    ['a list', () => [], 'OPERATOR_FAILED'],
  ])('not %s', async (_what, give, code) => {
    // A user without types returns what he likes.
    const operator = (() => ({ process: give })) as unknown as Operator<string, string>;
    const harness = await OperatorHarness.open(operator);
    expect(() => harness.element('x', MIN_TIMESTAMP)).toThrow(expect.objectContaining({ code, retryable: false }));
  });

  it.each([false, true, null, 0, '', Number.NaN])('%s, which a condition in front of a call gives', async (left) => {
    const operator = (() => ({ process: () => left })) as unknown as Operator<string, string>; // as above
    const harness = await OperatorHarness.open(operator);
    expect(harness.element('x', MIN_TIMESTAMP)).toEqual([]);
  });
});
