/**
 * Windows of any kind: those that merge, those of a user's own assigner, those by the clock, and all with another
 * trigger or an evictor. A window's timers are stored, in the namespace of its pane.
 *
 *  - A window goes when its time, the watermark or the clock, has reached its end (in event time, and its allowed
 *    lateness has passed); one without end stays.
 *  - Windows that meet become one before anybody asks whether the record is late: a late one that touches an open
 *    session belongs to it.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Operator, OperatorContext, Processor } from '../../lib/core/operator.ts';
import { refusedResult } from '../../lib/core/options.ts';
import { mapState, unshared, type MapState } from '../../lib/core/state-descriptor.ts';
import type { TimeDomain, Timer, Timers } from '../../lib/core/timer.ts';
import type { StateSpec } from '../process.ts';
import type { Contents } from './contents.ts';
import { lastOf, type TimeWindow, type Trigger, type TriggerResult, type WindowAssigner } from './contract.ts';
import { lateRecords, needTimestamp, type TakeLate } from './lateness.ts';
import { ListedWindows, NamedWindows, type OpenWindows, type Pane } from './open-windows.ts';
import { TriggerCall } from './trigger-call.ts';
import { WindowCall } from './window-function.ts';
import type { WindowParts } from './window-parts.ts';

/** What says which windows there are, and when they fire. */
export interface WindowRules<T> {
  readonly assigner: WindowAssigner<T>;
  readonly trigger: Trigger<T>;
}

export const generalWindow =
  <T, P, C, O, W, S extends StateSpec, K extends Key>(
    rules: WindowRules<T>,
    parts: WindowParts<T, P, C, O, W, S, K>,
  ): Operator<T, O> =>
  (context) =>
    new GeneralWindow(context, rules, parts);

class GeneralWindow<T, P, C, O, W, S extends StateSpec, K extends Key> implements Processor<T> {
  readonly #context: OperatorContext<O>;
  readonly #assigner: WindowAssigner<T>;
  readonly #latenessMs: number;
  readonly #contents: Contents<T, P, C>;
  readonly #panes: MapState<number, P>;
  /** Timestamps of the newest elements of windows without end: those of their results. */
  readonly #newest: MapState<number, Timestamp>;
  readonly #open: OpenWindows;
  /** The open windows, where they merge. */
  readonly #merging: ListedWindows | undefined;
  readonly #timers: Timers;
  readonly #trigger: TriggerCall<T>;
  readonly #call: WindowCall<C, O, W, S, K>;
  readonly #late: TakeLate<T>;

  constructor(
    context: OperatorContext<O>,
    { assigner, trigger }: WindowRules<T>,
    { makeContents, fn, spreads, latenessMs, lateTag }: WindowParts<T, P, C, O, W, S, K>,
  ) {
    this.#context = context;
    this.#assigner = assigner;
    this.#latenessMs = assigner.time === 'event' ? latenessMs : 0; // The clock brings nothing late.
    this.#contents = makeContents(context);
    this.#panes = context.state(this.#contents.panes);
    this.#newest = context.state(unshared(mapState<number, Timestamp>('newest', { indexed: false })));
    if (assigner.merging === true) this.#open = this.#merging = new ListedWindows(context);
    else this.#open = assigner.naming === undefined ? new ListedWindows(context) : new NamedWindows(assigner.naming);
    this.#timers = context.timers((timer) => this.#onTimer(timer));
    const isOwn = ({ window }: Pane, time: Timestamp, domain: TimeDomain): boolean =>
      domain === assigner.time && time === this.#goesAt(window);
    this.#trigger = new TriggerCall({ context, trigger, timers: this.#timers, isOwn });
    this.#call = new WindowCall({ context, timers: this.#timers, fn, spreads });
    this.#late = lateRecords(context, lateTag);
  }

