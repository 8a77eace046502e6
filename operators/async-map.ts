/**
 * `asyncMap`: one durable call per value. The call's outcome is journaled before its result is emitted, so after a
 * crash it is not made again (I8). Results keep their value's timestamp and are as late or on time as their value,
 * however long a call takes (I3, I17). With `perKey` the calls of one key never overlap and keep its order (I1); what
 * waits for its turn is keyed state.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { InvariantError, isMistake, messageOf, refuseThenable, StreamError } from '../lib/core/errors.ts';
import { keyText, type Key } from '../lib/core/key.ts';
import { valueState, type ValueState } from '../lib/core/state-descriptor.ts';
import type { CallContext, RetryOptions } from '../lib/core/call.ts';
import type { Hold, OutputOrder } from '../lib/core/hold.ts';
import type { Operator, OperatorContext, Processor } from '../lib/core/operator.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import type { Work } from '../lib/core/work.ts';
import {
  callable,
  durationMs,
  flag,
  integer,
  knownOptions,
  oneOf,
  refusal,
  type Duration,
  type OptionNames,
} from '../lib/core/options.ts';
import { ownCopy, storableCopy } from '../lib/core/own-copy.ts';
import { takesFailure } from '../lib/core/own-failure.ts';
import { checkRetry } from '../lib/core/retry-options.ts';
import { checkErrorOptions, letterOf, type DeadLetter } from './dead-letter.ts';
import { KeyTurns } from './key-turns.ts';

/**
 * Gives what stands for a result. As a method is, it is taken where more may come than it asks for, so that streams
 * keep their variance.
 */
export type Fallback<I, O> = { of(value: I): O }['of'];

/**
 * `D` is the type that the tag of the dead letters carries, `I` that of the values, `O` that of the results.
 */
export interface AsyncMapOptions<D = DeadLetter, I = never, O = unknown> {
  /** `completion`: results leave as they come. `arrival`: in the order of their values. @defaultValue 'completion' */
  readonly order?: OutputOrder | undefined;
  /**
   * With order `completion`: a result leaves before a watermark that waits behind an older call, if its timestamp is
   * greater than that watermark or it has none, and with `perKey` no earlier result of its key waits. So a slow call
   * delays the watermark and nobody else's result on time, and no result is late that was not. By default no result
   * crosses a watermark in either direction, as in Flink's asynchronous I/O. @defaultValue false
   */
  readonly overtakeWatermarks?: boolean | undefined;
  /**
   * One call of a key at a time, in the order of its values, and its results leave in that order; other keys go on
   * meanwhile.
   * @defaultValue false
   */
  readonly perKey?: boolean | undefined;
  /** Calls that run at once. @defaultValue 100 */
  readonly inFlightMax?: number | undefined;
  /** Limit of one value, all attempts and the pauses between them included. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** Limit of one attempt. @defaultValue none */
  readonly attemptTimeout?: Duration | undefined;
  /** @defaultValue one attempt */
  readonly retry?: RetryOptions<NoInfer<O>> | undefined;
  /**
   * Gives what leaves in place of a result that took too long: past `timeout`, or past `attemptTimeout` at the last
   * attempt. Synchronous, and called again in a replay. The call is counted in `numOfCallsFailed`. @defaultValue the
   * call has failed: see `onError`
   */
  readonly onTimeout?: Fallback<I, O> | undefined;
  /**
   * What happens to a value whose call fails for good. `ignore`: nothing comes of it, and it is counted in
   * `numOfCallsFailed`. An error that is about the job (a store that fails) fails the job whatever is said here, and so
   * does a mistake in code (`TypeError`, `ReferenceError`), which would leave nothing of any value; a `TypeError` may
   * go to the dead letters. @defaultValue 'fail', with `deadLetters` 'dead-letter'
   */
  readonly onError?: 'fail' | 'ignore' | 'dead-letter' | undefined;
  /**
   * Where values go whose call failed, in place of their results. `action` of a letter is the operator's uid.
   * @defaultValue none: see `onError`
   */
  readonly deadLetters?: OutputTag<D> | undefined;
}

const optionNames = {
  order: true,
  overtakeWatermarks: true,
  perKey: true,
  inFlightMax: true,
  timeout: true,
  attemptTimeout: true,
  retry: true,
  onTimeout: true,
  onError: true,
  deadLetters: true,
} as const satisfies OptionNames<AsyncMapOptions>;

interface Item<I> {
  readonly value: I;
  /** Absent for a record without one. */
  readonly timestamp?: Timestamp;
  readonly hold: Hold;
  /** It has its turn among the items of its key. */
  readonly perKey?: true;
}

