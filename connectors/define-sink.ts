/**
 * Makes a sink of a function of values: the shortest way to send results to an API, a table or a queue. At least once
 * by default; exactly once for a receiver that knows what it has: then the values wait in the checkpoint and are sent
 * by its commit. Keeps I7 and I10 (bounded by `pendingMax`).
 */
import { makeAbort } from '../lib/core/abort.ts';
import type { Sink, SinkWriter } from '../lib/core/connector.ts';
import type { Timestamp } from '../lib/core/element.ts';
import { asMistake, messageOf, StreamError } from '../lib/core/errors.ts';
import { integer, knownOptions, oneOf, refusal } from '../lib/core/options.ts';
import { ownStorable } from '../lib/core/storable.ts';
import { looseCopy } from '../lib/core/own-copy.ts';

export interface SinkCall {
  /**
   * Whose numbers these are: the same after any restart, another one for every other sink and in a fresh state
   * directory. A receiver that leaves out what it has taken compares the number together with this.
   */
  readonly sinkId: string;
  readonly epoch: number;
  /** Number of the first value; the others follow it. The same value has the same number after a crash. */
  readonly firstNumber: number;
  readonly signal: AbortSignal;
}

export interface SinkDefinition<T> {
  /** For logs and uids. @defaultValue 'sink' */
  readonly name?: string | undefined;
  /**
   * `at-least-once`: values are sent as soon as the log is durable; after a crash some are sent again, under the same
   * numbers. `exactly-once`: values are sent by the commit of their epoch, which may be repeated: `write` must do
   * nothing for numbers that it has taken before under the same `sinkId`. The values must be serialisable.
   * @defaultValue 'at-least-once'
   */
  readonly guarantee?: 'at-least-once' | 'exactly-once' | undefined;
  /** Values that may wait before sources stop, from 1. @defaultValue 10_000 */
  readonly pendingMax?: number | undefined;
  /**
   * Sends values of one epoch, in order; a promise is waited for, whatever it resolves with. Not called again before it
   * has returned; when it throws, with the same values, until it does not.
   */
  write(values: readonly T[], call: SinkCall): void | PromiseLike<unknown>;
}

/** What the checkpoint holds of an exactly-once sink: the values of an epoch, to be sent by its commit. */
export interface ValuesCommittable<T> {
  readonly epoch: number;
  readonly firstNumber: number;
  readonly values: readonly T[];
}

/**
 * A sink that calls `write` with the values, each under a number that stays its own when it is sent again. When `write`
 * throws, it is called with the same values again, after waits that grow, until it takes them; a mistake in code
 * (`TypeError`, `ReferenceError`) or an error with `retryable: false` ends the job with `SINK_FAILED`.
 *
 * @example
 * const table = new Map<string, Order>();
 * const upsert = async (values: readonly Order[], { sinkId, firstNumber: from }: SinkCall) => {
 *   for (const [index, order] of values.entries()) table.set(`${sinkId} ${from + index}`, order);
 *   return { rows: values.length };
 * };
 * orders.sinkTo(defineSink({ name: 'orders', write: upsert }));
 * await env.execute();
 * console.log(table.size); // prints 3
 */
export const defineSink = <T>(definition: SinkDefinition<T>): Sink<T, ValuesCommittable<T>> => {
  knownOptions('defineSink', definition, { name: true, guarantee: true, pendingMax: true, write: true });
  const { name = 'sink', guarantee = 'at-least-once', pendingMax = 10_000 } = definition;
  oneOf('guarantee', guarantee, ['at-least-once', 'exactly-once']);
  integer('pendingMax', pendingMax, { min: 1 });
  if (typeof definition.write !== 'function') throw refusal('write', 'a function', definition.write);
  const send = async (
    sinkId: string,
    { values, epoch, firstNumber }: ValuesCommittable<T>,
    signal: AbortSignal,
  ): Promise<void> => {
    signal.throwIfAborted();
    try {
      // Sent again, they are as they were, whatever `write` has done with them.
      await definition.write(values.map(looseCopy), { sinkId, epoch, firstNumber, signal });
    } catch (error) {
      if (error instanceof StreamError || signal.aborted) throw error;
      const last = firstNumber + values.length - 1;
      throw new StreamError(
        'SINK_FAILED',
        `sink "${name}" failed with records ${firstNumber} to ${last}: ${messageOf(error)}`,
        {
          cause: error,
          ...asMistake(error),
        },
      );
    }
  };
  return {
    name,
    guarantee,
    async open({ sinkId, epoch, signal }) {
      signal.throwIfAborted();
      const Writer = guarantee === 'exactly-once' ? OutboxWriter : SendingWriter;
      return new Writer<T>({ name, epoch, pendingMax, send: (part, sendSignal) => send(sinkId, part, sendSignal) });
    },
  };
};