  process(value: T, timestamp: Timestamp): void {
    const isEventTime = this.#assigner.time === 'event';
    if (isEventTime) needTimestamp(timestamp, this.#context.uid);
    let taken = false;
    for (const window of this.#assigner.assign(value, timestamp, this.#context)) {
      const pane = this.#enter(checked(window));
      if (pane === undefined) continue;
      taken = true;
      this.#add(pane, value, timestamp);
    }
    if (!taken && isEventTime && timestamp + this.#latenessMs <= this.#timers.watermark) this.#late(value, timestamp);
  }

  /** The pane of a window that a record is in; undefined when the window is gone. */
  #enter(window: TimeWindow): Pane | undefined {
    if (this.#merging === undefined) return this.#isGone(window) ? undefined : this.#open.enter(window);
    const meeting = this.#merging.meeting(window);
    const merged = meeting.reduce((whole, pane) => cover(whole, pane.window), window);
    if (this.#isGone(merged)) return undefined;
    const [only] = meeting;
    if (meeting.length === 1 && only !== undefined && isSame(only.window, merged)) return only;
    return this.#merge(this.#merging, meeting, merged);
  }

  /** Windows become one: the panes become that of the first, and the trigger begins anew with what it knew of them. */
  #merge(open: ListedWindows, panes: readonly Pane[], window: TimeWindow): Pane {
    const states = panes.map((pane) => {
      this.#timers.delete(this.#goesAt(pane.window), { namespace: pane.id, domain: this.#assigner.time });
      return this.#trigger.clear(pane);
    });
    const [first, ...others] = panes;
    if (first !== undefined) for (const other of others) this.#absorb(first, other);
    const pane = open.merge(panes, window);
    if (first !== undefined) this.#trigger.merge(pane, states);
    return pane;
  }

  /** What one pane holds goes behind what another one does. */
  #absorb({ slot: into }: Pane, { slot: from }: Pane): void {
    const absorbed = this.#panes.get(from);
    const contents = this.#contents;
    // Windows that merge are refused for contents that do not.
    if (absorbed === undefined || contents.merge === undefined) return;
    this.#panes.set(into, contents.merge(this.#panes.get(into), into, absorbed, from));
    contents.clear?.(absorbed, from);
    this.#panes.delete(from);
  }

  #add(pane: Pane, value: T, timestamp: Timestamp): void {
    const { slot, window } = pane;
    this.#panes.set(slot, this.#contents.add(this.#panes.get(slot), value, slot, timestamp));
    if (window.end === MAX_TIMESTAMP && timestamp > (this.#newest.get(slot) ?? MIN_TIMESTAMP))
      this.#newest.set(slot, timestamp);
    this.#act(pane, this.#trigger.element(pane, value, timestamp), true);
    this.#registerEnd(pane);
  }

  /** Does what a trigger wants. `stays`: whether the window does, behind it. */
  #act(pane: Pane, result: TriggerResult, stays: boolean): void {
    const purges = result === 'purge' || result === 'fire-and-purge';
    if (result === 'fire' || result === 'fire-and-purge') this.#fire(pane, stays && !purges);
    if (purges) this.#purge(pane);
  }

  #fire({ slot, window }: Pane, kept: boolean): void {
    const held = this.#panes.get(slot);
    if (held === undefined) return;
    const contents = this.#contents;
    this.#call.fire(window, slot, contents.get(held, slot, kept, window), this.#timestampOf(window, slot));
    if (contents.fired === undefined) return;
    const left = contents.fired(held, slot, window);
    if (left === undefined) this.#panes.delete(slot);
    else this.#panes.set(slot, left);
  }

  #purge({ slot, window }: Pane): void {
    const held = this.#panes.get(slot);
    if (held === undefined) return;
    this.#contents.clear?.(held, slot);
    this.#panes.delete(slot);
    if (window.end === MAX_TIMESTAMP) this.#newest.delete(slot);
  }

  #onTimer({ timestamp, namespace, domain }: Timer): void {
    const pane = this.#open.find(namespace);
    if (pane === undefined) return;
    const isOwnTime = domain === this.#assigner.time;
    const goesAt = this.#goesAt(pane.window);
    if (isOwnTime ? timestamp > goesAt : this.#isGone(pane.window)) return this.#overdue(pane);
    const goes = isOwnTime && timestamp === goesAt;
    this.#act(pane, this.#trigger.timer(pane, timestamp, domain), !goes);
    if (goes) this.#clear(pane);
    else if (isOwnTime && timestamp >= lastOf(pane.window)) this.#registerEnd(pane); // Its lateness may have grown.
  }

  /**
   * A timer of a window that should be gone: its lateness has become shorter with a restart, so it goes now, or its
   * trigger has left the timer behind.
   */
  #overdue(pane: Pane): void {
    if (this.#open.isListed || this.#panes.get(pane.slot) !== undefined) this.#clear(pane);
  }

  #clear(pane: Pane): void {
    const timestamp = this.#timestampOf(pane.window, pane.slot);
    this.#purge(pane);
    this.#trigger.clear(pane);
    this.#call.clear(pane.window, pane.slot, timestamp);
    this.#open.leave(pane);
  }

  /** The timer with which a window goes. */
  #registerEnd({ id, window }: Pane): void {
    const time = this.#goesAt(window);
    if (time < MAX_TIMESTAMP) this.#timers.register(time, { namespace: id, domain: this.#assigner.time });
  }

  #goesAt(window: TimeWindow): Timestamp {
    return lastOf(window) + this.#latenessMs;
  }

  #isGone(window: TimeWindow): boolean {
    return this.#assigner.time === 'event' && this.#goesAt(window) <= this.#timers.watermark;
  }

  #timestampOf(window: TimeWindow, slot: number): Timestamp {
    return window.end === MAX_TIMESTAMP ? (this.#newest.get(slot) ?? MIN_TIMESTAMP) : lastOf(window);
  }
}

const cover = (a: TimeWindow, b: TimeWindow): TimeWindow => ({
  start: Math.min(a.start, b.start),
  end: Math.max(a.end, b.end),
});

const isSame = (a: TimeWindow, b: TimeWindow): boolean => a.start === b.start && a.end === b.end;

const checked = (window: TimeWindow): TimeWindow => {
  if (window.start < window.end) return window;
  throw refusedResult('assign', 'windows whose `start` is less than their `end`', window);
};
