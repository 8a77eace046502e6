/**
 * The door to a source: what crosses it is a copy, and its failures are named. What is outside may be away for a while
 * and mends itself, so it is not taken for code that throws on the same input again: the restart strategy alone says
 * how long it is tried.
 */
import type { Source, SourceBatch, SourceReader } from '../../core/connector.ts';
import { asMistake, InvariantError, messageOf, StreamError } from '../../core/errors.ts';
import { ownBatch } from '../../core/own-batch.ts';
import { ownCopy } from '../../core/own-copy.ts';

/**
 * The source as it is, except that it shares no position and no list of a batch with the engine, and that what it
 * rejects with says which source it was, and whether a restart can help.
 */
export const namedSource = <T>(uid: string, source: Source<T>): Source<T> => ({
  name: source.name,
  replayable: source.replayable,
  get dropped() {
    return source.dropped;
  },
  splits: (signal) => named(`source \`${uid}\` failed to list its splits`, signal, () => source.splits(signal)),
  async open(split, position, signal, clock) {
    const open = (): Promise<SourceReader<T>> => source.open(split, ownCopy(position), signal, clock);
    const reader = await named(`source \`${uid}\` failed to open split \`${split}\``, signal, open);
    const { committed } = reader;
    const readOwn = async (readSignal: AbortSignal): Promise<SourceBatch<T> | undefined> => {
      const batch = await reader.read(readSignal);
      return batch === undefined ? undefined : ownBatch(batch, `source \`${uid}\`, split \`${split}\``);
    };
    return {
      get waiting() {
        return reader.waiting;
      },
      read: (readSignal) =>
        named(`source \`${uid}\` failed to read split \`${split}\``, readSignal, () => readOwn(readSignal)),
      ...(committed !== undefined && {
        committed: (at: unknown) =>
          named(`source \`${uid}\` failed to note a position`, signal, () => committed.call(reader, ownCopy(at))),
      }),
      ...(reader.end !== undefined && { end: () => reader.end?.() }),
      close: () => reader.close(),
    };
  },
});

const named = async <R>(what: string, signal: AbortSignal, ask: () => Promise<R>): Promise<R> => {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof StreamError || error instanceof InvariantError || signal.aborted) throw error;
    throw new StreamError('SOURCE_FAILED', `${what}: ${messageOf(error)}`, { cause: error, ...asMistake(error) });
  }
};
