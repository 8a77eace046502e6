/**
 * Event-time timers that follow from an operator's state (a pane says when its window ends), so that they are not stored: the operator
 * registers each once, and again when it opens after a restart. That leaves a list of keys for each time and namespace.
 *
 *  - Those that are due fire in the order of time, then of their keys' bytes, then of namespace, with their key current (I2).
 *  - The watermark never goes back (I3). A timer at or before it fires with the next advance, never while it is registered.
 */
import type { Timestamp } from '../core/element.ts';
import { MIN_TIMESTAMP } from '../core/element.ts';
import { invariant } from '../core/errors.ts';
import type { MapKey } from '../core/key.ts';
import type { DerivedTimer } from '../core/operator.ts';
import { outsideTurn, type KeyContext } from './key-context.ts';
import { sortKeys } from './key-order.ts';
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

export class DerivedTimers {
  /** Restored by the runtime with the checkpoint. */
  watermark: Timestamp = MIN_TIMESTAMP;
  readonly #options: DerivedTimersOptions;
  readonly #byTime = new Map<Timestamp, Due[]>();
  readonly #heap: Due[] = [];
  #count = 0;
  /** What was registered to last: most registrations in a row are of one window. */
  #last: Due | undefined;

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
    invariant(to >= this.watermark, 'I3: a watermark goes back');
    invariant(!this.#options.keys.active, 'I1: timers fire while a key is current');
    this.watermark = to;
    for (let head = this.#heap[0]; head !== undefined && head.time <= to; head = this.#heap[0]) this.#fireAll(this.#take(head.time));
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

  /** Takes out everything of the earliest time. */
  #take(time: Timestamp): readonly Due[] {
    const together = this.#byTime.get(time) ?? [];
    this.#byTime.delete(time);
    this.#last = undefined;
    for (const _ of together) heapPop(this.#heap);
    for (const { keys } of together) this.#count -= keys.length;
    return together;
  }

  #fireAll(together: readonly Due[]): void {
    const [only] = together;
    if (only !== undefined && together.length === 1) {
      sortKeys(only.keys);
      for (const key of only.keys) this.#fire(key, only);
      return;
    }
    const byNamespace = together.toSorted((a, b) => a.namespace - b.namespace);
    const dueOf = new Map<MapKey, Due[]>();
    for (const due of byNamespace) {
      for (const key of due.keys) {
        const ofKey = dueOf.get(key);
        if (ofKey === undefined) dueOf.set(key, [due]);
        else ofKey.push(due);
      }
    }
    const keys = [...dueOf.keys()];
    sortKeys(keys);
    for (const key of keys) for (const due of dueOf.get(key) ?? []) this.#fire(key, due);
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
