/**
 * Whether a restart can help: what is outside may mend itself and is tried for ever; code that throws on the same input
 * throws again, so a job whose own code fails is given up when it gets no further. Progress is told by what is durable.
 */
import { InvariantError, isMistake, messageOf, StreamError } from '../../core/errors.ts';
import { isOutside } from '../work/outside.ts';

/**
 * Restarts without any new durable record after which a failure of the pipeline's own code is taken for one that a
 * restart does not mend.
 */
export const fruitlessMax = 3;

/** Counts the failures of the pipeline's own code since a job last got further. */
export class Progress {
  /** Facts by which progress is told: checkpoints and what the journal holds behind the newest. */
  #durable = -1;
  #fruitless = 0;
  /** Turns of this life that the last checkpoint covers and that brought something. */
  #coveredMoves = 0;

  /** True when the job is given up because it gets no further. */
  get stuck(): boolean {
    return this.#fruitless > fruitlessMax;
  }

  /** A life begins: looks whether the one before left anything new in the store. */
  begin(durable: number): void {
    this.#coveredMoves = 0;
    if (durable !== this.#durable) this.#fruitless = 0;
    this.#durable = durable;
  }

  /** A checkpoint that covers so many turns is durable. An empty one, which only time has brought, is no progress. */
  onCheckpoint(moves: number): void {
    if (moves > this.#coveredMoves) this.#fruitless = 0;
    this.#coveredMoves = moves;
  }

  /** Asked once for each failure. */
  mayRestart(error: unknown): boolean {
    if (isTerminal(error)) return false;
    if (!isOwnCode(error)) return true;
    this.#fruitless += 1;
    return !this.stuck;
  }

  /** What is told of a job that has been started again and is given up. */
  givenUp(job: string, restarts: number, cause: unknown): StreamError {
    const what = this.stuck ? `made no progress in ${fruitlessMax} restarts` : `failed after ${restarts} restarts`;
    const hint = this.stuck ? 'the same failure came back each time; see `cause`' : undefined;
    return new StreamError('RESTARTS_EXHAUSTED', `job "${job}" ${what}: ${messageOf(cause)}`, { cause, hint });
  }
}

/** Whether a restart can not help. */
export const isTerminal = (error: unknown): boolean =>
  error instanceof StreamError ? !error.retryable : error instanceof InvariantError || isMistake(error);

/** Whether it is code of the pipeline that failed, and not something outside. */
const isOwnCode = (error: unknown): boolean => {
  if (isOutside(error)) return false;
  if (!(error instanceof StreamError)) return true;
  return error.code === 'OPERATOR_FAILED' || (error.code === 'ACTION_FAILED' && !(error.cause instanceof StreamError));
};
