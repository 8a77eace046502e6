/**
 * Stages of streams for the simulation of random graphs: one entry for each operator and each kind of it. A stage takes
 * elements and gives elements; each carries the ids of the inputs it is made of, so that what came of what shows.
 */
import {
  AfterMatchSkipStrategy,
  aggregatingState,
  EventTimeSessionWindows,
  listState,
  mapState,
  outputTag,
  Pattern,
  reducingState,
  TumblingEventTimeWindows,
  type,
  type Match,
  valueState,
} from 'millrace';
import { counted, merged, upTo, type Element, type Stage } from './simulated-stage.ts';
import { partitionStages, windowStages } from './simulated-window-stages.ts';

const joins: Readonly<Record<string, Stage>> = {
  'interval-join': {
    fixed: false,
    build: (input, random) =>
      input
        .intervalJoin(input.filter(({ n }) => n % 3 > 0).keyBy(({ key }) => key))
        .between(-upTo(random, 6), upTo(random, 6))
        .process((left, right, { timestamp }) => ({ ...merged([left, right], timestamp), key: left.key })),
  },
  'interval-join-outer': {
    fixed: false,
    build: (input) =>
      input
        .intervalJoin(input.map((element) => ({ ...element, ts: element.ts })).keyBy(({ key }) => key))
        .between(1, 9, { outer: 'full', upperExclusive: true })
        .process((left, right, { key, timestamp }) => ({
          ...merged(
            [left, right].filter((each) => each !== undefined),
            timestamp,
          ),
          key,
        })),
  },
  'as-of-join': {
    fixed: true,
    build: (input, random) =>
      input
        .asOfJoin(
          input.filter(({ n }) => n % 3 > 0).keyBy(({ key }) => key),
          {
            outer: 'left',
            keepFor: upTo(random, 40),
          },
        )
        .process((left, right) => (right === undefined ? left : { ...merged([right, left], left.ts), key: left.key })),
  },
  'self-join': {
    fixed: true,
    build: (input, random) =>
      input
        .join(input)
        .where(({ key }) => key)
        .equalTo(({ key }) => key)
        .window(TumblingEventTimeWindows.of(upTo(random, 15)))
        .apply((a, b, { window }) => ({ ...merged([a, b], window.end - 1), key: a.key })),
  },
  'co-group': {
    fixed: true,
    build: (input, random) =>
      input
        .coGroup(input.map((element) => ({ ...element, n: element.n + 1 })))
        .where(({ key }) => key)
        .equalTo(({ key }) => key)
        .window(EventTimeSessionWindows.withGap(upTo(random, 10)))
        .apply((left, right, { window }) => merged([...left, ...right], window.end - 1)),
  },
};

/** Results of two inputs leave by their timers, in the order of these: so which input was first makes no difference. */
const connected: Readonly<Record<string, Stage>> = {
  broadcast: {
    fixed: false,
    build: (input) =>
      input.connect(input.filter(({ n }) => n % 5 === 0).broadcast()).process({
        emits: type<Element>(),
        state: { seen: reducingState<number>('seen', (a, b) => (a + b) % 1_000_003) },
        broadcastState: {
          last: mapState<string, Element>('last'),
          count: reducingState<number>('count', (a, b) => (a + b) % 1_000_003),
        },
        process(element, { state, broadcast, timers, emit }) {
          state.seen.add(element.n);
          timers.register(element.ts + 8);
          const other = [...broadcast.last.entries()].at(-1)?.[1];
          emit({ ...merged([element, ...(other === undefined ? [] : [other])], element.ts), key: element.key });
        },
        processBroadcast(element, { broadcast, emit }) {
          broadcast.last.set(element.key, element);
          broadcast.count.add(1);
          if (broadcast.count.get() === 3) emit(element);
        },
        onTimer({ timestamp }, { key, state, broadcast, emit }) {
          const n = ((state.seen.get() ?? 0) + (broadcast.count.get() ?? 0)) % 1_000_003;
          emit({ key, n, ts: timestamp, ids: broadcast.last.get(key)?.ids ?? [] });
        },
      }),
  },
  'connect-self': {
    fixed: true,
    build: (input, random) => {
      const delay = upTo(random, 15);
      return input.connect(input).process({
        emits: type<Element>(),
        state: {
          left: listState<Element>('left'),
          right: reducingState<number>('right', (a, b) => (a + b) % 1_000_003),
        },
        process1(element, ctx) {
          ctx.state.left.add(element);
          ctx.timers.register(element.ts + delay);
        },
        process2: ({ n }, ctx) => ctx.state.right.add(n),
        onTimer({ timestamp }, ctx) {
          const { left, right } = ctx.state;
          if (left.size > 0) ctx.emit({ ...merged([...left.values()], timestamp), n: right.get() ?? 0 });
          left.clear();
        },
      });
    },
  },
  connect: {
    fixed: false,
    build: (input) =>
      input
        .connect(
          input
            .window(TumblingEventTimeWindows.of(9))
            .aggregate(counted)
            .keyBy(({ key }) => key),
        )
        .process({
          emits: type<Element>(),
          state: { last: valueState<Element>('last') },
          process1(element, ctx) {
            const last = ctx.state.last.value();
            ctx.emit(last === undefined ? element : { ...merged([last, element], element.ts), key: element.key });
          },
          process2(element, ctx) {
            ctx.state.last.update(element);
            ctx.timers.register(element.ts + 10);
          },
          onTimer: (_timer, ctx) => ctx.state.last.clear(),
        }),
  },
  'co-map': {
    fixed: true,
    build: (input) =>
      input
        .filter(({ n }) => n % 2 === 0)
        .connect(input.filter(({ n }) => n % 2 === 1))
        .map(
          (element) => ({ ...element, n: element.n + 1 }),
          (element) => ({ ...element, n: element.n + 2 }),
        ),
  },
};

