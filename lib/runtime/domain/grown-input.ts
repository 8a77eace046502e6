/** A job that has finished has read all of its input; what has come since would be left unread without a word. */
import type { Clock } from '../../core/clock.ts';
import { StreamError } from '../../core/errors.ts';
import type { SourceHost, SourceSnapshot } from '../hosts/source-host.ts';

export interface GrownInputOptions {
  /** Of the last checkpoint. */
  readonly known: SourceSnapshot | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Looks behind the end of each split. Throws `JOB_FINISHED` when there is more. */
export const refuseGrown = async (
  host: SourceHost<unknown>,
  { known, clock, signal }: GrownInputOptions,
): Promise<void> => {
  const { uid, source } = host;
  if (!source.replayable) return;
  for (const name of await source.splits(signal)) {
    const reader = await source.open(name, known?.splits[name]?.position, signal, clock);
    const more = await reader.read(signal).finally(() => reader.close());
    if (more !== undefined && more.values.length > 0) {
      throw new StreamError('JOB_FINISHED', `split ${name} of source \`${uid}\` has grown since the job finished`);
    }
  }
};
