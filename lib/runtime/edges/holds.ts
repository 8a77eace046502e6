/**
 * Keeps watermarks behind the results they must not overtake, and results behind the watermarks they must not overtake (I3).
 *
 * Holds stand in segments. The holds of the first segment emit at once; those of later segments buffer. A watermark closes the last
 * segment and leaves when every segment before it and its own are released. With order `arrival` each hold is a segment of its own.
 * Open holds and buffered results are keyed state; closed segments' watermarks are in the checkpoint header.
 */
import { invariant } from '../../core/errors.ts';
import type { Timestamp } from '../../core/element.ts';
import type { Key } from '../../core/key.ts';
import { mapState, type Hold, type Holds, type MapState, type OutputOrder, type OutputTag } from '../../core/operator.ts';
import type { KeyContext } from '../../state/key-context.ts';
import type { Receiver } from './receiver.ts';

/** A result that waits: its place among the results of its segment, value and timestamp, and the side output it goes to. */
type Buffered = readonly [order: number, value: unknown, timestamp: Timestamp, side?: string];

const noOutputs: readonly Buffered[] = [];

/** The stored row of one hold. */
interface HoldRow {
  readonly segment: number;
  readonly outputs: readonly Buffered[];
  readonly released: boolean;
}

interface OpenHold extends HoldRow {
  readonly key: Key;
}

interface Segment {
  readonly number: number;
  /** Holds not released. */
  open: number;
  /** Holds with a row: open ones, and released ones whose results wait. */
  readonly holds: Set<Hold>;
  /** What leaves when the segment is done; set means no hold joins any more. */
  watermark: Timestamp | undefined;
  idle: boolean | undefined;
  /** The stream became active before that watermark: a merge downstream takes no watermark of a stream that it has as idle. */
  active: boolean;
}

/** The part that is in the checkpoint header. */
export interface HoldsSnapshot {
  readonly nextHold: number;
  readonly nextSegment: number;
  readonly nextOrder: number;
  readonly closed: readonly { readonly number: number; readonly watermark?: Timestamp; readonly idle?: boolean; readonly active?: boolean }[];
}

/** What stands behind the holds. */
export interface HoldsReceiver<O> extends Receiver<O> {
  side(tag: string, value: unknown, timestamp: Timestamp): void;
}

export const holdRows = mapState<number, HoldRow>('holds', { indexed: false });

export class HoldQueue<O> implements Holds<O> {
  readonly #order: OutputOrder;
  readonly #keys: KeyContext;
  readonly #rows: MapState<number, HoldRow>;
  readonly #out: HoldsReceiver<O>;
  readonly #holds = new Map<Hold, OpenHold>();
  #segments: Segment[] = [];
  readonly #byNumber = new Map<number, Segment>();
  #nextHold = 0;
  #nextSegment = 0;
  #nextOrder = 0;

  constructor(options: { order: OutputOrder; keys: KeyContext; rows: MapState<number, HoldRow>; out: HoldsReceiver<O> }) {
    this.#order = options.order;
    this.#keys = options.keys;
    this.#rows = options.rows;
    this.#out = options.out;
  }

  get size(): number {
    return this.#holds.size;
  }