interface Turns<I> {
  readonly items: KeyTurns<Item<I>>;
  /** Set while an item of the key is open. */
  readonly busy: ValueState<true>;
}

/**
 * Emits what the promise of `fn` resolves with; a call that fails for good fails the job, unless `onError` or
 * `deadLetters` say otherwise. Calls overlap, those of one key too: with `order: 'arrival'` their results leave in
 * order, but only with `perKey` has the call for a key's value ended before that for its next begins. `call.signal` is
 * aborted on timeout and when the job stops, and `call.idempotencyKey` is the same across crashes and attempts.
 *
 * @example
 * const lengths = asyncMap(async (word: string) => word.length, { inFlightMax: 20, retry: { attempts: 3 } });
 * const harness = await OperatorHarness.open(lengths);
 * harness.element('abc', 0);
 * console.log(await harness.settled()); // prints [ { kind: 'record', value: 3, timestamp: 0 } ]
 */
export const asyncMap = <I, O>(
  fn: (value: I, call: CallContext) => O | Promise<O>,
  options: AsyncMapOptions<DeadLetter, I, O> = {},
  /** Whether what came of a value leaves. */
  leaves: (result: unknown) => boolean = () => true,
): Operator<I, Awaited<O>> => {
  callable('fn', fn);
  const settings = { ...settingsOf(options), leaves };
  return (context) => new AsyncMap<I, O>(context, fn, settings);
};

type Settings = ReturnType<typeof settingsOf> & { readonly leaves: (result: unknown) => boolean };

const settingsOf = (options: AsyncMapOptions) => {
  knownOptions('asyncMap', options, optionNames);
  const {
    order = 'completion',
    overtakeWatermarks = false,
    perKey = false,
    inFlightMax = 100,
    timeout,
    attemptTimeout,
    retry,
    deadLetters,
  } = options;
  oneOf('order', order, ['completion', 'arrival']);
  flag('overtakeWatermarks', overtakeWatermarks);
  if (overtakeWatermarks && order === 'arrival')
    throw refusal('overtakeWatermarks', "false or left out with order 'arrival'", true);
  return {
    holds: { order, overtakeWatermarks, keyOrder: perKey },
    perKey: flag('perKey', perKey),
    inFlightMax: integer('inFlightMax', inFlightMax, { min: 1 }),
    timeoutMs: timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 }),
    attemptMs: attemptTimeout === undefined ? undefined : durationMs('attemptTimeout', attemptTimeout, { min: 1 }),
    retry: retry === undefined ? undefined : checkRetry('retry', retry),
    onTimeout: checkOnTimeout(options),
    onError: checkErrorOptions(options),
    deadLetters,
  };
};

const checkOnTimeout = ({ onTimeout, timeout, attemptTimeout }: AsyncMapOptions): AsyncMapOptions['onTimeout'] => {
  if (onTimeout === undefined) return undefined;
  if (timeout === undefined && attemptTimeout === undefined)
    throw refusal('onTimeout', 'left out without `timeout` and `attemptTimeout`', onTimeout);
  return callable('onTimeout', onTimeout);
};

const tookTooLong = (error: unknown): boolean => error instanceof StreamError && error.code === 'WORK_TIMEOUT';

class AsyncMap<I, O> implements Processor<I> {
  readonly #context: OperatorContext<Awaited<O>>;
  readonly #settings: Settings;
  readonly #holds;
  readonly #calls: Work<Item<I>>;
  /** Undefined without `perKey`. */
  readonly #turns: Turns<I> | undefined;

