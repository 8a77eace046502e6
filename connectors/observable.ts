/**
 * A source of what an Observable pushes. It can't be replayed, so the engine journals what it accepts. The buffer between the producer
 * and the job is bounded (I10), and what does not fit is an error or is dropped and counted, never silently lost.
 */
import type { Subscribable, Unsubscribable } from 'rxjs';
import type { Source, SourceBatch, SourceReader } from '../lib/core/connector.ts';
import { StreamError } from '../lib/core/errors.ts';
import { integer, knownOptions, oneOf } from '../lib/core/options.ts';

export interface ObservableSourceOptions {
  /** Values that wait to be read, from 1. @defaultValue 1024 */
  readonly capacity?: number | undefined;
  /** What a value does that does not fit: fail the source with `INPUT_OVERFLOW`, or be dropped. @defaultValue 'error' */
  readonly overflow?: 'error' | 'drop' | undefined;
}

export interface ObservableSource<T> extends Source<T, number> {
  /** Values dropped by all readers since the source was made. */
  readonly dropped: number;
}

/**
 * A source of the values of an Observable, in one split; a position counts them over all runs of the job. It subscribes when the reader
 * is opened. Completion is the end; an error rejects the read after the values before it were handed out.
 *
 * @example
 * const clicks = observableSource(clicks$, { capacity: 10_000, overflow: 'drop' });
 */
export const observableSource = <T>(observable: Subscribable<T>, options: ObservableSourceOptions = {}): ObservableSource<T> => {
  knownOptions('observableSource', options, { capacity: true, overflow: true });
  const { capacity = 1024, overflow = 'error' } = options;
  integer('capacity', capacity, { min: 1 });
  oneOf('overflow', overflow, ['error', 'drop']);
  let dropped = 0;
  return {
    name: 'observable',
    replayable: false,
    get dropped() {
      return dropped;
    },
    splits: async () => ['observable'],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      const onDrop = overflow === 'drop' ? (): void => void (dropped += 1) : undefined;
      return new ObservableReader(observable, { capacity, onDrop, first: position ?? 0 });
    },
  };
};

interface ReaderOptions {
  readonly capacity: number;
  readonly onDrop: (() => void) | undefined;
  /** Number of the first value. */
  readonly first: number;
}

type End = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

class ObservableReader<T> implements SourceReader<T, number> {
  readonly #options: ReaderOptions;
  #subscription: Unsubscribable | undefined;
  #values: T[] = [];
  #count: number;
  #end: End | undefined;
  #wake: (() => void) | undefined;

  constructor(observable: Subscribable<T>, options: ReaderOptions) {
    this.#options = options;
    this.#count = options.first;
    this.#subscription = observable.subscribe({
      next: (value) => this.#accept(value),
      error: (error: unknown) => this.#finish({ ok: false, error }),
      complete: () => this.#finish({ ok: true }),
    });
    // One that overflowed while it was being subscribed to could not be left before.
    if (this.#end !== undefined) this.#subscription.unsubscribe();
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, number> | undefined> {
    signal.throwIfAborted();
    if (this.#values.length === 0 && this.#end === undefined) await this.#arrival(signal);
    if (this.#values.length > 0) {
      const values = this.#values;
      const first = this.#count;
      this.#values = [];
      this.#count += values.length;
      return { values, position: (count) => first + count };
    }
    if (this.#end?.ok === false) throw this.#end.error;
    return undefined;
  }

  async close(): Promise<void> {
    this.#finish({ ok: true });
    this.#values = [];
  }

  #accept(value: T): void {
    if (this.#end !== undefined) return;
    const { capacity, onDrop } = this.#options;
    if (this.#values.length < capacity) {
      this.#values.push(value);
      this.#wake?.();
    } else if (onDrop === undefined) {
      this.#finish({
        ok: false,
        error: new StreamError('INPUT_OVERFLOW', `the observable pushed more than the ${capacity} values that may wait`),
      });
    } else onDrop();
  }

  #finish(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#subscription?.unsubscribe();
    this.#wake?.();
  }

  /** Resolves at the next value or the end; rejects when aborted. */
  #arrival(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#wake = undefined;
        reject(signal.reason as Error);
      };
      this.#wake = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', abort);
        resolve();
      };
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
