/**
 * Stages of streams for the simulation of random graphs: one entry for each operator and each kind of it. A stage takes
 * elements and gives elements; each carries the ids of the inputs it is made of, so that what came of what shows.
 */
import {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  CountEvictor,
  CountTrigger,
  CumulativeEventTimeWindows,
  DeltaTrigger,
  EventTimeSessionWindows,
  EventTimeTrigger,
  GlobalWindows,
  ProcessingTimeoutTrigger,
  ProcessingTimeSessionWindows,
  PurgingTrigger,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TimeEvictor,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  aggregatingState,
  listState,
  mapState,
  outputTag,
  reducingState,
  type,
  valueState,
} from 'millrace';
import type { AggregateFunction, DataStream, KeyedStream, WindowAssigner, WindowedStream } from 'millrace';

export interface Element {
  readonly key: string;
  readonly n: number;
  readonly ts: number;
  /** Inputs that it is made of, the newest of them. */
  readonly ids: readonly string[];
}

/** Ids that an element keeps: stages may make many of few. */
const idsMax = 12;

export const merged = (elements: readonly Element[], ts: number): Element => ({
  key: elements[0]?.key ?? '',
  n: elements.reduce((sum, { n }) => (sum + n) % 1_000_003, elements.length),
  ts,
  ids: elements.flatMap(({ ids }) => ids).slice(-idsMax),
});

export interface Stage {
  /**
   * What comes out depends on the records of each input and their timestamps alone, not on the clock nor on when a
   * watermark came: it is the same with and without crashes.
   */
  readonly fixed: boolean;
  build(input: KeyedStream<Element, string>, random: () => number): DataStream<Element>;
}

const upTo = (random: () => number, max: number): number => 1 + Math.floor(random() * max);

const late = outputTag<Element>('late');

/** The windows of an assigner, listed, with the late records of its side output beside the results. */
const listed =
  (
    assign: (random: () => number) => WindowAssigner<Element>,
    change: (windows: WindowedStream<Element, string>) => WindowedStream<Element, string> = (windows) => windows,
  ): Stage['build'] =>
  (input, random) => {
    const windows = change(input.window(assign(random)).sideOutputLateData(late));
    const results = windows.process((elements: readonly Element[], { key, window }) => ({
      ...merged(elements, Number.isFinite(window.end) ? window.end - 1 : 0),
      key,
    }));
    return results.union(results.sideOutput(late));
  };

const counted: AggregateFunction<Element, Element, Element> = {
  createAccumulator: () => ({ key: '', n: 0, ts: 0, ids: [] }),
  add: (value, accumulator) => merged([accumulator, value], Math.max(accumulator.ts, value.ts)),
  merge: (first, second) => merged([first, second], Math.max(first.ts, second.ts)),
  getResult: (accumulator) => accumulator,
};
const { merge: _, ...unmerged } = counted;

const tumbling = (random: () => number): WindowAssigner<unknown> => TumblingEventTimeWindows.of(upTo(random, 30));
const sliding = (random: () => number): WindowAssigner<unknown> => {
  const slide = upTo(random, 12);
  return SlidingEventTimeWindows.of(slide * upTo(random, 4), slide);
};

