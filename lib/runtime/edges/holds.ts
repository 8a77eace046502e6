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
 * Whatever waited may be much, and a watermark may leave timers for slices behind it. So what leaves in one turn is
 * limited, and behind a watermark that has left something nothing leaves before that is done: the queue has stopped,
 * and goes on in slices (I20). What is emitted while it has stopped waits in its segment, in the first one too.
 *
 * Open holds and results that wait are keyed state, a row each; what closes segments is in the checkpoint header.
 */
import { invariant } from '../../core/errors.ts';
import { Fifo } from '../../core/fifo.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { mapKeyOf, type Key, type MapKey } from '../../core/key.ts';
import type { Hold, HoldOptions, Holds } from '../../core/hold.ts';
import type { OutputTag } from '../../core/output-tag.ts';
import { mapState, scattered, unshared, type MapState } from '../../core/state-descriptor.ts';
import type { KeyContext } from '../../state/key-context.ts';
import {
  behind,
  isLate,
  Segment,
  type ClosedSegment,
  type Held,
  type HeldRow,
  type HoldsSnapshot,
} from './hold-segment.ts';
import type { Later, Unfinished } from './later.ts';
import type { Receiver } from './receiver.ts';

interface OpenHold {
  readonly key: Key;
  readonly segment: Segment;
}

/** What stands behind the holds. */
export interface HoldsReceiver<O> extends Receiver<O> {
  side(tag: string, value: unknown, timestamp: Timestamp): void;
}

/** The segment of each open hold. */
export const holdRows = scattered(unshared(mapState<number, number>('holds', { indexed: false })));
/** Copies of what waits, unless nobody else holds it (`unshared`). */
export const heldRows = scattered(mapState<number, HeldRow>('held-results', { indexed: false }));

export interface HoldQueueOptions<O> extends HoldOptions {
  readonly keys: KeyContext;
  readonly holds: MapState<number, number>;
  readonly held: MapState<number, HeldRow>;
  readonly out: HoldsReceiver<O>;
  /** What is left for slices. Without it all leaves in one turn. */
  readonly later?: Later | undefined;
}

export class HoldQueue<O> implements Holds<O>, Unfinished {
  readonly isReady = true;
  readonly #options: HoldQueueOptions<O>;
  readonly #inOrder: boolean;
  readonly #overtakes: boolean;
  /** The results of each key that wait, in the order they came; undefined where keys keep no order. */
  readonly #heldOf: Map<MapKey, Set<Held>> | undefined;
  /** The oldest first. */
  readonly #holds = new Map<Hold, OpenHold>();
  #first: Segment | undefined;
  #last: Segment | undefined;
  /** Results of which the first may leave next, and so may those behind it up to one that is late. */
  readonly #freed = new Set<Iterable<Held>>();
  /** Those that leave next, in the order they came. */
  readonly #free = new Fifo<Held>();
  #stopped = false;
  #nextHold = 0;
  #nextSegment = 0;
  #nextOrder = 0;

  constructor(options: HoldQueueOptions<O>) {
    this.#options = options;
    this.#inOrder = options.order === 'arrival';
    this.#overtakes = options.overtakeWatermarks === true;
    this.#heldOf = this.#overtakes && options.keyOrder === true ? new Map() : undefined;
  }

  /** Whether it has to go on in slices. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  prepare(): void {}

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
    if (this.#stopped) return true;
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
    if (this.#last !== undefined) this.#last.watermark = timestamp;
    else {
      const { out, later } = this.#options;
      const opened = later?.opened;
      out.watermark(timestamp);
      if (later?.opened !== opened) this.#stop(0); // What this turn emits yet comes behind it.
    }
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
    const [nextHold, nextSegment, nextOrder] = [this.#nextHold, this.#nextSegment, this.#nextOrder];
    return { nextHold, nextSegment, nextOrder, closed, ...(this.#stopped && { stopped: true }) };
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
    if (snapshot.stopped === true) this.#restoreStop();
  }

  /** What may leave next follows from what waits: where the queue has not stopped nothing waits that may leave. */
  #restoreStop(): void {
    this.#stop(0);
    for (const { held } of this.#segments()) for (const each of held) this.#freeKept(each);
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
    if (this.#stopped) return false;
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

  /** Lets go of every segment that is done, and of what waited behind it, as far as one turn may. */
  #advance(): void {
    const { later } = this.#options;
    if (!this.#stopped && this.#first?.open === 0) this.goOn(later?.perTurn ?? Number.POSITIVE_INFINITY);
  }

  /** A stop is in front of a result or behind a watermark, so that a count of results says where (`Unfinished`). */
  goOn(max: number, mayGoOn = (): boolean => true): number {
    const { out, later } = this.#options;
    const opened = later?.opened;
    let sent = 0;
    const isOver = (): boolean => sent >= max || later?.opened !== opened || !mayGoOn();
    for (let first = this.#first; first !== undefined; first = this.#first) {
      for (const each of first.held) {
        if (isOver()) return this.#stop(sent);
        this.#send(each);
        sent += 1;
        this.#freeOthersOf(each.key);
      }
      if (first.open > 0) break;
      this.#first = first.next;
      if (first.next === undefined) this.#last = undefined;
      else first.next.before = undefined;
      if (first.active) out.status(false);
      if (first.watermark !== undefined) out.watermark(first.watermark);
      if (first.idle === true) out.status(true);
      if (later?.opened !== opened) return this.#stop(sent);
    }
    for (let each = this.#nextFree(); each !== undefined; each = this.#nextFree()) {
      if (isOver()) return this.#stop(sent);
      this.#free.shift();
      this.#send(each);
      sent += 1;
      if (this.#isEmpty(each.segment)) this.#fold(each.segment);
    }
    if (this.#stopped) later?.over();
    this.#stopped = false;
    return sent;
  }

  #stop(sent: number): number {
    if (!this.#stopped) this.#options.later?.open();
    this.#stopped = true;
    return sent;
  }

  /** A result of the key has left: those of later segments may have waited for nothing else. */
  #freeOthersOf(key: Key): void {
    if (this.#heldOf === undefined || this.#heldOf.size === 0) return;
    const others = this.#heldOf.get(mapKeyOf(key));
    if (others !== undefined) this.#freed.add(others);
  }

  /**
   * The next that waited for nothing but an earlier result of its key, which has left, or for the end of a stop: in the
   * order they came.
   */
  #nextFree(): Held | undefined {
    if (this.#freed.size > 0 && this.#free.size === 0) {
      const free: Held[] = [];
      for (const held of this.#freed) {
        for (const each of held) {
          if (isLate(each.segment.behind, each.row[2])) break;
          free.push(each);
        }
      }
      this.#freed.clear();
      for (const each of free.sort((a, b) => a.order - b.order)) this.#free.push(each);
    }
    // One whose segment has come to the front meanwhile has left with it.
    while (this.#free.first?.segment.held.has(this.#free.first) === false) this.#free.shift();
    return this.#free.first;
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
      const result = { order, segment, key, row: held.get(order) ?? row }; // As it is kept, not as it was given (I21).
      this.#add(result);
      if (this.#stopped) this.#freeKept(result);
    });
  }

  /** What waits may do so for nothing but the end of a stop. In the first segment it leaves with that. */
  #freeKept(result: Held): void {
    if (!this.#overtakes || result.segment === this.#first) return;
    if (this.#heldOf === undefined) this.#freed.add([result]);
    else this.#freeOthersOf(result.key);
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
