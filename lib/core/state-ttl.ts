/** The time that state lives: options as users write them, and what they come to. */
import { durationMs, knownOptions, oneOf, type Duration } from './options.ts';
import type { TimeDomain } from './timer.ts';

/**
 * How long values of a state live since they were made or used last. Elements of a list and entries of a map age each
 * for itself. What has expired leaves memory and disk, also when nobody asks for it again.
 */
export interface StateTtl {
  /** More than 0. A value has expired when it is so old. */
  readonly duration: Duration;
  /** What makes a value young again: writing it, or reading it too. @defaultValue 'create-and-write' */
  readonly update?: 'create-and-write' | 'read-and-write' | undefined;
  /**
   * Whether a value that has expired, and is there still, is read once more: then that reading clears it.
   * @defaultValue 'never-return-expired'
   */
  readonly visibility?: 'never-return-expired' | 'return-expired-if-not-cleaned-up' | undefined;
  /** By the clock, or by the watermark. @defaultValue 'processing' */
  readonly time?: TimeDomain | undefined;
  /**
   * `background`: what has expired goes within a sixteenth of its life. `on-access`: when somebody reads it.
   * @defaultValue 'background'
   */
  readonly cleanup?: 'background' | 'on-access' | undefined;
}

/** A `StateTtl` that was looked at. */
export interface Ttl {
  readonly durationMs: number;
  readonly renewsOnRead: boolean;
  readonly givesExpired: boolean;
  readonly time: TimeDomain;
  readonly cleanup: 'background' | 'on-access';
}

/** Throws a `TypeError` that names the option. */
export const ttlOf = (options: StateTtl): Ttl => {
  knownOptions('ttl', options, { duration: true, update: true, visibility: true, time: true, cleanup: true });
  const { update = 'create-and-write', visibility = 'never-return-expired' } = options;
  const { time = 'processing', cleanup = 'background' } = options;
  oneOf('update', update, ['create-and-write', 'read-and-write']);
  oneOf('visibility', visibility, ['never-return-expired', 'return-expired-if-not-cleaned-up']);
  return {
    durationMs: durationMs('duration', options.duration, { min: 1 }),
    renewsOnRead: update === 'read-and-write',
    givesExpired: visibility === 'return-expired-if-not-cleaned-up',
    time: oneOf('time', time, ['event', 'processing']),
    cleanup: oneOf('cleanup', cleanup, ['background', 'on-access']),
  };
};
