/**
 * Makes a sink of a function that sends batches: the base of sinks to services that take a while to answer. Batches are
 * cut by records, bytes and time, a bounded number of them is under way at once, and a record that was not taken is
 * tried again alone. At least once: a checkpoint waits until all that was written before it is taken. Keeps I10.
 */
import { makeAbort } from '../lib/core/abort.ts';
import { sleep, systemClock, type Cancel, type Clock } from '../lib/core/clock.ts';
import type { RetryOptions } from '../lib/core/call.ts';
import type { Sink, SinkWriter } from '../lib/core/connector.ts';
import type { Timestamp } from '../lib/core/element.ts';
import { asMistake, messageOf, StreamError } from '../lib/core/errors.ts';
import { callable, durationMs, integer, knownOptions, refusedResult, type Duration } from '../lib/core/options.ts';
import { looseCopy } from '../lib/core/own-copy.ts';
import { afterFailure, checkRetry } from '../lib/core/retry-options.ts';

export interface SinkEntry<T> {
  readonly value: T;
  /** Counts the values of this sink from 0. The same value has the same number after a crash. */
  readonly number: number;
  /** From 1; counted since the process was started. */
  readonly attempt: number;
}

export interface AsyncSinkCall {
  /**
   * Whose numbers these are: the same after any restart, another one for every other sink and in a fresh state
   * directory.
   */
  readonly sinkId: string;
  readonly signal: AbortSignal;
}

export interface AsyncSinkOptions {
  /** Most records of a batch, from 1. @defaultValue 500 */
  readonly batchMax?: number | undefined;
  /** How long a batch waits for more records. A checkpoint does not wait that long. @defaultValue 0 */
  readonly linger?: Duration | undefined;
  /**
   * Batches under way at once, from 1; one that rests before another attempt counts. With more than one, records may
   * arrive in another order. @defaultValue 1
   */
  readonly inFlightMax?: number | undefined;
  /** Records that are not taken yet, before sources stop, from 1. @defaultValue 10_000 */
  readonly pendingMax?: number | undefined;
  /**
   * How often and when a record is tried again. One that has no attempt left ends the job with `SINK_FAILED`.
   * @defaultValue for as long as the job runs, after waits from 100 ms to 30 s
   */
  readonly retry?: Omit<RetryOptions, 'retryOnResult'> | undefined;
}

export interface AsyncSinkDefinition<T> extends AsyncSinkOptions {
  /** For logs and uids. @defaultValue 'async-sink' */
  readonly name?: string | undefined;
  /** Most bytes of a batch, as `bytesOf` counts them, from 1; a single record may be longer. @defaultValue 5 MiB */
  readonly batchBytesMax?: number | undefined;
  /** The bytes that a value counts for in a batch. @defaultValue 0 */
  readonly bytesOf?: ((value: T) => number) | undefined;
  /**
   * Sends a batch. Resolves with nothing when all of it was taken, or with the indexes of those entries that were not,
   * which are tried again, as all are when it rejects. A mistake in code (`TypeError`) or an error with `retryable:
   * false` ends the job.
   */
  send(entries: readonly SinkEntry<T>[], call: AsyncSinkCall): PromiseLike<readonly number[] | void>;
}

export const asyncSinkOptionNames = {
  batchMax: true,
  linger: true,
  inFlightMax: true,
  pendingMax: true,
  retry: true,
} as const;

interface Settings<T> {
  readonly name: string;
  readonly batchMax: number;
  readonly batchBytesMax: number;
  readonly lingerMs: number;
  readonly inFlightMax: number;
  readonly pendingMax: number;
  readonly retry: RetryOptions;
  readonly clock: Clock;
  readonly bytesOf: (value: T) => number;
  readonly send: AsyncSinkDefinition<T>['send'];
}

/**
 * A sink that hands values to `send` in batches, at least once and as soon as the log is durable: after a crash some
 * are sent again, under the same numbers. It waits on the clock of the machine, unless it is given another one.
 *
 * @example
 * const rows = new Map<string, Order>();
 * const table = asyncSink<Order>({
 *   batchMax: 2,
 *   linger: '20ms',
 *   async send(entries, { sinkId }) {
 *     for (const { value, number } of entries) rows.set(`${sinkId} ${number}`, value);
 *   },
 * });
 * orders.sinkTo(table);
 * await env.execute();
 * console.log(rows.size); // prints 3
 */
