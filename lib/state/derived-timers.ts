/**
 * Event-time timers that follow from an operator's state (a pane says when its window ends), so that they are not
 * stored: the operator registers each once, and again when it opens after a restart. That leaves a list of keys for
 * each time and namespace.
 *
 *  - Those that are due fire in the order of time, then of their keys' bytes, then of namespace, with their key current
 *    (I2).
 *  - The watermark never goes back (I3). A timer at or before it fires with the next advance, never while it is
 *    registered.
 *  - An advance may fire them in parts, and what must be known before, the order of their keys, is worked out in steps
 *    (I20).
 */
import type { Timestamp } from '../core/element.ts';
import { MIN_TIMESTAMP } from '../core/element.ts';
import { invariant } from '../core/errors.ts';
import type { MapKey } from '../core/key.ts';
import type { DerivedTimer, TimeDomain } from '../core/timer.ts';
import { outsideTurn, type KeyContext } from './key-context.ts';
import { manyKeys, sortSteps } from './key-order.ts';
import { keyOfMapKey } from './layout.ts';
import { heapPop, heapPush } from './time-heap.ts';

export interface DerivedTimersOptions {
  readonly keys: KeyContext;
  /** Called for each timer that is due, with its key current. */
  fire(timer: DerivedTimer): void;
}

/** The timers of one time and namespace. */
interface Due extends DerivedTimer {
  readonly time: Timestamp;
  readonly keys: MapKey[];
}

/** The timers of one time in their order. */
interface Firing {
  readonly keys: readonly MapKey[];
  /** The timer of each key; one for all where there is one namespace. */
  readonly timers: readonly DerivedTimer[] | DerivedTimer;
  /** How many have fired. */
  at: number;
}

/** Works the order out of what fires next. */
interface Ordering {
  readonly time: Timestamp;
  /** How many timers it knows of: when more have come it begins anew. */
  readonly count: number;
  readonly steps: Iterator<void, Firing>;
  order: Firing | undefined;
}

export class DerivedTimers {
  /** Restored by the runtime with the checkpoint. */
  watermark: Timestamp = MIN_TIMESTAMP;
  readonly #options: DerivedTimersOptions;
  readonly #byTime = new Map<Timestamp, Due[]>();
  readonly #heap: Due[] = [];
  #count = 0;
  /** What was registered to last: most registrations in a row are of one window. */
  #last: Due | undefined;
  #firing: Firing | undefined;
  #ordering: Ordering | undefined;

  constructor(options: DerivedTimersOptions) {
    this.#options = options;
  }

  /** Timers that are registered. */
  get count(): number {
    return this.#count;
  }

  /** Registers a timer of the current key that is not registered. */
  register(timestamp: Timestamp, namespace: number): void {
    const { keys } = this.#options;
    if (!keys.active) throw outsideTurn();
    let due = this.#last;
    if (due === undefined || due.time !== timestamp || due.namespace !== namespace) {
      due = this.#due(timestamp, namespace);
      this.#last = due;
    }
    due.keys.push(keys.mapKey);
    this.#count += 1;
  }

  /** Sets the watermark, then fires the timers up to it. */
  advanceWatermark(to: Timestamp): void {
    this.begin('event', to);
    this.fire('event', Number.POSITIVE_INFINITY);
  }

  /** Sets the watermark; `fire` brings the timers up to it. There is no other time here than event time. */
  begin(_domain: TimeDomain, to: Timestamp): void {
    invariant(to >= this.watermark, 'I3: a watermark goes back');
    this.watermark = to;
  }

  /** Whether a timer is left that the watermark has passed. */
  isDue(_domain: TimeDomain = 'event'): boolean {
    const head = this.#heap[0];
    return this.#firing !== undefined || (head !== undefined && head.time <= this.watermark);
  }

