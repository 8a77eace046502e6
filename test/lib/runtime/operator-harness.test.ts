import { describe, expect, it } from 'vitest';
import { MIN_TIMESTAMP } from '../../../lib/core/element.ts';
import { mapState, valueState, type Operator } from '../../../lib/core/operator.ts';
import { OperatorHarness } from '../../../lib/runtime/operator-harness.ts';

/** Keeps the last value of a key and says it at a timer. */
const remember: Operator<string, string> = (context) => {
  const last = context.state(valueState<string>('last'));
  const timers = context.timers(({ timestamp }) => context.output.emit(`${String(context.currentKey())}=${last.value()}`, timestamp));
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
    const echo: Operator<string, string> = ({ output }) => ({ process: (value, timestamp) => output.emit(value, timestamp) });
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
    const failing: Operator<string, string> = (context) => ({
      process(value, timestamp) {
        if (value === 'bad') throw new Error('bad');
        context.output.emit(String(context.currentKey()), timestamp);
      },
    });
    const harness = await OperatorHarness.open(failing, { keyOf });
    expect(() => harness.element('bad', 0)).toThrow('bad');
    expect(() => harness.host.currentKey()).toThrow(TypeError); // I2
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
