/** A sink that prints each value on a line of the standard output, at least once. */
import type { Sink } from '../lib/core/connector.ts';
import { knownOptions, refusal } from '../lib/core/options.ts';
import { defineSink } from './define-sink.ts';

export interface PrintOptions {
  /** Before each line. @defaultValue '' */
  readonly prefix?: string | undefined;
  /** Takes the text, line breaks included. @defaultValue the standard output */
  readonly write?: ((text: string) => void) | undefined;
}

/**
 * Prints strings as they are, and other values as JSON where they have one.
 *
 * @example
 * stream.sinkTo(printSink({ prefix: 'review> ' }));
 */
export const printSink = <T>(options: PrintOptions = {}): Sink<T> => {
  knownOptions('printSink', options, { prefix: true, write: true });
  const { prefix = '', write = (text: string) => void process.stdout.write(text) } = options;
  if (typeof write !== 'function') throw refusal('write', 'a function', write);
  return defineSink<T>({
    name: 'print',
    write: (values) => write(values.map((value) => `${prefix}${textOf(value)}\n`).join('')),
  });
};

const textOf = (value: unknown): string => {
  if (typeof value === 'string') return value;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};
