/**
 * `asyncMap`: one durable call per value. The call's outcome is journaled before its result is emitted, so after a crash it is not made
 * again (I8). Results keep their value's timestamp and never cross a watermark, however long a call takes (I3). With `perKey` the calls of
 * one key never overlap and keep its order (I1); what waits for its turn is keyed state.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { InvariantError, isMistake, messageOf, StreamError } from '../lib/core/errors.ts';
import { keyText, type Key } from '../lib/core/key.ts';
import { listState, valueState } from '../lib/core/operator.ts';
import type { CallContext, Hold, Operator, OperatorContext, OutputOrder, OutputTag, Processor, RetryOptions, Work } from '../lib/core/operator.ts';
import { callable, durationMs, flag, integer, knownOptions, oneOf, type Duration } from '../lib/core/options.ts';
import { isOwnFailure } from '../lib/core/own-failure.ts';
import { checkRetry } from '../lib/core/retry-options.ts';
import { checkErrorOptions, type DeadLetter } from './dead-letter.ts';

export interface AsyncMapOptions {
  /** `completion`: results leave as they come. `arrival`: in the order of their values. @defaultValue 'completion' */
  readonly order?: OutputOrder | undefined;
  /** One call of a key at a time, in the order of its values; other keys go on meanwhile. @defaultValue false */
  readonly perKey?: boolean | undefined;
  /** Calls that run at once. @defaultValue 100 */
  readonly inFlightMax?: number | undefined;
  /** Limit of one value, all attempts and the pauses between them included. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** Limit of one attempt. @defaultValue none */
  readonly attemptTimeout?: Duration | undefined;
  /** @defaultValue one attempt */
  readonly retry?: RetryOptions | undefined;
  /**
   * What happens to a value whose call fails for good. `ignore`: nothing comes of it, and it is counted in `numOfCallsFailed`. An error
   * that is about the job (a store that fails) fails the job whatever is said here. @defaultValue 'fail', with `deadLetters` 'dead-letter'
   */
  readonly onError?: 'fail' | 'ignore' | 'dead-letter' | undefined;
  /** Where values go whose call failed, in place of their results. `action` of a letter is the operator's uid. */
  readonly deadLetters?: OutputTag<DeadLetter> | undefined;
}

const optionNames = [
  'order',
  'perKey',
  'inFlightMax',
  'timeout',
  'attemptTimeout',
  'retry',
  'onError',
  'deadLetters',
] as const satisfies readonly (keyof AsyncMapOptions)[];

interface Item<I> {
  readonly value: I;
  /** Absent for a record without one. */
  readonly timestamp?: Timestamp;
  readonly hold: Hold;
  /** It has the turn of its key. */
  readonly perKey?: true;
}

/**
 * Emits what the promise of `fn` resolves with; a call that fails for good fails the job, unless `onError` or `deadLetters` say otherwise.
 * Calls overlap, those of one key too: with `order: 'arrival'` their results leave in order, but only with `perKey` has the call for a
 * key's value ended before that for its next begins. `call.signal` is aborted on timeout and when the job stops, and
 * `call.idempotencyKey` is the same across crashes and attempts.
 *
 * @example
 * const priced = asyncMap(async (id: string, call) => (await fetch(`https://prices.example/${id}`, { signal: call.signal })).json(), {
 *   inFlightMax: 20,
 *   timeout: '10s',
 *   retry: { attempts: 3, initialInterval: '500ms' },
 * });
 */
export const asyncMap = <I, O>(
  fn: (value: I, call: CallContext) => O | Promise<O>,
  options: AsyncMapOptions = {},
): Operator<I, Awaited<O>> => {
  callable('fn', fn);
  const settings = settingsOf(options);
  return (context) => new AsyncMap<I, O>(context, fn, settings);
};

type Settings = ReturnType<typeof settingsOf>;

const settingsOf = (options: AsyncMapOptions) => {
  knownOptions('asyncMap', options, optionNames);
  const { order = 'completion', perKey = false, inFlightMax = 100, timeout, attemptTimeout, retry, deadLetters } = options;
  return {
    order: oneOf('order', order, ['completion', 'arrival']),
    perKey: flag('perKey', perKey),
    inFlightMax: integer('inFlightMax', inFlightMax, { min: 1 }),
    timeoutMs: timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 }),
    attemptMs: attemptTimeout === undefined ? undefined : durationMs('attemptTimeout', attemptTimeout, { min: 1 }),
    retry: retry === undefined ? undefined : checkRetry('retry', retry),
    onError: checkErrorOptions(options),
    deadLetters,
  };
};