const windows: Readonly<Record<string, Stage>> = {
  tumbling: { fixed: true, build: listed(tumbling) },
  'tumbling-reduced': {
    fixed: true,
    build: (input, random) =>
      input.window(tumbling(random)).reduce(
        (a, b) => merged([a, b], b.ts),
        (result, { window }) => ({ ...result, ts: window.end - 1 }),
      ),
  },
  'tumbling-late': { fixed: false, build: listed(tumbling, (each) => each.allowedLateness(20)) },
  sliding: { fixed: true, build: listed(sliding) },
  'sliding-aggregated': { fixed: true, build: (input, random) => input.window(sliding(random)).aggregate(unmerged) },
  'sliding-sliced': {
    fixed: true,
    build: (input, random) => input.window(sliding(random)).allowedLateness(upTo(random, 10)).aggregate(counted),
  },
  cumulative: {
    fixed: true,
    build: (input, random) => {
      const step = upTo(random, 10);
      return input.window(CumulativeEventTimeWindows.of(step * 3, step)).aggregate(counted);
    },
  },
  session: { fixed: true, build: listed((random) => EventTimeSessionWindows.withGap(upTo(random, 15))) },
  'session-dynamic': {
    fixed: true,
    build: listed(() => EventTimeSessionWindows.withDynamicGap(({ n }: Element) => 1 + (n % 9))),
  },
  'session-aggregated': {
    fixed: true,
    build: (input, random) => input.window(EventTimeSessionWindows.withGap(upTo(random, 15))).aggregate(counted),
  },
  'count-window': {
    fixed: true,
    build: (input, random) =>
      input
        .countWindow(upTo(random, 4), { tail: random() < 0.5 })
        .process((elements: readonly Element[]) => merged(elements, elements.at(-1)?.ts ?? 0)),
  },
  'count-window-sliding': {
    fixed: true,
    build: (input, random) =>
      input
        .countWindow(upTo(random, 4), { slide: upTo(random, 4), tail: random() < 0.5 })
        .process((elements: readonly Element[]) => merged(elements, elements.at(-1)?.ts ?? 0)),
  },
  'early-results': {
    fixed: false,
    build: listed(tumbling, (each) => each.trigger(EventTimeTrigger.create({ early: CountTrigger.of(2) }))),
  },
  continuous: {
    fixed: false,
    build: listed(tumbling, (each) => each.trigger(PurgingTrigger.of(ContinuousEventTimeTrigger.of(7)))),
  },
  'continuous-sessions': {
    fixed: false,
    build: listed(
      () => EventTimeSessionWindows.withGap(12),
      (each) => each.trigger(ContinuousEventTimeTrigger.of(5)),
    ),
  },
  delta: {
    fixed: true,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(PurgingTrigger.of(DeltaTrigger.of(3, (a: Element, b: Element) => Math.abs(b.ts - a.ts)))),
    ),
  },
  evicting: {
    fixed: true,
    build: listed(tumbling, (each) => each.evictor(TimeEvictor.of(5)).allowedLateness(0)),
  },
  'evicting-after': {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(CountTrigger.of(2)).evictor(CountEvictor.of(3, { after: true })),
    ),
  },
  'tumbling-by-clock': { fixed: false, build: listed((random) => TumblingProcessingTimeWindows.of(upTo(random, 80))) },
  'sliding-by-clock': { fixed: false, build: listed(() => SlidingProcessingTimeWindows.of(60, 20)) },
  'session-by-clock': {
    fixed: false,
    build: listed((random) => ProcessingTimeSessionWindows.withGap(upTo(random, 60))),
  },
  'continuous-by-clock': {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(ContinuousProcessingTimeTrigger.of(40)),
    ),
  },
  timeout: {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => {
        const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(3), 50, { shouldClearOnTimeout: true });
        return each.trigger(PurgingTrigger.of(trigger));
      },
    ),
  },
  'window-all': {
    fixed: true,
    build: (input, random) =>
      input
        .windowAll(tumbling(random))
        .process((elements: readonly Element[], { window }) => merged(elements, window.end - 1)),
  },
};

/** All of a key, or of the stream, at the end: when a key's newest record is behind the watermark by then is not fixed. */
const partitions: Readonly<Record<string, Stage>> = {
  'map-partition': {
    fixed: false,
    build: (input, random) => {
      const size = upTo(random, 4);
      return input.fullWindowPartition().mapPartition(function* (elements, { key }) {
        for (let at = 0; at < elements.length; at += size) {
          const some = elements.slice(at, at + size);
          yield { ...merged(some, Math.max(...some.map(({ ts }) => ts))), key };
        }
      });
    },
  },
  'sort-partition': {
    fixed: false,
    build: (input, random) =>
      input
        .map((element) => element)
        .fullWindowPartition()
        .sortPartition(({ n }) => n % 7, random() < 0.5 ? 'ascending' : 'descending'),
  },
  'reduce-partition': {
    fixed: false,
    build: (input) => input.fullWindowPartition().reduce((a, b) => ({ ...merged([a, b], b.ts), key: b.key })),
  },
  'aggregate-partition': { fixed: false, build: (input) => input.fullWindowPartition().aggregate(counted) },
};

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
  ...windows,
  ...partitions,
  ...joins,
  ...connected,
  ...functions,
};
