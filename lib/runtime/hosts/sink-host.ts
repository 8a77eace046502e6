/**
 * Hosts one sink: numbers its records, ends its epochs at the instant of a checkpoint, and commits what checkpoints
 * sealed, oldest first, until it succeeds (I7). An at-least-once sink sends only what the log is durable up to, so that
 * a record has the same number after a crash (I14); it too is tried until it succeeds. A committable is copied when the
 * sink gives it and whenever the sink is given it, so that what is stored and what is tried again is what was sealed,
 * whatever the sink does with its own (I21).
 */
import { backOffMs, type BackOff } from '../../core/back-off.ts';
import { sleep, type Clock } from '../../core/clock.ts';
import type { Sink, SinkWriter } from '../../core/connector.ts';
import type { Timestamp } from '../../core/element.ts';
import { InvariantError, isThenable, messageOf, refusedPromise, type StreamError } from '../../core/errors.ts';
import { failureOf, namedAsync, type Failing } from '../../core/failures.ts';
import type { Logger } from '../../core/logger.ts';
import { resultWith } from '../../core/options.ts';
import { ownCopy } from '../../core/own-copy.ts';
import type { Place } from '../../core/operator.ts';
import { ownStorable } from '../../core/storable.ts';
import { openedUntilAborted } from '../../core/waits.ts';
import { DurableWrites, type WrittenRecord } from './durable-writes.ts';
import type { Journal } from '../journal/journal.ts';
import type { Places } from '../edges/places.ts';
import type { Receiver } from '../edges/receiver.ts';
import { waitFor } from './waited-code.ts';

/** A sealed epoch that a checkpoint holds. */
export interface SealedEpoch {
  readonly epoch: number;
  readonly committable: unknown;
}

export interface SinkSnapshot {
  /** Records written. */
  readonly number: number;
  /** Sealed and perhaps not committed, oldest first. */
  readonly pending: readonly SealedEpoch[];
  readonly last: unknown;
}

export interface SinkServices {
  /** Names what the state directory holds. */
  readonly jobId: string;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly places: Places;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  fail(error: unknown): void;
  /** Asks for a checkpoint, because a sink is full of what only a checkpoint lets it commit. */
  checkpointSoon(): void;
}

/** At most this many sealed epochs wait for their commit; then sources stop. */
const pendingEpochsMax = 3;
/** Records that wait for the log, at most. */
const undurableMax = 10_000;
const pollFullMs = 5;
const retry: BackOff = { firstMs: 100, factor: 2, maxMs: 30_000 };

export class SinkHost<T> implements Receiver<T> {
  readonly uid: string;
  readonly number: number;
  readonly #sink: Sink<T>;
  readonly #services: SinkServices;
  readonly #fullPlace: Place;
  readonly #epochsPlace: Place;
  #writer: SinkWriter<T> | undefined;
  #records = 0;
  #commitRetries = 0;
  #writeRetries = 0;
  #pending: SealedEpoch[] = [];
  /** The commits so far, oldest first. */
  #committing: Promise<void> = Promise.resolve();
  #last: unknown;
  /** At-least-once sinks: what waits for the log. */
  #durable: DurableWrites<T> | undefined;

  constructor(options: { uid: string; number: number; sink: Sink<T>; services: SinkServices }) {
    this.uid = options.uid;
    this.number = options.number;
    this.#sink = options.sink;
    this.#services = options.services;
    this.#fullPlace = options.services.places.make({ name: `${this.uid}.buffer`, max: 1 });
    this.#epochsPlace = options.services.places.make({ name: `${this.uid}.epochs`, max: pendingEpochsMax });
  }

  get guarantee(): Sink<T>['guarantee'] {
    return this.#sink.guarantee;
  }

