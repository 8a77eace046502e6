/**
 * `asyncMap`: one durable call per value. The call's outcome is journaled before its result is emitted, so after a crash it is not made
 * again (I8). Results keep their value's timestamp and never cross a watermark, however long a call takes (I3).
 */
import { MIN_TIMESTAMP, type Timestamp } from '../lib/core/element.ts';
import { messageOf, StreamError } from '../lib/core/errors.ts';
import type { CallContext, Hold, Operator, OutputOrder, RetryOptions } from '../lib/core/operator.ts';
import { callable, durationMs, integer, knownOptions, oneOf, type Duration } from '../lib/core/options.ts';

export interface AsyncMapOptions {
  /** `completion`: results leave as they come. `arrival`: in the order of their values. @defaultValue 'completion' */
  readonly order?: OutputOrder | undefined;
  /** Calls that run at once. @defaultValue 100 */
  readonly inFlightMax?: number | undefined;
  /** Limit of one value, all attempts and the pauses between them included. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** Limit of one attempt. @defaultValue none */
  readonly attemptTimeout?: Duration | undefined;
  /** @defaultValue one attempt */
  readonly retry?: RetryOptions | undefined;
}

interface Item<I> {
  readonly value: I;
  /** Absent for a record without one. */
  readonly timestamp?: Timestamp;
  readonly hold: Hold;
}

/**
 * Emits what the promise of `fn` resolves with; a call that fails for good fails the job. `call.signal` is aborted on timeout and when
 * the job stops, and `call.idempotencyKey` is the same across crashes and attempts.
 *
 * @example
 * const priced = asyncMap(async (id: string, call) => (await fetch(`https://prices.example/${id}`, { signal: call.signal })).json(), {
 *   inFlightMax: 20,
 *   timeout: '10s',
 *   retry: { attempts: 3 },
 * });
 */
export const asyncMap = <I, O>(
  fn: (value: I, call: CallContext) => O | Promise<O>,
  options: AsyncMapOptions = {},
): Operator<I, Awaited<O>> => {
  const { order = 'completion', inFlightMax = 100, timeout, attemptTimeout, retry } = options;
  callable('fn', fn);
  knownOptions('asyncMap', options, ['order', 'inFlightMax', 'timeout', 'attemptTimeout', 'retry']);
  oneOf('order', order, ['completion', 'arrival']);
  integer('inFlightMax', inFlightMax, { min: 1 });
  const timeoutMs = timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 });
  const attemptMs = attemptTimeout === undefined ? undefined : durationMs('attemptTimeout', attemptTimeout, { min: 1 });
  if (retry?.attempts !== undefined) integer('retry.attempts', retry.attempts, { min: 1 });
  return (context) => {
    const holds = context.holds({ order });
    const calls = context.work<Item<I>, Awaited<O>>(
      {
        name: 'call',
        run: ({ value }, work) =>
          // A call gives what its function resolves with, so O is awaited here.
          work.call('call', (call) => fn(value, call), { args: value, timeoutMs: attemptMs, retry }) as Promise<Awaited<O>>,
        apply({ timestamp = MIN_TIMESTAMP, hold }, outcome) {
          if (!outcome.ok) throw failed(context.uid, outcome.error);
          holds.emit(hold, outcome.value, timestamp);
          holds.release(hold);
        },
      },
      { inFlightMax, timeoutMs },
    );
    return {
      process(value, timestamp) {
        const hold = holds.take();
        calls.submit(timestamp === MIN_TIMESTAMP ? { value, hold } : { value, timestamp, hold });
      },
    };
  };
};

const failed = (uid: string, error: unknown): StreamError =>
  error instanceof StreamError
    ? error
    : new StreamError('WORK_FAILED', `a call of \`${uid}\` failed: ${messageOf(error)}`, { cause: error });
