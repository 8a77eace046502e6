/**
 * Event-time windows that share slices: a record is added to one slice, however many windows hold it, and a window's
 * result is merged of its slices when it fires. For aggregates that merge, with the trigger of their own.
 *
 *  - A window has its timers from when the first of its slices is made. So a slice that is made looks for the nearest
 *    ones of its key, before and behind it: windows that hold one of these have theirs already.
 *  - A slice goes with the last window that holds it.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import { mapKeyOf, type Key, type MapKey } from '../../lib/core/key.ts';
import type { Operator, OperatorContext, Processor } from '../../lib/core/operator.ts';
import { looseCopy } from '../../lib/core/own-copy.ts';
import type { MapState } from '../../lib/core/state-descriptor.ts';
import type { DerivedTimer, DerivedTimers } from '../../lib/core/timer.ts';
import type { StateSpec } from '../process.ts';
import type { Contents } from './contents.ts';
import type { Slices } from './contract.ts';
import { lateRecords, needTimestamp, staysMs, type TakeLate } from './lateness.ts';
import { WindowCall } from './window-function.ts';
import type { WindowParts } from './window-parts.ts';

export const slicedWindow =
  <T, P, C, O, W, S extends StateSpec, K extends Key>(
    slices: Slices,
    parts: WindowParts<T, P, C, O, W, S, K>,
  ): Operator<T, O> =>
  (context) =>
    new SlicedWindow(context, slices, parts);

class SlicedWindow<T, P, C, O, W, S extends StateSpec, K extends Key> implements Processor<T> {
  readonly #uid: string;
  readonly #slices: Slices;
  readonly #latenessMs: number;
  readonly #contents: Contents<T, P, C>;
  readonly #panes: MapState<Timestamp, P>;
  /** The namespace of a window's timers is its end. */
  readonly #timers: DerivedTimers;
  readonly #call: WindowCall<C, O, W, S, K>;
  readonly #late: TakeLate<T>;
  /** The slice of the record that came last, and the end of the first window that holds it. */
  #start = Number.NaN;
  #firstEnd = Number.NaN;

  constructor(
    context: OperatorContext<O>,
    slices: Slices,
    { makeContents, fn, spreads, latenessMs, lateTag }: WindowParts<T, P, C, O, W, S, K>,
  ) {
    this.#uid = context.uid;
    this.#slices = slices;
    this.#latenessMs = latenessMs;
    this.#contents = makeContents(context);
    this.#panes = context.state(this.#contents.panes);
    const dependsOn = `sliced ${slices.name} ${latenessMs}`;
    this.#timers = context.derivedTimers((timer) => this.#onTimer(timer), { dependsOn });
    this.#call = new WindowCall({ context, timers: this.#timers, fn, spreads });
    this.#late = lateRecords(context, lateTag);
  }

  process(value: T, timestamp: Timestamp): void {
    needTimestamp(timestamp, this.#uid);
    if (!(timestamp >= this.#start && timestamp < this.#start + this.#slices.sliceMs)) {
      this.#start = this.#slices.startOf(timestamp);
      this.#firstEnd = this.#slices.firstEnd(this.#start);
    }
    const start = this.#start;
    const passed = this.#firstEnd - 1 <= this.#timers.watermark;
    if (passed && this.#endsOf(start).every((end) => this.#isGone(end))) return this.#late(value, timestamp);
    const pane = this.#panes.get(start);
    this.#panes.set(start, this.#contents.add(pane, value, start, timestamp));
    if (pane === undefined) this.#made(start);
    if (passed) this.#fireAgain(start);
  }

  /** Registers timers again: of the windows of each slice that hold no slice of the key before it. */
  async open(): Promise<void> {
    if (!this.#timers.isAnew) return;
    const startsOf = new Map<MapKey, Timestamp[]>();
    await this.#panes.forEachEntry((key, start) => {
      const mapKey = mapKeyOf(key);
      const starts = startsOf.get(mapKey);
      if (starts === undefined) startsOf.set(mapKey, [start]);
      else starts.push(start);
    });
    for (const starts of startsOf.values()) starts.sort((a, b) => a - b);
    await this.#panes.forEachEntry((key, start) => {
      const before = startsOf.get(mapKeyOf(key))?.findLast((each) => each < start) ?? MIN_TIMESTAMP;
      this.#schedule(start, before, MAX_TIMESTAMP, () => true); // Those that should be gone go with the next watermark.
    });
  }

  #onTimer({ timestamp, namespace: end }: DerivedTimer): void {
    if (timestamp === end - 1) this.#fire(end);
    if (timestamp >= end - 1 + this.#latenessMs) this.#clear(end);
  }

  #fire(end: Timestamp): void {
    const start = this.#slices.startOfWindow(end);
    let merged: P | undefined;
    for (let at = start; at < end; at += this.#slices.sliceMs) {
      const pane = this.#panes.get(at);
      // A copy: what it is merged into may take parts of it. Only contents that merge are cut into slices.
      if (pane !== undefined) merged = this.#contents.merge?.(merged, at, looseCopy(pane), at);
    }
    const window = { start, end };
    if (merged !== undefined) this.#call.fire(window, end, this.#contents.get(merged, end, false, window));
  }

  /** A record came behind the end of windows that are still open: these fire again, the newest first. */
  #fireAgain(start: Timestamp): void {
    for (const end of this.#endsOf(start).toReversed())
      if (end - 1 <= this.#timers.watermark && !this.#isGone(end)) this.#fire(end);
  }

  /** The slices go of which this was the last window. */
  #clear(end: Timestamp): void {
    for (let at = this.#slices.startOfWindow(end); at < end; at += this.#slices.sliceMs)
      if (this.#slices.nextEnd(at, end) === undefined && this.#panes.get(at) !== undefined) this.#panes.delete(at);
  }

  /** A slice was made: its windows that hold no other one have no timers yet. */
  #made(start: Timestamp): void {
    const { sliceMs } = this.#slices;
    const oldest = this.#slices.startOfWindow(this.#firstEnd);
    let before = start - sliceMs;
    while (before >= oldest && this.#panes.get(before) === undefined) before -= sliceMs;
    const newest = this.#endsOf(start).at(-1) ?? start;
    let behind = start + sliceMs;
    while (behind < newest && this.#panes.get(behind) === undefined) behind += sliceMs;
    this.#schedule(start, before, behind, (end) => !this.#isGone(end));
  }

  /** Registers the timers of the windows that hold a slice and neither the nearest one before it nor that behind it. */
  #schedule(start: Timestamp, before: Timestamp, behind: Timestamp, isOpen: (end: Timestamp) => boolean): void {
    for (const end of this.#endsOf(start)) {
      if (this.#slices.startOfWindow(end) <= before || end > behind || !isOpen(end)) continue;
      const due = end - 1;
      const hasFired = due <= this.#timers.watermark;
      if (!hasFired) this.#timers.register(due, end);
      const goes = due + staysMs(this.#latenessMs, hasFired);
      if (goes > due && goes < MAX_TIMESTAMP) this.#timers.register(goes, end);
    }
  }

  /** The ends of the windows that hold a slice, the oldest first. */
  #endsOf(start: Timestamp): readonly Timestamp[] {
    const ends: Timestamp[] = [];
    let end: Timestamp | undefined = this.#slices.firstEnd(start);
    for (; end !== undefined; end = this.#slices.nextEnd(start, end)) ends.push(end);
    return ends;
  }

  #isGone(end: Timestamp): boolean {
    return end - 1 + this.#latenessMs <= this.#timers.watermark;
  }
}
