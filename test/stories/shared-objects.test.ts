/**
 * Connectors that change in place what they gave or were given: no record is lost by it, nor handed over twice, after a
 * crash either.
 */
import {
  callbackSink,
  defineSource,
  exponentialDelay,
  MemoryStorage,
  paced,
  StreamExecutionEnvironment,
  type Sink,
  type Source,
  type SourceBatch,
  type Storage,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, later, Ledger, once, until } from './story.ts';

const numbers = Array.from({ length: 8 }, (_, n) => n);

/** Called by a read that has moved its cursor and not answered yet. */
type Pause = (from: number) => Promise<void>;

const pageFrom = <P>(from: number, position: P): { values: number[]; position: () => P } => ({
  values: [from, from + 1],
  position: () => position,
});

/** Reads two numbers at a time by a cursor that `move` moves in place and of which it says where it stood. */
const defined =
  <P>(start: P, move: (cursor: P) => number) =>
  (pause: Pause): Source<number, P> =>
    defineSource<number, P>({
      start,
      async read(cursor) {
        const from = move(cursor);
        if (from >= numbers.length) return undefined;
        await pause(from);
        return pageFrom(from, cursor);
      },
    });

interface Cursor {
  n: number;
}

/** The same without `defineSource`: what `open` is given is its cursor, and it spoils what `committed` is told. */
const custom = (pause: Pause): Source<number, Cursor> => ({
  name: 'custom',
  replayable: true,
  splits: async () => ['a'],
  async open(_split, cursor = { n: 0 }) {
    return {
      async read() {
        const from = cursor.n;
        if (from >= numbers.length) return undefined;
        cursor.n += 2;
        await pause(from);
        return pageFrom(from, cursor);
      },
      committed: async (position) => void (position.n = -1),
      close: async () => {},
    };
  },
});

const members: readonly (readonly [string, (pause: Pause) => Source<number>])[] = [
  ['an array', defined([0], (at) => (at[0] = (at[0] ?? 0) + 2) - 2)],
  ['an object inside an object', defined({ page: { n: 0 } }, ({ page }) => (page.n += 2) - 2)],
  ['a Map', defined(new Map([['n', 0]]), (at) => at.set('n', (at.get('n') ?? 0) + 2).size + (at.get('n') ?? 0) - 3)],
  ['a Date', defined(new Date(0), (at) => at.setTime(at.getTime() + 2) - 2)],
  ['an object inside an object, paced', (pause) => paced(defined({ n: 0 }, (at) => (at.n += 2) - 2)(pause), 1e6)],
  ["that of a source of one's own", custom],
];

describe('a position that a read changes in place', () => {
  test.each(members)('%s: a checkpoint and a crash while the next read is under way', async (_what, sourceOf) => {
    const [storage, ledger] = [new MemoryStorage(), new Ledger<number>()];
    // The first two lives stop in a read behind a checkpoint that was taken while it was under way.
    for (const stopAt of [2, 4, undefined]) {
      let isStopped = false;
      const source = sourceOf(async (from) => {
        if (from !== stopAt) return;
        isStopped = true;
        await new Promise(() => {});
      });
      const env = StreamExecutionEnvironment.create({ ...once, storage });
      env.fromSource(source).sinkTo(ledger.sink());
      const job = await env.executeAsync('shared');
      if (stopAt === undefined) await job.done;
      else {
        await until(() => isStopped);
        await job.checkpoint();
        await job.checkpoint();
        await job.cancel();
      }
    }
    expect(ledger.values).toEqual(numbers);
  });

  test.each(members)('%s: a restart in the process before the first checkpoint', async (_what, sourceOf) => {
    let isFirst = true;
    const env = StreamExecutionEnvironment.create({
      logger: 'silent',
      restart: exponentialDelay({ initial: 1, max: 1 }),
    });
    const ledger = new Ledger<number>();
    const failing = env.fromSource(sourceOf(async () => {})).map((n) => {
      if (n < 5 || !isFirst) return n;
      isFirst = false;
      throw new Error('once');
    });
    failing.sinkTo(ledger.sink());
    await env.execute();
    expect(ledger.values).toEqual(numbers);
  });
});