  constructor(
    context: OperatorContext<Awaited<O>>,
    fn: (value: I, call: CallContext) => O | Promise<O>,
    settings: Settings,
  ) {
    const { holds, perKey, inFlightMax, timeoutMs, attemptMs, retry, onTimeout, onError } = settings;
    this.#context = context;
    this.#settings = settings;
    this.#holds = context.holds(holds);
    this.#calls = context.work<Item<I>, Awaited<O>>(
      {
        name: 'call',
        // Not an async function: thousands may wait at once, and each would keep a frame of its own beside that of
        // `fn`.
        run: ({ value }, work) =>
          work
            // A copy for each attempt: what one does to its value is not seen by the next, which may be made after a
            // crash.
            .call('call', (call) => fn(this.#context.handOver(value), call), {
              args: value,
              timeout: attemptMs,
              retry,
            })
            // A call gives what its function resolves with, so O is awaited here.
            .catch((error: unknown) => Promise.reject(this.#failure(work.key, error))) as Promise<Awaited<O>>,
        apply: (item, outcome) => {
          if (outcome.ok) this.#emit(item, outcome.value);
          else if (onTimeout !== undefined && tookTooLong(outcome.error)) this.#replaced(item, onTimeout);
          else this.#failed(item, outcome.error);
          this.#holds.release(item.hold);
          if (item.perKey === true) this.#turnEnded();
        },
        // An error about the job is no outcome: kept as one, it would fail the job again when its cause is mended.
        onRejection: (error) =>
          takesFailure(onError, error) || (onTimeout !== undefined && tookTooLong(error)) ? 'outcome' : 'fail',
        identity: ({ value }) => value,
        describe: (_, key) => this.#nameOf(key),
        // Between the outcome of the call and the end there is no code but ours.
        durability: 'effect',
        owned: true,
      },
      { inFlightMax, timeout: timeoutMs },
    );
    if (perKey) this.#turns = this.#makeTurns(2 * inFlightMax);
  }

  process(value: I, timestamp: Timestamp): void {
    const hold = this.#holds.take();
    const own = this.#own(value, timestamp, hold);
    if (own === undefined) return;
    const item: Item<I> =
      timestamp === MIN_TIMESTAMP ? { value: own.value, hold } : { value: own.value, timestamp, hold };
    if (this.#turns === undefined) this.#calls.submit(item);
    else this.#turns.items.arrive({ ...item, perKey: true });
  }

  async open(): Promise<void> {
    await this.#turns?.items.open(this.#turns.busy);
  }

  async close(): Promise<void> {
    this.#turns?.items.close();
  }

  #makeTurns(waitingMax: number): Turns<I> {
    const busy = this.#context.state(valueState<true>('busy'));
    const begin = (item: Item<I>): boolean => {
      busy.update(true);
      this.#calls.submit(item);
      return true;
    };
    return { busy, items: new KeyTurns(this.#context, { name: 'waiting', begin, waitingMax }) };
  }

  /** The call of an item that had its key's turn has ended: the next begins. */
  #turnEnded(): void {
    if (this.#turns === undefined) return;
    const { items, busy } = this.#turns;
    items.ended();
    if (!items.busy) busy.clear();
  }

  /**
   * The value as the operator's own: others may hold what was handed over. Undefined for one that can't be kept: its
   * call fails.
   */
  #own(value: I, timestamp: Timestamp, hold: Hold): { readonly value: I } | undefined {
    try {
      return { value: ownCopy(value) };
    } catch (error) {
      // In the letter stands what can be stored of it.
      this.#failed({ value: storableCopy(value) as I, timestamp, hold }, error);
      this.#holds.release(hold);
      return undefined;
    }
  }

  /** A call took too long: something else leaves in its place. */
  #replaced(item: Item<I>, onTimeout: (value: never) => unknown): void {
    const { uid, metrics } = this.#context;
    metrics.getCounter('numOfCallsFailed').inc();
    // The options were made for these values and results.
    const instead = (onTimeout as (value: I) => Awaited<O>)(this.#context.handOver(item.value));
    this.#emit(item, ownCopy(refuseThenable(instead, '`onTimeout`', uid)));
  }

  #emit({ hold, timestamp = MIN_TIMESTAMP }: Item<I>, result: Awaited<O>): void {
    if (this.#settings.leaves(result)) this.#holds.emit(hold, result, timestamp);
  }

  /** A call has failed for good, or its value or its result can't be stored. */
  #failed({ value, timestamp = MIN_TIMESTAMP, hold }: Item<I>, error: unknown): void {
    const { onError, deadLetters } = this.#settings;
    const key = this.#context.currentKey();
    const failure = this.#failure(key, error);
    if (!(failure instanceof StreamError) || !takesFailure(onError, failure)) throw failure;
    this.#context.metrics.getCounter('numOfCallsFailed').inc();
    if (deadLetters === undefined) return;
    this.#holds.side(
      hold,
      deadLetters,
      letterOf({ key, input: value, action: this.#context.uid, error: failure }),
      timestamp,
    );
  }

  /** What a call failed with, as an error that says which call it was. */
  #failure(key: Key, error: unknown): StreamError | InvariantError {
    const { uid } = this.#context;
    if (error instanceof InvariantError || (error instanceof StreamError && error.details['uid'] === uid)) return error;
    const known = error instanceof StreamError ? error : undefined;
    return new StreamError(known?.code ?? 'WORK_FAILED', `${this.#nameOf(key)} failed: ${messageOf(error)}`, {
      cause: error,
      hint: known?.hint,
      retryable: known?.retryable ?? !isMistake(error),
      details: { ...known?.details, uid, key },
    });
  }

  #nameOf(key: Key): string {
    // A stream without keys has the empty one.
    return `a call of \`${this.#context.uid}\`${key === '' ? '' : ` for key ${keyText(key)}`}`;
  }
}
