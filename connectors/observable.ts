/**
 * A source of what an Observable pushes. It can't be replayed, so the engine journals what it accepts. One subscription
 * serves all starts of a job in this process, and a value stays in the buffer until the engine says that it is durable:
 * a failure between the two, and a restart, lose nothing (I22). The buffer is bounded (I10), and what does not fit is
 * an error or is dropped and counted.
 */
import { makeAbort } from '../lib/core/abort.ts';
import type { Subscribable, Unsubscribable } from 'rxjs';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import { StreamError } from '../lib/core/errors.ts';
import { integer, knownOptions, oneOf, withMethods } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';

export interface ObservableSourceOptions {
  /** Values that wait to be read, from 1. @defaultValue 1024 */
  readonly capacity?: number | undefined;
  /**
   * What a value does that does not fit: fail the source with `INPUT_OVERFLOW`, or be dropped, which is counted in the
   * metric `numRecordsDropped` and logged once. @defaultValue 'error'
   */
  readonly overflow?: 'error' | 'drop' | undefined;
}

export interface ObservableSource<T> extends Source<T, number> {
  /** Values dropped since the source was made, and those that nothing had done or kept when the job was over. */
  readonly dropped: number;
  /** Ends the subscription. May be called twice. */
  close(): Promise<void>;
}

/**
 * A source of the values of an Observable, in one split; a position counts them over all runs of the job. It subscribes
 * when the job starts, keeps that subscription when the job starts again after a failure, and ends it when the job is
 * over. Completion is the end; an error rejects the read after the values before it were handed out, and the next start
 * subscribes anew.
 *
 * @example
 * import { of } from 'rxjs';
 * const clicks = observableSource(of('a', 'b'), { capacity: 10_000, overflow: 'drop' });
 * console.log(await env.fromSource(clicks).executeAndCollect()); // prints [ 'a', 'b' ]
 */
export const observableSource = <T>(
  observable: Subscribable<T>,
  options: ObservableSourceOptions = {},
): ObservableSource<T> => {
  knownOptions('observableSource', options, { capacity: true, overflow: true });
  const { capacity = 1024, overflow = 'error' } = options;
  withMethods('observable', observable, 'an Observable', ['subscribe']);
  integer('capacity', capacity, { min: 1 });
  oneOf('overflow', overflow, ['error', 'drop']);
  let dropped = 0;
  let feed: Feed<T> | undefined;
  const onDrop = overflow === 'drop' ? (): void => void (dropped += 1) : undefined;
  return {
    name: 'observable',
    replayable: false,
    get dropped() {
      return dropped;
    },
    splits: async () => ['observable'],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      // One that has failed is over; what it had before was read.
      if (feed === undefined || feed.hasFailed) {
        feed = new Feed(observable, { capacity, onDrop, first: position ?? feed?.next ?? 0 });
      }
      return feed.reader(position);
    },
    async close() {
      dropped += feed?.leave() ?? 0;
      feed = undefined;
    },
  };
};

interface FeedOptions {
  readonly capacity: number;
  readonly onDrop: (() => void) | undefined;
  /** Number of the first value. */
  readonly first: number;
}

type End = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

/**
 * One subscription and what it has brought. Its values are numbered: kept are those from `#first` on, handed out those
 * before `#read`.
 */
class Feed<T> {
  readonly #options: FeedOptions;
  #subscription: Unsubscribable | undefined;
  #values: T[] = [];
  #first: number;
  #read: number;
  #end: End | undefined;
  #wake: (() => void) | undefined;

  constructor(observable: Subscribable<T>, options: FeedOptions) {
    this.#options = options;
    this.#first = options.first;
    this.#read = options.first;
    this.#subscription = observable.subscribe({
      next: (value) => this.#accept(value),
      error: (error: unknown) => this.#finish({ ok: false, error }),
      complete: () => this.#finish({ ok: true }),
    });
    // One that overflowed while it was being subscribed to could not be left before.
    if (this.#end !== undefined) this.#subscription.unsubscribe();
  }

  /** It has ended with an error, and everything before that was handed out and is durable. */
  get hasFailed(): boolean {
    return this.#end?.ok === false && this.#values.length === 0;
  }

  /** Number of the next value. */
  get next(): number {
    return this.#first + this.#values.length;
  }

  /** Hands out, from `position` on, what is not durable yet and what comes. */
  reader(position: number | undefined): SourceReader<T, number> {
    if (position !== undefined) this.#durable(position);
    this.#read = this.#first;
    const closed = makeAbort();
    return {
      read: (signal) => this.#take(signal, closed.signal),
      committed: async (durable) => this.#durable(durable),
      end: () => this.#finish({ ok: true }),
      close: async () => closed.abort(),
    };
  }

  /** Leaves the producer. Gives how many values no turn has finished with and nothing keeps. */
  leave(): number {
    const left = this.#values.length;
    this.#finish({ ok: true });
    this.#values = [];
    return left;
  }

  async #take(signal: AbortSignal, closed: AbortSignal): Promise<SourceBatch<T, number> | undefined> {
    signal.throwIfAborted();
    if (this.#read === this.next && this.#end === undefined && !closed.aborted) await this.#arrival(signal, closed);
    if (closed.aborted) return undefined;
    const first = this.#read;
    // Copies, since those that are not durable yet are handed out again by a restart in this process.
    const values = this.#values.slice(first - this.#first).map(looseCopy);
    if (values.length > 0) {
      this.#read += values.length;
      return { values, position: (count) => first + count };
    }
    if (this.#end?.ok === false) throw this.#end.error;
    return undefined;
  }

  /** Values before this number are kept no longer. */
  #durable(number: number): void {
    const count = Math.min(number - this.#first, this.#values.length);
    if (count <= 0) return;
    this.#values.splice(0, count);
    this.#first += count;
    this.#read = Math.max(this.#read, this.#first);
  }

  #accept(value: T): void {
    if (this.#end !== undefined) return;
    const { capacity, onDrop } = this.#options;
    if (this.next - this.#read < capacity) {
      this.#values.push(looseCopy(value)); // Whoever pushed it may use it again before it is read.
      this.#wake?.();
    } else if (onDrop === undefined) {
      this.#finish({
        ok: false,
        error: new StreamError('INPUT_OVERFLOW', `the observable pushed more than ${capacity} values that may wait`),
      });
    } else onDrop();
  }

  #finish(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#subscription?.unsubscribe();
    this.#wake?.();
  }

  /** Resolves at the next value, the end, or when the reader is closed; rejects when aborted. */
  #arrival(signal: AbortSignal, closed: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (then: () => void): void => {
        this.#wake = undefined;
        signal.removeEventListener('abort', abort);
        closed.removeEventListener('abort', wake);
        then();
      };
      const abort = (): void => done(() => reject(signal.reason));
      const wake = (): void => done(resolve);
      this.#wake = wake;
      signal.addEventListener('abort', abort, { once: true });
      closed.addEventListener('abort', wake, { once: true });
    });
  }
}
