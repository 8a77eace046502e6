/**
 * Keeps watermarks behind the results they must not overtake, and results behind the watermarks they must not overtake
 * (I3, I17).
 *
 * Holds stand in segments. The holds of the first segment emit at once; those of later segments wait, unless results
 * may overtake watermarks and what is emitted has a timestamp greater than each watermark before it, or none: then it
 * is no more late in front of them than behind. With `keyOrder` it does so only if no earlier result of its key waits:
 * else it waits in its own segment until that one has left, which is never behind the watermark in front of its own.
 * A watermark closes the last segment and leaves when every segment before it and its own are released. With order
 * `arrival` each hold is a segment of its own. A segment behind the first that holds nothing any more is folded into
 * the one before it, so there are never more than holds and results that wait.
 *
 * Open holds and results that wait are keyed state, a row each; what closes segments is in the checkpoint header.
 */
import { invariant } from '../../core/errors.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { mapKeyOf, type Key, type MapKey } from '../../core/key.ts';
import type { Hold, HoldOptions, Holds } from '../../core/hold.ts';
import type { OutputTag } from '../../core/output-tag.ts';
import { mapState, unshared, type MapState } from '../../core/state-descriptor.ts';
import type { KeyContext } from '../../state/key-context.ts';
import type { Receiver } from './receiver.ts';

/** The stored row of a result that waits, under its place among all that wait: a side output is named by its tag. */
type HeldRow = readonly [segment: number, value: unknown, timestamp: Timestamp, side?: string];

interface Held {
  readonly order: number;
  readonly segment: Segment;
  readonly key: Key;
  readonly row: HeldRow;
}

interface OpenHold {
  readonly key: Key;
  readonly segment: Segment;
}

class Segment {
  readonly number: number;
  /** The greatest watermark that waits in front of it. */
  readonly behind: Timestamp;
  /** Holds not released. */
  open = 0;
  /** Results that wait for the segments before, in the order they came. */
  readonly held = new Set<Held>();
  /** What leaves when the segment is done. */
  watermark: Timestamp | undefined;
  idle: boolean | undefined;
  /**
   * The stream became active before that watermark: a merge downstream takes no watermark of a stream that it has as
   * idle.
   */
  active = false;
  before: Segment | undefined;
  next: Segment | undefined;

  constructor(number: number, behind: Timestamp) {
    this.number = number;
    this.behind = behind;
  }
}

interface ClosedSegment {
  readonly number: number;
  readonly watermark?: Timestamp;
  readonly idle?: boolean;
  readonly active?: boolean;
}

/** The part that is in the checkpoint header. */
export interface HoldsSnapshot {
  readonly nextHold: number;
  readonly nextSegment: number;
  readonly nextOrder: number;
  readonly closed: readonly ClosedSegment[];
}

/** What stands behind the holds. */
export interface HoldsReceiver<O> extends Receiver<O> {
  side(tag: string, value: unknown, timestamp: Timestamp): void;
}

/** The segment of each open hold. */
export const holdRows = unshared(mapState<number, number>('holds', { indexed: false }));
/** Copies of what waits, unless nobody else holds it (`unshared`). */
export const heldRows = mapState<number, HeldRow>('held-results', { indexed: false });

export interface HoldQueueOptions<O> extends HoldOptions {
  readonly keys: KeyContext;
  readonly holds: MapState<number, number>;
  readonly held: MapState<number, HeldRow>;
  readonly out: HoldsReceiver<O>;
}

export class HoldQueue<O> implements Holds<O> {
  readonly #options: HoldQueueOptions<O>;
  readonly #inOrder: boolean;
  readonly #overtakes: boolean;
  /** The results of each key that wait, in the order they came; undefined where keys keep no order. */
  readonly #heldOf: Map<MapKey, Set<Held>> | undefined;
  /** The oldest first. */
  readonly #holds = new Map<Hold, OpenHold>();
  #first: Segment | undefined;
  #last: Segment | undefined;
  #nextHold = 0;
  #nextSegment = 0;
  #nextOrder = 0;

  constructor(options: HoldQueueOptions<O>) {
    this.#options = options;
    this.#inOrder = options.order === 'arrival';
    this.#overtakes = options.overtakeWatermarks === true;
    this.#heldOf = this.#overtakes && options.keyOrder === true ? new Map() : undefined;
  }

  get size(): number {
    return this.#holds.size;
  }

