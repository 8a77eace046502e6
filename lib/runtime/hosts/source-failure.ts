/**
 * Names the failures of a source. What is outside may be away for a while and mends itself, so it is not taken for code that throws on
 * the same input again: the restart strategy alone says how long it is tried.
 */
import type { Source, SourceReader } from '../../core/connector.ts';
import { asMistake, InvariantError, messageOf, StreamError } from '../../core/errors.ts';

/** The source as it is, except that what it rejects with says which source it was, and whether a restart can help. */
export const namedSource = <T>(uid: string, source: Source<T>): Source<T> => ({
  name: source.name,
  replayable: source.replayable,
  get dropped() {
    return source.dropped;
  },
  splits: (signal) => named(`source \`${uid}\` failed to list its splits`, signal, () => source.splits(signal)),
  async open(split, position, signal, clock) {
    const open = (): Promise<SourceReader<T>> => source.open(split, position, signal, clock);
    const reader = await named(`source \`${uid}\` failed to open split \`${split}\``, signal, open);
    const { committed } = reader;
    return {
      get waiting() {
        return reader.waiting;
      },
      read: (readSignal) => named(`source \`${uid}\` failed to read split \`${split}\``, readSignal, () => reader.read(readSignal)),
      ...(committed === undefined ? {} : { committed: (at) => named(`source \`${uid}\` failed to note a position`, signal, () => committed.call(reader, at)) }),
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