  /** Opens the writer and commits again what the checkpoint sealed. */
  async open(snapshot: SinkSnapshot | undefined, epoch: number): Promise<void> {
    const { signal, jobId } = this.#services;
    // A number of the dictionary is never given twice, so a sink that was dropped and comes back is another one: its
    // records begin at 0.
    const sinkId = `${jobId}.${this.uid}.${this.number}`;
    this.#records = snapshot?.number ?? 0;
    this.#last = snapshot?.last;
    const pending = snapshot?.pending ?? [];
    const context = {
      ...{ sinkId, epoch, signal },
      pending: pending.map(({ committable }) => ownCopy(committable)),
      last: ownCopy(this.#last),
    };
    const open = async (): Promise<SinkWriter<T>> =>
      resultWith('open', await this.#sink.open(context), ['write', 'seal', 'commit', 'close']);
    const opening = namedAsync(this.#failing('open'), () => this.#waitFor(open));
    this.#writer = await openedUntilAborted(opening, signal, (late) => late.close());
    for (const each of pending) await this.#commit(each);
    if (this.guarantee === 'at-least-once') this.#durable = this.#makeDurable(this.#writer);
  }

  readonly record = (value: T, timestamp: Timestamp): void => {
    const writer = this.#open;
    const number = this.#records;
    this.#records += 1;
    if (this.#durable !== undefined) {
      this.#durable.add(value, timestamp, number);
      return;
    }
    try {
      this.#write(writer, { value, timestamp, number });
    } catch (error) {
      throw this.#failure('write', error);
    }
    if (this.#fullPlace.count === 0 && this.#isFull(writer)) this.#waitForRoom(writer);
  };

  watermark(): void {}

  status(): void {}

  /** Ends the epoch at this instant; the promise is the rest. */
  seal(epoch: number): Promise<SealedEpoch | undefined> {
    const seal = (): Promise<unknown> => this.#waitFor(() => this.#open.seal(epoch));
    return namedAsync(this.#failing('seal'), () => this.#durable?.seal(seal) ?? seal()).then((committable) => {
      if (committable === undefined) return undefined;
      const what = (): string => `what sink \`${this.uid}\` sealed as epoch ${epoch}`;
      return { epoch, committable: ownStorable(committable, what) };
    });
  }

  /** The header's part, as it is once these epochs are sealed. */
  snapshot(records: number, sealed: SealedEpoch | undefined): SinkSnapshot {
    const pending = sealed === undefined ? this.#pending : [...this.#pending, sealed];
    return { number: records, pending: [...pending], last: sealed?.committable ?? this.#last };
  }

  get records(): number {
    return this.#records;
  }

  /** Commits that failed and were tried again since the job was started. */
  get commitRetries(): number {
    return this.#commitRetries;
  }

  /** Writes of an at-least-once sink that failed and were tried again since the job was started. */
  get writeRetries(): number {
    return this.#writeRetries;
  }

  /**
   * Commits an epoch that a durable checkpoint has sealed. Retries until it succeeds or the job ends; what is left is
   * committed by the next start.
   */
  async committed(sealed: SealedEpoch): Promise<void> {
    this.#pending.push(sealed);
    this.#last = sealed.committable;
    this.#epochsPlace.add(1);
    // One at a time: a writer may count on what was committed before.
    this.#committing = this.#committing.then(() => this.#commit(sealed));
    await this.#committing;
    this.#pending = this.#pending.filter((each) => each !== sealed);
    this.#epochsPlace.add(-1);
  }

  async close(): Promise<void> {
    await this.#writer?.close();
  }

  get #open(): SinkWriter<T> {
    if (this.#writer === undefined) throw new TypeError(`Expected sink \`${this.uid}\` to be open`);
    return this.#writer;
  }

  async #commit({ epoch, committable }: SealedEpoch): Promise<void> {
    const onRetry = (): void => void (this.#commitRetries += 1);
    await this.#untilDone(
      `commit epoch ${epoch}`,
      (signal) => this.#open.commit(ownCopy(committable), signal),
      onRetry,
    );
  }

  /**
   * Tries on until it succeeds or the job ends (I10): what is outside may be away for a while, and the job goes on
   * meanwhile.
   */
  async #untilDone(
    what: string,
    attempt: (signal: AbortSignal) => Promise<void> | undefined,
    onRetry: () => void,
  ): Promise<void> {
    const { clock, signal } = this.#services;
    for (let failures = 1; ; failures += 1) {
      try {
        await this.#waitFor(() => attempt(signal));
        return;
      } catch (error) {
        const failure = this.#failure(what, error);
        // What a retry can't mend (an output changed from outside, a mistake in code) must be seen, not retried for
        // ever.
        if (failure instanceof InvariantError || !failure.retryable || signal.aborted) throw failure;
        onRetry();
        const delayMs = backOffMs(retry, failures);
        this.#warn(what, failure, { failures, delayMs });
        await sleep(clock, delayMs, signal);
      }
    }
  }

  /** At the first failure and whenever their number has doubled. */
  #warn(what: string, error: StreamError, facts: { readonly failures: number; readonly delayMs: number }): void {
    const { failures } = facts;
    if ((failures & (failures - 1)) !== 0) return;
    const times = failures === 1 ? '' : ` ${failures} times`;
    const { logger } = this.#services;
    logger.warn(
      { error, sink: this.uid, ...facts },
      `sink "${this.uid}" failed${times} to ${what}: ${messageOf(error)}; trying again`,
    );
  }

  /** A promise would be waited for by nobody, and what it rejects with be lost. */
  #write(writer: SinkWriter<T>, { value, timestamp, number }: WrittenRecord<T>): void {
    // Typed code returns nothing; a program without types may.
    const returned = writer.write(value, timestamp, number) as unknown;
    if (returned !== undefined && isThenable(returned)) {
      throw refusedPromise(`\`write\` of sink \`${this.uid}\`, given record ${number},`, returned, {
        hint: 'keep the value in `write`, and send it in `flush` or `commit`',
        details: { uid: this.uid },
      });
    }
  }