class AsyncMap<I, O> implements Processor<I> {
  readonly #context: OperatorContext<Awaited<O>>;
  readonly #settings: Settings;
  readonly #holds;
  readonly #calls: Work<Item<I>>;
  /** Undefined without `perKey`. */
  readonly #turns: KeyTurns<I> | undefined;

  constructor(context: OperatorContext<Awaited<O>>, fn: (value: I, call: CallContext) => O | Promise<O>, settings: Settings) {
    const { order, perKey, inFlightMax, timeoutMs, attemptMs, retry, onError } = settings;
    this.#context = context;
    this.#settings = settings;
    this.#holds = context.holds({ order });
    this.#calls = context.work<Item<I>, Awaited<O>>(
      {
        name: 'call',
        // Not an async function: thousands may wait at once, and each would keep a frame of its own beside that of `fn`.
        run: ({ value }, work) =>
          work
            .call('call', (call) => fn(value, call), { args: value, timeoutMs: attemptMs, retry })
            // A call gives what its function resolves with, so O is awaited here.
            .catch((error: unknown) => Promise.reject(this.#failure(work.key, error))) as Promise<Awaited<O>>,
        apply: (item, outcome) => {
          if (outcome.ok) this.#holds.emit(item.hold, outcome.value, item.timestamp ?? MIN_TIMESTAMP);
          else this.#failed(item, outcome.error);
          this.#holds.release(item.hold);
          const next = item.perKey === true ? this.#turns?.next() : undefined;
          if (next !== undefined) this.#calls.submit(next);
        },
        // An error about the job is no outcome: kept as one, it would fail the job again when its cause is mended.
        onRejection: (error) => (onError !== 'fail' && isOwnFailure(error) ? 'outcome' : 'fail'),
        identity: ({ value }) => value,
        describe: (_, key) => this.#nameOf(key),
      },
      { inFlightMax, timeoutMs },
    );
    if (perKey) this.#turns = new KeyTurns(context, 2 * inFlightMax);
  }

  process(value: I, timestamp: Timestamp): void {
    const hold = this.#holds.take();
    const item: Item<I> = timestamp === MIN_TIMESTAMP ? { value, hold } : { value, timestamp, hold };
    if (this.#turns === undefined) this.#calls.submit(item);
    else if (this.#turns.isMine(item)) this.#calls.submit({ ...item, perKey: true });
  }

  async open(): Promise<void> {
    await this.#turns?.open();
  }

  /** A call has failed for good, or its result can't be stored. */
  #failed({ value, timestamp = MIN_TIMESTAMP, hold }: Item<I>, error: unknown): void {
    const { onError, deadLetters } = this.#settings;
    const key = this.#context.currentKey();
    const failure = this.#failure(key, error);
    if (!(failure instanceof StreamError) || onError === 'fail' || !isOwnFailure(failure)) throw failure;
    this.#context.metrics.getCounter('numOfCallsFailed').inc();
    if (deadLetters === undefined) return;
    const { code, message, hint } = failure;
    this.#holds.side(hold, deadLetters, { key, input: value, action: this.#context.uid, error: { code, message, hint } }, timestamp);
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
    return `a call of \`${this.#context.uid}\`${key === '' ? '' : ` for key ${keyText(key)}`}`; // A stream without keys has the empty one.
  }
}

/** One item of a key at a time. */
class KeyTurns<I> {
  readonly #busy;
  readonly #waiting;
  readonly #place;

  constructor(context: OperatorContext<never>, waitingMax: number) {
    this.#busy = context.state(valueState<true>('busy'));
    this.#waiting = context.state(listState<Item<I>>('waiting'));
    this.#place = context.place({ name: 'waiting', max: waitingMax });
  }

  async open(): Promise<void> {
    await this.#waiting.forEachKey(() => this.#place.add(this.#waiting.size));
  }

  /** Whether it is this item's turn; if not, it waits. */
  isMine(item: Item<I>): boolean {
    if (this.#busy.value() === undefined) {
      this.#busy.update(true);
      return true;
    }
    this.#waiting.add(item);
    this.#place.add(1);
    return false;
  }

  /** The item whose turn is next. */
  next(): Item<I> | undefined {
    const item = this.#waiting.shift();
    if (item === undefined) {
      this.#busy.clear();
      return undefined;
    }
    this.#place.add(-1);
    return { ...item, perKey: true };
  }
}
