/** What becomes of processing-time timers when the input ends: one operator, a job, and a job that dies meanwhile. */
import { describe, expect, it } from 'vitest';
import { callbackSink, MemoryStorage, StreamExecutionEnvironment, type TimersAtEnd } from 'millrace';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { process, type } from '../../operators/process.ts';

/** Timers of both kinds; those of the clock say what the state that lives for 150 ms has. */
const timed = process({
  emits: type<string>(),
  state: { last: valueState<string>('last', { ttl: { duration: 150 } }) },
  process(value: string, { state, timers }) {
    state.last.update(value);
    timers.register(100, { domain: 'processing' });
    timers.register(200, { domain: 'processing' });
    timers.register(10);
  },
  onTimer({ domain, timestamp }, { key, state, timers, emit }) {
    emit(`${String(key)} ${domain} ${timestamp} ${state.last.value()}`);
    if (domain === 'event') timers.register(50, { domain: 'processing' });
    // Always again: only a timer of 100 does it, or the job would not end.
    else if (timestamp === 100) timers.register(120, { domain: 'processing' });
  },
});

const MAX = Number.POSITIVE_INFINITY;
const open = (processingTimersAtEnd?: TimersAtEnd) =>
  OperatorHarness.open(timed, { keyOf: (value: string) => value, processingTimersAtEnd });
const told = (outputs: readonly { readonly kind: string; readonly value?: unknown }[]): unknown[] =>
  outputs.map((output) => (output.kind === 'record' ? output.value : output.kind));

describe('at the final watermark timers of the clock', () => {
  it('are dropped if nothing is said', async () => {
    const harness = await open();
    harness.element('a', 0);
    expect(told(harness.watermark(MAX))).toEqual(['a event 10 a', 'watermark']);
  });

  it('fire in front of it, behind those of event time; what they register does not, and state lives on', async () => {
    const harness = await open('fire');
    harness.element('a', 0);
    harness.element('b', 0);
    expect(told(harness.watermark(MAX))).toEqual([
      'a event 10 a',
      'b event 10 b',
      'a processing 50 a',
      'b processing 50 b',
      'a processing 100 a',
      'b processing 100 b',
      'a processing 200 a',
      'b processing 200 b',
      'watermark',
    ]);
    expect(harness.timers).toEqual({ event: 0, processing: 0 });
  });

  it('are waited for, over a restore, with what they register', async () => {
    const harness = await open('wait');
    harness.element('a', 0);
    expect(told(harness.watermark(MAX))).toEqual(['a event 10 a']);
    await harness.restore(await harness.snapshot());
    expect(harness.host.waitsForClock).toBe(true);
    expect(told(harness.processingTime(60))).toEqual(['a processing 50 a']);
    expect(told(harness.processingTime(110))).toEqual(['a processing 100 a']);
    expect(told(harness.processingTime(130))).toEqual(['a processing 120 a']);
    await harness.restore(await harness.snapshot());
    expect(told(harness.processingTime(300))).toEqual(['a processing 200 undefined', 'watermark']);
    expect(harness.host.waitsForClock).toBe(false);
  });

  it('hold nothing where there are none, and no earlier watermark', async () => {
    for (const policy of ['drop', 'fire', 'wait'] as const) {
      const harness = await open(policy);
      expect(told(harness.watermark(5))).toEqual(['watermark']);
      expect(told(harness.watermark(MAX))).toEqual(['watermark']);
    }
  });

  it('refuses another policy', () => {
    expect(() => StreamExecutionEnvironment.create({ processingTimersAtEnd: 'now' as never })).toThrow(
      '`processingTimersAtEnd`',
    );
  });
});

/** Timers `delayMs` behind each number, and windows of event time behind them, which lose what comes late. */
const run = async (policy: TimersAtEnd, delayMs: number, storage?: MemoryStorage): Promise<unknown[]> => {
  const out: unknown[] = [];
  const env = StreamExecutionEnvironment.create({ processingTimersAtEnd: policy, logger: 'silent', storage });
  env
    .fromCollection([1, 2, 3])
    .keyBy((n) => n % 2)
    .process({
      emits: type<number>(),
      process: (n, { timers, now }) => timers.register(now() + delayMs + n, { domain: 'processing' }),
      onTimer: (_timer, { key, emit }) => emit(Number(key), 5),
    })
    .sinkTo(callbackSink((value) => void out.push(value)));
  await env.execute('timed');
  return out;
};

describe('a job whose input has ended', () => {
  it('waits for them, fires them or ends', async () => {
    expect(await run('drop', 60_000)).toEqual([]);
    expect((await run('fire', 60_000)).toSorted()).toEqual([0, 1, 1]);
    expect((await run('wait', 20)).toSorted()).toEqual([0, 1, 1]);
  });

  it('goes on waiting when it was stopped meanwhile', async () => {
    const storage = new MemoryStorage();
    const env = StreamExecutionEnvironment.create({ processingTimersAtEnd: 'wait', logger: 'silent', storage });
    const out: number[] = [];
    env
      .fromCollection([7])
      .keyBy(() => 'all')
      .process({
        emits: type<number>(),
        process: (_n, { timers, now }) => timers.register(now() + 700, { domain: 'processing' }),
        onTimer: (_timer, { emit }) => emit(1, 0),
      })
      .sinkTo(callbackSink((value) => void out.push(value)));
    const first = await env.executeAsync('stopped');
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(out).toEqual([]);
    await first.stop();
    expect(out).toEqual([]);
    await env.execute('stopped');
    expect(out).toEqual([1]);
  });
});
