import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamExecutionEnvironment } from 'millrace';
import type { Operator } from '../../lib/core/operator.ts';
import { aggregatingState, listState, mapState, reducingState, valueState } from '../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { broadcastProcess } from '../../operators/broadcast-process.ts';
import { type } from '../../operators/process.ts';

interface Bid {
  readonly key: string;
  readonly euros: number;
}

const keyOf = ({ key }: Bid): string => key;
const inputs = [{ keyOf }, { broadcast: true }];
const values = (outputs: readonly { readonly kind: string; readonly value?: unknown }[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

/** All kinds of state, of the operator; each bid shows them. */
const shown = broadcastProcess({
  emits: type<unknown>(),
  state: { count: reducingState<number>('count', (a, b) => a + b) },
  broadcastState: {
    last: valueState<number>('last'),
    all: listState<number>('all'),
    sum: reducingState<number>('sum', (a, b) => a + b),
    most: aggregatingState<number, readonly number[], number>('most', {
      createAccumulator: () => [],
      add: (value, all) => [...all, value],
      getResult: (all) => Math.max(...all),
    }),
    seen: mapState<number, number>('seen'),
    ordered: mapState<number, number>('ordered', { ordered: true }),
  },
  process(_bid: Bid, { key, state, broadcast: { last, all, sum, most, seen, ordered }, timers, emit }) {
    state.count.add(1);
    timers.register(1_000);
    emit({
      key,
      count: state.count.get(),
      last: last.value(),
      all: [...all.values()],
      size: all.size,
      sum: sum.get(),
      most: most.get(),
      seen: [...seen.entries()],
      keys: [...seen.keys()],
      empty: seen.isEmpty(),
      range: [...ordered.range(3, undefined)],
    });
  },
  processBroadcast(value: number, { broadcast: { last, all, sum, most, seen, ordered } }) {
    last.update(value);
    all.add(value);
    if (all.size > 3) all.shift();
    sum.add(value);
    most.add(value);
    seen.set(value % 4, value);
    ordered.set(value, value);
    if (value === 0) for (const state of [last, all, sum, most, seen, ordered]) state.clear();
  },
  onTimer: (_timer, { key, broadcast, emit }) => emit(`${key} ${broadcast.last.value()}`),
});

/** What `shown` shows, from everything that was broadcast. */
const modelOf = (key: string, count: number, since: readonly number[]): unknown => {
  const seen = new Map(since.map((value) => [value % 4, value]));
  const distinct = [...new Set(since)].filter((value) => value >= 3).toSorted((a, b) => a - b);
  return {
    ...{ key, count, last: since.at(-1), all: since.slice(-3), size: Math.min(3, since.length) },
    sum: since.length === 0 ? undefined : since.reduce((a, b) => a + b),
    most: since.length === 0 ? undefined : Math.max(...since),
    ...{ seen: [...seen], keys: [...seen.keys()], empty: seen.size === 0 },
    range: distinct.map((value) => [value, value]),
  };
};

describe('a process function beside a broadcast stream', () => {
  it('sees in every key what was broadcast, over restores at any point', async () => {
    const step = fc.oneof(
      fc.record({ key: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ broadcast: fc.nat(9) }),
      fc.constant('restore' as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const harness = await OperatorHarness.open(shown, { inputs });
        const counts = new Map<string, number>();
        let since: number[] = [];
        for (const each of steps) {
          if (each === 'restore') {
            await harness.restore(await harness.snapshot());
          } else if ('broadcast' in each) {
            harness.input<number>(2).element(each.broadcast, 1);
            since = each.broadcast === 0 ? [] : [...since, each.broadcast];
          } else {
            const count = (counts.get(each.key) ?? 0) + 1;
            counts.set(each.key, count);
            expect(values(harness.element({ key: each.key, euros: 1 }, 1))).toEqual([modelOf(each.key, count, since)]);
          }
        }
        harness.input(2).watermark(1_000);
        const timers = [...counts.keys()].map((key) => `${key} ${since.at(-1)}`);
        expect(values(harness.watermark(1_000)).toSorted()).toEqual(timers.toSorted());
      }),
      { numRuns: 60 },
    );
  });

  it('may be looked at from a key and not changed; a broadcast record has no key', async () => {
    const broadcastState = { rules: mapState<string, number>('rules') };
    const changing = broadcastProcess({
      broadcastState,
      process: (_bid: Bid, { broadcast }) => (broadcast.rules as unknown as Map<string, number>).set('a', 1) as never,
      processBroadcast: (_value: number, ctx) => void (ctx as unknown as { key: unknown }).key,
    });
    const harness = await OperatorHarness.open(changing, { inputs });
    expect(() => harness.element({ key: 'a', euros: 1 }, 0)).toThrow('records of a broadcast stream only');
    const other = await OperatorHarness.open(changing, { inputs });
    expect(() => other.input<number>(2).element(1, 0)).toThrow('Expected a current key');
  });

  it('keeps a handle from working outside a turn, and refuses a time to live and a name twice', async () => {
    let kept: { value(): number | undefined; update(value: number): void } | undefined;
    const operator: Operator<number, number> = (context) => {
      kept = context.operatorState(valueState<number>('all'));
      return { process: (value) => kept?.update(value), open: async () => kept?.update((kept.value() ?? 0) + 1) };
    };
    const harness = await OperatorHarness.open(operator);
    harness.element(4, 0);
    await harness.restore(await harness.snapshot());
    expect(() => kept?.value()).toThrow('Expected a current key');
    expect(() => kept?.update(1)).toThrow('Expected a current key');
    const open = (make: Operator<number, number>) => OperatorHarness.open(make);
    const ttl = { duration: 1 };
    await expect(
      open((context) => ({ process: () => void context.operatorState(valueState('x', { ttl })) })),
    ).resolves.toBeDefined();
    await expect(
      open((context) => (context.operatorState(valueState('x', { ttl })), { process: () => {} })),
    ).rejects.toThrow('lives as long as the job');
    const twice: Operator<number, number> = (context) => {
      context.state(valueState('x'));
      context.operatorState(valueState('x'));
      return { process: () => {} };
    };
    await expect(open(twice)).rejects.toThrow("'x' to be asked for once");
  });

  it('in an operator without keys is changed by any record, in timers too', async () => {
    const operator: Operator<number, number> = (context) => {
      const sum = context.operatorState(reducingState<number>('sum', (a, b) => a + b));
      const timers = context.timers(() => {
        sum.add(100);
        context.output.emit(sum.get() ?? 0, 0);
      });
      return {
        process(value) {
          sum.add(value);
          timers.register(10);
        },
      };
    };
    const harness = await OperatorHarness.open(operator);
    harness.element(1, 0);
    await harness.restore(await harness.snapshot());
    harness.element(2, 0);
    expect(values(harness.watermark(10))).toEqual([103]);
  });

  it('refuses what an input returns, promises, and functions that are not there', async () => {
    const parts = { broadcastState: {}, process: () => 1 as never, processBroadcast: async () => {} };
    const returning = broadcastProcess(parts);
    const harness = await OperatorHarness.open(returning, { inputs });
    expect(() => harness.element({ key: 'a', euros: 1 }, 0)).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED' }),
    );
    expect(() => harness.input<number>(2).element(1, 0)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    expect(() => broadcastProcess({ ...parts, valuesMax: 0 })).toThrow('`valuesMax`');
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const stream = env.fromCollection([1]);
    const connected = stream.connect(stream.broadcast());
    expect(() => connected.process({ process: () => {} } as never)).toThrow('`process` and `processBroadcast`');
  });
});

describe('a broadcast stream', () => {
  it('goes beside a keyed and an unkeyed one, also of the same stream; nodes that it enters begin a stage', async () => {
    for (const keyed of [false, true]) {
      const env = StreamExecutionEnvironment.create({ logger: 'silent' });
      const stream = env.fromCollection([
        { key: 'a', euros: 3 },
        { key: 'b', euros: 4 },
      ]);
      const parts = {
        emits: type<number>(),
        broadcastState: { sum: reducingState<number>('sum', (a, b) => a + b) },
        process: ({ euros }: Bid, { emit }: { emit(value: number): void }) => emit(euros),
        processBroadcast({ euros }: Bid, { broadcast, emit }: never) {
          const { sum } = broadcast as { sum: { add(value: number): void; get(): number } };
          sum.add(euros * 10);
          (emit as (value: number) => void)(sum.get());
        },
      };
      const other = stream.broadcast();
      const both = keyed ? stream.keyBy(keyOf).connect(other).process(parts) : stream.connect(other).process(parts);
      expect((await both.executeAndCollect()).toSorted((a, b) => a - b)).toEqual([3, 4, 30, 70]);
      expect(env.graph.stages().map(({ inputs: entering }) => entering.length)).toContain(keyed ? 2 : 1);
    }
  });
});
