/**
 * Windows that overlap or grow, beside loops over maps: sliding ones of 60 slides, whose aggregate merges (a record is
 * added to one slice) or that have a trigger of their own (it is added to 60 windows), and sessions.
 */
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import type { WindowedStream } from '../../lib/streams/windowed-stream.ts';
import type { KeyedStream } from '../../lib/streams/keyed-stream.ts';
import { SlidingEventTimeWindows } from '../../operators/windows/fixed-windows.ts';
import { EventTimeSessionWindows } from '../../operators/windows/session-windows.ts';
import { EventTimeTrigger } from '../../operators/windows/time-triggers.ts';
import { PurgingTrigger } from '../../operators/windows/triggers.ts';
import { addTo, againstLoop, type Tally } from './against.ts';
import { makeDraw, type BenchCase } from './case.ts';
import { laps, voidSink } from './places.ts';

interface Item {
  readonly key: number;
  readonly ts: number;
}

const disorderMs = 500;
const slideMs = 1000;
const sizeMs = 60 * slideMs;
const gapMs = 3000;
/** So many records go between two looks at the watermark, in the loops. */
const stride = 64;

const itemsOf = (count: number, keyCount: number, spanMs: number): readonly Item[] => {
  const draw = makeDraw();
  return Array.from({ length: count }, (_, i) => ({
    key: draw(keyCount),
    ts: Math.max(0, Math.floor((i * spanMs) / count) - draw(disorderMs)),
  }));
};

/** Calls `add` for each item and `advance` with what the watermark comes to. */
const overTime = (items: readonly Item[], add: (item: Item) => void, advance: (watermark: number) => void): void => {
  let [max, seen] = [-Infinity, 0];
  for (const item of items) {
    add(item);
    if (item.ts > max) max = item.ts;
    seen += 1;
    if (seen % stride === 0) advance(max - disorderMs - 1);
  }
  advance(Infinity);
};

type Counts = Map<number, number>;

const increase = (counts: Counts, key: number, by: number): void => {
  counts.set(key, (counts.get(key) ?? 0) + by);
};

const countsIn = (all: Map<number, Counts>, at: number): Counts => {
  let counts = all.get(at);
  if (counts === undefined) all.set(at, (counts = new Map()));
  return counts;
};

/** A record is counted in its slice; a window's counts are added up of its slices when it ends. */
const loopSliced = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const slices = new Map<number, Counts>();
  let [nextEnd, last] = [slideMs, 0];
  const fire = (end: number): void => {
    const merged: Counts = new Map();
    for (let start = end - sizeMs; start < end; start += slideMs)
      for (const [key, count] of slices.get(start) ?? []) increase(merged, key, count);
    merged.forEach(result);
    slices.delete(end - sizeMs);
  };
  const add = ({ key, ts }: Item): void => {
    const start = ts - (ts % slideMs);
    if (start > last) last = start;
    increase(countsIn(slices, start), key, 1);
  };
  overTime(items, add, (watermark) => {
    for (; nextEnd - 1 <= watermark && nextEnd <= last + sizeMs; nextEnd += slideMs) fire(nextEnd);
  });
  return tally;
};

/** A record is counted in each of its windows. */
const loopOverlapping = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const windows = new Map<number, Counts>();
  let [nextEnd, last] = [slideMs, 0];
  const add = ({ key, ts }: Item): void => {
    const firstEnd = ts - (ts % slideMs) + slideMs;
    if (firstEnd > last) last = firstEnd;
    for (let end = firstEnd; end < firstEnd + sizeMs; end += slideMs) increase(countsIn(windows, end), key, 1);
  };
  overTime(items, add, (watermark) => {
    for (; nextEnd - 1 <= watermark && nextEnd < last + sizeMs; nextEnd += slideMs) {
      windows.get(nextEnd)?.forEach(result);
      windows.delete(nextEnd);
    }
  });
  return tally;
};

interface Session {
  readonly key: number;
  start: number;
  end: number;
  count: number;
}

