/**
 * The generator of Nexmark: event `n` follows from `n` and the seed alone. Of 50 ids the first is a person, the next 3
 * are auctions and 46 are bids.
 */
import type { Auction, Bid, NexmarkEvent, Person } from './model.ts';
import { SplitMix64 } from './random.ts';

export interface NexmarkOptions {
  /** A whole number from 0 to 2^32 - 1. @defaultValue 7 */
  readonly seed?: number | undefined;
  /** Event time of the first event, in milliseconds. @defaultValue 1_700_000_000_000 */
  readonly baseTime?: number | undefined;
  /** Events in a second of event time. @defaultValue 10_000 */
  readonly eventsPerSecond?: number | undefined;
  /** So many neighbours come out of order. @defaultValue 1: none */
  readonly outOfOrderGroupSize?: number | undefined;
  /** Id of the first event. @defaultValue 0 */
  readonly firstEventId?: number | undefined;
  /** Generators that share the stream: each is as much slower. @defaultValue 1 */
  readonly generators?: number | undefined;
}

export const firstPersonId = 1000;
export const firstAuctionId = 1000;
export const firstCategoryId = 10;

const eventsPerRound = 50;
const auctionsPerRound = 3;
const categories = 5;
/** Ids of people and auctions that come next and are spoken of already. */
const lead = 10;
const activePeople = 1000;
const openAuctions = 100;

/** The newest person when an event happens. */
export const lastPerson = (eventId: number): number => Math.floor(eventId / eventsPerRound);

/** The newest auction when an event happens; -1: none. */
export const lastAuction = (eventId: number): number => {
  const round = Math.floor(eventId / eventsPerRound);
  const place = eventId % eventsPerRound;
  if (place === 0) return round * auctionsPerRound - 1;
  return round * auctionsPerRound + Math.min(place, auctionsPerRound) - 1;
};

/** The number of the event that comes `n`th, when groups of `groupSize` are out of order. */
export const adjusted = (n: number, groupSize: number): number =>
  Math.floor(n / groupSize) * groupSize + ((n * 953) % groupSize);

const firstNames = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter'];
const lastNames = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris'];
const cities = [
  'Phoenix',
  'Los Angeles',
  'San Francisco',
  'Boise',
  'Portland',
  'Bend',
  'Redmond',
  'Seattle',
  'Kent',
  'Cheyenne',
];
const states = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'];
const busyChannels = ['Google', 'Facebook', 'Baidu', 'Apple'];
const channelCount = 10_000;
/** Ids of which the urls of channels are made, beyond those of all events. */
const channelIds = 2 ** 52;
const poolLength = 2 ** 16;

export class NexmarkGenerator {
  readonly #baseTime: number;
  readonly #delayUs: number;
  readonly #groupSize: number;
  readonly #firstEventId: number;
  readonly #random: SplitMix64;
  /** Random letters, of which a text is a part: with spaces between them, with underscores, and with neither. */
  readonly #words: string;
  readonly #slugs: string;
  readonly #letters: string;
  readonly #channels = new Map<number, { readonly channel: string; readonly url: string }>();

  constructor(options: NexmarkOptions = {}) {
    const { seed = 7, baseTime = 1_700_000_000_000, eventsPerSecond = 10_000, outOfOrderGroupSize = 1 } = options;
    const { firstEventId = 0, generators = 1 } = options;
    this.#baseTime = baseTime;
    this.#delayUs = (1e6 / eventsPerSecond) * generators;
    this.#groupSize = outOfOrderGroupSize;
    this.#firstEventId = firstEventId;
    this.#random = new SplitMix64(seed);
    this.#random.begin(channelIds - 1);
    this.#words = this.#pool(' ');
    this.#slugs = this.#words.replaceAll(' ', '_');
    this.#letters = this.#pool('');
  }

