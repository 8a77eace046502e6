/**
 * The handles of state that has a time to live, over those that hold the envelopes (`aged.ts`). What has expired is
 * never read, or once more if the state says so; then it is cleared. Reading under `read-and-write` makes it young
 * again.
 */
import { unreachable } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import type {
  AggregatingState,
  Combine,
  ListState,
  MapState,
  StateDescriptor,
  ValueState,
} from '../core/state-descriptor.ts';
import type { Aged, Aging } from './aged.ts';
import type { MapSub } from './sub-order.ts';

/** Looks at what of the current key may have expired at this time. */
export interface Expiring {
  expire(now: Timestamp): void;
}

/** What holds the envelopes, and for maps an index of them by when they are looked at. */
export interface AgedParts {
  readonly inner: unknown;
  readonly index: MapState<string, true> | undefined;
}

export const ttlHandle = (descriptor: StateDescriptor<unknown>, aging: Aging, parts: AgedParts): Expiring => {
  const { kind, combine } = descriptor;
  const { inner, index } = parts;
  switch (kind) {
    case 'value':
      return new TtlValue(inner as ValueState<Aged>, aging); // As the kind says.
    case 'reducing':
    case 'aggregating':
      return new TtlCombining(inner as ValueState<Aged>, aging, combine as Combine); // These kinds have one.
    case 'list':
      return new TtlList(inner as ListState<Aged>, aging); // As above.
    case 'map':
      return new TtlMap(inner as MapState<MapSub, Aged>, aging, index); // As above.
    default:
      return unreachable(kind);
  }
};

/** One value of a key. */
class TtlCell implements Expiring {
  protected readonly aging: Aging;
  readonly #inner: ValueState<Aged>;

  constructor(inner: ValueState<Aged>, aging: Aging) {
    this.#inner = inner;
    this.aging = aging;
  }

  clear(): void {
    this.#inner.clear();
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return this.#inner.forEachKey(visit);
  }

  expire(now: Timestamp): void {
    const aged = this.#inner.value();
    if (aged === undefined || aged.due > now) return; // One that came later has a look of its own.
    if (this.aging.isExpired(aged, now)) this.#inner.clear();
    else this.#inner.update(looked(this.aging, aged));
  }

  /** The value as somebody reads it. */
  protected read(): unknown {
    const aged = this.#inner.value();
    if (aged === undefined) return undefined;
    const { aging } = this;
    if (aging.isExpired(aged)) {
      if (!aging.keys.readOnly) this.#inner.clear();
      return aging.givesExpired ? aged.value : undefined;
    }
    if (aging.renewsOnRead) this.#inner.update(aging.envelope(aged.value, aged));
    return aged.value;
  }

  /** What a value more is combined with. */
  protected kept(): unknown {
    const aged = this.#inner.value();
    return aged === undefined || (this.aging.isExpired(aged) && !this.aging.givesExpired) ? undefined : aged.value;
  }

  protected write(value: unknown): void {
    if (value === undefined) this.#inner.clear();
    else this.#inner.update(this.aging.envelope(this.aging.own(value), this.#inner.value()));
  }
}

/** The same, with a look of its own behind the end that it has by now. */
const looked = (aging: Aging, aged: Aged): Aged => {
  // What came before the first watermark is as old as that.
  const at = aged.at === MIN_TIMESTAMP ? aging.now() : aged.at;
  return { ...aged, at, due: aging.look(at) };
};

class TtlValue extends TtlCell implements ValueState<unknown> {
  value(): unknown {
    return this.aging.given(this.read());
  }

  update(value: unknown): void {
    this.write(value);
  }
}

class TtlCombining extends TtlCell implements AggregatingState<unknown, unknown> {
  readonly #combine: Combine;

  constructor(inner: ValueState<Aged>, aging: Aging, combine: Combine) {
    super(inner, aging);
    this.#combine = combine;
  }

