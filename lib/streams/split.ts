/** `split`: one stream as several, by the first predicate that holds. */
import { isThenable, refusedPromise } from '../core/errors.ts';
import { callable, refusal } from '../core/options.ts';
import type { DataStream } from './data-stream.ts';

/** Predicates by the name of their part. */
export type SplitSpec<T> = Readonly<Record<string, (value: T) => unknown>>;

/** A stream for each part, and `rest`. A predicate that narrows its value narrows its stream. */
export type SplitStreams<T, P extends SplitSpec<T>> = {
  readonly [N in keyof P]: P[N] extends ((value: T) => value is infer U extends T) ? DataStream<U> : DataStream<T>;
} & { readonly rest: DataStream<T> };

interface Told<T> {
  readonly part: string;
  readonly value: T;
}

const isTrue = (part: string, held: unknown): boolean => {
  if (isThenable(held)) throw refusedPromise(`predicate \`${part}\` of \`split\``, held);
  return Boolean(held);
};

/** The streams of the parts. Each is made when it is asked for, so what nobody reads costs nothing. */
export const splitStream = <T, P extends SplitSpec<T>>(stream: DataStream<T>, spec: P): SplitStreams<T, P> => {
  if (typeof spec !== 'object' || spec === null) throw refusal('parts', 'an object of predicates by name', spec);
  const parts = Object.entries<(value: T) => unknown>(spec);
  for (const [name, holds] of parts) {
    callable(`parts.${name}`, holds);
    if (name === 'rest') throw refusal('parts', 'names other than `rest`, which has what no predicate takes', name);
  }
  const told = stream.map((value): Told<T> => {
    for (const [part, holds] of parts) if (isTrue(part, holds(value))) return { part, value };
    return { part: 'rest', value };
  });
  const streams = new Map<string, DataStream<T>>();
  const of = (name: string): DataStream<T> => {
    const made = streams.get(name) ?? told.filter(({ part }) => part === name).map(({ value }) => value);
    streams.set(name, made);
    return made;
  };
  const result = {};
  for (const name of [...parts.map(([part]) => part), 'rest'])
    Object.defineProperty(result, name, { enumerable: true, get: () => of(name) });
  return result as SplitStreams<T, P>; // A getter for each name.
};
