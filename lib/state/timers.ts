/**
 * Timers of one operator, in event and processing time: one per (key, namespace, timestamp, domain). They are state:
 * what a cut writes is what was registered at its instant (I4), and they fire under their key (I2).
 *
 *  - Those that are due fire in the order of time, then of their keys' bytes, then of namespace; also those that are
 *    registered while others fire. The order does not depend on the order of registration.
 *  - The watermark never goes back (I3). A timer at or before it fires with the next advance, never while it is
 *    registered.
 *  - Timers of a time that came and went within one epoch are never written. What has fired needs no row to be removed,
 *    but those of its time with all of them.
 *  - A start reads which times have how many timers; which those are is read when they are due, in steps (I20), or when
 *    a timer of the same time is registered or deleted. Nothing that is seen depends on whether they were read.
 */
import type { KeyContext } from './key-context.ts';
import type { StateCut } from './keyed-state.ts';
import type { Store, StoreBatch } from './store.ts';
import type { TimeDomain, Timer } from '../core/timer.ts';
import { byDomain, isExpiry, type StoredDomain } from './timer-domains.ts';
import type { Timestamp } from '../core/element.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../core/element.ts';
import { invariant } from '../core/errors.ts';
import { keyOfMapKey } from './layout.ts';
import { outsideTurn } from './key-context.ts';
import { readOldTimers } from './old-timers.ts';
import { emptyStore } from './store.ts';
import { StoredTimers, type TimeChange } from './stored-timers.ts';
import type { Bucket } from './timer-bucket.ts';
import { TimerQueue } from './timer-queue.ts';

export interface TimerServiceOptions {
  /** The operator's number in the dictionary of uids. */
  readonly op: number;
  readonly keys: KeyContext;
  readonly maxParallelism: number;
  /**
   * Whether one that is registered already stays as it is, and can be deleted. Without it the operator registers each
   * once, which costs less. @defaultValue true
   */
  readonly unique?: boolean | undefined;
  /** Where cuts go. @defaultValue nowhere */
  readonly store?: Store | undefined;
  /** Called for each timer that is due, with its key current. */
  fire(timer: Timer): void;
  /** The same for state that may have come to its end: `namespace` is its number. @defaultValue there is none */
  expire?(timer: Timer): void;
}

/** Timers, and buckets, between two yields of a cut. */
const sliceMax = 64;

/** In the place of an epoch: no cut is open. */
const noEpoch = -1;

export class TimerService {
  /** Restored by the runtime with the checkpoint. */
  watermark: Timestamp = MIN_TIMESTAMP;
  readonly #options: TimerServiceOptions;
  readonly #unique: boolean;
  readonly #stored: StoredTimers;
  readonly #queues: Readonly<Record<StoredDomain, TimerQueue>>;
  /** What `begin` was told last of processing time; at the end of input the clock goes on for state alone. */
  #processingTime = MIN_TIMESTAMP;
  #clock = MIN_TIMESTAMP;
  /** All timers of the clock fire, since the input has ended: those that come now would never. */
  #firesLast = false;
  /** The bucket that was used last: most registrations in a row are of one time. */
  #last: Bucket | undefined;
  /** The current epoch, from 1, and that of the cut that is written. */
  #epoch = 1;
  #cutEpoch = noEpoch;
  #cutOpen = false;
  #isAnew = true;
  /** Buckets that have changed in the current epoch, but those that came and went. */
  #dirty = new Set<Bucket>();
  #changes = 0;
  /** Rows of an older form, which the next cut removes. */
  #oldRows: readonly Uint8Array[] = [];

  constructor(options: TimerServiceOptions) {
    const { op, maxParallelism, unique = true, store = emptyStore } = options;
    this.#options = options;
    this.#unique = unique;
    const stored = new StoredTimers({ operator: op, maxParallelism, store });
    const queue = (domain: StoredDomain): TimerQueue =>
      new TimerQueue({
        domain,
        unique: unique || isExpiry(domain),
        read: (chunk, visit) => stored.read(domain, chunk, visit),
      });
    this.#stored = stored;
    this.#queues = byDomain(queue);
  }