  get(): unknown {
    const kept = this.read();
    return kept === undefined ? undefined : this.aging.given(this.#combine.result(kept));
  }

  add(value: unknown): void {
    this.write(this.#combine.add(this.kept(), value));
  }
}

/** Elements grow old in the order in which they came: those that have expired stand in front. */
class TtlList implements ListState<unknown>, Expiring {
  readonly #inner: ListState<Aged>;
  readonly #aging: Aging;

  constructor(inner: ListState<Aged>, aging: Aging) {
    this.#inner = inner;
    this.#aging = aging;
  }

  get size(): number {
    if (this.#aging.givesExpired) return this.#inner.size;
    const all = [...this.#inner.values()];
    return all.length - this.#expiredOf(all);
  }

  add(value: unknown): void {
    const aging = this.#aging;
    const own = aging.own(value);
    const at = aging.now();
    if (this.#inner.size === 0) aging.look(at);
    this.#inner.add({ at, due: at, value: own });
  }

  shift(): unknown {
    for (;;) {
      const aged = this.#inner.shift();
      if (aged === undefined) return undefined;
      if (this.#aging.givesExpired || !this.#aging.isExpired(aged)) return aged.value;
    }
  }

  values(): Iterable<unknown> {
    const all = [...this.#inner.values()];
    const expired = this.#expiredOf(all);
    const alive = all.slice(expired);
    if (!this.#aging.keys.readOnly && all.length > 0 && alive.length === 0) this.#inner.clear();
    else if (this.#aging.renewsOnRead && alive.length > 0) {
      this.#inner.clear();
      for (const { value } of alive) this.add(value);
    }
    return (this.#aging.givesExpired ? all : alive).map(({ value }) => this.#aging.given(value));
  }

  clear(): void {
    this.#inner.clear();
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return this.#inner.forEachKey(visit);
  }

  expire(now: Timestamp): void {
    const all = [...this.#inner.values()];
    const expired = this.#expiredOf(all, now);
    for (let gone = 0; gone < expired; gone += 1) this.#inner.shift();
    const head = all[expired];
    if (head === undefined) return;
    if (head.at === MIN_TIMESTAMP) this.#stamp(all.slice(expired));
    else this.#aging.look(head.at);
  }

  /** What came before the first watermark is as old as that. */
  #stamp(all: readonly Aged[]): void {
    const now = this.#aging.now();
    this.#inner.clear();
    for (const aged of all) this.#inner.add(aged.at === MIN_TIMESTAMP ? { ...aged, at: now } : aged);
    this.#aging.look(now);
  }

  #expiredOf(all: readonly Aged[], now = this.#aging.now()): number {
    const alive = all.findIndex((aged) => !this.#aging.isExpired(aged, now));
    return alive === -1 ? all.length : alive;
  }
}

/** Entries of a map that one look takes: a turn gives the event loop back. */
const perLook = 500;

class TtlMap implements MapState<MapSub, unknown>, Expiring {
  readonly #inner: MapState<MapSub, Aged>;
  readonly #aging: Aging;
  readonly #index: MapState<string, true> | undefined;

  constructor(inner: MapState<MapSub, Aged>, aging: Aging, index: MapState<string, true> | undefined) {
    this.#inner = inner;
    this.#aging = aging;
    this.#index = index;
  }

  get(key: MapSub): unknown {
    return this.#aging.given(this.#read(key, this.#inner.get(key)));
  }

  set(key: MapSub, value: unknown): void {
    if (value === undefined) return this.delete(key);
    const before = this.#inner.get(key);
    const aged = this.#aging.envelope(this.#aging.own(value), before);
    if (before === undefined) this.#note(aged.due, key);
    this.#inner.set(key, aged);
  }

  delete(key: MapSub): void {
    if (this.#index !== undefined) {
      const before = this.#inner.get(key);
      if (before !== undefined) this.#index.delete(nameOf(before.due, key));
    }
    this.#inner.delete(key);
  }

  keys(): Iterable<MapSub> {
    return [...this.entries()].map(([key]) => key);
  }

  entries(): Iterable<[MapSub, unknown]> {
    return this.#opened([...this.#inner.entries()]);
  }

  /** Whether there is any entry, also one that has expired and was not read since. */
  isEmpty(): boolean {
    return this.#inner.isEmpty();
  }

  range(from?: MapSub, to?: MapSub): Iterable<[MapSub, unknown]> {
    return this.#opened([...this.#inner.range(from, to)]);
  }

  clear(): void {
    this.#inner.clear();
    this.#index?.clear();
  }

  forEachKey(visit: (key: Key) => void): Promise<void> {
    return this.#inner.forEachKey(visit);
  }

  forEachEntry(visit: (key: Key, subKey: MapSub, value: () => unknown) => void): Promise<void> {
    return this.#inner.forEachEntry((key, sub, aged) => visit(key, sub, () => this.#aging.given(aged().value)));
  }

  expire(now: Timestamp): void {
    const index = this.#index;
    if (index === undefined) return;
    let left = perLook;
    for (const [name] of [...index.range(undefined, bucketName(now, 1))]) {
      left -= 1;
      if (left < 0) return this.#aging.lookAgain(now);
      index.delete(name);
      const key = keyOfName(name);
      const aged = this.#inner.get(key);
      if (aged === undefined) continue;
      if (this.#aging.isExpired(aged, now)) this.#inner.delete(key);
      else {
        const renewed = looked(this.#aging, aged);
        this.#inner.set(key, renewed);
        this.#note(renewed.due, key);
      }
    }
  }

  #note(due: Timestamp, key: MapSub): void {
    this.#index?.set(nameOf(due, key), true);
  }

  #read(key: MapSub, aged: Aged | undefined): unknown {
    if (aged === undefined) return undefined;
    if (this.#aging.isExpired(aged)) {
      if (!this.#aging.keys.readOnly) this.delete(key);
      return this.#aging.givesExpired ? aged.value : undefined;
    }
    if (this.#aging.renewsOnRead) this.#inner.set(key, this.#aging.envelope(aged.value, aged));
    return aged.value;
  }

  #opened(entries: readonly (readonly [MapSub, Aged])[]): [MapSub, unknown][] {
    return entries.flatMap(([key, aged]): [MapSub, unknown][] => {
      const value = this.#read(key, aged);
      return value === undefined ? [] : [[key, this.#aging.given(value)]];
    });
  }
}

// ---------- names in the index: a bucket of time, in the order of time, and a key of the map

const bucketLength = 16;

const bucketName = (time: Timestamp, more = 0): string => {
  if (time === Number.NEGATIVE_INFINITY) return `${more}`.padStart(bucketLength, '0');
  if (time === Number.POSITIVE_INFINITY) return 'g'.repeat(bucketLength);
  return (BigInt(Math.trunc(time) + more) + 2n ** 60n).toString(16).padStart(bucketLength, '0');
};

const nameOf = (due: Timestamp, key: MapSub): string =>
  `${bucketName(due)}${typeof key === 'number' ? 'n' : 't'}${key}`;

const keyOfName = (name: string): MapSub => {
  const key = name.slice(bucketLength + 1);
  return name[bucketLength] === 'n' ? Number(key) : key;
};
