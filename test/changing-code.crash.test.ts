/**
 * User code that changes everything it is given, and hands on what it still holds (I21): what comes out is the same
 * with and without crashes, since whoever keeps a value, or hands it out of its turn, has a copy. A seed makes the code
 * and the moments at which the process dies.
 */
import {
  agent,
  Event,
  InputEvent,
  listState,
  mapState,
  OutputEvent,
  outputTag,
  TumblingEventTimeWindows,
  type,
  valueState,
  WatermarkStrategy,
  type DataStream,
  type DeadLetter,
  type RunnerContext,
  type StreamExecutionEnvironment,
} from 'millrace';
import { seededRandom, simulate, type SimulatedProcess, type SimulationResult } from 'millrace/testing';
import { expect, test } from 'vitest';
import { encodeText } from '../lib/core/serde.ts';

interface Value {
  readonly key: string;
  readonly ts: number;
  seen: string[];
  inner: { n: number; map: Map<string, number[]>; at: Date };
}

const keys = ['a', 'b', 'c'];

const inputOf = (n: number): Value => ({
  key: keys[n % keys.length] as string,
  ts: 10 * n,
  seen: [`input ${n}`],
  inner: { n, map: new Map([['m', [n]]]), at: new Date(n) },
});

/** Changes whatever it gets, through and through. */
const change = (value: unknown, mark: string): void => {
  if (typeof value !== 'object' || value === null || value instanceof Error) return;
  if (value instanceof Map) {
    for (const each of value.values()) change(each, mark);
    value.set(mark, [1]);
  } else if (value instanceof Date) value.setTime(value.getTime() + 1);
  else if (Array.isArray(value)) {
    for (const each of value) change(each, mark);
    value.push(typeof value[0] === 'number' ? 7 : mark);
  } else if (Object.hasOwn(value, 'seen') || Object.hasOwn(value, 'map') || Object.hasOwn(value, 'list')) {
    for (const each of Object.values(value)) change(each, mark);
    if (Object.hasOwn(value, 'n')) (value as { n: number }).n += 100;
  }
};

const bounded = (value: Value): Value => ({
  ...value,
  seen: value.seen.slice(-12),
  inner: { ...value.inner, map: new Map([...value.inner.map].slice(-6).map(([name, list]) => [name, list.slice(-4)])) },
});

interface Spec {
  readonly first: (typeof stages)[number];
  readonly second: (typeof stages)[number];
  readonly replayable: boolean;
  readonly sent: boolean;
  readonly fan: boolean;
}

const stages = [
  'reduce',
  'state',
  'list',
  'window',
  'agent',
  'chain',
  'siblings',
  'letters',
  'async-map',
  'durable',
] as const;

const specOf = (seed: number): Spec => {
  const random = seededRandom((seed * 2_654_435_761 + 5) % 2 ** 32);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // never empty
  return {
    first: one(stages),
    second: one(stages),
    replayable: random() < 0.7,
    sent: random() < 0.5,
    fan: random() < 0.6,
  };
};