  /** Timers that are registered. */
  get count(): Readonly<Record<TimeDomain, number>> {
    return { event: this.#queues.event.size, processing: this.#queues.processing.size };
  }

  /**
   * Timers that were registered or deleted since the last cut, as far as that is to be written. Of those that are
   * registered once each follows from an entry of state, which is counted.
   */
  get dirtyEntries(): number {
    return this.#unique ? this.#changes : 0;
  }

  /** Nothing was restored. */
  get isAnew(): boolean {
    return this.#isAnew;
  }

  /** The least time of a processing-time timer, or of state that goes by the clock. */
  get nextProcessingTime(): Timestamp | undefined {
    const [timer, expiry] = [this.#queues.processing.nextTime, this.#queues['processing-expiry'].nextTime];
    return timer === undefined || expiry === undefined ? (timer ?? expiry) : Math.min(timer, expiry);
  }

  /** Registers a timer of the current key; one that is registered already stays as it is. */
  register(timestamp: Timestamp, namespace: number, domain: StoredDomain = 'event'): void {
    this.#check(timestamp, namespace);
    if (this.#firesLast && domain === 'processing') return;
    const { mapKey } = this.#options.keys;
    let bucket = this.#last;
    if (bucket === undefined || bucket.time !== timestamp || bucket.domain !== domain || bucket.size === 0) {
      // One zero and not two: the store can't tell -0 from 0.
      bucket = this.#queues[domain].bucket(timestamp + 0);
      this.#last = bucket;
    }
    if (this.#unique || isExpiry(domain)) this.#read(bucket);
    if (bucket.epoch === this.#cutEpoch) this.#freeze(bucket);
    if (bucket.add(mapKey, namespace + 0)) this.#came(bucket);
  }

  /** Forgets a timer of the current key. */
  delete(timestamp: Timestamp, namespace: number, domain: TimeDomain): void {
    this.#check(timestamp, namespace);
    const bucket = this.#queues[domain].find(timestamp + 0);
    if (bucket === undefined) return;
    this.#read(bucket);
    if (bucket.epoch === this.#cutEpoch) this.#freeze(bucket);
    if (!bucket.delete(this.#options.keys.mapKey, namespace + 0)) return;
    this.#count(bucket);
    this.#left(bucket);
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

  /**
   * Sets the watermark, or the time; `fire` brings the timers up to it. The time `MAX_TIMESTAMP` is the end of input:
   * all timers fire, and what registers others by the clock is not heard.
   */
  begin(domain: TimeDomain, to: Timestamp): void {
    this.#firesLast = domain === 'processing' && to === MAX_TIMESTAMP;
    if (domain === 'processing') {
      this.#processingTime = to;
      if (!this.#firesLast) this.#clock = to;
      return;
    }
    invariant(to >= this.watermark, 'I3: a watermark goes back');
    this.watermark = to;
  }

  /** Whether a timer is left whose time has come. */
  isDue(domain: TimeDomain): boolean {
    const queue = this.#queueOf(domain);
    return queue.isDue(this.#reached(queue.domain));
  }

  /** Whether the next timer can fire at once, or there is none. */
  isReady(domain: TimeDomain): boolean {
    const queue = this.#queueOf(domain);
    return queue.isReady(this.#reached(queue.domain));
  }

  /** One step towards `isReady`. May be called outside a turn: it changes nothing that anybody sees. */
  prepare(domain: TimeDomain): void {
    const queue = this.#queueOf(domain);
    queue.prepare(this.#reached(queue.domain));
  }

  /** The instant; see `StateCut`. Only one cut is open at a time. */
  cut(): StateCut {
    invariant(!this.#cutOpen, 'I4: a cut of the timers is open already');
    invariant(!this.#options.keys.active, 'I4: a cut while a key is current');
    const [dirty, oldRows] = [this.#dirty, this.#oldRows];
    this.#dirty = new Set();
    this.#oldRows = [];
    this.#changes = 0;
    this.#cutEpoch = this.#epoch;
    this.#epoch += 1;
    this.#cutOpen = true;
    let written = false;
    const write = function* (this: TimerService, batch: StoreBatch): Generator<void, void> {
      for (const [at, row] of oldRows.entries()) {
        batch.delete(row);
        if (at % sliceMax === sliceMax - 1) yield;
      }
      const changes = byDomain((): TimeChange[] => []);
      let taken = 0;
      for (const bucket of dirty) {
        changes[bucket.domain].push(this.#takeCut(bucket));
        taken += 1;
        if (taken % sliceMax === 0) yield;
      }
      yield* this.#stored.write(batch, changes);
      written = true;
    };
    return {
      write: (batch) => write.call(this, batch),
      durable: () => {
        invariant(written && this.#cutOpen, 'I5: a cut of the timers is durable before it is written');
        this.#cutOpen = false;
        this.#cutEpoch = noEpoch;
        return [].values();
      },
    };
  }

  /** Reads which times of this operator have timers. Call it or `forget` once, before the first turn. */
  async restore(): Promise<void> {
    const { op, store = emptyStore } = this.#options;
    this.#isAnew = false;
    await this.#stored.restore(
      () => true,
      (page) => this.#queues[page.domain].restore(page),
    );
    this.#oldRows = await readOldTimers(store, op, ({ domain, time, key, namespace }) => {
      const bucket = this.#queues[domain].bucket(time);
      if (bucket.add(key, namespace)) this.#came(bucket);
    });
  }

  /** What is stored of the operator's timers does not hold: the next cut removes it. When state goes still holds. */
  async forget(): Promise<void> {
    await this.#stored.restore(isExpiry, (page) => this.#queues[page.domain].restore(page));
    this.#oldRows = await this.#stored.rows((domain) => !isExpiry(domain));
  }

  /**
   * Fires at most `max` of the timers that are due, and behind them of the state that goes, while `mayGoOn` says yes
   * and they are ready. Returns how many.
   */
  fire(domain: TimeDomain, max: number, mayGoOn?: () => boolean): number {
    const { keys, fire, expire } = this.#options;
    invariant(!keys.active, 'I1: timers fire while a key is current');
    let fired = 0;
    try {
      while (fired < max) {
        const queue = this.#queueOf(domain);
        const to = this.#reached(queue.domain);
        if (mayGoOn !== undefined && !queue.isReady(to)) break;
        const bucket = queue.due(to);
        if (bucket === undefined) break;
        if (bucket.epoch === this.#cutEpoch) this.#freeze(bucket);
        const { key, namespace } = bucket.take();
        this.#touched(bucket);
        this.#left(bucket);
        fired += 1;
        keys.enter(keyOfMapKey(key));
        if (isExpiry(bucket.domain)) expire?.({ timestamp: bucket.time, namespace, domain });
        else fire({ timestamp: bucket.time, namespace, domain });
        keys.leave();
        if (mayGoOn?.() === false) break;
      }
    } finally {
      // A callback that throws leaves its key behind.
      if (keys.active) keys.leave();
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

  /** Where what fires next stands: state goes when no timer of its operator is due. */
  #queueOf(domain: TimeDomain): TimerQueue {
    const timers = this.#queues[domain];
    return timers.isDue(this.#reached(domain)) ? timers : this.#queues[`${domain}-expiry`];
  }

  #reached(domain: StoredDomain): Timestamp {
    switch (domain) {
      case 'event':
      case 'event-expiry':
        return this.watermark;
      case 'processing':
        return this.#processingTime;
      case 'processing-expiry':
        return this.#clock;
    }
  }

  /** Knows of the current key whether it has a timer there. */
  #read(bucket: Bucket): void {
    if (bucket.nextUnread === undefined) return;
    this.#queues[bucket.domain].read(bucket, this.#options.keys.group(this.#options.maxParallelism));
  }

  /** Keeps what the cut that is written has of a bucket, before that changes. */
  #freeze(bucket: Bucket): void {
    bucket.cut = bucket.takeChange();
    bucket.epoch = 0;
  }

  #takeCut(bucket: Bucket): TimeChange {
    if (bucket.cut === undefined) this.#freeze(bucket);
    const cut = bucket.cut as TimeChange; // There is one now.
    bucket.cut = undefined;
    return cut;
  }

  #came(bucket: Bucket): void {
    this.#count(bucket);
    this.#queues[bucket.domain].grow(1);
  }

  /** A timer has left the bucket, which has changed. */
  #left(bucket: Bucket): void {
    const queue = this.#queues[bucket.domain];
    queue.grow(-1);
    if (bucket.size > 0) return;
    queue.emptied(bucket);
    this.#changes -= bucket.changes;
    if (!bucket.isStored) this.#dirty.delete(bucket);
  }

  /** A change that is to be written. */
  #count(bucket: Bucket): void {
    this.#touched(bucket);
    bucket.changes += 1;
    this.#changes += 1;
  }

  #touched(bucket: Bucket): void {
    if (bucket.epoch === this.#epoch) return;
    bucket.epoch = this.#epoch;
    bucket.changes = 0;
    this.#dirty.add(bucket);
  }
}
