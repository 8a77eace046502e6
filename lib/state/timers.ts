/**
 * Timers of one operator, in event and processing time: one per (key, namespace, timestamp, domain). They are state:
 * what a cut writes is what was registered at its instant (I4), and they fire under their key (I2).
 *
 *  - Those that are due fire in the order of time, then of their keys' bytes, then of namespace; also those that are
 *    registered while others fire. The order does not depend on the order of registration.
 *  - The watermark never goes back (I3). A timer at or before it fires with the next advance, never while it is
 *    registered.
 *  - An operation goes on the list of its epoch. A timer that is registered and gone within one epoch is never written.
 */
import type { KeyContext } from './key-context.ts';
import type { StateCut } from './keyed-state.ts';
import type { Store, StoreBatch } from './store.ts';
import type { TimeDomain, Timer } from '../core/timer.ts';
import type { TimerEntry } from './timer-queue.ts';
import type { Timestamp } from '../core/element.ts';
import { MIN_TIMESTAMP } from '../core/element.ts';
import { TimerQueue } from './timer-queue.ts';
import { invariant } from '../core/errors.ts';
import { keyOfMapKey, parseTimerRow, storedKeyOf, timerRange, timerRowKey, timerRowValue } from './layout.ts';
import { mapKeyOf } from '../core/key.ts';
import { outsideTurn } from './key-context.ts';

export interface TimerServiceOptions {
  /** The operator's number in the dictionary of uids. */
  readonly op: number;
  readonly keys: KeyContext;
  readonly maxParallelism: number;
  /** Called for each timer that is due, with its key current. */
  fire(timer: Timer): void;
}

/** Vanished entries on the dirty list before it is compacted. */
const deadMax = 1024;

/** Puts between two yields of a cut. */
const sliceMax = 64;

