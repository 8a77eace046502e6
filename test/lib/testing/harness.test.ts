import { describe, expect, it, vi } from 'vitest';
import { MIN_TIMESTAMP } from '../../../lib/core/element.ts';
import type { Operator } from '../../../lib/core/operator.ts';
import { mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import type { WorkOptions } from '../../../lib/core/work.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { asyncMap } from '../../../operators/async-map.ts';

/** Keeps the last value of a key and says it at a timer. */
const remember: Operator<string, string> = (context) => {
  const last = context.state(valueState<string>('last'));
  const timers = context.timers(({ timestamp }) =>
    context.output.emit(`${String(context.currentKey())}=${last.value()}`, timestamp),
  );
  return {
    process(value, timestamp) {
      last.update(value);
      timers.register(timestamp);
    },
  };
};

const keyOf = (value: string): string => value.slice(0, 1);

describe('OperatorHarness', () => {
  it('gives what came out of each step, and a record has no timestamp unless it is given one', async () => {
    const echo: Operator<string, string> = ({ output }) => ({
      process: (value, timestamp) => output.emit(value, timestamp),
    });
    const harness = await OperatorHarness.open(echo);
    expect(harness.element('a')).toEqual([{ kind: 'record', value: 'a', timestamp: MIN_TIMESTAMP }]);
    expect(harness.status(false)).toEqual([{ kind: 'status', idle: false }]);
    expect(harness.processingTime(5)).toEqual([]);
    expect(harness.now).toBe(5);
  });

  it('keeps a snapshot apart from what comes later', async () => {
    const harness = await OperatorHarness.open(remember, { keyOf });
    harness.element('a1', 10);
    const snapshot = await harness.snapshot();
    harness.element('a2', 20);
    await harness.restore(snapshot);
    expect(harness.timers).toEqual({ event: 1, processing: 0 });
    expect(harness.watermark(30)[0]).toEqual({ kind: 'record', value: 'a=a1', timestamp: 10 });
    const other = await OperatorHarness.open(remember, { keyOf }, snapshot);
    expect(other.watermark(30)).toEqual([
      { kind: 'record', value: 'a=a1', timestamp: 10 },
      { kind: 'watermark', timestamp: 30 },
    ]);
  });

  it('takes a key beside the value, and leaves no key behind when a record fails', async () => {
    let key = (): unknown => undefined;
    const failing: Operator<string, string> = (context) => {
      key = () => context.currentKey();
      return {
        process(value, timestamp) {
          if (value === 'bad') throw new Error('bad');
          context.output.emit(String(context.currentKey()), timestamp);
        },
      };
    };
    const harness = await OperatorHarness.open(failing, { keyOf });
    expect(() => harness.element('bad', 0)).toThrow('bad');
    expect(key).toThrow(TypeError); // I2
    expect(harness.element('x', 0, ['k', 1])).toEqual([{ kind: 'record', value: 'k,1', timestamp: 0 }]);
  });

  it('finds out who changes state in place', async () => {
    const careless: Operator<number, never> = (context) => {
      const state = context.state(mapState<string, number[]>('rows'));
      return {
        process(value) {
          const rows = state.get('all') ?? [];
          rows.push(value);
          state.set('all', rows);
        },
      };
    };
    const strict = await OperatorHarness.open(careless, { keyOf: () => 'k' });
    strict.element(1);
    expect(() => strict.element(2)).toThrow(TypeError);
    const loose = await OperatorHarness.open(careless, { keyOf: () => 'k', freeze: false });
    loose.element(1);
    expect(loose.element(2)).toEqual([]);
  });
});

describe('work in the harness', () => {
  const record = <T>(value: T, timestamp: number) => ({ kind: 'record', value, timestamp });

  it('runs, and what comes out is given when it has settled', async () => {
    const harness = await OperatorHarness.open(
      asyncMap(async (value: string) => value.length),
      { keyOf },
    );
    expect(harness.element('abc', 1)).toEqual([]);
    expect(harness.watermark(1)).toEqual([]);
    expect(harness.workOpen).toBe(1);
    expect(await harness.settled()).toEqual([record(3, 1), { kind: 'watermark', timestamp: 1 }]);
    expect([harness.workOpen, await harness.settled()]).toEqual([0, []]);
  });

  it('waits for functions that take real time, and no longer than it is told', async () => {
    const slow = asyncMap((value: string) => new Promise<string>((resolve) => setTimeout(() => resolve(value), 20)));
    const harness = await OperatorHarness.open(slow);
    harness.element('a', 1);
    expect(await harness.settled()).toEqual([record('a', 1)]);
    const never = await OperatorHarness.open(asyncMap(() => new Promise<never>(() => {})));
    never.element('a', 1);
    await expect(never.settled({ timeout: 10 })).rejects.toMatchObject({
      code: 'WORK_TIMEOUT',
      hint: expect.stringContaining('advance') as string,
    });
  });

  it('waits before the next attempt until the clock is moved', async () => {
    let attempts = 0;
    const flaky = async (value: string): Promise<string> => {
      attempts += 1;
      if (attempts < 3) throw new Error('flaky');
      return value;
    };
    const harness = await OperatorHarness.open(
      asyncMap(flaky, { retry: { attempts: 3, initialInterval: '1s', jitter: 0 } }),
    );
    harness.element('a', 1);
    expect([await harness.settled(), attempts, harness.workOpen]).toEqual([[], 1, 1]);
    expect([await harness.advance(999), attempts]).toEqual([[], 1]);
    expect([await harness.advance(1), attempts]).toEqual([[], 2]);
    expect([await harness.advance('2s'), attempts, harness.now]).toEqual([[record('a', 1)], 3, 3000]);
  });

  it('fails as in a job, and every later step says so', async () => {
    const harness = await OperatorHarness.open(asyncMap(() => new Promise<never>(() => {}), { timeout: '10s' }));
    harness.element('a', 1);
    const failed = expect.objectContaining({ code: 'WORK_TIMEOUT' }) as Error;
    await expect(harness.advance('10s')).rejects.toEqual(failed);
    await expect(harness.settled()).rejects.toEqual(failed);
    expect(() => harness.element('b', 1)).toThrow(failed);
  });

  it.each<[what: string, options: WorkOptions, run: () => Promise<number>, code: string, message: string]>([
    [
      'a body that rejects',
      {},
      () => Promise.reject(new RangeError('no')),
      'WORK_FAILED',
      'work `ask` of operator `operator` for key ["a",1] failed: no',
    ],
    [
      'a body that takes too long',
      { timeout: '5ms' },
      () => new Promise<never>(() => {}),
      'WORK_TIMEOUT',
      'work `ask` of operator `operator` for key ["a",1] took longer than 5 ms',
    ],
    ['an outcome that can not be applied', {}, async () => 1, 'OPERATOR_FAILED', 'operator `operator` threw: not this'],
  ])('names operator and key of %s', async (_what, options, run, code, message) => {
    const asking: Operator<string, string> = (context) => {
      const apply = (): never => {
        throw new RangeError('not this');
      };
      const work = context.work<string, number>({ name: 'ask', run, apply }, options);
      return { process: (value) => work.submit(value) };
    };
    const harness = await OperatorHarness.open(asking, { keyOf: (value) => [value, 1] });
    harness.element('a', 1);
    await expect(harness.advance(5)).rejects.toMatchObject({ code, message });
  });

  it('I8: asks for nothing again that the journal holds, when the operator is restored', async () => {
    const asked: string[] = [];
    let answer: Promise<string> = new Promise(() => {});
    const two: Operator<string, string> = (context) => {
      const work = context.work<string, string>({
        name: 'two',
        async run(value, item) {
          const first = await item.call('first', () => (asked.push('first'), `${value}1`));
          return item.call('second', () => (asked.push('second'), answer.then((second) => first + second)));
        },
        apply: (_, outcome) => context.output.emit(outcome.ok ? outcome.value : 'failed', 5),
      });
      return { process: (value) => work.submit(value) };
    };
    const harness = await OperatorHarness.open(two, { keyOf });
    harness.element('a');
    const snapshot = await harness.snapshot();
    await harness.advance(0);
    expect(asked).toEqual(['first', 'second']);
    answer = Promise.resolve('2');
    await harness.restore(snapshot);
    expect([await harness.settled(), asked]).toEqual([[record('a12', 5)], ['first', 'second', 'second']]);
    // Its end is in the journal too: it is applied, and nothing runs.
    await harness.restore(snapshot);
    expect([await harness.settled(), asked.length]).toEqual([[record('a12', 5)], 3]);
  });

  it('goes on in another harness with what the snapshot holds', async () => {
    const fn = vi.fn(async (value: string) => value.toUpperCase());
    const first = await OperatorHarness.open(asyncMap(fn), { keyOf });
    first.element('a', 1);
    const second = await OperatorHarness.open(asyncMap(fn), { keyOf }, await first.snapshot());
    expect(await second.settled()).toEqual([record('A', 1)]);
  });

  it('moves the timers of the operator with the clock, each when its own time has passed', async () => {
    const times: number[] = [];
    const reminding: Operator<string, string> = (context) => {
      const timers = context.timers(({ timestamp }) => {
        times.push(context.now());
        context.output.emit('now', timestamp);
        if (timestamp < 250) timers.register(timestamp + 100, { domain: 'processing' });
      });
      return { process: () => timers.register(100, { domain: 'processing' }) };
    };
    const harness = await OperatorHarness.open(reminding, { keyOf });
    harness.element('a', 1);
    expect(await harness.advance('1s')).toEqual([record('now', 100), record('now', 200), record('now', 300)]);
    expect([times, harness.now]).toEqual([[101, 201, 301], 1000]); // As in a job: the clock must have passed the time.
  });

  it('shows the state of a key, which can not be changed this way', async () => {
    const last = valueState<string>('last');
    const harness = await OperatorHarness.open(remember, { keyOf });
    harness.element('a1', 10);
    expect(harness.read('a', last, (state) => state.value())).toBe('a1');
    expect(harness.read('b', last, (state) => state.value())).toBeUndefined();
    expect(() => harness.read('a', last, (state) => state.update('x'))).toThrow(TypeError);
    expect(() => harness.read('a', valueState('other'), (state) => state.value())).toThrow("'other'");
  });
});