export const asyncSink = <T>(definition: AsyncSinkDefinition<T>, clock: Clock = systemClock): Sink<T, never> => {
  const own = { name: true, batchBytesMax: true, bytesOf: true, send: true } as const;
  knownOptions('asyncSink', definition, { ...asyncSinkOptionNames, ...own });
  const { name = 'async-sink', batchMax = 500, batchBytesMax = 5 * 2 ** 20, linger = 0, inFlightMax = 1 } = definition;
  const { pendingMax = 10_000, retry = {}, bytesOf = () => 0 } = definition;
  callable('send', definition.send);
  const settings: Settings<T> = {
    name,
    clock,
    batchMax: integer('batchMax', batchMax, { min: 1 }),
    batchBytesMax: integer('batchBytesMax', batchBytesMax, { min: 1 }),
    lingerMs: durationMs('linger', linger),
    inFlightMax: integer('inFlightMax', inFlightMax, { min: 1 }),
    pendingMax: integer('pendingMax', pendingMax, { min: 1 }),
    retry: { ...waitsOf(checkRetry('retry', retry)), attempts: retry.attempts ?? Number.MAX_SAFE_INTEGER },
    bytesOf: callable('bytesOf', bytesOf),
    send: (entries, call) => definition.send(entries, call),
  };
  return {
    name,
    guarantee: 'at-least-once',
    async open({ sinkId, signal }) {
      signal.throwIfAborted();
      return new BatchWriter(settings, sinkId);
    },
  };
};

/** Whoever says one of the two intervals means its own waits. */
const waitsOf = (retry: RetryOptions): RetryOptions => {
  const { initialInterval, initialIntervalMs, maxInterval, maxIntervalMs } = retry;
  const says = initialInterval ?? initialIntervalMs ?? maxInterval ?? maxIntervalMs;
  return says === undefined ? { ...retry, initialInterval: '100ms', maxInterval: '30s' } : retry;
};

interface Waiting<T> {
  readonly value: T;
  readonly number: number;
  readonly bytes: number;
  /** When it was ready to be sent. */
  readyMs: number;
}

/** What of a batch was not taken, and why. */
interface Failed<T> {
  readonly entries: readonly Waiting<T>[];
  readonly error: StreamError | undefined;
}

class BatchWriter<T> implements SinkWriter<T, never> {
  readonly #settings: Settings<T>;
  readonly #sinkId: string;
  /** Aborted when nothing is to be sent any more. */
  readonly #over = makeAbort();
  /** Written, and not yet to be sent. */
  #written: Waiting<T>[] = [];
  /** To be sent, oldest first. */
  #ready: Waiting<T>[] = [];
  /** Written and not taken. */
  #pending = 0;
  /** Batches that are under way or rest before another attempt: those behind a single one keep their order. */
  #inFlight = 0;
  #linger: Cancel | undefined;
  /** A checkpoint waits for all of it: no batch waits for more. */
  #drained: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined;
  /** Attempts that failed since a batch was taken. */
  #failures = 0;

  constructor(settings: Settings<T>, sinkId: string) {
    this.#settings = settings;
    this.#sinkId = sinkId;
  }

  get full(): boolean {
    return this.#pending >= this.#settings.pendingMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    const bytes = this.#settings.bytesOf(value);
    this.#written.push({ value, number, bytes, readyMs: 0 });
    this.#pending += 1;
  }

  /** What was written may be sent: that is all that is waited for. */
  async flush(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#over.signal.throwIfAborted();
    const nowMs = this.#settings.clock.elapsed();
    for (const each of this.#written) {
      each.readyMs = nowMs;
      this.#ready.push(each);
    }
    this.#written = [];
    this.#sendDue();
  }

  async seal(): Promise<undefined> {
    await this.flush(this.#over.signal);
    this.#over.signal.throwIfAborted();
    if (this.#pending === 0) return undefined;
    await new Promise<void>((resolve, reject) => {
      this.#drained = { resolve, reject };
      this.#sendDue();
    });
    this.#drained = undefined;
    return undefined;
  }

  async commit(): Promise<void> {}

  async close(): Promise<void> {
    this.#end(new StreamError('WORK_ABORTED', 'the sink was closed'));
  }

  /** Nothing is sent any more; whoever waits, or asks next, is told why. */
  #end(error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort(error);
    this.#linger?.();
    this.#written = [];
    this.#ready = [];
    this.#drained?.reject(error);
  }

  /** Sends batches that are full, or have waited, as far as there is room for them. */
  #sendDue(): void {
    const { inFlightMax, clock, lingerMs } = this.#settings;
    this.#linger?.();
    this.#linger = undefined;
    while (this.#inFlight < inFlightMax && !this.#over.signal.aborted) {
      const [oldest] = this.#ready;
      if (oldest === undefined) return;
      const { count, isFull } = this.#nextBatch();
      const waitMs = oldest.readyMs + lingerMs - clock.elapsed();
      if (!isFull && this.#drained === undefined && waitMs > 0) {
        this.#linger = clock.setTimer(waitMs, () => this.#sendDue());
        return;
      }
      void this.#send(this.#ready.splice(0, count));
    }
  }

