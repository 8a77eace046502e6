/**
 * A job that has finished has read all of its input; what has come since would be left unread without a word. What it
 * opens to look, it closes again, also when the job ends meanwhile (I18), and it gives the event loop back (I20).
 */
import type { Clock } from '../../core/clock.ts';
import type { SourceReader } from '../../core/connector.ts';
import { StreamError } from '../../core/errors.ts';
import { LoopSlice } from '../../core/slice.ts';
import { openedUntilAborted, untilAborted } from '../../core/waits.ts';
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
  const slice = new LoopSlice(clock);
  for (const name of await source.splits(signal)) {
    signal.throwIfAborted();
    const opening = source.open(name, known?.splits[name]?.position, signal, clock);
    const reader = await openedUntilAborted(opening, signal, (late) => late.close());
    if (await hasMore(reader, signal, slice).finally(() => reader.close()))
      throw new StreamError('JOB_FINISHED', `split ${name} of source \`${uid}\` has grown since the job finished`);
    if (slice.isOver) await slice.giveBack();
  }
};

/** A batch without values says that nothing is there now, and not that this is the end. */
const hasMore = async (reader: SourceReader<unknown>, signal: AbortSignal, slice: LoopSlice): Promise<boolean> => {
  for (;;) {
    const batch = await untilAborted(reader.read(signal), signal);
    if (batch === undefined) return false;
    if (batch.values.length > 0) return true;
    if (slice.isOver) await slice.giveBack();
  }
};
