/**
 * Queries of Nexmark beside loops over the same events, which were made before: what is measured is the query, not the
 * generator. Events are in order, and those of one second are so few that the windows of a query end steadily.
 */
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import type { DataStream } from '../../lib/streams/data-stream.ts';
import { NexmarkGenerator } from '../../examples/nexmark/generator.ts';
import type { Bid, NexmarkEvent } from '../../examples/nexmark/model.ts';
import { q0, q1, q2, q5, q7 } from '../../examples/nexmark/queries.ts';
import { nexmarkWatermarks } from '../../examples/nexmark/source.ts';
import { addTo, againstLoop, type Tally } from './against.ts';
import type { BenchCase } from './case.ts';
import { laps, voidSink } from './places.ts';

type Events = readonly NexmarkEvent[];
type Add = (value: number) => void;

const slideMs = 2000;
const sizeMs = 10_000;

const loopOf =
  (each: (bid: Bid, add: Add) => void) =>
  (events: Events, add: Add): void => {
    for (const event of events) if (event.kind === 'bid') each(event, add);
  };

/** The auctions with the most bids of each window: counts of slices are added up when it ends. */
const loopQ5 = (events: Events, add: Add): void => {
  const slices = new Map<number, Map<number, number>>();
  let next = Number.NaN;
  const fire = (end: number): void => {
    const counts = new Map<number, number>();
    for (let start = end - sizeMs; start < end; start += slideMs)
      for (const [auction, count] of slices.get(start) ?? []) counts.set(auction, (counts.get(auction) ?? 0) + count);
    slices.delete(end - sizeMs);
    const most = [...counts.values()].reduce((a, b) => Math.max(a, b), 0);
    for (const [auction, count] of counts) if (count === most) add(auction);
  };
  let slice = new Map<number, number>();
  for (const event of events) {
    if (event.kind !== 'bid') continue;
    const start = event.ts - (event.ts % slideMs);
    if (Number.isNaN(next)) slices.set((next = start), slice);
    // Events are in order, so a slice is whole when the next one begins.
    for (; next < start; slices.set(next, (slice = new Map()))) fire((next += slideMs));
    slice.set(event.auction, (slice.get(event.auction) ?? 0) + 1);
  }
  for (let end = next + slideMs; end < next + slideMs + sizeMs; end += slideMs) fire(end);
};

/** The greatest bid of each window. */
const loopQ7 = (events: Events, add: Add): void => {
  let best: Bid | undefined;
  let end = -Infinity;
  for (const event of events) {
    if (event.kind !== 'bid') continue;
    if (event.ts >= end) {
      if (best !== undefined) add(best.price);
      best = undefined;
      end = event.ts - (event.ts % sizeMs) + sizeMs;
    }
    if (best === undefined || event.price > best.price) best = event;
  }
  if (best !== undefined) add(best.price);
};

interface Query {
  readonly name: string;
  readonly query: (events: DataStream<NexmarkEvent>) => DataStream<number>;
  readonly loop: (events: Events, add: Add) => void;
}

const queries: readonly Query[] = [
  {
    name: 'q0',
    query: (events) => q0(events).map(({ price }) => price),
    loop: loopOf(({ price }, add) => add(price)),
  },
  {
    name: 'q1',
    query: (events) => q1(events).map(({ price }) => price),
    loop: loopOf((bid, add) => {
      const { price } = { ...bid, price: bid.price * 0.908 };
      add(price);
    }),
  },
  {
    name: 'q2',
    query: (events) => q2(events).map(({ price }) => price),
    loop: loopOf(({ auction, price }, add) => {
      if (auction % 123 !== 0) return;
      const bought = { auction, price };
      add(bought.price);
    }),
  },
  { name: 'q5', query: (events) => q5(events).map(({ auction }) => auction), loop: loopQ5 },
  { name: 'q7', query: (events) => q7(events).map(({ price }) => price), loop: loopQ7 },
];

const engine = async (events: Events, query: Query['query']): Promise<Tally> => {
  const tally = { records: 0, sum: 0 };
  const env = StreamExecutionEnvironment.create();
  query(env.fromSource(laps(events), nexmarkWatermarks)).sinkTo(voidSink(addTo(tally)));
  await env.execute();
  return tally;
};

export const nexmark: readonly BenchCase[] = queries.map(({ name, query, loop }) =>
  againstLoop({
    name: `nexmark-${name}`,
    title: `Nexmark ${name}`,
    prepare(scale) {
      const count = scale.size(500_000, 5000);
      // A minute, so that windows end.
      const generator = new NexmarkGenerator({ eventsPerSecond: count / 60 });
      const events = Array.from({ length: count }, (_, n) => generator.at(n));
      const looped = (): Tally => {
        const tally = { records: 0, sum: 0 };
        loop(events, addTo(tally));
        return tally;
      };
      return { count, loop: looped, engine: () => engine(events, query) };
    },
  }),
);
