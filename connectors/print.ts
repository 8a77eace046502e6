/** A sink that prints each value on a line of the standard output, at least once. */
import { inspect } from 'node:util';
import type { Sink } from '../lib/core/connector.ts';
import { knownOptions, refusal } from '../lib/core/options.ts';
import { plainText } from '../lib/core/plain-json.ts';
import { systemError } from '../lib/core/system-error.ts';
import { defineSink } from './define-sink.ts';

export interface PrintOptions {
  /** Before each line. @defaultValue '' */
  readonly prefix?: string | undefined;
  /** Takes the text, line breaks included. @defaultValue the standard output */
  readonly write?: ((text: string) => void | PromiseLike<unknown>) | undefined;
}

/**
 * Prints strings as they are, other values as the JSON that files get too, and what has none as Node shows it.
 *
 * @example
 * orders.map(({ id, customer }) => ({ id, customer })).sinkTo(printSink({ prefix: 'order> ' }));
 * // prints order> {"id":1,"customer":"ann"}
 * // prints order> {"id":2,"customer":"bob"}
 * // prints order> {"id":3,"customer":"ann"}
 */
export const printSink = <T>(options: PrintOptions = {}): Sink<T> => {
  knownOptions('printSink', options, { prefix: true, write: true });
  const { prefix = '', write = writeOut } = options;
  if (typeof write !== 'function') throw refusal('write', 'a function', write);
  return defineSink<T>({
    name: 'print',
    write: (values) => write(values.map((value) => `${prefix}${textOf(value)}\n`).join('')),
  });
};

const textOf = (value: unknown): string => {
  try {
    return value === undefined ? 'undefined' : plainText(value);
  } catch {
    // A job does not fail of what somebody wants to look at.
    return shown(value);
  }
};

const shown = (value: unknown): string => {
  try {
    return inspect(value, { breakLength: Number.POSITIVE_INFINITY });
  } catch {
    return '[a value that can not be shown]'; // It throws when it is looked at.
  }
};

/** What the standard output has failed with; undefined so far. Only there once somebody prints. */
let failure: { error?: Error } | undefined;

/**
 * A reader that has gone away is a failure of the sink at its next write, and not the end of the process, as it is
 * where nobody listens.
 */
const writeOut = (text: string): void => {
  const { stdout } = process;
  if (failure === undefined) {
    const heard: { error?: Error } = (failure = {});
    stdout.on('error', (error: Error) => (heard.error = error));
  }
  if (failure.error !== undefined)
    throw systemError('SINK_FAILED', 'the standard output can not be written', failure.error);
  stdout.write(text);
};
