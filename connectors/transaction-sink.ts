/**
 * What sinks to databases share: the rows of an epoch wait in the checkpoint, and its commit writes them together with
 * a mark of the epoch in one transaction. A commit that is repeated finds its mark and writes nothing. Keeps I7.
 */
import type { Sink, SinkWriter } from '../lib/core/connector.ts';
import { StreamError } from '../lib/core/errors.ts';
import { defineSink, type ValuesCommittable } from './define-sink.ts';

/** A connection to the database, for one sink of one history of a job. */
export interface EpochTransactions<R> {
  /** The newest epoch that is marked as written; 0 when there is none. */
  marked(signal: AbortSignal): Promise<number>;
  /**
   * In one transaction: looks at the mark, and when it is older than `epoch` writes the rows and the mark. Resolves
   * with the mark as it was found.
   */
  write(epoch: number, rows: readonly R[], signal: AbortSignal): Promise<number>;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface TransactionSinkOptions<T, R> {
  readonly name: string;
  readonly pendingMax: number | undefined;
  /** What is written for a value; asked once, when the value comes. */
  readonly rowOf: (value: T) => R;
  connect(sinkId: string, signal: AbortSignal): Promise<EpochTransactions<R>>;
}

export const transactionSink = <T, R>(options: TransactionSinkOptions<T, R>): Sink<T, ValuesCommittable<R>> => {
  const { name, pendingMax, rowOf } = options;
  const refuseUnknown = (marked: number, known: number): void => {
    if (marked <= known) return;
    throw new StreamError(
      'OUTPUT_CHANGED',
      `sink "${name}": the database holds epoch ${marked}, and this job knows them up to ${known}`,
      { hint: 'a newer life of this job has written there, or its state was put back to an older one' },
    );
  };
  return {
    name,
    guarantee: 'exactly-once',
    async open(context) {
      const { sinkId, pending, last, signal } = context;
      const database = await options.connect(sinkId, signal);
      // The newest epoch that this life can have committed. A mark beyond it was set by somebody who knows more.
      let known = Math.max(last?.epoch ?? 0, ...pending.map(({ epoch }) => epoch));
      let writer: SinkWriter<R, ValuesCommittable<R>>;
      try {
        refuseUnknown(await database.marked(signal), known);
        const outbox = defineSink<R>({
          name,
          guarantee: 'exactly-once',
          pendingMax,
          write: async (rows, call) => refuseUnknown(await database.write(call.epoch, rows, call.signal), known),
        });
        writer = await outbox.open(context);
      } catch (error) {
        await database.close();
        throw error;
      }
      return {
        write: (value, timestamp, number) => writer.write(rowOf(value), timestamp, number),
        get full() {
          return writer.full;
        },
        seal(epoch) {
          known = epoch;
          return writer.seal(epoch);
        },
        commit: (committable, commitSignal) => writer.commit(committable, commitSignal),
        async close() {
          await writer.close();
          await database.close();
        },
      };
    },
  };
};