  /** Whether the next timer can fire at once, or there is none. */
  isReady(_domain: TimeDomain = 'event'): boolean {
    const head = this.#heap[0];
    if (this.#firing !== undefined || head === undefined || head.time > this.watermark) return true;
    const count = countOf(this.#together(head.time));
    return count < manyKeys || this.#orderingOf(head.time, count)?.order !== undefined;
  }

  /** One step towards `isReady`. May be called outside a turn: it changes nothing that anybody sees. */
  prepare(_domain: TimeDomain = 'event'): void {
    const head = this.#heap[0];
    if (head !== undefined && !this.isReady()) this.#order(head.time);
  }

  /** Fires at most `max` of the timers that are due, while `mayGoOn` says yes and they are ready. Returns how many. */
  fire(_domain: TimeDomain, max: number, mayGoOn?: () => boolean): number {
    invariant(!this.#options.keys.active, 'I1: timers fire while a key is current');
    let fired = 0;
    while (fired < max) {
      if (this.#firing === undefined && (!this.isDue() || (mayGoOn !== undefined && !this.isReady()))) return fired;
      this.#firing ??= this.#begun();
      const { keys, timers, at } = this.#firing;
      this.#firing.at += 1;
      if (this.#firing.at === keys.length) this.#firing = undefined;
      this.#count -= 1;
      // Inside the bounds.
      this.#fire(keys[at] as MapKey, 'timestamp' in timers ? timers : (timers[at] as DerivedTimer));
      fired += 1;
      if (mayGoOn?.() === false) break;
    }
    return fired;
  }

  #due(time: Timestamp, namespace: number): Due {
    const together = this.#byTime.get(time) ?? [];
    const known = together.find((each) => each.namespace === namespace);
    if (known !== undefined) return known;
    const due: Due = { timestamp: time, time, namespace, keys: [] };
    if (together.length === 0) this.#byTime.set(time, together);
    together.push(due);
    heapPush(this.#heap, due);
    return due;
  }

  /** Takes out everything of the earliest time, in order. */
  #begun(): Firing {
    const { time } = this.#heap[0] as Due; // Asked for while something is due only.
    let order: Firing | undefined;
    while (order === undefined) order = this.#order(time);
    for (const _ of this.#together(time)) heapPop(this.#heap);
    this.#byTime.delete(time);
    this.#last = undefined;
    this.#ordering = undefined;
    return order;
  }

  /** One step; gives the order behind the last. */
  #order(time: Timestamp): Firing | undefined {
    const together = this.#together(time);
    const count = countOf(together);
    this.#ordering = this.#orderingOf(time, count) ?? { time, count, steps: orderSteps(together), order: undefined };
    const ordering = this.#ordering;
    if (ordering.order !== undefined) return ordering.order;
    const step = ordering.steps.next();
    if (step.done === true) ordering.order = step.value;
    return ordering.order;
  }

  #orderingOf(time: Timestamp, count: number): Ordering | undefined {
    return this.#ordering?.time === time && this.#ordering.count === count ? this.#ordering : undefined;
  }

  #together(time: Timestamp): readonly Due[] {
    return this.#byTime.get(time) ?? [];
  }

  #fire(key: MapKey, timer: DerivedTimer): void {
    const { keys, fire } = this.#options;
    keys.enter(keyOfMapKey(key));
    try {
      fire(timer);
    } finally {
      keys.leave();
    }
  }
}

const countOf = (together: readonly Due[]): number => together.reduce((count, { keys }) => count + keys.length, 0);

/** The order of all timers of one time, by key and then by namespace. */
function* orderSteps(together: readonly Due[]): Generator<void, Firing> {
  const [only] = together;
  if (only !== undefined && together.length === 1) {
    yield* sortSteps(only.keys);
    return { keys: only.keys, timers: only, at: 0 };
  }
  const dueOf = new Map<MapKey, Due[]>();
  for (const due of together.toSorted((a, b) => a.namespace - b.namespace)) {
    for (const [at, key] of due.keys.entries()) {
      const ofKey = dueOf.get(key);
      if (ofKey === undefined) dueOf.set(key, [due]);
      else ofKey.push(due);
      if (at % manyKeys === manyKeys - 1) yield;
    }
  }
  const sorted = [...dueOf.keys()];
  yield* sortSteps(sorted);
  const keys: MapKey[] = [];
  const timers: DerivedTimer[] = [];
  for (const key of sorted) {
    for (const due of dueOf.get(key) ?? []) {
      keys.push(key);
      timers.push(due);
      if (keys.length % manyKeys === 0) yield;
    }
  }
  return { keys, timers, at: 0 };
}
