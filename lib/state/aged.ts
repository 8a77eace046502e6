/**
 * Values that have a time to live. What is stored stands in an envelope that says when it was made, or used last; the
 * handles in `ttl-handles.ts` open it. When a value goes without anybody who asks, a timer says: each is registered
 * once, for a bucket of time, and looks again when the value was used meanwhile. So nothing is looked through.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { deepFreeze, ownCopy } from '../core/own-copy.ts';
import { assertStorable, ownStorable } from '../core/storable.ts';
import type { StateDescriptor } from '../core/state-descriptor.ts';
import type { Ttl } from '../core/state-ttl.ts';
import type { KeyContext } from './key-context.ts';

/** The envelope of a value. */
export interface Aged {
  /** When it was made, or used last. */
  readonly at: Timestamp;
  /** When it is looked at again; `MAX_TIMESTAMP` where nobody looks. */
  readonly due: Timestamp;
  readonly value: unknown;
}

/** What the handles of one state need of its operator. */
export interface AgingOptions {
  /** As the user has declared it. */
  readonly descriptor: StateDescriptor<unknown>;
  readonly ttl: Ttl;
  readonly keys: KeyContext;
  /** Test mode: values are frozen. */
  readonly freeze: boolean;
  now(): Timestamp;
  /** Has `expire` called for the current key when that time has come. */
  register(due: Timestamp): void;
}

/** Buckets of time in a time to live: a value goes so much later at most. */
const bucketsPerTtl = 16;

/** How the values of a state age, and what is done with those that come in and go out (I21). */
export class Aging {
  readonly keys: KeyContext;
  readonly #options: AgingOptions;
  readonly #bucketMs: number;

  constructor(options: AgingOptions) {
    this.keys = options.keys;
    this.#options = options;
    this.#bucketMs = Math.max(1, Math.floor(options.ttl.durationMs / bucketsPerTtl));
  }

  get renewsOnRead(): boolean {
    return this.#options.ttl.renewsOnRead && !this.keys.readOnly;
  }

  get givesExpired(): boolean {
    return this.#options.ttl.givesExpired;
  }

  now(): Timestamp {
    return this.#options.now();
  }

  isExpired({ at }: Aged, now = this.now()): boolean {
    // Before the first watermark nothing ages, and the last one is no time.
    return at !== MIN_TIMESTAMP && now !== MAX_TIMESTAMP && at + this.#options.ttl.durationMs <= now;
  }

  /** A value that is used now. `before`: what it takes the place of, whose next look is its own too. */
  envelope(value: unknown, before?: Aged, at = this.now()): Aged {
    return { at, due: before?.due ?? this.look(at), value };
  }

  /** Has it looked at behind its end, and says when. */
  look(at: Timestamp): Timestamp {
    if (this.#options.ttl.cleanup === 'on-access') return MAX_TIMESTAMP;
    // At the end of the input there is no time any more.
    if (at === MAX_TIMESTAMP) return MAX_TIMESTAMP;
    const due = Math.ceil((at + this.#options.ttl.durationMs) / this.#bucketMs) * this.#bucketMs;
    this.#options.register(due);
    return due;
  }

  /** Has a look once more at this time, which has come: what is left waits for that. */
  lookAgain(now: Timestamp): void {
    this.#options.register(now);
  }

  /** A value that comes in. */
  own(value: unknown): unknown {
    const { descriptor, freeze } = this.#options;
    if (typeof value !== 'object' || value === null) {
      assertStorable(value, this.#where);
      return value;
    }
    if (descriptor.inPlace === true) {
      assertStorable(value, this.#where);
      return value;
    }
    const own = ownStorable(value, this.#where);
    return freeze ? deepFreeze(own) : own;
  }

  /** A value that is handed out. */
  given(value: unknown): unknown {
    const { descriptor, freeze } = this.#options;
    const stays = descriptor.inPlace !== true && descriptor.copies === undefined && !freeze;
    return stays && typeof value === 'object' ? ownCopy(value) : value;
  }

  readonly #where = (): string => `state '${this.#options.descriptor.name}' of key \`${String(this.keys.key)}\``;
}

/** The state that holds the envelopes: nobody else sees them, so they are not copied. */
export const agedDescriptor = (descriptor: StateDescriptor<unknown>): StateDescriptor<unknown> => {
  const { migrate, combine, kind, ...rest } = descriptor;
  return {
    ...rest,
    kind: combine === undefined ? kind : 'value',
    copies: 'none',
    migrate: migrate && ((old, version) => migratedAged(old as Aged, (value) => migrate(value, version))), // As stored.
  };
};

const migratedAged = (old: Aged, migrate: (value: unknown) => unknown): Aged => ({ ...old, value: migrate(old.value) });
