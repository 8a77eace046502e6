/** Writes values to a file of JSON Lines, exactly once. */
import type { Sink } from '../../lib/core/connector.ts';
import { knownOptions } from '../../lib/core/options.ts';
import { fileFormat } from '../files/file-format.ts';
import type { FileCommittable } from '../files/line-output.ts';
import { lineSink, type LineSinkOptions } from '../files/line-sink.ts';

/**
 * A sink that writes each value as a line of JSON: bigints as text, `Map` as an object or a list of pairs, `Set` as a
 * list, bytes as base64, errors with name and message; what has no JSON form is refused with `NOT_SERIALISABLE`,
 * nothing becomes `{}`. The directory must exist. An output has one owner: two sinks of a job on one file are refused
 * with `GRAPH_INVALID`, by whatever path they name it, and a second job with `OUTPUT_IN_USE`, or where it can't be
 * seen, at its next commit with `OUTPUT_CHANGED`. What somebody else writes into it is never cut. Reading it at any
 * moment gives whole epochs, or the beginning of one that is being committed. Files beside it (`NAME.*.pending`,
 * `NAME.*.writing`) can be read by their owner alone.
 *
 * @example
 * orders.sinkTo(jsonLinesSink('orders.jsonl', { onExisting: 'overwrite' }));
 */
export const jsonLinesSink = <T>(path: string, options: LineSinkOptions = {}): Sink<T, FileCommittable> => {
  knownOptions('jsonLinesSink', options, { onExisting: true, mode: true });
  return lineSink<T>({ ...options, name: 'json-lines', path, format: fileFormat.jsonLines });
};
