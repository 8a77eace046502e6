/**
 * Work, one of an operator's capabilities: what waits. An item is submitted in a turn, runs outside any, and takes
 * effect in one. Items are state until they are applied; outcomes are journaled, and a replay takes them from there
 * instead of running anything (I8).
 */
import type { CallContext, CallOptions } from './call.ts';
import type { Timestamp } from './element.ts';
import type { Key } from './key.ts';
import type { Duration } from './options.ts';

export type Outcome<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown };

export type Rejection = 'fail' | 'outcome';

/**
 * When a body goes on with the outcome of a durable call. `call`: when it is durable, so that whatever the body does
 * with it, a crash changes nothing about it. `effect`: at once; a crash may come before it is durable, and then the
 * call is made again and may give something else. Until it is durable nothing that the engine knows of leaves: no
 * further call starts, and no end takes effect.
 */
export type Durability = 'call' | 'effect';

/** Asynchronous work: `run` waits outside any turn, `apply` takes its outcome in one. */
export interface Worker<W, R> {
  readonly name: string;
  /**
   * May wait. Reads no state and emits nothing: it returns what should happen. Runs after the submitting turn is
   * durable; never during replay.
   */
  run(item: W, context: WorkContext): Promise<R> | Running<R>;
  /** Makes it happen, in one turn under the key that submitted the item. */
  apply(item: W, outcome: Outcome<R>): void;
  /**
   * What a rejection of `run` is. `fail`: no outcome; it fails the job, and after the restart the item runs again, its
   * failed calls too. `outcome`: journaled and given to `apply` like any other. A function tells by the error.
   * @defaultValue 'fail'
   */
  readonly onRejection?: Rejection | ((error: unknown) => Rejection) | undefined;
  /** When a body goes on with an outcome; a function tells by the item. @defaultValue 'call' */
  readonly durability?: Durability | ((item: W) => Durability) | undefined;
  /**
   * Nobody but the operator holds items and results, and no user code gets to see them as they are: then they are not
   * copied where they are submitted, told of, run and applied (I21).
   */
  readonly owned?: true | undefined;
  /**
   * Says that `run` waits for nothing and makes no calls: an item only asks for a turn of its own, and needs no place
   * among those in flight.
   */
  readonly placeless?: true | undefined;
  /** Names an item in messages, such as that of a timeout. @defaultValue worker, uid and key */
  describe?(item: W, key: Key): string;
  /**
   * What tells an item from others of its key, without names that a new branch gives anew: by it outcomes are found
   * again after the code changed. Plain data. @defaultValue the item
   */
  identity?(item: W): unknown;
}

/**
 * A body whose result is made of what its code gives, without a promise of its own for that: thousands may wait at
 * once.
 */
export interface Running<R> {
  readonly code: Promise<unknown>;
  /** Called once, when the code has ended. Must not throw. */
  ended(code: Outcome<unknown>): Outcome<R>;
}

/** @internal A worker of somebody else's may return anything. */
export const isRunning = (returned: unknown): returned is Running<unknown> =>
  typeof returned === 'object' && returned !== null && 'code' in returned && 'ended' in returned;

export interface Work<W> {
  /**
   * Starts one item under the current key, after this turn. The item must be serialisable: it is state until it is
   * applied.
   */
  submit(item: W): void;
}

export interface WorkOptions {
  /** Bodies that run at once; more wait in order. @defaultValue 1000 */
  readonly inFlightMax?: number | undefined;
  /** Items submitted and not yet applied; at this bound sources are not pulled. @defaultValue 2 x inFlightMax */
  readonly pendingMax?: number | undefined;
  /**
   * Limit of one `run`, from 1 ms; past it the item is rejected with `WORK_TIMEOUT`, and `onRejection` says what
   * becomes of it: by default the job fails. @defaultValue none
   */
  readonly timeout?: Duration | undefined;
}

/** What the body of one work item may use. */
export interface WorkContext {
  /** Names this item in the journal; the same after a crash. */
  readonly id: string;
  readonly key: Key;
  /** The time of the turn that submitted the item. */
  readonly submittedAt: Timestamp;
  /** Aborted when the item times out or the job stops. Made when first read. */
  readonly signal: AbortSignal;
  /**
   * Reads state under the item's key, as it is now. Must not change any. Only what cannot change while the item is open
   * is the same after a crash.
   */
  read<T>(fn: () => T): T;
  /** Runs `fn` once and journals its outcome; after a crash the journaled outcome is returned instead (I8). */
  call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options?: CallOptions<R>): Promise<R>;
}
