/**
 * Hands records to an at-least-once sink, whose `write` may have effects at once, only when the log is durable up to
 * the turn that made them (I14): else a crash could give their numbers to other records. The queue is a bounded place
 * (I10).
 */
import type { Clock } from '../../core/clock.ts';
import type { Timestamp } from '../../core/element.ts';
import type { Place } from '../../core/operator.ts';
import { looseCopy } from '../../core/own-copy.ts';
import type { Journal } from '../journal/journal.ts';

export interface WrittenRecord<T> {
  readonly value: T;
  readonly timestamp: Timestamp;
  readonly number: number;
}

export interface DurableWritesOptions<T> {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly place: Place;
  /** Gives it one record. */
  readonly write: (record: WrittenRecord<T>) => void;
  /** Sends what was written, until that succeeds. */
  readonly flush: () => Promise<void>;
  /** Records were written, so the writer may be full. */
  readonly onWritten: () => void;
  readonly onFailure: (error: unknown) => void;
}

export class DurableWrites<T> {
  readonly #options: DurableWritesOptions<T>;
  #waiting: WrittenRecord<T>[] = [];
  #asked = false;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: DurableWritesOptions<T>) {
    this.#options = options;
  }

  add(value: T, timestamp: Timestamp, number: number): void {
    this.#waiting.push({ value: looseCopy(value), timestamp, number }); // It leaves behind this turn (I21).
    this.#options.place.add(1);
    this.#ask();
  }

  /** Ends the epoch by `seal` behind what was added so far; what is added later is written later. */
  seal<C>(seal: () => Promise<C>): Promise<C> {
    const next = this.#next();
    return new Promise((resolve, reject) => {
      this.#options.journal.flush(() => {
        this.#send(next);
        const sealed = this.#sending.then(seal);
        this.#sending = sealed.then(() => {});
        this.#sending.catch(() => {}); // Told by the seal.
        sealed.then(resolve, reject);
      });
    });
  }

  /** Asks for durability in a macrotask of its own, when the turn in hand has been noted. */
  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    const { clock, journal, signal } = this.#options;
    clock.defer(() => {
      this.#asked = false;
      if (signal.aborted) return;
      const next = this.#next();
      journal.flush(() => this.#send(next));
    });
  }

  /**
   * Writes and flushes what has a number below `next`: one step after the other, so that nothing is written into an
   * epoch that is being sealed.
   */
  #send(next: number): void {
    const { flush, onFailure } = this.#options;
    this.#sending = this.#sending.then(() => {
      this.#write(next);
      return flush();
    });
    this.#sending.catch(onFailure);
  }

  /** Writes what has a number below `next`. */
  #write(next: number): void {
    const { write, place, onWritten } = this.#options;
    const count = this.#waiting.findIndex(({ number }) => number >= next);
    const ready = count < 0 ? this.#waiting : this.#waiting.slice(0, count);
    this.#waiting = count < 0 ? [] : this.#waiting.slice(count);
    for (const record of ready) write(record);
    place.add(-ready.length);
    onWritten();
  }

  /** The number behind everything added so far. */
  #next(): number {
    return (this.#waiting.at(-1)?.number ?? -1) + 1;
  }
}
