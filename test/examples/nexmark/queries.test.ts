/**
 * The queries of Nexmark give what loops over all events give: on one seed, in one run and when the job is stopped half
 * way and started again.
 */
import { callbackSink, MemoryStorage, StreamExecutionEnvironment, type DataStream } from 'millrace';
import { ManualClock } from 'millrace/testing';
import { NEVER } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { NexmarkGenerator } from '../../../examples/nexmark/generator.ts';
import { isAuction, isBid, isPerson, type Bid, type NexmarkEvent } from '../../../examples/nexmark/model.ts';
import { closedAuctions, q0, q1, q11, q12, q2, q3, q4, q5, q7, q8 } from '../../../examples/nexmark/queries.ts';
import { nexmarkSource, nexmarkWatermarks } from '../../../examples/nexmark/source.ts';

const count = 20_000;
// Forty seconds, so that windows of ten open and close.
const options = { seed: 11, eventsPerSecond: 500 };

const generator = new NexmarkGenerator(options);
const events = Array.from({ length: count }, (_, n) => generator.at(n));
const [people, auctions, bids] = [events.filter(isPerson), events.filter(isAuction), events.filter(isBid)];

const grouped = <T, K>(values: readonly T[], keyOf: (value: T) => K): (readonly [K, readonly T[]])[] => {
  const groups = new Map<K, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return [...groups];
};
const windowOf = (ts: number): number => Math.floor(ts / 10_000) * 10_000;
const best = (some: readonly Bid[]): Bid => some.reduce((a, b) => (b.price > a.price ? b : a));

const closed = auctions.flatMap(({ id, category, ts, expires }) => {
  const own = bids.filter((bid) => bid.auction === id && bid.ts >= ts && bid.ts <= expires);
  return own.length === 0 ? [] : [{ auction: id, category, price: best(own).price }];
});

const hot = (): unknown[] => {
  const [from = 0, to = 0] = [bids[0]?.ts, bids.at(-1)?.ts];
  const found: unknown[] = [];
  for (let end = Math.floor(from / 2000) * 2000 + 2000; end - 10_000 <= to; end += 2000) {
    const inside = bids.filter(({ ts }) => ts >= end - 10_000 && ts < end);
    const counted = grouped(inside, ({ auction }) => auction);
    const most = Math.max(...counted.map(([, own]) => own.length));
    for (const [auction, own] of counted) if (own.length === most) found.push({ auction, bids: own.length, end });
  }
  return found;
};

const sessions = (): unknown[] =>
  grouped(bids, ({ bidder }) => bidder).flatMap(([bidder, own]) => {
    const found: { bidder: number; bids: number; start: number; end: number }[] = [];
    for (const { ts } of own) {
      const last = found.at(-1);
      if (last === undefined || ts > last.end) found.push({ bidder, bids: 1, start: ts, end: ts + 10_000 });
      else Object.assign(last, { bids: last.bids + 1, end: ts + 10_000 });
    }
    return found;
  });

type Query = (stream: DataStream<NexmarkEvent>) => DataStream<unknown>;

const cases: Readonly<Record<string, readonly [Query, () => readonly unknown[]]>> = {
  q0: [q0, () => bids],
  q1: [q1, () => bids.map((bid) => ({ ...bid, price: bid.price * 0.908 }))],
  q2: [q2, () => bids.filter(({ auction }) => auction % 123 === 0).map(({ auction, price }) => ({ auction, price }))],
  q3: [
    q3,
    () =>
      people
        .filter(({ state }) => ['OR', 'ID', 'CA'].includes(state))
        .flatMap(({ id, name, city, state }) =>
          auctions
            .filter(({ seller, category }) => seller === id && category === 10)
            .map((auction) => ({ name, city, state, auction: auction.id })),
        ),
  ],
  'q4 before its averages': [closedAuctions, () => closed],
  q5: [q5, hot],
  q7: [q7, () => grouped(bids, ({ ts }) => windowOf(ts)).map(([, own]) => best(own))],
  q8: [
    q8,
    () =>
      people
        .filter(({ id, ts }) => auctions.some((each) => each.seller === id && windowOf(each.ts) === windowOf(ts)))
        .map(({ id, name, ts }) => ({ id, name, start: windowOf(ts) })),
  ],
  q11: [q11, sessions],
};