/** What each stage does to all it gets, before and after it hands on what it holds. */
const stage = (
  input: DataStream<Value>,
  kind: Spec['first'],
  name: string,
  process: SimulatedProcess,
): DataStream<Value> => {
  const keyed = input.keyBy(({ key }) => key);
  const outside = <R>(ctx: RunnerContext, id: string, answer: () => R): Promise<R> =>
    ctx.durableExecute(id, (_signal, call) => process.call(call, { latencyMax: 60, failing: 0, answer }));
  const clerk = agent<Value, Value>(name);
  const asked = async (value: Value, ctx: RunnerContext): Promise<Value> => {
    const [x, y] = await Promise.all([
      outside(ctx, 'x', () => ({ list: [value.ts], map: new Map([['a', [1]]]) })),
      outside(ctx, 'y', () => ({ list: ['y'] })),
    ]);
    change(x, `${name} x`);
    change(y, `${name} y`);
    const again = await outside(ctx, 'again', () => x);
    change(again, `${name} again`);
    change(value, name);
    value.seen.push(JSON.stringify([x, [...x.map], y, again, [...again.map]]));
    return bounded(value);
  };
  const remembered = (value: Value, ctx: RunnerContext): void => {
    const before = ctx.shortTermMemory.get<Value>('last');
    change(before, `${name} memory`);
    if (before !== undefined) value.seen.push(`${before.inner.n}`);
    ctx.shortTermMemory.set('last', bounded(value));
    change(value, `${name} set`);
  };
  switch (kind) {
    case 'reduce':
      return keyed.reduce((sum, value) => {
        change(value, name);
        sum.seen = [...sum.seen, ...value.seen].slice(-8);
        sum.inner.n += value.inner.n;
        change(sum.inner, name);
        sum.inner.map = new Map([...sum.inner.map].slice(-4).map(([key, list]) => [key, list.slice(-3)]));
        return { ...sum, ts: value.ts };
      });
    case 'state':
      return keyed.process({
        emits: type<Value>(),
        state: { last: valueState<Value>('last'), all: mapState<string, Value>('all') },
        process(value, ctx) {
          const last = ctx.state.last.value();
          change(last, `${name} read`); // And does not put it back.
          const other = ctx.state.all.get(keys[value.ts % 3] as string);
          change(other, `${name} map`);
          value.seen.push(`${last?.inner.n} ${last?.seen.length} ${other?.seen.length}`);
          ctx.state.last.update(value);
          ctx.state.all.set(value.key, value);
          change(value, `${name} kept`);
          ctx.emit(bounded(value));
          change(value, `${name} emitted`);
        },
      });
    case 'list':
      return keyed.process({
        emits: type<Value>(),
        state: { list: listState<Value>('list') },
        process(value, ctx) {
          const { list } = ctx.state;
          for (const each of list.values()) {
            change(each, `${name} read`);
            value.seen.push(`${each.seen.length}`);
          }
          if (list.size > 2) change(list.shift(), `${name} shift`);
          list.add(value);
          ctx.emit(value);
          change(value, name);
        },
      });
    case 'window':
      return keyed
        .window(TumblingEventTimeWindows.of(40))
        .allowedLateness(30)
        .process((values, ctx) => {
          for (const value of values) change(value, name);
          const [first] = values as readonly [Value, ...Value[]];
          return bounded({ ...first, ts: ctx.window.end - 1, seen: values.flatMap(({ seen }) => seen) });
        });
    case 'agent':
      return keyed.applyAgent(
        clerk.on(InputEvent, async ({ input: value }, ctx) => {
          remembered(value, ctx);
          const output = await asked(value, ctx);
          const sent = ctx.sendEvent(new OutputEvent(output));
          change(output, `${name} sent`);
          change(sent.output, `${name} sent event`);
        }),
        { outputOrder: 'arrival', asyncConcurrency: 2, durability: name === 'first' ? 'effect' : 'call' },
      );
    case 'chain':
      return keyed.applyAgent(
        clerk
          .on(InputEvent, 'begin', ({ input: value }, ctx) => {
            change(value, `${name} begin`);
            const sent = ctx.sendEvent(new Event('next', { value: bounded(value), list: ['x'] }));
            change(value, `${name} after`);
            change(sent.attributes['list'], `${name} after`);
          })
          .on('next', 'end', async (event, ctx) => {
            const { value, list } = event.attributes as { readonly value: Value; readonly list: string[] };
            change(list, name);
            const answer = await asked(value, ctx);
            answer.seen.push(list.join());
            remembered(answer, ctx);
            ctx.output(answer);
          }),
        { outputOrder: 'arrival' },
      );
    case 'siblings':
      return keyed.applyAgent(
        clerk
          .on(InputEvent, 'sync', ({ input: value }, ctx) => {
            change(value, `${name} sync`);
            ctx.sensoryMemory.set('n', value.seen);
          })
          .on(InputEvent, 'one', async ({ input: value }, ctx) => {
            change(value, `${name} one`);
            const taken = ctx.sensoryMemory.get<string[]>('n');
            change(taken, `${name} taken`);
            await outside(ctx, 'one', () => [1]);
            change(value, `${name} one`);
            ctx.shortTermMemory.set('one', { list: [value.seen, taken] });
          })
          .on(InputEvent, 'two', async ({ input: value }, ctx) => {
            const { list } = ctx.shortTermMemory.get<{ list: unknown[] }>('one') ?? { list: [] };
            change(list, name);
            await outside(ctx, 'two', () => value);
            value.seen.push(JSON.stringify(list).slice(-200));
            ctx.output(bounded(value));
          }),
        { outputOrder: 'arrival' },
      );
    case 'letters': {
      const letters = outputTag<DeadLetter<Value>>('letters');
      const output = keyed.applyAgent(
        clerk.on(InputEvent, async ({ input: value }, ctx) => {
          change(value, name);
          const got = await outside(ctx, 'ask', () => ({ list: [1] }) as { list: number[]; greet?: () => void });
          got.greet = () => {};
          if (value.inner.n % 3 === 0) throw new RangeError(`no ${value.seen.length}`);
          ctx.output(bounded(value));
        }),
        { outputOrder: 'arrival', deadLetters: letters },
      );
      output
        .sideOutput(letters)
        .map((letter) => {
          change(letter.input, `${name} letter`);
          return [letter.error.message, letter.input];
        })
        .sinkTo(process.collect(`${name}-letters`));
      return output;
    }
    case 'async-map':
      return input.asyncMap(
        async (value, call) => {
          change(value, name);
          const answer = await process.call(call, { latencyMax: 60, answer: () => value });
          change(answer, `${name} answer`);
          return bounded(answer);
        },
        { order: 'arrival', inFlightMax: 3 },
      );
    case 'durable':
      return keyed.applyAgent(
        clerk.on(InputEvent, async ({ input: value }, ctx) => {
          const same = { list: [value.inner.n] };
          const first = await outside(ctx, 'first', () => same);
          first.list.push(1);
          const second = await outside(ctx, 'second', () => value.inner);
          change(second, name);
          const failure = await outside(ctx, 'fails', (): never => {
            throw Object.assign(new RangeError('no'), { seen: ['x'] });
          }).catch((error: unknown) => error as RangeError & { seen: string[] });
          failure.seen.push('y');
          value.seen.push(
            `${first.list.join()} ${second.n} ${value.inner.n} ${failure.constructor.name} ${failure.seen.join()}`,
          );
          ctx.output(bounded(value));
        }),
        { outputOrder: 'arrival' },
      );
  }
};

