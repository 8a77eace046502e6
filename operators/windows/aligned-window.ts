/**
 * Event-time windows of one length with the trigger of their own: the fast one of the window operators. A window is
 * named by its start.
 *
 * Timers are registered when a pane is made, not for each record: the watermark never goes back, so what a pane's first
 * record saw holds for the rest. Where windows are other ones than before a restart, or stay longer or shorter, they
 * are registered anew for each pane that is there.
 */
import { MAX_TIMESTAMP, type Timestamp } from '../../lib/core/element.ts';
import { mapKeyOf, type Key, type MapKey } from '../../lib/core/key.ts';
import type { Operator } from '../../lib/core/operator.ts';
import { mapState, unshared, type MapState } from '../../lib/core/state-descriptor.ts';
import type { DerivedTimer } from '../../lib/core/timer.ts';
import type { StateSpec } from '../process.ts';
import type { FixedWindows } from './contract.ts';
import { windowStart } from './fixed-windows.ts';
import { lateRecords, needTimestamp, staysMs } from './lateness.ts';
import { WindowCall } from './window-function.ts';
import type { WindowParts } from './window-parts.ts';

export const alignedWindow =
  <T, P, C, O, W, S extends StateSpec, K extends Key>(
    { sizeMs, slideMs, offsetMs }: FixedWindows,
    { makeContents, fn, spreads, latenessMs, lateTag }: WindowParts<T, P, C, O, W, S, K>,
  ): Operator<T, O> =>
  (context) => {
    const contents = makeContents(context);
    const panes = context.state(contents.panes);
    // Of windows that stay when they have fired: nothing else tells then that their timer is gone.
    const fired = context.state(unshared(mapState<number, true>('fired', { indexed: false })));
    const late = lateRecords(context, lateTag);
    const last = (start: Timestamp): Timestamp => start + sizeMs - 1;
    const onTimer = ({ timestamp, namespace: start }: DerivedTimer): void => {
      const due = last(start);
      if (timestamp === due) fire(start);
      if (timestamp >= due + latenessMs) clear(start, timestamp > due); // It stayed, so it is written down as fired.
    };
    const timers = context.derivedTimers(onTimer, { dependsOn: `aligned ${sizeMs} ${latenessMs}` });
    const call = new WindowCall({ context, timers, fn, spreads });
    const fire = (start: Timestamp): void => {
      const pane = panes.get(start);
      if (pane === undefined) return;
      if (latenessMs > 0 && fired.get(start) === undefined) fired.set(start, true);
      const window = { start, end: start + sizeMs };
      call.fire(window, start, contents.get(pane, start, latenessMs > 0, window));
    };
    const clear = (start: Timestamp, stayed: boolean): void => {
      const pane = panes.get(start);
      if (pane === undefined) return;
      contents.clear?.(pane, start);
      panes.delete(start);
      if (stayed) fired.delete(start);
      call.clear({ start, end: start + sizeMs }, start);
    };
    /** Registers what a pane waits for: to fire, unless it has, and to go. */
    const schedule = (start: Timestamp, hasFired: boolean): void => {
      const due = last(start);
      if (!hasFired) timers.register(due, start);
      const goes = due + staysMs(latenessMs, hasFired);
      if (goes > due && goes < MAX_TIMESTAMP) timers.register(goes, start);
    };
    /** False when the window is gone. */
    const add = (start: Timestamp, value: T, timestamp: Timestamp): boolean => {
      const due = last(start);
      if (due + latenessMs <= timers.watermark) return false;
      const pane = panes.get(start);
      panes.set(start, contents.add(pane, value, start, timestamp));
      if (pane === undefined) schedule(start, due <= timers.watermark);
      if (due <= timers.watermark) fire(start);
      return true;
    };
    const startOf = rememberedStart(offsetMs, slideMs);
    return {
      open: async () => {
        if (timers.isAnew) await forEachPane(panes, fired, schedule);
      },
      process(value, timestamp) {
        needTimestamp(timestamp, context.uid);
        const newest = startOf(timestamp);
        if (slideMs === sizeMs) {
          if (!add(newest, value, timestamp)) late(value, timestamp);
          return;
        }
        let taken = false;
        for (let start = newest; start > timestamp - sizeMs; start -= slideMs)
          taken = add(start, value, timestamp) || taken;
        // A record in the gap between two windows belongs to none, so only one that is behind the watermark is late.
        if (!taken && timestamp + latenessMs <= timers.watermark) late(value, timestamp);
      },
    };
  };

/**
 * Gives the start of the newest window of a timestamp. That of the one that came last is remembered: the next one is
 * mostly in it too, and a remainder of doubles is slow.
 */
const rememberedStart = (offsetMs: number, slideMs: number): ((timestamp: Timestamp) => Timestamp) => {
  let last = Number.NaN;
  return (timestamp) => {
    if (timestamp >= last && timestamp < last + slideMs) return last;
    return (last = windowStart(timestamp, offsetMs, slideMs));
  };
};

/**
 * Says of each pane whether it has fired. That is read in one pass before, since a look for each pane would be a read
 * of the store for each.
 */
const forEachPane = async (
  panes: MapState<Timestamp, unknown>,
  fired: MapState<Timestamp, true>,
  visit: (start: Timestamp, hasFired: boolean) => void,
): Promise<void> => {
  const firedOf = new Map<MapKey, Set<Timestamp>>();
  await fired.forEachEntry((key, start) => {
    const mapKey = mapKeyOf(key);
    const starts = firedOf.get(mapKey);
    if (starts === undefined) firedOf.set(mapKey, new Set([start]));
    else starts.add(start);
  });
  await panes.forEachEntry((key, start) => visit(start, firedOf.get(mapKeyOf(key))?.has(start) === true));
};