const late = outputTag<Element>('late');

const patterns: Readonly<Record<string, Stage>> = {
  pattern: {
    fixed: true,
    build: (input, random) => {
      const pattern = Pattern.begin('first')
        .where(({ n }: Element) => n % 3 > 0)
        .notFollowedBy('seventh')
        .where(({ n }) => n % 7 === 0)
        .followedByAny('more')
        .where(({ n }, ctx) => ctx.eventsForPattern('first').every((first) => first.n <= n))
        .within(upTo(random, 25));
      const timedOut = outputTag<Match<Element, 'first' | 'more'>>('timed out');
      const results = input
        .pattern(pattern)
        .sideOutputLateData(late)
        .sideOutputTimedOut(timedOut)
        .process(({ first, more }, { key, timestamp }) => ({ ...merged([...first, ...more], timestamp), key }));
      const alone = results.sideOutput(timedOut).map(({ first }) => merged(first, first[0]?.ts ?? 0));
      return results.union(results.sideOutput(late), alone);
    },
  },
  'pattern-skipping': {
    fixed: true,
    build: (input, random) => {
      const skip = [AfterMatchSkipStrategy.skipPastLastEvent(), AfterMatchSkipStrategy.skipToNext()];
      const pattern = Pattern.begin('even', { skip: skip[Math.floor(random() * 2)] })
        .where(({ n }: Element) => n % 2 === 0)
        .oneOrMore()
        .greedy()
        .followedBy('odd')
        .times(1, 2)
        .notFollowedBy('fifth')
        .where(({ n }) => n % 5 === 0)
        .within(upTo(random, 25));
      return input
        .pattern(pattern)
        .process(({ even, odd }, { key, timestamp }) => ({ ...merged([...even, ...odd], timestamp), key }));
    },
  },
};