  /** How many records the next batch has, and whether it would have no more however long it waits. */
  #nextBatch(): { readonly count: number; readonly isFull: boolean } {
    const { batchMax, batchBytesMax } = this.#settings;
    let bytes = 0;
    let count = 0;
    for (const each of this.#ready) {
      bytes += each.bytes;
      if (count === batchMax || (count > 0 && bytes > batchBytesMax)) return { count, isFull: true };
      count += 1;
    }
    return { count, isFull: count === batchMax || bytes >= batchBytesMax };
  }

  /** Sends a batch until all of it is taken; after each attempt only what was not. */
  async #send(batch: readonly Waiting<T>[]): Promise<void> {
    const { retry, clock } = this.#settings;
    const { signal } = this.#over;
    this.#inFlight += 1;
    try {
      for (let rest = batch, attempt = 1; ; attempt += 1) {
        const { entries, error } = await this.#attempt(rest, attempt);
        if (signal.aborted) return;
        this.#pending -= rest.length - entries.length;
        rest = entries;
        if (error === undefined) break;
        this.#warn(error);
        const next = afterFailure(retry, attempt, error, clock);
        if (next.kind === 'end') throw this.#givenUp(next.error, attempt, entries[0]?.number);
        await sleep(clock, next.waitMs, signal);
      }
      this.#failures = 0;
      this.#inFlight -= 1;
      if (this.#pending === 0) this.#drained?.resolve();
      this.#sendDue();
    } catch (error) {
      this.#end(error);
    }
  }

  async #attempt(batch: readonly Waiting<T>[], attempt: number): Promise<Failed<T>> {
    const { name } = this.#settings;
    const call = { sinkId: this.#sinkId, signal: this.#over.signal };
    try {
      // Sent again, they are as they were, whatever `send` has done with them.
      const entries = batch.map(({ value, number }) => ({ value: looseCopy(value), number, attempt }));
      const indexes: unknown = await this.#settings.send(entries, call);
      const again = new Set(indexesOf(indexes, batch.length));
      if (again.size === 0) return { entries: [], error: undefined };
      const error = new StreamError('SINK_FAILED', `sink "${name}": ${again.size} records were not taken`);
      return { entries: batch.filter((_each, index) => again.has(index)), error };
    } catch (error) {
      if (error instanceof StreamError) return { entries: batch, error };
      const message = `sink "${name}" failed with a batch from record ${batch[0]?.number}: ${messageOf(error)}`;
      return { entries: batch, error: new StreamError('SINK_FAILED', message, { cause: error, ...asMistake(error) }) };
    }
  }

  /** At the first failure in a row and whenever their number has doubled: the job knows nothing of these. */
  #warn(error: StreamError): void {
    this.#failures += 1;
    if ((this.#failures & (this.#failures - 1)) !== 0) return;
    const times = this.#failures === 1 ? '' : ` ${this.#failures} times`;
    const { name } = this.#settings;
    process.emitWarning(`sink "${name}" failed${times} to send: ${messageOf(error)}`, 'MillraceWarning');
  }

  /** The job tries a sink again for as long as a retry can help: here none is left. */
  #givenUp(cause: unknown, attempts: number, number: number | undefined): StreamError {
    const { code, details = {} } = cause instanceof StreamError ? cause : { code: 'SINK_FAILED' as const };
    const message = `sink "${this.#settings.name}" gave up record ${number} after attempt ${attempts}: ${messageOf(cause)}`;
    return new StreamError(code, message, { cause, retryable: false, details: { ...details, attempts, number } });
  }
}

/** What `send` resolves with. */
const indexesOf = (indexes: unknown, length: number): readonly unknown[] => {
  const isIndex = (index: unknown): boolean => Number.isInteger(index) && Number(index) >= 0 && Number(index) < length;
  if (indexes === undefined) return [];
  if (Array.isArray(indexes) && indexes.every(isIndex)) return indexes;
  throw refusedResult('send', 'nothing, or the indexes of entries that were not taken', indexes);
};
