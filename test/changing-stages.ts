/**
 * User code that changes everything it is given, when it gets it and later on too: the stages of the pipelines of
 * `changing-code.crash.test.ts`. What a stage does in its turn follows from what it is given; what it has ever held it
 * also hoards, and spoils between turns.
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
  type AggregateFunction,
  type CallContext,
  type DataStream,
  type DeadLetter,
  type Operator,
  type RunnerContext,
} from 'millrace';
import type { SimulatedProcess } from 'millrace/testing';
import { bounded, change, keys, inputOf, type Hoard, type Value } from './changing-values.ts';

export const stages = [
  'reduce',
  'reduce-in-place',
  'aggregate',
  'mutable',
  'state',
  'list',
  'timers',
  'window',
  'window-reduce',
  'window-aggregate',
  'window-mutable',
  'window-state',
  'agent',
  'chain',
  'siblings',
  'letters',
  'async-map',
  'durable',
  'operator',
] as const;

export type Stage = (typeof stages)[number];

interface StagePlace {
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly hoard: Hoard;
}

/** Hands on one object again and again. */
export const reusing = (input: DataStream<Value>): DataStream<Value> => {
  const buffer: Value = { ...inputOf(0) };
  return input.map((value) => Object.assign(buffer, value));
};

/** Adds up in the object that it is given, and hands it back. */
const addUp =
  (name: string, hoard: Hoard) =>
  (sum: Value, value: Value): Value => {
    hoard.add(value);
    sum.inner.n += value.inner.n;
    sum.seen.push(`${value.inner.n} ${value.seen.length}`);
    sum.seen = sum.seen.slice(-6);
    sum.inner.map = new Map([...sum.inner.map, ...value.inner.map].slice(-3));
    change(value, name);
    return hoard.add(Object.assign(sum, { ts: value.ts, key: value.key }));
  };

interface Sum {
  n: number;
  all: Value[];
  readonly seen: string[];
}

/** An accumulator that is one object for all keys, and keeps what it is given. */
const summing = (name: string, hoard: Hoard, mutable: boolean): AggregateFunction<Value, Sum, Value> => {
  const empty: Sum = { n: 0, all: [], seen: [] };
  return {
    mutable,
    createAccumulator: () => empty,
    add(value, sum) {
      // A mutable one is left alone, and so is what it has taken in.
      if (!mutable) hoard.add(value, sum);
      sum.n += value.inner.n;
      sum.seen.push(`${value.inner.n} of ${sum.n}`);
      sum.seen.splice(0, sum.seen.length - 5);
      sum.all.push(value);
      sum.all.splice(0, sum.all.length - 3);
      change(value, name);
      return sum;
    },
    getResult(sum) {
      const last = sum.all.at(-1) as Value; // One was added.
      if (!mutable) change(last, `${name} result`);
      const result = { ...last, seen: sum.seen, inner: sum.all[0]?.inner ?? last.inner };
      return mutable ? result : hoard.add(result);
    },
  };
};

interface Asked {
  readonly hold: number;
  readonly value: Value;
}

/** An operator of a user's own, with all that survives a crash but timers. */
const ownOperator =
  ({ name, process, hoard }: StagePlace): Operator<Value, Value> =>
  (context) => {
    const last = context.state(valueState<Value>('last'));
    const holds = context.holds({ order: 'arrival' });
    const work = context.work<Asked, Value>(
      {
        name: 'ask',
        identity: (item) => {
          change(item.value, `${name} identity`);
          return hoard.add(item).value.ts;
        },
        async run(item, body) {
          change(item.value, name);
          const script = { latencyMax: 60, answer: () => item.value };
          const ask = (call: CallContext): Promise<Value> => process.call(call, script);
          const answer = await body.call('ask', ask);
          change(answer, `${name} answer`);
          return hoard.addLast(bounded(answer), answer, item);
        },
        apply({ hold, value }, outcome) {
          if (!outcome.ok) throw outcome.error;
          holds.emit(hold, hoard.add(outcome.value, value), value.ts);
          change(outcome.value, `${name} emitted`); // It may wait behind another hold.
          holds.release(hold);
        },
      },
      { inFlightMax: 3 },
    );
    return {
      process(value) {
        const before = hoard.add(last.value(), value);
        change(before, `${name} read`);
        value.seen.push(`${before?.inner.n} ${before?.seen.length}`);
        last.update(bounded(value));
        const item = { hold: holds.take(), value };
        work.submit(item);
        change(hoard.add(item).value, `${name} submitted`);
      },
    };
  };