  get blocked(): boolean {
    if (this.#order === 'arrival') return this.#segments.length > 0;
    const [first] = this.#segments;
    return this.#segments.length > 1 || first?.watermark !== undefined || first?.idle !== undefined;
  }

  /** Watermarks and idleness that wait behind a hold. */
  get waiting(): number {
    return this.#segments.filter(({ watermark }) => watermark !== undefined).length;
  }

  /** The key of the oldest open hold: who keeps the watermark back. */
  get oldestKey(): Key | undefined {
    const first = this.#segments[0]?.holds.values().next().value;
    return first === undefined ? undefined : this.#holds.get(first)?.key;
  }

  take(): Hold {
    const segment = this.#joinable();
    const hold = this.#nextHold++;
    const row = { key: this.#keys.key, segment: segment.number, outputs: noOutputs, released: false };
    segment.open += 1;
    segment.holds.add(hold);
    this.#write(hold, row);
    return hold;
  }

  emit(hold: Hold, value: O, timestamp: Timestamp): void {
    if (!this.#buffers(hold)) this.#out.record(value, timestamp);
    else this.#buffer(hold, [this.#nextOrder++, value, timestamp]);
  }

  side<S>(hold: Hold, tag: OutputTag<S>, value: S, timestamp: Timestamp): void {
    if (!this.#buffers(hold)) this.#out.side(tag.id, value, timestamp);
    else this.#buffer(hold, [this.#nextOrder++, value, timestamp, tag.id]);
  }

  release(hold: Hold): void {
    const row = this.#get(hold);
    const segment = this.#byNumber.get(row.segment);
    invariant(segment !== undefined, 'I3: a hold belongs to a segment');
    segment.open -= 1;
    if (row.outputs.length > 0) this.#write(hold, { ...row, released: true });
    else this.#forget(hold, segment);
    if (segment === this.#segments[0]) this.#advance();
    else this.#dropEmpty();
  }

  /** Takes a watermark that has fired its timers: it leaves now, or when the holds before it are released. */
  watermark(timestamp: Timestamp): void {
    const last = this.#segments.at(-1);
    if (last === undefined) this.#out.watermark(timestamp);
    else last.watermark = timestamp;
  }

  status(idle: boolean): void {
    const last = this.#segments.at(-1);
    if (last === undefined) this.#out.status(idle);
    else {
      last.idle = idle;
      last.active ||= !idle;
    }
  }

  snapshot(): HoldsSnapshot {
    const closed = this.#segments
      .filter(({ watermark, idle }) => watermark !== undefined || idle !== undefined)
      .map(({ number, watermark, idle, active }) => ({
        number,
        ...(active ? { active } : {}),
        ...(watermark === undefined ? {} : { watermark }),
        ...(idle === undefined ? {} : { idle }),
      }));
    return { nextHold: this.#nextHold, nextSegment: this.#nextSegment, nextOrder: this.#nextOrder, closed };
  }

  /** Rebuilds the segments from the header's part and the stored rows. */
  async restore(snapshot: HoldsSnapshot): Promise<void> {
    this.#nextHold = snapshot.nextHold;
    this.#nextSegment = snapshot.nextSegment;
    this.#nextOrder = snapshot.nextOrder;
    const at = (number: number): Segment => this.#byNumber.get(number) ?? this.#segment(number);
    for (const { number, watermark, idle, active = false } of snapshot.closed) Object.assign(at(number), { watermark, idle, active });
    const rows: [Hold, OpenHold][] = [];
    await this.#rows.forEachEntry((key, hold, row) => rows.push([hold, { ...row(), key }]));
    for (const [hold, row] of rows.sort(([a], [b]) => a - b)) {
      const segment = at(row.segment);
      segment.holds.add(hold);
      if (!row.released) segment.open += 1;
      this.#holds.set(hold, row);
    }
    this.#segments = [...this.#byNumber.values()].sort((a, b) => a.number - b.number);
  }

  #segment(number: number): Segment {
    const made: Segment = { number, open: 0, holds: new Set(), watermark: undefined, idle: undefined, active: false };
    this.#byNumber.set(number, made);
    return made;
  }

  /** The segment that a new hold joins. */
  #joinable(): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.watermark === undefined && last.idle === undefined && this.#order === 'completion') return last;
    const made = this.#segment(this.#nextSegment++);
    this.#segments.push(made);
    return made;
  }

  /**
   * Forgets last segments that hold nothing and that no watermark has closed. A restart does not find them, so the next watermark would
   * otherwise leave on its own before a crash and together with the one before it after.
   */
  #dropEmpty(): void {
    for (let last = this.#segments.at(-1); last !== undefined && last !== this.#segments[0]; last = this.#segments.at(-1)) {
      if (last.holds.size > 0 || last.watermark !== undefined || last.idle !== undefined) return;
      this.#segments.pop();
      this.#byNumber.delete(last.number);
    }
  }

  /** Lets go of every segment that is done, and of what waited behind it. */
  #advance(): void {
    for (let first = this.#segments[0]; first !== undefined && first.open === 0; first = this.#segments[0]) {
      this.#segments.shift();
      this.#byNumber.delete(first.number);
      if (first.active) this.#out.status(false);
      if (first.watermark !== undefined) this.#out.watermark(first.watermark);
      if (first.idle === true) this.#out.status(true);
      const next = this.#segments[0];
      if (next !== undefined) this.#flush(next);
    }
  }

  /** Emits what the holds of a segment that has come to the front have buffered, in the order it came. */
  #flush(segment: Segment): void {
    const outputs: Buffered[] = [];
    for (const hold of segment.holds) {
      const row = this.#get(hold);
      outputs.push(...row.outputs);
      if (row.released) this.#forget(hold, segment);
      else if (row.outputs.length > 0) this.#write(hold, { ...row, outputs: [] });
    }
    for (const [, value, timestamp, side] of outputs.sort(([a], [b]) => a - b)) {
      if (side === undefined) this.#out.record(value as O, timestamp); // It was given to emit as O.
      else this.#out.side(side, value, timestamp);
    }
  }

  /** Whether what the hold emits waits for a segment before its own. */
  #buffers(hold: Hold): boolean {
    return this.#get(hold).segment !== this.#segments[0]?.number;
  }

  #buffer(hold: Hold, buffered: Buffered): void {
    const row = this.#get(hold);
    this.#write(hold, { ...row, outputs: [...row.outputs, buffered] });
  }

  #get(hold: Hold): OpenHold {
    const row = this.#holds.get(hold);
    if (row === undefined) throw new TypeError(`Expected \`hold\` to be one that was taken and not released, got \`${hold}\``);
    return row;
  }

  #write(hold: Hold, row: OpenHold): void {
    this.#holds.set(hold, row);
    const { segment, outputs, released } = row;
    this.#keys.within(row.key, () => this.#rows.set(hold, { segment, outputs, released }));
  }

  #forget(hold: Hold, segment: Segment): void {
    const { key } = this.#get(hold);
    this.#holds.delete(hold);
    segment.holds.delete(hold);
    this.#keys.within(key, () => this.#rows.delete(hold));
  }
}