const build =
  ({ first, second, replayable, sent, fan }: Spec, life: { splits: () => Record<string, Value[]> }) =>
  (env: StreamExecutionEnvironment, process: SimulatedProcess): void => {
    const strategy = WatermarkStrategy.monotonous<Value>().withTimestamps(({ ts }) => ts);
    const input = env
      .fromSource(process.source<Value>({ name: 'in', splits: life.splits(), replayable }), strategy)
      .uid('in');
    const one = stage(input, first, 'first', process);
    const two = stage(one, second, 'second', process);
    const changed = two.map((value) => {
      change(value, 'map');
      return bounded(value);
    });
    // Two windows, and what stands behind the first stage, hold the records of one stream.
    for (const branch of fan ? ['left', 'right'] : [])
      stage(one, 'window', branch, process).sinkTo(process.collect(branch, { latencyMax: 5 }));
    changed.sinkTo(process.collect('out'));
    if (sent) changed.sinkTo(process.send('sent'));
  };

/** By sink, as text. Dead letters leave when their runs fail, so their order is not fixed. */
const receivedOf = ({ received }: SimulationResult): Readonly<Record<string, readonly string[]>> =>
  Object.fromEntries(
    [...received].map(([sink, values]) => {
      const texts = values.map((value) => encodeText(value));
      return [sink, sink.endsWith('letters') ? texts.toSorted() : texts];
    }),
  );

/** The first value that differs, where it does. */
const difference = (calm: SimulationResult, crashed: SimulationResult): string | undefined => {
  const [mine, other] = [receivedOf(calm), receivedOf(crashed)];
  for (const sink of Object.keys(mine)) {
    const [before, after] = [mine[sink] ?? [], other[sink] ?? []];
    const at = before.findIndex((text, index) => text !== after[index]);
    if (at >= 0) {
      const [a, b] = [before[at] ?? '', after[at] ?? ''];
      const from = Math.max(0, [...a].findIndex((letter, index) => letter !== b[index]) - 60);
      return `sink ${sink}, value ${at}: ${a.slice(from, from + 160)} | with crashes ${b.slice(from, from + 160)}`;
    }
    if (before.length !== after.length) return `sink ${sink}: ${before.length} values, with crashes ${after.length}`;
  }
  return undefined;
};

/** Fresh objects at each start, as a system outside would give them. */
const splits = (): Record<string, Value[]> => ({ only: Array.from({ length: 9 }, (_, n) => inputOf(n)) });

const schedules = Number(process.env['MILLRACE_SIM'] ?? 1500) / 10;
const only = process.env['MILLRACE_SEED'];

test(
  'code that changes all it is given brings the same with and without crashes',
  { timeout: 60_000 + schedules * 4000 },
  async () => {
    const failures: string[] = [];
    let crashes = 0;
    const seeds = only === undefined ? Array.from({ length: schedules }, (_, seed) => seed) : [Number(only)];
    for (const seed of seeds) {
      const spec = specOf(seed);
      const pipeline = build(spec, { splits });
      const environment = { freezeState: false };
      try {
        const calm = await simulate({ seed, pipeline, crashes: [], environment });
        const crashed = await simulate({ seed: seed + 1_000_000, pipeline, environment });
        crashes += crashed.crashes;
        const differs = difference(calm, crashed);
        if (differs !== undefined) failures.push(`seed ${seed} ${JSON.stringify(spec)}: ${differs}`);
      } catch (error) {
        failures.push(`seed ${seed} ${JSON.stringify(spec)}: ${String(error)}`);
      }
    }
    expect(failures.slice(0, 3)).toEqual([]);
    expect(crashes).toBeGreaterThan(seeds.length / 2);
  },
);
