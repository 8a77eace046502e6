/** The queries of Nexmark: each takes the stream of all events and gives the stream of its answers. */
import {
  EventTimeSessionWindows,
  listState,
  SlidingEventTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  type,
  valueState,
  type AggregateFunction,
  type DataStream,
} from 'millrace';
import { isAuction, isBid, isPerson, type Auction, type Bid, type NexmarkEvent, type Person } from './model.ts';

type Events = DataStream<NexmarkEvent>;

const bids = (events: Events): DataStream<Bid> => events.filter(isBid);

const count: AggregateFunction<unknown, number, number> = {
  createAccumulator: () => 0,
  add: (_value, before) => before + 1,
  getResult: (total) => total,
  merge: (a, b) => a + b,
};

/** All bids as they are. */
export const q0 = bids;

/** Bids in another currency. */
export const q1 = (events: Events): DataStream<Bid> =>
  bids(events).map((bid) => ({ ...bid, price: bid.price * 0.908 }));

/** Bids on some auctions. */
export const q2 = (events: Events): DataStream<{ readonly auction: number; readonly price: number }> =>
  bids(events)
    .filter(({ auction }) => auction % 123 === 0)
    .map(({ auction, price }) => ({ auction, price }));

export interface LocalItem {
  readonly name: string;
  readonly city: string;
  readonly state: string;
  readonly auction: number;
}

const localStates: ReadonlySet<string> = new Set(['OR', 'ID', 'CA']);
const localItem = ({ name, city, state }: Person, auction: number): LocalItem => ({ name, city, state, auction });

/** Who sells in category 10 from three states. Both sides are kept, since a person may come behind the auctions. */
export const q3 = (events: Events): DataStream<LocalItem> =>
  events
    .filter(isPerson)
    .filter(({ state }) => localStates.has(state))
    .connect(events.filter(isAuction).filter(({ category }) => category === 10))
    .keyBy(
      ({ id }) => id,
      ({ seller }) => seller,
    )
    .process({
      emits: type<LocalItem>(),
      state: { person: valueState<Person>('person'), auctions: listState<number>('auctions') },
      process1(person, { state, emit }) {
        state.person.update(person);
        for (const auction of state.auctions.values()) emit(localItem(person, auction));
        state.auctions.clear();
      },
      process2({ id }, { state, emit }) {
        const person = state.person.value();
        if (person === undefined) state.auctions.add(id);
        else emit(localItem(person, id));
      },
    });

export interface Closed {
  readonly auction: number;
  readonly category: number;
  readonly price: number;
}

interface Offer {
  readonly ts: number;
  readonly price: number;
}

const counts = ({ ts }: Offer, auction: Auction): boolean => ts >= auction.ts && ts <= auction.expires;

/** The greatest bid of each auction, once, when the auction has expired; nothing where there was none. */
export const closedAuctions = (events: Events): DataStream<Closed> =>
  events
    .filter(isAuction)
    .connect(bids(events))
    .keyBy(
      ({ id }) => id,
      ({ auction }) => auction,
    )
    .process({
      emits: type<Closed>(),
      state: {
        auction: valueState<Auction>('auction'),
        best: valueState<number>('best'),
        early: listState<Offer>('early'),
      },
      process1(auction, { state, timers }) {
        state.auction.update(auction);
        const prices = [...state.early.values()].filter((offer) => counts(offer, auction)).map(({ price }) => price);
        if (prices.length > 0) state.best.update(Math.max(...prices));
        state.early.clear();
        timers.register(auction.expires);
      },
      process2({ ts, price }, { state, timers }) {
        const auction = state.auction.value();
        if (auction === undefined) {
          // Of an auction that opens no later, or of one that is over: the watermark at `ts` tells which.
          state.early.add({ ts, price });
          timers.register(ts);
        } else if (counts({ ts, price }, auction)) state.best.update(Math.max(price, state.best.value() ?? 0));
      },
      onTimer({ timestamp }, { key, state, emit }) {
        const auction = state.auction.value();
        if (auction === undefined) {
          const later = [...state.early.values()].filter(({ ts }) => ts > timestamp);
          state.early.clear();
          for (const offer of later) state.early.add(offer);
          return;
        }
        if (timestamp < auction.expires) return;
        const price = state.best.value();
        if (price !== undefined) emit({ auction: Number(key), category: auction.category, price });
        state.auction.clear();
        state.best.clear();
      },
    });

export interface CategoryPrice {
  readonly category: number;
  readonly average: number;
}

/** The average final price of each category, again with each auction that closes. */
export const q4 = (events: Events): DataStream<CategoryPrice> =>
  closedAuctions(events)
    .keyBy(({ category }) => category)
    .process({
      emits: type<CategoryPrice>(),
      state: { count: valueState<number>('count'), sum: valueState<number>('sum') },
      process({ category, price }, { state, emit }) {
        const [closed, sum] = [(state.count.value() ?? 0) + 1, (state.sum.value() ?? 0) + price];
        state.count.update(closed);
        state.sum.update(sum);
        emit({ category, average: sum / closed });
      },
    });

export interface HotAuction {
  readonly auction: number;
  readonly bids: number;
  readonly end: number;
}

/** Every two seconds the auctions with the most bids of ten seconds. */
export const q5 = (events: Events): DataStream<HotAuction> =>
  bids(events)
    .keyBy(({ auction }) => auction)
    .window(SlidingEventTimeWindows.of('10s', '2s'))
    .aggregate(count, (total, { key, window }): HotAuction => ({ auction: key, bids: total, end: window.end }))
    // Counts stand at the last millisecond of their window, so each of these holds those of one window.
    .windowAll(TumblingEventTimeWindows.of('2s'))
    .process((all) => {
      const most = all.reduce((before, each) => Math.max(before, each.bids), 0);
      return all.filter((each) => each.bids === most);
    })
    .flatMap((hot) => hot);

/** The greatest bid of each ten seconds: the first of equal ones. */
export const q7 = (events: Events): DataStream<Bid> =>
  bids(events)
    .windowAll(TumblingEventTimeWindows.of('10s'))
    .reduce((best, bid) => (bid.price > best.price ? bid : best));

export interface NewSeller {
  readonly id: number;
  readonly name: string;
  readonly start: number;
}

/** Who registered and opened an auction in the same ten seconds, once each. */
export const q8 = (events: Events): DataStream<NewSeller> =>
  events
    .filter(isPerson)
    .coGroup(events.filter(isAuction))
    .where(({ id }) => id)
    .equalTo(({ seller }) => seller)
    .window(TumblingEventTimeWindows.of('10s'))
    .apply(([person], auctions, { window }): NewSeller | undefined =>
      person === undefined || auctions.length === 0
        ? undefined
        : { id: person.id, name: person.name, start: window.start },
    );

export interface BidderCount {
  readonly bidder: number;
  readonly bids: number;
  readonly start: number;
  readonly end: number;
}

/** How many bids a bidder makes without a pause of ten seconds. */
export const q11 = (events: Events): DataStream<BidderCount> =>
  bids(events)
    .keyBy(({ bidder }) => bidder)
    .window(EventTimeSessionWindows.withGap('10s'))
    .aggregate(count, (total, { key, window }) => ({ bidder: key, bids: total, start: window.start, end: window.end }));

/** How many bids a bidder makes in each ten seconds of the clock. */
export const q12 = (events: Events): DataStream<BidderCount> =>
  bids(events)
    .keyBy(({ bidder }) => bidder)
    .window(TumblingProcessingTimeWindows.of('10s'))
    .aggregate(count, (total, { key, window }) => ({ bidder: key, bids: total, start: window.start, end: window.end }));
