/** Writes values to a CSV file, exactly once. */
import type { Sink } from '../../lib/core/connector.ts';
import { knownOptions } from '../../lib/core/options.ts';
import { fileFormat, type CsvFormatOptions } from './file-format.ts';
import type { FileCommittable } from './line-output.ts';
import { lineSink, type LineSinkOptions } from './line-sink.ts';

export interface CsvSinkOptions extends CsvFormatOptions, LineSinkOptions {}

/**
 * A sink that writes each value as a row, its cells by the names of the columns, or a list of them: texts, numbers and
 * booleans as they are, nothing for null and undefined, dates as ISO 8601, anything else as JSON. The header stands at
 * the start of the file alone. Otherwise as `jsonLinesSink`, exactly once.
 *
 * @example
 * orders.sinkTo(csvSink('orders.csv', { columns: ['id', 'customer', 'euros'], onExisting: 'overwrite' }));
 */
export const csvSink = <T>(path: string, options: CsvSinkOptions): Sink<T, FileCommittable> => {
  const names = { columns: true, header: true, delimiter: true, onExisting: true, mode: true } as const;
  knownOptions('csvSink', options, names);
  const { columns, header, delimiter, ...file } = options;
  return lineSink({ ...file, name: 'csv', path, format: fileFormat.csv<T>({ columns, header, delimiter }) });
};