  /** The event that comes `n`th, from 0. */
  at(n: number): NexmarkEvent {
    const number = adjusted(n, this.#groupSize);
    const id = this.#firstEventId + number;
    this.#random.begin(id);
    const place = id % eventsPerRound;
    if (place === 0) return this.#person(id, this.timestamp(number));
    if (place <= auctionsPerRound) return this.#auction(id, number);
    return this.#bid(id, this.timestamp(number));
  }

  /** Event time of an event, by its number. */
  timestamp(number: number): number {
    return this.#baseTime + Math.trunc(Math.trunc(number * this.#delayUs) / 1000);
  }

  /** What event time has reached when `n` events have come: none behind them is earlier. */
  reached(n: number): number {
    return this.timestamp(Math.floor(n / this.#groupSize) * this.#groupSize);
  }

  #person(id: number, ts: number): Person {
    const name = `${this.#one(firstNames)} ${this.#one(lastNames)}`;
    const email = `${this.#text(this.#words, 7)}@${this.#text(this.#words, 5)}.com`;
    const creditCard = `${this.#four()} ${this.#four()} ${this.#four()} ${this.#four()}`;
    const city = this.#one(cities);
    const state = this.#one(states);
    const size = 8 + name.length + email.length + creditCard.length + city.length + state.length;
    const personId = firstPersonId + lastPerson(id);
    return { kind: 'person', id: personId, name, email, creditCard, city, state, ts, extra: this.#extra(size, 200) };
  }

  #auction(id: number, number: number): Auction {
    const ts = this.timestamp(number);
    const busy = this.#random.below(4) > 0;
    const seller = firstPersonId + (busy ? hundreds(lastPerson(id)) : this.#anyPerson(id));
    const category = firstCategoryId + this.#random.below(categories);
    const initialBid = this.#price();
    // As long as it takes until there are so many more auctions.
    const inFlight = Math.floor((openAuctions * eventsPerRound) / auctionsPerRound);
    const horizon = this.timestamp(number + inFlight) - ts;
    const expires = ts + 1 + this.#random.below(Math.max(2 * horizon, 1));
    const itemName = this.#text(this.#words, 20);
    const description = this.#text(this.#words, 100);
    const reserve = initialBid + this.#price();
    const extra = this.#extra(8 + itemName.length + description.length + 8 * 5, 500);
    return {
      kind: 'auction',
      id: firstAuctionId + lastAuction(id),
      itemName,
      description,
      initialBid,
      reserve,
      ts,
      expires,
      seller,
      category,
      extra,
    };
  }

  #bid(id: number, ts: number): Bid {
    const random = this.#random;
    const auction = firstAuctionId + (random.below(2) > 0 ? hundreds(lastAuction(id)) : this.#anyAuction(id));
    // The id is added twice, as in the generator that others run.
    const bidder = 2 * firstPersonId + (random.below(4) > 0 ? hundreds(lastPerson(id)) + 1 : this.#anyPerson(id));
    const price = this.#price();
    const isBusy = random.below(2) > 0;
    const channelIndex = random.below(isBusy ? busyChannels.length : channelCount);
    const extra = this.#extra(32, 100);
    const { channel, url } = this.#channel(isBusy ? channelCount + channelIndex : channelIndex);
    return { kind: 'bid', auction, bidder, price, channel, url, ts, extra };
  }

  /** A channel has one url. Those of the busy ones stand behind the others. Draws other numbers than the event's. */
  #channel(index: number): { readonly channel: string; readonly url: string } {
    const known = this.#channels.get(index);
    if (known !== undefined) return known;
    this.#random.begin(channelIds + index);
    const slug = (): string => this.#text(this.#slugs, 5);
    const path = `https://www.nexmark.com/${slug()}/${slug()}/${slug()}/item.htm?query=1`;
    const busy = busyChannels[index - channelCount];
    const isNamed = busy === undefined && this.#random.below(10) > 0;
    const url = isNamed ? `${path}&channel_id=${Math.abs(reversedBits(index))}` : path;
    const made = { channel: busy ?? `channel-${index}`, url };
    this.#channels.set(index, made);
    return made;
  }

  #anyPerson(id: number): number {
    const people = lastPerson(id) + 1;
    const active = Math.min(people, activePeople);
    return people - active + this.#random.below(active + lead);
  }

  #anyAuction(id: number): number {
    const last = lastAuction(id);
    const first = Math.max(last - openAuctions, 0);
    return first + this.#random.below(last - first + 1 + lead);
  }

  /** From 100 to 100 million; as many of each power of ten. */
  #price(): number {
    return Math.round(10 ** (this.#random.fraction() * 6) * 100);
  }

  #one(values: readonly string[]): string {
    return values[this.#random.below(values.length)] ?? '';
  }

  #four(): string {
    return `${this.#random.below(10_000)}`.padStart(4, '0');
  }

  /** From 3 letters up to `max`, excluded. */
  #text(pool: string, max: number): string {
    const length = 3 + this.#random.below(max - 3);
    const start = this.#random.below(poolLength - length);
    return pool.slice(start, start + length).trim();
  }

  /** Brings an event of so many bytes to `average` ones, give or take. */
  #extra(size: number, average: number): string {
    if (size > average) return '';
    const missing = average - size;
    const delta = Math.round(missing * 0.2);
    const length = missing - delta + this.#random.below(2 * delta);
    const start = this.#random.below(poolLength - length);
    return this.#letters.slice(start, start + length);
  }

  /** One character in 13 is a space, if that is what separates. */
  #pool(separator: string): string {
    const character = (): string => {
      if (separator !== '' && this.#random.below(13) === 0) return separator;
      return String.fromCharCode(97 + this.#random.below(26));
    };
    return Array.from({ length: poolLength }, character).join('');
  }
}

const hundreds = (value: number): number => Math.floor(value / 100) * 100;

const reversedBits = (value: number): number => {
  let bits = 0;
  for (let place = 0; place < 32; place += 1) bits = (bits << 1) | ((value >>> place) & 1);
  return bits;
};