test('a position that can not be stored is refused, with the name of its source', async () => {
  const source: Source<number> = {
    ...custom(async () => {}),
    open: async () => ({ read: async () => pageFrom(0, { ask: () => 1 }), close: async () => {} }),
  };
  const env = StreamExecutionEnvironment.create(once);
  const error = await failure(env.fromSource(source).uid('odd').executeAndCollect(), 'NOT_SERIALISABLE');
  expect(error.message).toContain('position(2) of source `odd`, split `a`');
});

/** Tells what it is given, and empties it; the first commits of a process fail when they have. */
const emptying = <C>(told: unknown[], { make, empty, failures }: Emptying<C>): Sink<number, C> => ({
  name: 'emptying',
  guarantee: 'exactly-once',
  async open({ pending, last }) {
    told.push({ pending: structuredClone(pending), last: structuredClone(last) });
    for (const each of pending) empty(each);
    if (last !== undefined) empty(last);
    let values: number[] = [];
    let left = failures;
    let sealed: C | undefined;
    return {
      full: false,
      write: (value) => void values.push(value),
      async seal() {
        if (values.length === 0) return undefined;
        sealed = make(values);
        values = [];
        return sealed;
      },
      async commit(committable) {
        told.push(structuredClone(committable));
        empty(committable);
        if (sealed !== undefined) empty(sealed);
        left -= 1;
        if (left >= 0) throw new Error('away');
      },
      close: async () => {},
    };
  },
});

interface Rows {
  readonly rows: number[];
}

interface Emptying<C> {
  readonly make: (values: number[]) => C;
  readonly empty: (committable: C) => void;
  readonly failures: number;
}

/** One life over the first two numbers, which a checkpoint seals; it ends by a crash. */
const sealedOnce = async (storage: Storage, sink: Sink<number>, isDone: () => boolean): Promise<void> => {
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  let reads = 0;
  const source = defineSource({
    start: 0,
    async read(at) {
      reads += at > 0 ? 2 : 1;
      if (at > 0) await new Promise(() => {});
      return { values: [7, 8], position: (count) => at + count };
    },
  });
  env.fromSource(source).sinkTo(sink);
  const job = await env.executeAsync('sealed');
  await until(() => reads > 1 || isDone()); // What was read before is in the sink, or was in a life before.
  job.checkpoint().catch(() => {});
  await until(isDone);
  // What the next checkpoint stores was in the hands of `commit` before.
  job.checkpoint().catch(() => {});
  await later(50);
  await job.cancel();
};

describe('a committable that a sink empties', () => {
  const emptied: readonly (readonly [string, unknown, Emptying<never>])[] = [
    ['an array', [7, 8], { make: (v: number[]) => v, empty: (c: number[]) => void c.splice(0), failures: 1 }],
    [
      'inside an object',
      { rows: [7, 8] },
      { make: (rows: number[]) => ({ rows }), empty: (c: Rows) => void c.rows.pop(), failures: 1 },
    ],
    [
      'a Set',
      new Set([7, 8]),
      { make: (v: number[]) => new Set(v), empty: (c: Set<number>) => c.clear(), failures: 1 },
    ],
  ] as never; // Each makes what it empties.

  test.each(emptied)(
    '%s is tried again, and committed again after a crash, as it was sealed',
    async (_what, whole, how) => {
      const [storage, told] = [new MemoryStorage(), [] as unknown[]];
      const sink = emptying(told, how);
      await sealedOnce(storage, sink, () => told.length === 3);
      expect(told).toEqual([{ pending: [], last: undefined }, whole, whole]);
      told.length = 0;
      await sealedOnce(storage, emptying(told, { ...how, failures: 0 }), () => told.length > 0);
      expect(told[0]).toMatchObject({ last: whole });
    },
  );

  test.each(emptied)(
    '%s is pending as it was sealed when a crash comes before its commit succeeds',
    async (_what, whole, how) => {
      const [storage, told] = [new MemoryStorage(), [] as unknown[]];
      await sealedOnce(storage, emptying(told, { ...how, failures: Number.POSITIVE_INFINITY }), () => told.length >= 2);
      told.length = 0;
      await sealedOnce(storage, emptying(told, { ...how, failures: 0 }), () => told.length >= 2);
      expect(told.slice(0, 2)).toEqual([{ pending: [whole], last: whole }, whole]);
    },
  );
});