/** The open sessions of each key, and when to look at each again. */
const loopSessions = (items: readonly Item[]): Tally => {
  const tally = { records: 0, sum: 0 };
  const result = addTo(tally);
  const open = new Map<number, Session[]>();
  const looks = new Map<number, Session[]>();
  const lookAgain = (session: Session): void => {
    const at = Math.floor(session.end / stride);
    const others = looks.get(at);
    if (others === undefined) looks.set(at, [session]);
    else others.push(session);
  };
  const add = ({ key, ts }: Item): void => {
    const sessions = open.get(key) ?? [];
    const meeting = sessions.filter(({ start, end }) => ts <= end && ts + gapMs >= start);
    const [first, ...others] = meeting;
    if (first === undefined) {
      const session = { key, start: ts, end: ts + gapMs, count: 1 };
      open.set(key, [...sessions, session]);
      lookAgain(session);
      return;
    }
    first.start = Math.min(first.start, ts, ...others.map(({ start }) => start));
    first.end = Math.max(first.end, ts + gapMs, ...others.map(({ end }) => end));
    first.count += 1 + others.reduce((sum, { count }) => sum + count, 0);
    if (others.length > 0) {
      for (const other of others) other.count = 0;
      open.set(
        key,
        sessions.filter((each) => !others.includes(each)),
      );
    }
  };
  const look = (session: Session, watermark: number): void => {
    if (session.count === 0) return; // It is part of another one.
    if (session.end - 1 > watermark) return lookAgain(session);
    result(session.count);
    const left = open.get(session.key)?.filter((each) => each !== session) ?? [];
    if (left.length === 0) open.delete(session.key);
    else open.set(session.key, left);
  };
  overTime(items, add, (watermark) => {
    for (const [at, sessions] of looks) {
      if ((at + 1) * stride - 1 > watermark) continue;
      looks.delete(at);
      for (const session of sessions) look(session, watermark);
    }
  });
  return tally;
};

type Windowing = (items: KeyedStream<Item, number>) => WindowedStream<Item, number>;

const engine = async (items: readonly Item[], windowing: Windowing): Promise<Tally> => {
  const tally = { records: 0, sum: 0 };
  const source = laps(items, { timestampOf: ({ ts }) => ts });
  const env = StreamExecutionEnvironment.create();
  windowing(env.fromSource(source, WatermarkStrategy.boundedOutOfOrderness(disorderMs)).keyBy(({ key }) => key))
    .aggregate({
      createAccumulator: () => 0,
      add: (_item, count) => count + 1,
      getResult: (count) => count,
      merge: (a, b) => a + b,
    })
    .sinkTo(voidSink(addTo(tally)));
  await env.execute();
  return tally;
};

interface Kind {
  readonly name: string;
  readonly title: string;
  readonly size: { readonly count: number; readonly keys: number; readonly spanMs: number };
  readonly loop: (items: readonly Item[]) => Tally;
  readonly windowing: Windowing;
}

const sliding = SlidingEventTimeWindows.of(sizeMs, slideMs);

const kinds: readonly Kind[] = [
  {
    name: 'sliding-sliced',
    title: 'sliding, 60 slides, sliced',
    size: { count: 200_000, keys: 1000, spanMs: 60_000 },
    loop: loopSliced,
    windowing: (items) => items.window(sliding),
  },
  {
    name: 'sliding-general',
    title: 'sliding, 60 slides, own trigger',
    size: { count: 20_000, keys: 1000, spanMs: 60_000 },
    loop: loopOverlapping,
    windowing: (items) => items.window(sliding).trigger(PurgingTrigger.of(EventTimeTrigger.create())),
  },
  {
    name: 'session',
    title: 'session, 10k keys',
    size: { count: 500_000, keys: 10_000, spanMs: 50_000 },
    loop: loopSessions,
    windowing: (items) => items.window(EventTimeSessionWindows.withGap(gapMs)),
  },
];

export const windows: readonly BenchCase[] = kinds.map(({ name, title, size, loop, windowing }) =>
  againstLoop({
    name,
    title,
    prepare(scale) {
      const items = itemsOf(scale.size(size.count, 2000), scale.size(size.keys, 20), size.spanMs);
      return { count: items.length, loop: () => loop(items), engine: () => engine(items, windowing) };
    },
  }),
);