/** What each stage does to all it gets, before and after it hands on what it holds. */
export const stage = (
  input: DataStream<Value>,
  kind: Stage,
  { name, process, hoard }: StagePlace,
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
    return hoard.addLast(bounded(value), value, x, y, again);
  };
  const remembered = (value: Value, ctx: RunnerContext): void => {
    const before = ctx.shortTermMemory.get<Value>('last');
    change(before, `${name} memory`);
    if (before !== undefined) value.seen.push(`${before.inner.n}`);
    const kept = hoard.addLast(bounded(value), before);
    ctx.shortTermMemory.set('last', kept);
    change(kept, `${name} set`);
    change(value, `${name} set`);
  };
  switch (kind) {
    case 'reduce':
      return keyed.reduce((sum, value) => {
        hoard.add(sum, value);
        change(value, name);
        sum.seen = [...sum.seen, ...value.seen].slice(-8);
        sum.inner.n += value.inner.n;
        change(sum.inner, name);
        sum.inner.map = new Map([...sum.inner.map].slice(-4).map(([key, list]) => [key, list.slice(-3)]));
        return hoard.add({ ...sum, ts: value.ts });
      });
    case 'reduce-in-place':
      return keyed.reduce(addUp(name, hoard));
    case 'aggregate':
    case 'mutable':
      return keyed.aggregate(summing(name, hoard, kind === 'mutable'));
    case 'state':
      return keyed.process({
        emits: type<Value>(),
        state: { last: valueState<Value>('last'), all: mapState<string, Value>('all') },
        process(value, ctx) {
          hoard.add(value);
          const last = hoard.add(ctx.state.last.value());
          change(last, `${name} read`); // And does not put it back.
          const other = hoard.add(ctx.state.all.get(keys[value.ts % 3] as string));
          change(other, `${name} map`);
          value.seen.push(`${last?.inner.n} ${last?.seen.length} ${other?.seen.length}`);
          ctx.state.last.update(value);
          ctx.state.all.set(value.key, value);
          change(value, `${name} kept`);
          for (const [, each] of ctx.state.all.entries()) change(hoard.add(each), `${name} entry`);
          ctx.emit(hoard.add(bounded(value)));
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
            change(hoard.add(each), `${name} read`);
            value.seen.push(`${each.seen.length}`);
          }
          if (list.size > 2) change(hoard.add(list.shift()), `${name} shift`);
          list.add(hoard.add(value));
          ctx.emit(value);
          change(value, name);
        },
      });
    case 'timers':
      return keyed.process({
        emits: type<Value>(),
        state: { waiting: listState<Value>('waiting') },
        process(value, ctx) {
          ctx.state.waiting.add(hoard.add(value));
          ctx.timers.register(ctx.timestamp + 15);
          change(value, name);
        },
        onTimer({ timestamp }, ctx) {
          const value = ctx.state.waiting.shift();
          if (value === undefined) return;
          for (const each of ctx.state.waiting.values()) change(hoard.add(each), `${name} waits`);
          ctx.emit({ ...hoard.add(value), ts: timestamp });
          change(value, `${name} timer`);
        },
      });
    case 'window':
      return keyed
        .window(TumblingEventTimeWindows.of(40))
        .allowedLateness(30)
        .process((values, ctx) => {
          for (const value of values) change(value, name);
          const [first] = values as readonly [Value, ...Value[]];
          hoard.add(values, ...values);
          return bounded({ ...first, ts: ctx.window.end - 1, seen: values.flatMap(({ seen }) => seen) });
        });
    case 'window-reduce':
      return keyed
        .window(TumblingEventTimeWindows.of(40))
        .allowedLateness(30)
        .reduce(addUp(name, hoard), (sum, ctx) => {
          change(sum, `${name} fired`);
          return bounded({ ...hoard.add(sum), ts: ctx.window.end - 1 });
        });
    case 'window-aggregate':
    case 'window-mutable':
      return keyed
        .window(TumblingEventTimeWindows.of(40))
        .allowedLateness(30)
        .aggregate(summing(name, hoard, kind === 'window-mutable'), (sum, ctx) => {
          change(sum, `${name} fired`);
          return bounded({ ...hoard.add(sum), ts: ctx.window.end - 1 });
        });
    case 'window-state': {
      const empty = { list: [0], last: [] as Value[] };
      return keyed
        .window(TumblingEventTimeWindows.of(40))
        .allowedLateness(30)
        .process({
          windowState: () => empty,
          state: { windows: listState<Value>('windows') },
          process(values, ctx) {
            const { windowState, state } = ctx;
            const last = hoard.add(values.at(-1) as Value, values, windowState); // It fires with something in it.
            windowState.last.push(last);
            windowState.last.splice(0, windowState.last.length - 2);
            windowState.list.push(last.inner.n);
            state.windows.add(last);
            change(last, name);
            const seen = [`${windowState.list.join()} ${windowState.last.map(({ inner: { n } }) => n).join()}`];
            for (const each of state.windows.values()) seen.push(`${hoard.add(each).inner.n}`);
            return bounded({ ...last, ts: ctx.window.end - 1, seen });
          },
          clear({ windowState }) {
            change(hoard.add(windowState), `${name} cleared`);
          },
        });
    }
    case 'agent':
      return keyed.applyAgent(
        clerk.on(InputEvent, async ({ input: value }, ctx) => {
          remembered(value, ctx);
          const output = await asked(value, ctx);
          const sent = ctx.sendEvent(new OutputEvent(output));
          change(output, `${name} sent`);
          change(sent.output, `${name} sent event`);
          hoard.addLast(sent.output);
        }),
        { outputOrder: 'arrival', asyncConcurrency: 2, durability: name === 'first' ? 'effect' : 'call' },
      );
    case 'chain':
      return keyed.applyAgent(
        clerk
          .on(InputEvent, 'begin', ({ input: value }, ctx) => {
            change(hoard.add(value), `${name} begin`);
            const sent = ctx.sendEvent(new Event('next', { value: hoard.add(bounded(value)), list: hoard.add(['x']) }));
            change(value, `${name} after`);
            change(sent.attributes['list'], `${name} after`);
          })
          .on('next', 'end', async (event, ctx) => {
            const { value, list } = event.attributes as { readonly value: Value; readonly list: string[] };
            change(hoard.addLast(list), name);
            const answer = bounded(await asked(value, ctx));
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
            change(hoard.add(value), `${name} sync`);
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
            ctx.output(hoard.addLast(bounded(value), value, list));
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
          hoard.addLast(value, got);
          if (value.inner.n % 3 === 0) throw new RangeError(`no ${value.seen.length}`);
          ctx.output(bounded(value));
        }),
        { outputOrder: 'arrival', deadLetters: letters },
      );
      output
        .sideOutput(letters)
        .map((letter) => {
          change(letter.input, `${name} letter`);
          return hoard.add([letter.error.message, letter.input]);
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
          return hoard.addLast(bounded(answer), value, answer);
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
          ctx.output(hoard.addLast(bounded(value), value, first, second, failure.seen));
        }),
        { outputOrder: 'arrival' },
      );
    case 'operator':
      return keyed.transform('own', ownOperator({ name, process, hoard }));
  }
};