  /** Watermarks and idleness that wait behind a hold. */
  get waiting(): number {
    let count = 0;
    for (const segment of this.#segments()) if (segment.watermark !== undefined) count += 1;
    return count;
  }

  /** The key of the oldest open hold: who keeps the watermark back. */
  get oldestKey(): Key | undefined {
    return this.#holds.values().next().value?.key;
  }

  blocks(timestamp: Timestamp): boolean {
    const last = this.#last;
    if (last === undefined) return false;
    if (this.#isJoinable(last)) return !this.#leaves(last, undefined, timestamp);
    return !this.#mayOvertake(behind(last), undefined, timestamp);
  }

  take(): Hold {
    const segment =
      this.#last !== undefined && this.#isJoinable(this.#last) ? this.#last : this.#append(this.#nextSegment++);
    const hold = this.#nextHold++;
    segment.open += 1;
    this.#holds.set(hold, { key: this.#options.keys.key, segment });
    this.#options.holds.set(hold, segment.number);
    return hold;
  }

  emit(hold: Hold, value: O, timestamp: Timestamp): void {
    const { segment, key } = this.#get(hold);
    if (this.#leaves(segment, key, timestamp)) this.#options.out.record(value, timestamp);
    else this.#keep(segment, key, [segment.number, value, timestamp]);
  }

  side<S>(hold: Hold, tag: OutputTag<S>, value: S, timestamp: Timestamp): void {
    const { segment, key } = this.#get(hold);
    if (this.#leaves(segment, key, timestamp)) this.#options.out.side(tag.id, value, timestamp);
    else this.#keep(segment, key, [segment.number, value, timestamp, tag.id]);
  }

  release(hold: Hold): void {
    const { segment, key } = this.#get(hold);
    const { keys, holds } = this.#options;
    this.#holds.delete(hold);
    keys.within(key, () => holds.delete(hold));
    segment.open -= 1;
    if (segment === this.#first) this.#advance();
    else if (this.#isEmpty(segment)) this.#fold(segment);
  }

  /** Takes a watermark that has fired its timers: it leaves now, or when the holds before it are released. */
  watermark(timestamp: Timestamp): void {
    if (this.#last === undefined) this.#options.out.watermark(timestamp);
    else this.#last.watermark = timestamp;
  }

  status(idle: boolean): void {
    const last = this.#last;
    if (last === undefined) this.#options.out.status(idle);
    else {
      last.idle = idle;
      last.active ||= !idle;
    }
  }

  snapshot(): HoldsSnapshot {
    const closed: ClosedSegment[] = [];
    for (const { number, watermark, idle, active } of this.#segments()) {
      if (watermark === undefined && idle === undefined) continue;
      closed.push({
        number,
        ...(active && { active }),
        ...(watermark !== undefined && { watermark }),
        ...(idle !== undefined && { idle }),
      });
    }
    return { nextHold: this.#nextHold, nextSegment: this.#nextSegment, nextOrder: this.#nextOrder, closed };
  }

  /** Rebuilds the segments from the header's part and the stored rows. */
  async restore(snapshot: HoldsSnapshot): Promise<void> {
    this.#nextHold = snapshot.nextHold;
    this.#nextSegment = snapshot.nextSegment;
    this.#nextOrder = snapshot.nextOrder;
    const holds: { hold: Hold; key: Key; segment: number }[] = [];
    await this.#options.holds.forEachEntry((key, hold, segment) => holds.push({ hold, key, segment: segment() }));
    const held: Omit<Held, 'segment'>[] = [];
    await this.#options.held.forEachEntry((key, order, row) => held.push({ order, key, row: row() }));
    const closed = new Map(snapshot.closed.map((each) => [each.number, each]));
    const numbers = new Set([
      ...closed.keys(),
      ...holds.map(({ segment }) => segment),
      ...held.map(({ row: [segment] }) => segment),
    ]);
    const byNumber = new Map<number, Segment>();
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const { watermark, idle, active = false } = closed.get(number) ?? {};
      byNumber.set(number, Object.assign(this.#append(number), { watermark, idle, active }));
    }
    const at = (number: number): Segment => {
      const segment = byNumber.get(number);
      invariant(segment !== undefined, 'I3: what is held belongs to a segment');
      return segment;
    };
    for (const { hold, key, segment } of holds.sort((a, b) => a.hold - b.hold)) {
      this.#holds.set(hold, { key, segment: at(segment) });
      at(segment).open += 1;
    }
    for (const each of held.sort((a, b) => a.order - b.order)) this.#add({ ...each, segment: at(each.row[0]) });
  }

  *#segments(): Iterable<Segment> {
    for (let segment = this.#first; segment !== undefined; segment = segment.next) yield segment;
  }

  #append(number: number): Segment {
    const last = this.#last;
    const made = new Segment(number, last === undefined ? MIN_TIMESTAMP : behind(last));
    made.before = last;
    if (last === undefined) this.#first = made;
    else last.next = made;
    this.#last = made;
    return made;
  }

  /**
   * Whether a new hold joins this last segment. Where results may overtake, what has come behind idleness need not
   * stand apart.
   */
  #isJoinable({ watermark, idle }: Segment): boolean {
    return !this.#inOrder && watermark === undefined && (this.#overtakes || idle === undefined);
  }

  /** Whether what a hold of the segment emits under the key leaves at once. */
  #leaves(segment: Segment, key: Key | undefined, timestamp: Timestamp): boolean {
    return segment === this.#first || this.#mayOvertake(segment.behind, key, timestamp);
  }

  /** Of the current key where none is given. */
  #mayOvertake(watermark: Timestamp, key: Key | undefined, timestamp: Timestamp): boolean {
    if (!this.#overtakes || isLate(watermark, timestamp)) return false;
    if (this.#heldOf === undefined || this.#heldOf.size === 0) return true;
    return !this.#heldOf.has(mapKeyOf(key ?? this.#options.keys.key));
  }

  #isEmpty(segment: Segment): boolean {
    return segment.open === 0 && segment.held.size === 0;
  }

  /** Takes a segment behind the first out that holds nothing: what closes it closes the one before. */
  #fold(segment: Segment): void {
    const { before, next, watermark, idle, active } = segment;
    invariant(before !== undefined, 'I3: a segment behind the first has one before it');
    before.watermark = watermark ?? before.watermark;
    before.idle = idle ?? before.idle;
    before.active ||= active;
    before.next = next;
    if (next === undefined) this.#last = before;
    else next.before = before;
  }

  /** Lets go of every segment that is done, and of what waited behind it. */
  #advance(): void {
    const { out } = this.#options;
    const freed = new Map<MapKey, Set<Held>>();
    for (let first = this.#first; first !== undefined && first.open === 0; first = this.#first) {
      this.#first = first.next;
      if (first.next === undefined) this.#last = undefined;
      else first.next.before = undefined;
      if (first.active) out.status(false);
      if (first.watermark !== undefined) out.watermark(first.watermark);
      if (first.idle === true) out.status(true);
      if (this.#first !== undefined) this.#flush(this.#first, freed);
    }
    if (freed.size > 0) this.#follow(freed);
  }

  /**
   * Emits what waited in a segment that has come to the front, in the order it came; gathers what else waits of its
   * keys.
   */
  #flush(segment: Segment, freed: Map<MapKey, Set<Held>>): void {
    for (const each of segment.held) {
      this.#send(each);
      if (this.#heldOf === undefined || this.#heldOf.size === 0) continue;
      const mapKey = mapKeyOf(each.key);
      const others = this.#heldOf.get(mapKey);
      if (others !== undefined) freed.set(mapKey, others);
    }
  }

  /** Emits what waited for nothing but an earlier result of its key, which has left, in the order it came. */
  #follow(freed: ReadonlyMap<MapKey, ReadonlySet<Held>>): void {
    const free: Held[] = [];
    for (const held of freed.values()) {
      for (const each of held) {
        if (isLate(each.segment.behind, each.row[2])) break;
        free.push(each);
      }
    }
    for (const each of free.sort((a, b) => a.order - b.order)) {
      this.#send(each);
      if (this.#isEmpty(each.segment)) this.#fold(each.segment);
    }
  }

  #send(result: Held): void {
    const { out, keys, held } = this.#options;
    const { order, key, segment, row } = result;
    segment.held.delete(result);
    const ofKey = this.#heldOf?.get(mapKeyOf(key));
    ofKey?.delete(result);
    if (ofKey?.size === 0) this.#heldOf?.delete(mapKeyOf(key));
    keys.within(key, () => held.delete(order));
    const [, value, timestamp, side] = row;
    if (side === undefined)
      out.record(value as O, timestamp); // It was given to `emit` as O.
    else out.side(side, value, timestamp);
  }

  #keep(segment: Segment, key: Key, row: HeldRow): void {
    const { keys, held } = this.#options;
    const order = this.#nextOrder++;
    keys.within(key, () => {
      held.set(order, row);
      this.#add({ order, segment, key, row: held.get(order) ?? row }); // As it is kept, not as it was given (I21).
    });
  }

  #add(result: Held): void {
    result.segment.held.add(result);
    if (this.#heldOf === undefined) return;
    const mapKey = mapKeyOf(result.key);
    const ofKey = this.#heldOf.get(mapKey);
    if (ofKey === undefined) this.#heldOf.set(mapKey, new Set([result]));
    else ofKey.add(result);
  }

  #get(hold: Hold): OpenHold {
    const open = this.#holds.get(hold);
    if (open === undefined)
      throw new TypeError(`Expected \`hold\` to be one that was taken and not released, got \`${hold}\``);
    return open;
  }
}

/** The greatest watermark that waits in front of what comes behind this segment. */
const behind = ({ watermark, behind: before }: Segment): Timestamp => watermark ?? before;

/** Whether a result must not leave in front of the watermark: it would be on time there and late behind. */
const isLate = (watermark: Timestamp, timestamp: Timestamp): boolean =>
  timestamp <= watermark && timestamp !== MIN_TIMESTAMP;
