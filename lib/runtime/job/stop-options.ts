/** What a stop may be told. */
import type { Duration, OptionNames } from '../../core/options.ts';

export interface StopOptions {
  /** How long the stop takes at most. @defaultValue `stopTimeout` of the environment */
  readonly timeout?: Duration | undefined;
  /** Where a savepoint of the last checkpoint is written before the job is over. @defaultValue nowhere */
  readonly savepoint?: string | undefined;
}

export const stopOptionNames = { timeout: true, savepoint: true } as const satisfies OptionNames<StopOptions>;