export class TimerService {
  /** Restored by the runtime with the checkpoint. */
  watermark: Timestamp = MIN_TIMESTAMP;
  readonly #options: TimerServiceOptions;
  readonly #queues: Readonly<Record<TimeDomain, TimerQueue>> = {
    event: new TimerQueue('event'),
    processing: new TimerQueue('processing'),
  };
  /** The current epoch; 0 marks a timer that the store has, -1 one that vanished before it was written. */
  #epoch = 1;
  #cutOpen = false;
  /** What `begin` was told last of processing time. */
  #processingTime = MIN_TIMESTAMP;
  #registered: TimerEntry[] = [];
  #deleted: TimerEntry[] = [];
  /** Entries of `#registered` that vanished. */
  #dead = 0;

  constructor(options: TimerServiceOptions) {
    this.#options = options;
  }

  /** Timers that are registered. */
  get count(): Readonly<Record<TimeDomain, number>> {
    return { event: this.#queues.event.size, processing: this.#queues.processing.size };
  }

  /** Operations that the next cut will write. */
  get dirtyEntries(): number {
    return this.#registered.length - this.#dead + this.#deleted.length;
  }

  /** The least time of a processing-time timer. */
  get nextProcessingTime(): Timestamp | undefined {
    return this.#queues.processing.nextTime;
  }

  /** Registers a timer of the current key; one that is registered already stays as it is. */
  register(timestamp: Timestamp, namespace: number, domain: TimeDomain): void {
    this.#check(timestamp, namespace);
    const entry = this.#queues[domain].add(this.#options.keys.mapKey, timestamp, namespace);
    if (entry === undefined) return;
    entry.epoch = this.#epoch;
    this.#registered.push(entry);
  }

  /** Forgets a timer of the current key. */
  delete(timestamp: Timestamp, namespace: number, domain: TimeDomain): void {
    this.#check(timestamp, namespace);
    const entry = this.#queues[domain].delete(this.#options.keys.mapKey, timestamp, namespace);
    if (entry !== undefined) this.#gone(entry);
  }

  /** Sets the watermark, then fires the event-time timers up to it. */
  advanceWatermark(to: Timestamp): void {
    this.begin('event', to);
    this.fire('event', Number.POSITIVE_INFINITY);
  }

  /** Fires the processing-time timers up to `now`, this time included. */
  advanceProcessingTime(now: Timestamp): void {
    this.begin('processing', now);
    this.fire('processing', Number.POSITIVE_INFINITY);
  }

  /** Sets the watermark, or the time; `fire` brings the timers up to it. */
  begin(domain: TimeDomain, to: Timestamp): void {
    if (domain === 'processing') {
      this.#processingTime = to;
      return;
    }
    invariant(to >= this.watermark, 'I3: a watermark goes back');
    this.watermark = to;
  }

  /** Whether a timer is left whose time has come. */
  isDue(domain: TimeDomain): boolean {
    return this.#queues[domain].isDue(this.#reached(domain));
  }

  /** Whether the next timer can fire at once, or there is none. */
  isReady(domain: TimeDomain): boolean {
    return this.#queues[domain].isReady(this.#reached(domain));
  }

  /** One step towards `isReady`. May be called outside a turn: it changes nothing that anybody sees. */
  prepare(domain: TimeDomain): void {
    this.#queues[domain].prepare(this.#reached(domain));
  }

  /** The instant; see `StateCut`. Only one cut is open at a time. */
  cut(): StateCut {
    invariant(!this.#cutOpen, 'I4: a cut of the timers is open already');
    invariant(!this.#options.keys.active, 'I4: a cut while a key is current');
    const { op, maxParallelism } = this.#options;
    const [registered, deleted, epoch] = [this.#registered, this.#deleted, this.#epoch];
    this.#registered = [];
    this.#deleted = [];
    this.#dead = 0;
    this.#epoch += 1;
    this.#cutOpen = true;
    const rowKey = (entry: TimerEntry): Uint8Array =>
      timerRowKey(op, entry.bucket.domain, storedKeyOf(entry.key, maxParallelism), entry.bucket.time, entry.namespace);
    let written = false;
    const write = function* (batch: StoreBatch): Generator<void, void> {
      let puts = 0;
      // Deletions go first: a timer that the store has, and that was deleted and registered again, stays.
      for (const entry of deleted) {
        batch.delete(rowKey(entry));
        puts += 1;
        if (puts % sliceMax === 0) yield;
      }
      for (const entry of registered) {
        if (entry.epoch !== epoch) continue;
        const key = rowKey(entry);
        batch.put(key, timerRowValue(key));
        puts += 1;
        if (puts % sliceMax === 0) yield;
      }
      written = true;
    };
    return {
      write,
      durable: () => {
        invariant(written && this.#cutOpen, 'I5: a cut of the timers is durable before it is written');
        this.#cutOpen = false;
        return [].values();
      },
    };
  }

  /** Reads all timers of this operator. Call once, before the first turn. */
  async restore(store: Store): Promise<void> {
    for await (const [key, value] of store.entries(timerRange(this.#options.op))) {
      const row = parseTimerRow(key, value);
      this.#queues[row.domain].add(mapKeyOf(row.key), row.time, row.namespace);
    }
  }

  /** Fires at most `max` of the timers that are due, while `mayGoOn` says yes and they are ready. Returns how many. */
  fire(domain: TimeDomain, max: number, mayGoOn?: () => boolean): number {
    const { keys, fire } = this.#options;
    invariant(!keys.active, 'I1: timers fire while a key is current');
    const queue = this.#queues[domain];
    const to = this.#reached(domain);
    let fired = 0;
    try {
      while (fired < max && (mayGoOn === undefined || queue.isReady(to))) {
        const entry = queue.takeDue(to);
        if (entry === undefined) break;
        fired += 1;
        this.#gone(entry);
        keys.enter(keyOfMapKey(entry.key));
        fire({ timestamp: entry.bucket.time, namespace: entry.namespace, domain });
        keys.leave();
        if (mayGoOn?.() === false) break;
      }
    } finally {
      // A callback that throws leaves its key and the rest of its batch behind.
      if (keys.active) keys.leave();
      if (!queue.isDue(to) || max === Number.POSITIVE_INFINITY) queue.endAdvance();
    }
    return fired;
  }

  #check(timestamp: Timestamp, namespace: number): void {
    if (!this.#options.keys.active) throw outsideTurn();
    if (typeof timestamp !== 'number' || Number.isNaN(timestamp))
      throw new TypeError(`Expected a timer's timestamp to be a number, got \`${timestamp}\``);
    if (typeof namespace !== 'number' || Number.isNaN(namespace))
      throw new TypeError(`Expected a timer's namespace to be a number, got \`${namespace}\``);
  }

  #reached(domain: TimeDomain): Timestamp {
    return domain === 'event' ? this.watermark : this.#processingTime;
  }

  /** Notes that the entry is no longer registered. */
  #gone(entry: TimerEntry): void {
    if (entry.epoch !== this.#epoch) {
      this.#deleted.push(entry);
      return;
    }
    entry.epoch = -1;
    this.#dead += 1;
    if (this.#dead > deadMax && this.#dead * 2 > this.#registered.length) {
      this.#registered = this.#registered.filter((registered) => registered.epoch !== -1);
      this.#dead = 0;
    }
  }
}
