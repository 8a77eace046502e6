/**
 * What keeps records or timers for a time, beside loops over maps: an interval join, a process function with a timer
 * for each record, and state that expires.
 */
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { valueState } from '../../lib/core/state-descriptor.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import type { DataStream } from '../../lib/streams/data-stream.ts';
import type { KeyedStream } from '../../lib/streams/keyed-stream.ts';
import { type } from '../../operators/process.ts';
import { addTo, againstLoop, type Tally } from './against.ts';
import { makeDraw, type BenchCase, type Scale } from './case.ts';
import { laps, voidSink } from './places.ts';

interface Item {
  readonly key: number;
  readonly ts: number;
}

const disorderMs = 500;
const waitMs = 1000;
/** So many records go between two looks at the watermark, in the loops. */
const stride = 64;
const recordsPerMs = 10;

type KeyOf = (index: number, draw: (below: number) => number) => number;

const itemsOf = (count: number, keyOf: KeyOf, seed?: number): readonly Item[] => {
  const draw = makeDraw(seed);
  return Array.from({ length: count }, (_, i) => ({
    key: keyOf(i, draw),
    ts: Math.max(0, Math.floor(i / recordsPerMs) - draw(disorderMs)),
  }));
};

/** Any of so many keys. */
const anyOf =
  (keys: number): KeyOf =>
  (_index, draw) =>
    draw(keys);

/** A key comes a few times within less than a second, and never again. */
const passing: KeyOf = (index, draw) => Math.floor(index / 4) + draw(2000);

const keyedItems = (env: StreamExecutionEnvironment, items: readonly Item[]): KeyedStream<Item, number> =>
  env
    .fromSource(laps(items, { timestampOf: ({ ts }) => ts }), WatermarkStrategy.boundedOutOfOrderness(disorderMs))
    .keyBy(({ key }) => key);

const engine = async (build: (env: StreamExecutionEnvironment) => DataStream<number>): Promise<Tally> => {
  const tally = { records: 0, sum: 0 };
  const env = StreamExecutionEnvironment.create();
  build(env).sinkTo(voidSink(addTo(tally)));
  await env.execute();
  return tally;
};

// ---------- interval join

/** Each side's records of a key, which go when one of the other side finds them too old. */
const loopJoin = (left: readonly Item[], right: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const kept = [new Map<number, Item[]>(), new Map<number, Item[]>()] as const;
  let max = 0;
  const meet = (item: Item, own: Map<number, Item[]>, others: Map<number, Item[]>): void => {
    if (item.ts > max) max = item.ts;
    const mine = own.get(item.key);
    if (mine === undefined) own.set(item.key, [item]);
    else mine.push(item);
    const theirs = others.get(item.key);
    if (theirs === undefined) return;
    let isOld = false;
    for (const { ts } of theirs) {
      if (Math.abs(ts - item.ts) <= waitMs) result(ts + item.ts);
      else if (ts + waitMs < max - disorderMs) isOld = true;
    }
    if (!isOld) return;
    others.set(
      item.key,
      theirs.filter(({ ts }) => ts + waitMs >= max - disorderMs),
    );
  };
  left.forEach((item, at) => {
    meet(item, kept[0], kept[1]);
    const other = right[at];
    if (other !== undefined) meet(other, kept[1], kept[0]);
  });
  return tally;
};

const engineJoin = (left: readonly Item[], right: readonly Item[]): Promise<Tally> =>
  engine((env) =>
    keyedItems(env, left)
      .intervalJoin(keyedItems(env, right))
      .between(-waitMs, waitMs)
      .process((a, b) => a.ts + b.ts),
  );

// ---------- timers

/** What is due, by its time. */
class Due {
  readonly #keys = new Map<number, Set<number>>();
  #next = 0;
  #last = 0;