interface WriterOptions<T> {
  readonly name: string;
  readonly epoch: number;
  readonly pendingMax: number;
  readonly send: (part: ValuesCommittable<T>, signal: AbortSignal) => Promise<void>;
}

interface Part<T> extends ValuesCommittable<T> {
  readonly values: T[];
}

/** Keeps an epoch's values until it is sealed, and hands them to the checkpoint. */
class OutboxWriter<T> implements SinkWriter<T, ValuesCommittable<T>> {
  readonly #options: WriterOptions<T>;
  #epoch: number;
  #part: Part<T> | undefined;

  constructor(options: WriterOptions<T>) {
    this.#options = options;
    this.#epoch = options.epoch;
  }

  get full(): boolean {
    return (this.#part?.values.length ?? 0) >= this.#options.pendingMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    // Until its epoch is sealed others may change it (I21).
    const own = ownStorable(value, () => `sink "${this.#options.name}", record ${number}, waits in the checkpoint`);
    this.#part ??= { epoch: this.#epoch, firstNumber: number, values: [] };
    this.#part.values.push(own);
  }

  seal(epoch: number): Promise<ValuesCommittable<T> | undefined> {
    const part = this.#part;
    this.#part = undefined;
    this.#epoch = epoch + 1;
    return Promise.resolve(part);
  }

  commit(committable: ValuesCommittable<T>, signal: AbortSignal): Promise<void> {
    return this.#options.send(committable, signal);
  }

  async close(): Promise<void> {
    this.#part = undefined;
  }
}

/** Sends values when the engine says that the log is durable, and before an epoch is sealed. */
class SendingWriter<T> implements SinkWriter<T, ValuesCommittable<T>> {
  readonly #options: WriterOptions<T>;
  readonly #closing = makeAbort();
  /** Written and not yet to be sent, and to be sent; oldest first. A part holds values of one epoch. */
  #written: Part<T>[] = [];
  readonly #outgoing: Part<T>[] = [];
  #epoch: number;
  #waiting = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: WriterOptions<T>) {
    this.#options = options;
    this.#epoch = options.epoch;
  }

  get full(): boolean {
    return this.#waiting >= this.#options.pendingMax;
  }

  write(value: T, _timestamp: Timestamp, number: number): void {
    const last = this.#written.at(-1);
    this.#waiting += 1;
    if (last?.epoch === this.#epoch) last.values.push(value);
    else this.#written.push({ epoch: this.#epoch, firstNumber: number, values: [value] });
  }

  /** Sends what was written before this call. What could not be sent is sent first by the next flush. */
  flush(signal: AbortSignal): Promise<void> {
    this.#outgoing.push(...this.#written);
    this.#written = [];
    const sent = this.#sending.then(() => this.#send(AbortSignal.any([signal, this.#closing.signal])));
    this.#sending = sent.catch(() => undefined);
    return sent;
  }

  async seal(epoch: number): Promise<undefined> {
    this.#epoch = epoch + 1;
    await this.flush(this.#closing.signal);
    return undefined;
  }

  async commit(): Promise<void> {}

  async close(): Promise<void> {
    this.#written = [];
    this.#closing.abort(new StreamError('WORK_ABORTED', 'the sink was closed'));
    await this.#sending;
    this.#outgoing.length = 0;
  }

  async #send(signal: AbortSignal): Promise<void> {
    for (let part = this.#outgoing[0]; part !== undefined; part = this.#outgoing[0]) {
      await this.#options.send(part, signal);
      this.#outgoing.shift();
      this.#waiting -= part.values.length;
    }
  }
}