describe('timestamps of a batch', () => {
  type Odd = (timestamps: unknown) => Source<number>;
  const batch = (timestamps: unknown): SourceBatch<number> =>
    ({ values: [1, 2, 3], timestamps, position: (count: number) => count }) as never; // Some are none, on purpose.
  const byDefinition: Odd = (timestamps) =>
    defineSource<number, number>({ start: 0, read: async (at) => (at > 0 ? undefined : (batch(timestamps) as never)) });
  const byHand: Odd = (timestamps) => {
    let reads = 0;
    const read = async () => ((reads += 1) > 1 ? undefined : batch(timestamps));
    return {
      name: 'own',
      replayable: true,
      splits: async () => ['a'],
      open: async () => ({ read, close: async () => {} }),
    };
  };
  const stamped = (source: Source<number>, gate: () => Promise<void> = async () => {}): Promise<number[]> => {
    const env = StreamExecutionEnvironment.create(once);
    const slow = env.fromSource(source).asyncMap(async (n) => (await gate(), n), { inFlightMax: 1, order: 'arrival' });
    return slow.process<number>({ process: (_n, ctx) => ctx.emit(ctx.timestamp ?? Number.NaN) }).executeAndCollect();
  };
  const doors = [
    ['defineSource', byDefinition],
    ["a source of one's own", byHand],
    ['paced', (t: unknown) => paced(byHand(t), 1000)],
  ] as const;

  test.each(doors)('of %s may be used again by the source', async (_door, sourceOf) => {
    const timestamps = [10, 20, 30];
    // The other records wait for the first one.
    const done = stamped(sourceOf(timestamps), async () => {
      await later(5);
      timestamps.fill(Number.NaN);
    });
    expect(await done).toEqual([10, 20, 30]);
  });

  test.each(
    doors.flatMap(([door, sourceOf]) =>
      [null, { 0: 1, 1: 2, 2: 3, length: 3 }, [1, 2], [1, 2, 3, 4], new Float64Array(3), 'abc'].map(
        (odd) => [door, odd, sourceOf] as const,
      ),
    ),
  )('of %s are refused when they are %o', async (_door, odd, sourceOf) => {
    const error = await failure(stamped(sourceOf(odd)), 'SOURCE_FAILED');
    expect(error).toMatchObject({
      retryable: false,
      message: expect.stringMatching(/source `.*split `.*`timestamps`/),
    });
  });

  test.each(doors)('of %s are refused for a record without a number', async (_door, sourceOf) => {
    for (const odd of [null, Number.NaN, '5', Number.POSITIVE_INFINITY]) {
      await failure(stamped(sourceOf([1, odd, 3])), 'TIMESTAMP_INVALID');
    }
    let asked = 0;
    const flipping = Object.defineProperty([1, 2, 3], 1, {
      get: () => ((asked += 1) > 1 ? Number.NaN : 2),
      enumerable: true,
    });
    expect(await stamped(sourceOf(flipping))).toEqual([1, 2, 3]);
  });
});

test('the list of values may be used again as well', async () => {
  const [values, got] = [[1, 2, 3], [] as number[]];
  let reads = 0;
  const read = async () => ((reads += 1) > 1 ? undefined : { values, position: (count: number) => count });
  const source: Source<number> = { ...custom(async () => {}), open: async () => ({ read, close: async () => {} }) };
  const env = StreamExecutionEnvironment.create(once);
  const slow = env
    .fromSource(source)
    .asyncMap(async (n) => (await later(5), values.fill(0), n), { inFlightMax: 1, order: 'arrival' });
  slow.sinkTo(callbackSink((n) => void got.push(n)));
  await env.execute();
  expect(got).toEqual([1, 2, 3]);
});
