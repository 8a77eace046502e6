/**
 * What a window keeps of its records: a value that they are reduced to, an accumulator, or all of them. A pane is what
 * is kept of one window of one key, under a number that its operator gives it.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import type { AggregateFunction, ReduceFunction } from '../../lib/core/aggregate-function.ts';
import { refuseThenable, StreamError } from '../../lib/core/errors.ts';
import { keyText } from '../../lib/core/key.ts';
import type { OperatorContext } from '../../lib/core/operator.ts';
import { looseCopy } from '../../lib/core/own-copy.ts';
import { givenAway, mapState, unshared, type MapState, type StateDescriptor } from '../../lib/core/state-descriptor.ts';
import { aggregatorOf } from '../aggregate.ts';
import type { TimeWindow } from './contract.ts';

/** Stands for contents of which there are none to call a function with. */
export const noContents = Symbol('no contents');

/** `P` is state, `C` is what the window's function is given. */
export interface Contents<T, P, C> {
  /** How panes are kept (I21). */
  readonly panes: StateDescriptor<MapState<number, P>>;
  add(pane: P | undefined, value: T, id: number, timestamp: Timestamp): P;
  /** `kept`: the pane stays, so what is given is a copy (I21). */
  get(pane: P, id: number, kept: boolean, window: TimeWindow): C | typeof noContents;
  /** Forgets what is kept beside the pane. */
  clear?(pane: P, id: number): void;
  /** Puts what the pane `from` holds behind what `into` does. Who asks clears `from`. */
  merge?(into: P | undefined, intoId: number, from: P, fromId: number): P;
  /** What stays of the pane once the window has fired; undefined when nothing does. @defaultValue all of it */
  fired?(pane: P, id: number, window: TimeWindow): P | undefined;
}

export type MakeContents<T, P, C> = (context: OperatorContext<never>) => Contents<T, P, C>;

const panesOf = <P>(inPlace = false): StateDescriptor<MapState<number, P>> =>
  mapState<number, P>('panes', { indexed: false, inPlace });

/** Records reduced to one. */
export const reducedContents =
  <T>(reduce: ReduceFunction<T>): MakeContents<T, T, T> =>
  ({ uid }) => {
    const combined = (before: T, value: T): T => refuseThenable(reduce(before, value), 'the reducing function', uid);
    return {
      panes: givenAway(panesOf()),
      add: (pane, value) => (pane === undefined ? value : combined(pane, value)),
      get: (pane, _id, kept) => (kept ? looseCopy(pane) : pane),
      merge: (into, _intoId, from) => (into === undefined ? from : combined(into, from)),
    };
  };

/** An accumulator of all records. */
export const aggregatedContents =
  <T, A, R>(aggregate: AggregateFunction<T, A, R>): MakeContents<T, A, R> =>
  ({ uid }) => {
    const { mutable, createAccumulator, add, getResult, merge } = aggregatorOf(aggregate, uid);
    return {
      panes: givenAway(panesOf(mutable)),
      add: (pane, value) => add(value, pane === undefined ? createAccumulator() : pane),
      get: (pane, _id, kept) => getResult(kept ? looseCopy(pane) : pane),
      ...(merge && {
        merge: (into: A | undefined, _intoId: number, from: A) => (into === undefined ? from : merge(into, from)),
      }),
    };
  };

/**
 * Records in a pane's own row before they move to one of their own, so that a large window is not serialised whole for
 * each record.
 */
const tailMax = 32;

export interface ListPane<T> {
  /** Full rows beside the pane. */
  readonly chunks: number;
  readonly tail: readonly T[];
}

const emptyPane: ListPane<never> = { chunks: 0, tail: [] };

/** All records in the order of arrival. They are copied one by one when they come, so a pane is nobody else's. */
export class ListContents<T> implements Contents<T, ListPane<T>, readonly T[]> {
  readonly panes = unshared(panesOf<ListPane<T>>());
  readonly #context: OperatorContext<never>;
  readonly #rows: MapState<string, readonly T[]>;

  constructor(context: OperatorContext<never>) {
    this.#context = context;
    this.#rows = context.state(unshared(mapState<string, readonly T[]>('elements', { indexed: false })));
  }

  add(pane: ListPane<T> | undefined, value: T, id: number): ListPane<T> {
    return this.#append(pane ?? emptyPane, this.#own(value), id);
  }

  get(pane: ListPane<T>, id: number, kept: boolean): readonly T[] {
    const elements = this.elementsOf(pane, id);
    return kept ? looseCopy(elements) : elements;
  }

  clear({ chunks }: ListPane<T>, id: number): void {
    for (let chunk = 0; chunk < chunks; chunk += 1) this.#rows.delete(`${id}/${chunk}`);
  }

  merge(into: ListPane<T> | undefined, intoId: number, from: ListPane<T>, fromId: number): ListPane<T> {
    let pane = into ?? emptyPane;
    for (const element of this.elementsOf(from, fromId)) pane = this.#append(pane, element, intoId);
    return pane;
  }

  /** As they are kept: nobody else may see them. */
  elementsOf({ chunks, tail }: ListPane<T>, id: number): T[] {
    const elements: T[] = [];
    for (let chunk = 0; chunk < chunks; chunk += 1)
      for (const element of this.#rows.get(`${id}/${chunk}`) ?? []) elements.push(element);
    for (const element of tail) elements.push(element);
    return elements;
  }

  /** A pane of these elements in the place of another one. */
  replace(pane: ListPane<T>, id: number, elements: readonly T[]): ListPane<T> | undefined {
    this.clear(pane, id);
    if (elements.length === 0) return undefined;
    return elements.reduce<ListPane<T>>((made, element) => this.#append(made, element, id), emptyPane);
  }

  #append({ chunks, tail }: ListPane<T>, own: T, id: number): ListPane<T> {
    if (tail.length < tailMax) return { chunks, tail: [...tail, own] };
    this.#rows.set(`${id}/${chunks}`, tail);
    return { chunks: chunks + 1, tail: [own] };
  }

  #own(value: T): T {
    try {
      return this.#context.handOver(value);
    } catch (cause) {
      if (!(cause instanceof StreamError)) throw cause;
      const { uid } = this.#context;
      const what = `a record for key ${keyText(this.#context.currentKey())} can not be kept in the windows of \`${uid}\``;
      throw new StreamError('NOT_SERIALISABLE', `${what}: ${cause.message}`, { details: { ...cause.details, uid } });
    }
  }
}