const functions: Readonly<Record<string, Stage>> = {
  reduce: { fixed: true, build: (input) => input.reduce((a, b) => ({ ...merged([a, b], b.ts), key: b.key })) },
  aggregate: { fixed: true, build: (input) => input.aggregate(counted) },
  rolling: {
    fixed: true,
    build: (input) =>
      input
        .maxBy('n', { first: false })
        .keyBy(({ key }) => key)
        .sum('n'),
  },
  'event-timers': {
    fixed: true,
    build: (input, random) => {
      const delay = upTo(random, 20);
      return input.process({
        emits: type<Element>(),
        state: { waiting: listState<Element>('waiting'), due: valueState<number>('due') },
        process(element, ctx) {
          ctx.state.waiting.add(element);
          if (ctx.state.due.value() !== undefined) return;
          ctx.state.due.update(element.ts + delay);
          ctx.timers.register(element.ts + delay);
        },
        onTimer({ timestamp }, ctx) {
          ctx.emit(merged([...ctx.state.waiting.values()], timestamp));
          ctx.state.waiting.clear();
          ctx.state.due.clear();
        },
      });
    },
  },
  'clock-timers': {
    fixed: false,
    build: (input) =>
      input.process({
        emits: type<Element>(),
        state: { last: mapState<string, Element>('last') },
        process(element, ctx) {
          ctx.state.last.set(element.ids.at(-1) ?? '', element);
          ctx.timers.register(ctx.now() + 30, { domain: 'processing' });
        },
        onTimer(_timer, ctx) {
          const elements = [...ctx.state.last.entries()].map(([, element]) => element);
          const ts = elements[0]?.ts ?? 0;
          if (elements.length > 0) ctx.emit(merged(elements, ts), ts); // Else it would have no timestamp.
          ctx.state.last.clear();
        },
      }),
  },
  'combining-state': {
    fixed: true,
    build: (input) =>
      input.process({
        emits: type<Element>(),
        state: {
          sum: reducingState<number>('sum', (a, b) => (a + b) % 1_000_003),
          all: aggregatingState<Element, Element, Element>('all', counted),
        },
        process(element, ctx) {
          ctx.state.sum.add(element.n);
          ctx.state.all.add(element);
          if (element.n % 3 === 0) ctx.state.all.clear();
          ctx.emit({ ...element, n: (ctx.state.sum.get() ?? 0) + (ctx.state.all.get()?.n ?? 0) });
        },
      }),
  },
  'ttl-event': {
    fixed: false,
    build: (input) =>
      input.process({
        emits: type<Element>(),
        state: {
          last: valueState<Element>('last', { ttl: { duration: 12, time: 'event' } }),
          byId: mapState<string, number>('by-id', { ttl: { duration: 9, time: 'event', update: 'read-and-write' } }),
        },
        process(element, ctx) {
          const { last, byId } = ctx.state;
          const before = last.value();
          last.update(element);
          byId.set(element.ids.at(-1) ?? '', element.n);
          const n = [...byId.entries()].reduce((sum, [, each]) => sum + each, before?.n ?? 0);
          ctx.emit({ ...element, n: n % 1_000_003 });
        },
      }),
  },
  'ttl-by-clock': {
    fixed: false,
    build: (input) =>
      input.process({
        emits: type<Element>(),
        state: {
          all: listState<Element>('all', { ttl: { duration: 40 } }),
          sum: reducingState<number>('sum', (a, b) => (a + b) % 1_000_003, { ttl: { duration: 25 } }),
        },
        process(element, ctx) {
          ctx.state.all.add(element);
          ctx.state.sum.add(element.n);
          ctx.emit({
            ...merged([...ctx.state.all.values()], element.ts),
            key: element.key,
            n: ctx.state.sum.get() ?? 0,
          });
        },
      }),
  },
  'async-map': {
    fixed: true,
    build: (input) =>
      input.asyncMap(async (element) => ({ ...element, n: element.n + 1 }), { order: 'arrival', inFlightMax: 3 }),
  },
  'lookup-join': {
    fixed: true,
    build: (input, random) =>
      input.lookupJoin({
        key: ({ n }) => n % 5,
        lookup: async (n) => (n === 0 ? undefined : n),
        join: (element, row) => (row === undefined ? undefined : { ...element, n: element.n + row }),
        cache: { max: upTo(random, 4), ttl: 20, missing: false },
        order: 'arrival',
        inFlightMax: 3,
      }),
  },
  'rolling-count': {
    fixed: true,
    build: (input) =>
      input.count().process<Element>((n, ctx) => ctx.emit({ key: `k${n % 3}`, n, ts: ctx.timestamp, ids: [] })),
  },
  'rolling-least': {
    fixed: true,
    build: (input) =>
      input
        .minBy('n', { first: true })
        .keyBy(({ key }) => key)
        .max('n')
        .keyBy(({ key }) => key)
        .min('ts'),
  },
  'retry-on-result': {
    fixed: true,
    build: (input) =>
      input.asyncMap(async (element, { attempt }) => ({ ...element, n: element.n + attempt }), {
        order: 'arrival',
        inFlightMax: 3,
        retry: { attempts: 3, initialIntervalMs: 1, retryOnResult: ({ n }) => n % 2 === 0 },
      }),
  },
  union: {
    fixed: true,
    build: (input) => input.filter(({ n }) => n % 2 === 0).union(input.filter(({ n }) => n % 2 === 1)),
  },
};

export const stages: Readonly<Record<string, Stage>> = {
  ...windowStages,
  ...partitionStages,
  ...joins,
  ...patterns,
  ...connected,
  ...functions,
};