/** In an order that does not depend on that of keys. */
const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value)).toSorted();

const run = async (query: Query): Promise<unknown[]> => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  return query(env.fromSource(nexmarkSource({ ...options, events: count }), nexmarkWatermarks)).executeAndCollect();
};

/** Stops with a checkpoint in the middle and goes on from it. */
const runTwice = async (query: Query): Promise<unknown[]> => {
  const storage = new MemoryStorage();
  const results: unknown[] = [];
  for (const stopAt of [count / 2, Infinity]) {
    let made = 0;
    let isHalf = (): void => {};
    const half = new Promise<void>((resolve) => (isHalf = resolve));
    const onEvent = (): void => {
      made += 1;
      if (made === stopAt) isHalf();
    };
    const env = StreamExecutionEnvironment.create({ logger: 'silent', storage });
    const source = nexmarkSource({ ...options, events: count, onEvent });
    query(env.fromSource(source, nexmarkWatermarks, 'nexmark')).sinkTo(
      callbackSink((value) => void results.push(value)),
    );
    const job = await env.executeAsync('nexmark');
    if (stopAt === Infinity) await job.done;
    else {
      await half;
      await job.stop();
    }
    expect(made).toBeLessThan(count); // A restart makes nothing again that was done.
  }
  return results;
};

describe('Nexmark', () => {
  for (const [name, [query, expected]] of Object.entries(cases)) {
    it(`${name} gives what a loop over all events gives, also over a restart`, async () => {
      const wanted = sorted(expected());
      expect(wanted.length).toBeGreaterThan(0);
      expect(sorted(await run(query))).toEqual(wanted);
      expect(sorted(await runTwice(query))).toEqual(wanted);
    });
  }

  it('numbers people and auctions by the id of the event, and makes an event out of its turn alike', () => {
    const ids = [0, 1, 3, 50, 51, 5000].map((n) => new NexmarkGenerator(options).at(n));
    expect(ids.map((event) => (event.kind === 'bid' ? undefined : event.id))).toEqual([
      1000, 1000, 1002, 1001, 1003, 1100,
    ]);
    expect(new NexmarkGenerator(options).at(777)).toEqual(events[777]);
    expect(events.map(({ kind }) => kind).filter((kind) => kind === 'bid').length).toBe((count / 50) * 46);
  });

  it('q4 ends with the average of each category', async () => {
    const wanted = grouped(closed, ({ category }) => category).map(([category, own]) => [
      category,
      own.reduce((sum, { price }) => sum + price, 0) / own.length,
    ]);
    const [once, twice] = [await run(q4), await runTwice(q4)] as { category: number; average: number }[][];
    for (const found of [once, twice]) {
      expect(found?.length).toBe(closed.length);
      expect(sorted([...new Map(found?.map(({ category, average }) => [category, average]))])).toEqual(sorted(wanted));
    }
  });

  it('q12 counts the bids of each ten seconds of the clock', async () => {
    const clock = new ManualClock();
    const found: { readonly bidder: number; readonly bids: number }[] = [];
    let made = 0;
    const whole = nexmarkSource({ ...options, events: count, onEvent: () => void (made += 1) });
    const env = StreamExecutionEnvironment.create({ logger: 'silent', clock });
    // Never ends: windows that are open at the end are dropped.
    const open = env.fromSource(whole).union(env.fromObservable(NEVER, { capacity: 1 }));
    q12(open).sinkTo(callbackSink((value) => void found.push(value)));
    const job = await env.executeAsync('nexmark');
    await vi.waitFor(() => expect(made).toBe(count));
    for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(found).toEqual([]);
    clock.advance(10_001);
    const wanted = grouped(bids, ({ bidder }) => bidder).map(([bidder, own]) => [bidder, own.length]);
    await vi.waitFor(() => expect(found.length).toBe(wanted.length));
    expect(sorted(found.map(({ bidder, bids: counted }) => [bidder, counted]))).toEqual(sorted(wanted));
    await job.cancel();
  });
});
