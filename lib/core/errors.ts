/**
 * The one table of operating errors, the error that carries a code from it, and `invariant` for what must never happen.
 * Codes never change; messages may. The README's table is held to this one by a test.
 */
import { types } from 'node:util';

interface ErrorEntry {
  /** Whether trying again without a change can help. */
  readonly retryable: boolean;
  /** What to do about it. */
  readonly hint: string;
}

const entry = (retryable: boolean, hint: string): ErrorEntry => ({ retryable, hint });

/**
 * Every operating error by its code: whether trying again without a change can help, and what to do about it. Codes
 * never change.
 *
 * @example
 * console.log(errorTable.STORE_LOCKED.retryable); // prints true
 * console.log(errorTable.UID_CLASH.hint); // prints give one of the two another uid by `.uid(...)`
 */
export const errorTable = {
  // input
  INPUT_NOT_FOUND: entry(false, 'check the path; the source reads only what exists when it is opened'),
  INPUT_MALFORMED: entry(false, "mend the line, or set `onMalformed` to 'skip' or 'side-output'"),
  INPUT_CHANGED: entry(
    false,
    'the input is shorter than, or differs from, what was read before (of a file its length and one of the last lines are checked, and no other content); give the same input, or start with a new state directory',
  ),
  INPUT_DAMAGED: entry(
    false,
    'the compressed input is damaged or cut short; what stands before was read: restore it from a copy, or wait until it is whole',
  ),
  INPUT_OVERFLOW: entry(false, "raise `capacity`, slow the producer, or set `overflow` to 'drop'"),
  SOURCE_FAILED: entry(true, 'see `cause`; the job starts again for as long as its restart strategy says'),
  TIMESTAMP_MISSING: entry(
    false,
    'event-time windows need timestamps: give the source a WatermarkStrategy with `withTimestamps`',
  ),
  TIMESTAMP_INVALID: entry(
    false,
    'a timestamp is a finite number of milliseconds, at most Number.MAX_SAFE_INTEGER from 1970; mend what gives it, or filter such values out in front',
  ),
  // output
  OUTPUT_NOT_EMPTY: entry(false, "give a new file, or set `onExisting` to 'append' or 'overwrite'"),
  OUTPUT_CHANGED: entry(
    false,
    'the output was changed from outside since the last commit; restore it, or start with a new state directory and a new output',
  ),
  OUTPUT_IN_USE: entry(false, 'another job writes this output; stop it, or give each job an output of its own'),
  SINK_FAILED: entry(true, 'see `cause`; with a place for state the next start sends again what was not taken'),
  // graph
  UID_CLASH: entry(false, 'give one of the two another uid by `.uid(...)`'),
  GRAPH_INVALID: entry(false, 'see the message; the pipeline as composed can not run'),
  STATE_UNCLAIMED: entry(
    false,
    'an operator with state was removed or its uid changed; put it back, or set `allowUnclaimedState` (of a savepoint `allowNonRestoredState`) to drop that state',
  ),
  STATE_INCOMPATIBLE: entry(
    false,
    'the state was written by other settings or code; use those, or start with a new state directory',
  ),
  // values
  KEY_INVALID: entry(false, 'a key is a string, a finite number, a bigint, a boolean, or an array of these'),
  NOT_SERIALISABLE: entry(
    false,
    'state, journaled values and keyed records hold plain data: no functions, symbols or class instances',
  ),
  VALUE_DAMAGED: entry(false, 'a stored value does not match its checksum; restore the directory from a copy'),
  // store
  STORE_LOCKED: entry(true, 'another job has this state directory open; stop it, or use another directory'),
  STORE_DAMAGED: entry(
    false,
    'the state directory has lost or changed data; restore it from a copy, or remove it to start anew',
  ),
  STORE_FAILED: entry(true, 'a write failed (see `cause`); the store is reopened before it is written again'),
  STORE_FORMAT: entry(false, 'the state directory was written by another version of Millrace; use that version'),
  SAVEPOINT_FAILED: entry(
    true,
    'see `cause`: the savepoint can not be written or read there, and what stood there before is kept',
  ),
  SAVEPOINT_DAMAGED: entry(
    false,
    'the file is no savepoint, or not as it was written; restore it from a copy, or take another one',
  ),
  STATE_NOT_EMPTY: entry(
    false,
    'a savepoint is restored into a place for state that is empty; give another directory, or leave `restoreFrom` out to go on with what is there',
  ),
  JOB_FINISHED: entry(false, 'the input has grown since this job finished; use a new state directory to process it'),
  // running
  OPERATOR_FAILED: entry(true, 'a user function threw; see `cause`'),
  ASYNC_IN_TURN: entry(false, 'a turn is synchronous: use `asyncMap`, or make the action async'),
  EMIT_OUTSIDE_TURN: entry(
    false,
    'an operator emits while it handles a value or a timer, an RxJS operator also when its input completes; use `asyncMap` for work that waits',
  ),
  WAITS_FOR_ITSELF: entry(
    false,
    'code of a sink, and what opens, may ask for a checkpoint and not await it: leave the `await` out, call it somewhere else, or listen to `checkpoints$`',
  ),
  VALUES_EXCEEDED: entry(
    false,
    'what one record gives leaves at once, and nothing else happens meanwhile: give fewer, let a source read them, or raise `valuesMax` where so many are meant',
  ),
  DIVERGED: entry(
    false,
    'replay met other inputs or code than were recorded; see the message, or leave `strictReplay` off to go on in a new branch',
  ),
  RESTARTS_EXHAUSTED: entry(false, 'the restart strategy gave up; see `cause`'),
  PACKAGE_MISSING: entry(
    false,
    'install the package that the message names; a bundle has to leave it out, as an external package',
  ),
  // work
  WORK_FAILED: entry(true, 'see `cause`'),
  CALLS_EXCEEDED: entry(
    false,
    'one action makes 65,536 durable calls at most: let it send events to itself and make some in each',
  ),
  WORK_TIMEOUT: entry(true, 'raise the timeout, or look at why the call takes so long'),
  WORK_ABORTED: entry(
    true,
    'the job stopped while the call was open; with a place for state it runs again when the job does',
  ),
  // agents
  AGENT_INVALID: entry(false, 'see the message; the agent as defined can not run'),
  RESOURCE_NOT_FOUND: entry(false, 'add the resource to the agent or to the environment, or correct its name'),
  ACTION_FAILED: entry(
    true,
    'an action threw; see `cause`. Set `onError` or read the dead-letter output to keep the job running',
  ),
  RUN_EVENTS_EXCEEDED: entry(
    false,
    'actions of the agent trigger each other without end; where a run really needs that many events, raise `eventsMax`',
  ),
  PLAN_CHANGED: entry(
    false,
    "a run was open when the agent's plan changed; set `onPlanChange` to 'continue' or 'restart-run'",
  ),
  // models
  MODEL_REQUEST: entry(false, 'see the message, and `status` where a provider has refused the request'),
  MODEL_UNAVAILABLE: entry(true, 'the provider did not answer or failed; see `status` and `cause`'),
  MODEL_REFUSED: entry(false, 'the model or its provider will not answer this; its words are in `details.refusal`'),
  MODEL_CUT_OFF: entry(
    false,
    'the answer ended at the limit of its tokens: raise `max_tokens` in `args`, ask for less, or set `allowCutOff`',
  ),
  MODEL_RESPONSE: entry(true, 'the provider answered something that can not be read; see the message'),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;

export interface StreamErrorOptions {
  /** What was thrown in the first place. @defaultValue none */
  readonly cause?: unknown;
  /** What to do, when there is better advice than the table's. @defaultValue that of the table */
  readonly hint?: string | undefined;
  /** Whether trying again without a change can help. @defaultValue that of the table */
  readonly retryable?: boolean | undefined;
  /** Facts for programs: file, line, uid, key, status ... Plain data. @defaultValue none */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * An operating error: something outside the program's control, or input it can't take. `code` is one of `errorTable`,
 * which also gives `hint` and `retryable` where the error brings none of its own; `details` are facts for programs.
 * Throw one in code of your own, such as a tool or a source, to say whether a retry can help.
 *
 * @example
 * const summed = orders.keyBy(({ euros }) => (euros < 10 ? Number.NaN : euros)).reduce((first) => first);
 * await summed.executeAndCollect().catch((error: unknown) => {
 *   if (error instanceof StreamError) console.log(error.code, error.retryable); // prints KEY_INVALID false
 * });
 */
export class StreamError extends Error {
  override readonly name: string = 'StreamError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: StreamErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const { retryable, hint } = errorTable[code];
    this.code = code;
    this.hint = options.hint ?? hint;
    this.retryable = options.retryable ?? retryable;
    this.details = options.details ?? {};
  }
}

/**
 * Thrown by a reconciler: the call did not take effect, so run it (again).
 *
 * @example
 * const receipts = new Map<string, string>();
 * const charging = agent<Order, string>('charging').on(InputEvent, async ({ input }, ctx) => {
 *   const charge = (): string => {
 *     receipts.set(ctx.idempotencyKey, `${input.customer} paid ${input.euros} euros`);
 *     return receipts.get(ctx.idempotencyKey) ?? '';
 *   };
 *   const reconciler = (): string => {
 *     const receipt = receipts.get(ctx.idempotencyKey);
 *     if (receipt === undefined) throw new CallNotExecuted();
 *     return receipt;
 *   };
 *   ctx.output(await ctx.durableExecute('charge', charge, { args: input.id, reconciler }));
 * });
 * const paid = orders.filter(({ id }) => id === 1).keyBy(({ id }) => id).applyAgent(charging);
 * console.log(await paid.executeAndCollect()); // prints [ 'ann paid 25 euros' ]
 */
export class CallNotExecuted extends Error {
  override readonly name = 'CallNotExecuted';
}

/**
 * A broken invariant: a bug in Millrace, not in the job. It stops the job for good.
 *
 * @example
 * const isBug = (error: unknown): boolean => error instanceof InvariantError;
 * console.log(isBug(new StreamError('SINK_FAILED', 'the table is away'))); // prints false
 */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** For the default branch of a switch over a union: a type error when a case is missing. */
export const unreachable = (value: never): never => {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
};

/**
 * Whether an error shows a mistake in code, which comes back however often it is tried. What `fetch` rejects with when
 * nobody answers is a `TypeError` too, but one that brings a cause.
 */
export const isMistake = (error: unknown): boolean => {
  if (isOf(ReferenceError, error)) return true;
  return isOf(TypeError, error) && error.cause === undefined && error.message !== 'fetch failed';
};

/** One of another realm is no instance of ours, and known by its name. */
const isOf = (type: ErrorConstructor, error: unknown): error is Error =>
  error instanceof type || (types.isNativeError(error) && error.name === type.name);

/**
 * What an error says of itself because of its cause: of a mistake that no restart helps, but that code which is mended
 * goes on from the last checkpoint; of any other what the cause says in a `retryable` of its own.
 */
export const asMistake = (cause: unknown): Pick<StreamErrorOptions, 'retryable' | 'hint'> => {
  if (isMistake(cause)) return { retryable: false, hint: mendHint };
  const retryable: unknown = typeof cause === 'object' && cause !== null ? Reflect.get(cause, 'retryable') : undefined;
  return typeof retryable === 'boolean' ? { retryable } : {};
};

const mendHint =
  'mend the code that threw (see `cause`) and start the job again; with a place for state it goes on from its last checkpoint';

/** The message of anything that was thrown, of another realm and of no realm at all too. */
export const messageOf = (error: unknown): string => {
  try {
    return String(error instanceof Error || types.isNativeError(error) ? error.message : error);
  } catch {
    return Object.prototype.toString.call(error); // It has no prototype, say, or its `toString` throws.
  }
};

/** What somebody else's code threw; an error that says so where it can not even be asked what it is. */
export const thrown = (error: unknown): unknown => {
  try {
    Object.getPrototypeOf(Object(error));
    return error;
  } catch (cause) {
    return new Error(`what was thrown can not be looked at: ${messageOf(cause)}`, { cause });
  }
};

/** Whether a value is a promise of any make: query builders and libraries have their own. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  // Any object may have it, or not.
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  typeof (value as { then?: unknown }).then === 'function';

/**
 * The refusal of a promise where a turn is synchronous (I13). What the promise rejects with later must not end the
 * process as well.
 */
export const refusedPromise = (
  what: string,
  promise: unknown,
  options: StreamErrorOptions & { readonly did?: 'returned' | 'emitted' | undefined } = {},
): StreamError => {
  const { did = 'returned', ...rest } = options;
  // A foreign one is left alone: many start what they stand for when somebody asks them for it.
  if (promise instanceof Promise) promise.catch(() => {});
  return new StreamError('ASYNC_IN_TURN', `${what} ${did} a promise`, rest);
};

/** Gives back what a user's function of an operator returned; throws when that is a promise (I13). */
export const refuseThenable = <T>(returned: T, what: string, uid: string): T => {
  if (isThenable(returned)) throw refusedPromise(`${what} of operator \`${uid}\``, returned, { details: { uid } });
  return returned;
};