  add(at: number, key: number): void {
    if (at > this.#last) this.#last = at;
    const keys = this.#keys.get(at);
    if (keys === undefined) this.#keys.set(at, new Set([key]));
    else keys.add(key);
  }

  advance(watermark: number, fire: (at: number, key: number) => void): void {
    for (; this.#next <= Math.min(watermark, this.#last); this.#next += 1) {
      const keys = this.#keys.get(this.#next);
      if (keys === undefined) continue;
      for (const key of keys) fire(this.#next, key);
      this.#keys.delete(this.#next);
    }
  }
}

const loopTimers = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const due = new Due();
  let [max, seen] = [0, 0];
  for (const { key, ts } of items) {
    due.add(ts + waitMs, key);
    if (ts > max) max = ts;
    seen += 1;
    if (seen % stride === 0) due.advance(max - disorderMs - 1, result);
  }
  due.advance(Infinity, result);
  return tally;
};

const engineTimers = (items: readonly Item[]): Promise<Tally> =>
  engine((env) =>
    keyedItems(env, items).process({
      emits: type<number>(),
      process: ({ ts }, { timers }) => timers.register(ts + waitMs),
      onTimer: ({ timestamp }, { emit }) => emit(timestamp),
    }),
  );

/** A key that nothing came of for a second: its one timer is put off with each record. */
const loopSilence = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const due = new Due();
  const until = new Map<number, number>();
  let [max, seen] = [0, 0];
  const fire = (at: number, key: number): void => {
    if (until.get(key) !== at) return; // It was put off.
    until.delete(key);
    result(at);
  };
  for (const { key, ts } of items) {
    const at = ts + waitMs;
    if (at > (until.get(key) ?? 0)) {
      until.set(key, at);
      due.add(at, key);
    }
    if (ts > max) max = ts;
    seen += 1;
    if (seen % stride === 0) due.advance(max - disorderMs - 1, fire);
  }
  due.advance(Infinity, fire);
  return tally;
};

const engineSilence = (items: readonly Item[]): Promise<Tally> =>
  engine((env) =>
    keyedItems(env, items).process({
      emits: type<number>(),
      state: { until: valueState<number>('until') },
      process({ ts }, { state, timers }) {
        const before = state.until.value() ?? 0;
        const at = ts + waitMs;
        if (at <= before) return;
        if (before > 0) timers.delete(before);
        timers.register(at);
        state.until.update(at);
      },
      onTimer({ timestamp }, { state, emit }) {
        state.until.clear();
        emit(timestamp);
      },
    }),
  );

// ---------- state that expires

const loopExpiring = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const counts = new Map<number, { count: number; until: number }>();
  const due = new Due();
  let [max, seen] = [0, 0];
  const look = (at: number, key: number): void => {
    const held = counts.get(key);
    if (held === undefined) return;
    if (held.until <= at) counts.delete(key);
    else due.add(held.until, key);
  };
  for (const { key, ts } of items) {
    const held = counts.get(key);
    const until = max + disorderMs + 2 * waitMs;
    if (held === undefined) {
      counts.set(key, { count: 1, until });
      due.add(until, key);
    } else {
      held.count += 1;
      held.until = until;
    }
    result(held?.count ?? 1);
    if (ts > max) max = ts;
    seen += 1;
    if (seen % stride === 0) due.advance(max - disorderMs - 1, look);
  }
  return tally;
};

const engineExpiring = (items: readonly Item[]): Promise<Tally> =>
  engine((env) =>
    keyedItems(env, items).process({
      emits: type<number>(),
      state: { count: valueState<number>('count', { ttl: { duration: 2 * waitMs, time: 'event' } }) },
      process(_item, { state, emit }) {
        const count = (state.count.value() ?? 0) + 1;
        state.count.update(count);
        emit(count);
      },
    }),
  );

// ---------- cases

const countOf = (scale: Scale): number => scale.size(500_000, 2000);

export const timed: readonly BenchCase[] = [
  againstLoop({
    name: 'interval-join',
    title: 'interval join, 10k keys',
    prepare(scale) {
      const keyOf = anyOf(scale.size(10_000, 20));
      const left = itemsOf(countOf(scale) / 2, keyOf, 1);
      const right = itemsOf(countOf(scale) / 2, keyOf, 2);
      return { count: countOf(scale), loop: () => loopJoin(left, right), engine: () => engineJoin(left, right) };
    },
  }),
  ...(
    [
      ['timers', 'process with a timer for each record', loopTimers, engineTimers, undefined],
      ['timer-moved', 'process with a timer that is put off', loopSilence, engineSilence, undefined],
      ['expiring', 'keyed count that expires, passing keys', loopExpiring, engineExpiring, passing],
    ] as const
  ).map(([name, title, loop, run, keyOf]) =>
    againstLoop({
      name,
      title,
      prepare(scale) {
        const items = itemsOf(countOf(scale), keyOf ?? anyOf(scale.size(10_000, 20)));
        return { count: items.length, loop: () => loop(items), engine: () => run(items) };
      },
    }),
  ),
];
