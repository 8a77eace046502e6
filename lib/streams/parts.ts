/** The parts that a stream is given: what each must be, and a refusal by name of what it is not. */
import type { Observable, OperatorFunction } from 'rxjs';
import type { Operator, Step } from '../core/operator.ts';
import { callable, callableOr, knownOptions, refusal, withMethods } from '../core/options.ts';
import type { OutputTag } from '../core/output-tag.ts';
import type { SideWrites } from '../runtime/edges/side-output-notes.ts';
import type { AggregateFunction } from '../core/aggregate-function.ts';

/** What can be said of RxJS operators in a stream. */
export interface PipeOptions {
  /** They keep nothing that a restart would lose. @defaultValue false: refused where there is a place for state */
  readonly stateless?: boolean | undefined;
}

type PipePart = OperatorFunction<never, unknown> | PipeOptions | undefined;

/** The operators that `pipe` was given as one, and what its options say. */
export const joined = (
  parts: readonly PipePart[],
): { operator: OperatorFunction<never, unknown>; stateless: boolean } => {
  const last = parts.at(-1);
  const hasOptions = parts.length > 1 && typeof last !== 'function';
  const operators = (hasOptions ? parts.slice(0, -1) : parts).map(
    (each) => callable('operator', each as OperatorFunction<never, unknown>), // That is what is looked at.
  );
  const options = hasOptions && last !== undefined ? last : {};
  knownOptions('pipe', options, { stateless: true });
  if (operators.length === 0) throw refusal('operator', 'a function', undefined);
  const { stateless = false } = options;
  return {
    stateless,
    operator: (values$) =>
      // The overloads of `pipe` tie what one gives to what the next takes.
      operators.reduce<Observable<unknown>>((input$, each) => each(input$ as Observable<never>), values$),
  };
};

/** Of an operator whose options name its side outputs. */
export const onlyTo = (...tags: readonly (OutputTag<unknown> | undefined)[]): SideWrites => ({
  tags: tags.flatMap((tag) => (tag === undefined ? [] : [tag.id])),
  others: false,
});

export const tagId = (tag: OutputTag<unknown>): string => {
  if (typeof tag?.id !== 'string') throw refusal('tag', 'an OutputTag', tag);
  return tag.id;
};

export const processFunction = <F>(fn: F): F => callableOr('fn', fn, 'an object with `process`', ['process']);

export const aggregateFunction = <T, A, R>(fn: AggregateFunction<T, A, R>): AggregateFunction<T, A, R> =>
  withMethods('fn', fn, 'an object with `createAccumulator`, `add` and `getResult`', [
    'createAccumulator',
    'add',
    'getResult',
  ]);

export const operatorOrStep = <O extends Operator<never, unknown> | Step<never, unknown>>(operator: O): O => {
  const given: Operator<never, unknown> | Step<never, unknown> = operator;
  const isStep =
    typeof given === 'object' && ['map', 'filter', 'flatMap'].includes(given?.kind) && typeof given.fn === 'function';
  if (typeof given === 'function' || isStep) return operator;
  throw refusal('operator', 'an Operator (a function of its context) or a Step', operator);
};

/** What a stream asks of the options of an operator that makes calls. */
export interface CallsPlace {
  readonly perKey?: boolean | undefined;
  readonly deadLetters?: OutputTag<unknown> | undefined;
}

export const needKeys = ({ isKeyed }: { readonly isKeyed: boolean }, option: string): void => {
  const why = 'the records of this stream have no key, so no call could have the turn of one';
  if (!isKeyed) throw new TypeError(`Expected \`${option}\` to follow \`keyBy\`: ${why}`);
};
