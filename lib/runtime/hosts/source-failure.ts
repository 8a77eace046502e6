/**
 * The door to a source: what crosses it is a copy, and its failures are named. What is outside may be away for a while
 * and mends itself, so it is not taken for code that throws on the same input again: the restart strategy alone says
 * how long it is tried.
 */
import type { Source, SourceBatch, SourceReader } from '../../core/connector.ts';
import { failureOf, named, type Failing } from '../../core/failures.ts';
import { harmless } from '../../core/listener.ts';
import { refusedResult, resultWith } from '../../core/options.ts';
import { ownBatch } from '../../core/own-batch.ts';
import { ownCopy } from '../../core/own-copy.ts';
import { waitFor } from './waited-code.ts';

/** Where it stands. */
export interface NamedFor {
  readonly uid: string;
  readonly jobId: string;
}

/**
 * The source as it is, except that it shares no position and no list of a batch with the engine, and that what it
 * rejects with says which source it was, and whether a restart can help.
 */
export const namedSource = <T>(source: Source<T>, { uid, jobId }: NamedFor): Source<T> => {
  const failing = (to: string): Failing => ({ code: 'SOURCE_FAILED', what: `source \`${uid}\` failed to ${to}`, uid });
  const waited = <R>(to: string, signal: AbortSignal, ask: () => Promise<R>): Promise<R> =>
    unlessAborted(failing(to), signal, () => waitFor({ jobId, what: `source \`${uid}\``, uid }, ask));
  return {
    name: source.name,
    replayable: source.replayable,
    get dropped() {
      return named(failing('say what it has left out'), () => source.dropped);
    },
    splits: (signal) => waited('list its splits', signal, async () => splitNames(await source.splits(signal))),
    async open(split, position, signal, clock) {
      const open = async (): Promise<SourceReader<T>> =>
        resultWith('open', await source.open(split, ownCopy(position), signal, clock), ['read', 'close']);
      const reader = await waited(`open split \`${split}\``, signal, open);
      const { committed, end } = reader;
      const readOwn = async (readSignal: AbortSignal): Promise<SourceBatch<T> | undefined> => {
        const batch = await reader.read(readSignal);
        if (batch === undefined) return undefined;
        const own = ownBatch(batch, `source \`${uid}\`, split \`${split}\``);
        const position = failing(`say its position in split \`${split}\``);
        return { ...own, position: (count) => named(position, () => own.position(count)) };
      };
      return {
        get waiting() {
          return named(failing('say whether it waits'), () => reader.waiting);
        },
        read: (readSignal) => unlessAborted(failing(`read split \`${split}\``), readSignal, () => readOwn(readSignal)),
        ...(committed !== undefined && {
          committed: (at: unknown) =>
            waited('note a position', signal, () => committed.call(reader, ownCopy(at))),
        }),
        // A stop goes on without it, as far as its time goes.
        ...(end !== undefined && { end: harmless(`\`end\` of source \`${uid}\``, () => end.call(reader)) }),
        close: async () => reader.close(),
      };
    },
  };
};

const splitNames = (names: readonly string[]): readonly string[] => {
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
  throw refusedResult('splits', 'an array of strings', names);
};

/** A wait that was ended rejects with why it was, whatever that is. */
const unlessAborted = async <R>(failing: Failing, signal: AbortSignal, ask: () => Promise<R>): Promise<R> => {
  try {
    return await ask();
  } catch (error) {
    throw signal.aborted ? error : failureOf(error, failing);
  }
};