  #isFull(writer: SinkWriter<T>): boolean {
    let full: unknown;
    try {
      full = writer.full;
    } catch (error) {
      throw this.#failure('say whether it is full', error);
    }
    if (full === false) return false; // Asked for each record: nothing is made for that.
    if (isThenable(full))
      throw refusedPromise(`\`full\` of sink \`${this.uid}\``, full, { details: { uid: this.uid } });
    return Boolean(full);
  }

  #waitForRoom(writer: SinkWriter<T>): void {
    this.#fullPlace.add(1);
    if (this.#sink.guarantee === 'exactly-once') this.#services.clock.defer(() => this.#services.checkpointSoon());
    const poll = (): void => {
      if (this.#services.signal.aborted) return;
      try {
        if (this.#isFull(writer)) this.#services.clock.setTimer(pollFullMs, poll);
        else this.#fullPlace.add(-1);
      } catch (error) {
        this.#services.fail(error); // Nobody else would hear of it: this is a timer.
      }
    };
    this.#services.clock.setTimer(pollFullMs, poll);
  }

  #makeDurable(writer: SinkWriter<T>): DurableWrites<T> {
    const { journal, clock, signal, places, fail } = this.#services;
    const place = places.make({ name: `${this.uid}.undurable`, max: undurableMax });
    return new DurableWrites<T>({
      journal,
      clock,
      signal,
      place,
      write: (record) => this.#write(writer, record),
      flush: () =>
        this.#untilDone(
          'write',
          (ended) => writer.flush?.(ended),
          () => void (this.#writeRetries += 1),
        ),
      onWritten: () => {
        if (this.#fullPlace.count === 0 && this.#isFull(writer)) this.#waitForRoom(writer);
      },
      onFailure: (error) => fail(this.#failure('write', error)),
    });
  }

  #waitFor<R>(call: () => R | PromiseLike<R>): Promise<R> {
    const { jobId } = this.#services;
    return waitFor({ jobId, what: `sink \`${this.uid}\``, uid: this.uid }, call);
  }

  #failing(to: string): Failing {
    return { code: 'SINK_FAILED', what: `sink \`${this.uid}\` failed to ${to}`, uid: this.uid };
  }

  #failure(to: string, error: unknown): StreamError | InvariantError {
    return failureOf(error, this.#failing(to));
  }
}
