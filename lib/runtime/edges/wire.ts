/**
 * Edges: RxJS between chains, direct calls inside them, and what stands on an edge (keys, unions).
 *
 * RxJS 7 reports what a consumer throws asynchronously and far from its cause. So every consumer here is a
 * `DirectObserver`: what an operator throws comes back to the turn that pushed the record.
 */
import { Observable, type Observer } from 'rxjs';
import type { StreamElement, Timestamp } from '../../core/element.ts';
import { ownKey, type Key } from '../../core/key.ts';
import { looseCopy } from '../../core/own-copy.ts';
import { decode, encode } from '../../core/serde.ts';
import type { KeyContext } from '../../state/key-context.ts';
import type { RecordCounter } from './fusion.ts';
import { DirectObserver } from './direct-observer.ts';
import { operatorFailure } from './operator-failure.ts';
import type { Gate, Receiver } from './receiver.ts';
import type { WatermarkChange } from './watermark-change.ts';
import type { WatermarkMerge } from './watermark-merge.ts';

/**
 * An edge between two chains, with any number of consumers. They subscribe before the chain in front is built, which
 * takes `record`.
 */
export class Wire<T> implements Receiver<T> {
  readonly elements: Observable<StreamElement<T>>;
  /** That of the chain behind the wire when there is just one: its records need no element around them. */
  record: Receiver<T>['record'];
  #consumers: readonly Observer<StreamElement<T>>[] = [];

  constructor() {
    this.elements = new Observable((subscriber) => {
      this.#subscribed([...this.#consumers, subscriber]);
      return () => this.#subscribed(this.#consumers.filter((each) => each !== subscriber));
    });
    this.record = this.#wrapped;
  }

  /** Ends the wire's stream at a chain. */
  to(receiver: Receiver<T>): void {
    this.elements.subscribe(new ElementObserver(receiver));
  }

  watermark(timestamp: Timestamp): void {
    this.#next({ kind: 'watermark', timestamp });
  }

  status(idle: boolean): void {
    this.#next({ kind: 'status', idle });
  }

  #subscribed(consumers: readonly Observer<StreamElement<T>>[]): void {
    this.#consumers = consumers;
    const [first] = consumers;
    this.record = consumers.length === 1 && first instanceof ElementObserver ? first.record : this.#wrapped;
  }

  readonly #wrapped = (value: T, timestamp: Timestamp): void => this.#next({ kind: 'record', value, timestamp });

  /**
   * Of several consumers each but the last gets a copy of a record. A replay would share it in the same order; but what
   * one branch sees of what others do to it would depend on the order in which they were declared, and on which of the
   * edges behind are between processes.
   */
  #next(element: StreamElement<T>): void {
    const consumers = this.#consumers;
    const last = consumers.length - 1;
    for (let at = 0; at < last; at += 1) consumers[at]?.next(copyOf(element));
    consumers[last]?.next(element);
  }
}

const copyOf = <T>(element: StreamElement<T>): StreamElement<T> =>
  element.kind === 'record' ? { ...element, value: looseCopy(element.value) } : element;

class ElementObserver<T> extends DirectObserver<StreamElement<T>> {
  readonly record: Receiver<T>['record'];
  readonly #receiver: Receiver<T>;

  constructor(receiver: Receiver<T>) {
    super();
    this.record = receiver.record;
    this.#receiver = receiver;
  }

  protected override onNext(element: StreamElement<T>): void {
    switch (element.kind) {
      case 'record':
        return this.record(element.value, element.timestamp);
      case 'watermark':
        return this.#receiver.watermark(element.timestamp);
      case 'status':
        return this.#receiver.status(element.idle);
    }
  }
  /** A wire neither fails nor ends. */
  protected override onError(): void {}

  protected override onComplete(): void {}
}

/** A keyed edge: makes the record's key current while the operators behind it work on it (I2). */
export const keyedEdge = <T>(options: {
  /** The operator behind the edge. */
  readonly uid: string;
  readonly keyOf: (value: T) => Key;
  readonly keys: KeyContext;
  readonly to: Receiver<T>;
  /** Of the operator behind the edge. */
  readonly gate: Gate;
  /** Counts the records that pass. */
  readonly counter: RecordCounter;
  /** Encode and decode every record, as an edge between two processes would. */
  readonly serialise: boolean;
}): Receiver<T> => {
  const { uid, keyOf, keys, to, gate, serialise, counter } = options;
  const { record } = to;
  const pass = (value: T, timestamp: Timestamp): void => {
    if (gate.isClosed) gate.finish();
    counter[0] = (counter[0] ?? 0) + 1;
    try {
      const key = keyOf(value);
      keys.enter(typeof key === 'string' ? key : ownKey(key, uid));
      record(value, timestamp);
    } catch (error) {
      throw operatorFailure(uid, error); // The key stays current: the job is over.
    }
    keys.leave();
  };
  return {
    // What decode gives is what encode was given, so it is a T again.
    record: serialise ? (value, timestamp) => pass(decode(encode(value)) as T, timestamp) : pass,
    watermark: (timestamp) => to.watermark(timestamp),
    status: (idle) => to.status(idle),
  };
};

/** An edge that encodes and decodes every record, as one between two processes would. */
export const serialisedEdge = <T>(to: Receiver<T>): Receiver<T> => ({
  record: (value, timestamp) => to.record(decode(encode(value)) as T, timestamp), // A T again, as above.
  watermark: (timestamp) => to.watermark(timestamp),
  status: (idle) => to.status(idle),
});

/** One of several inputs of a node: records pass, watermarks meet in the merge. */
export const mergedInput = <T>(channel: string, merge: WatermarkMerge, to: Receiver<T>): Receiver<T> => {
  merge.add(channel);
  return {
    record: to.record,
    watermark: (timestamp) => forward(merge.watermark(channel, timestamp), to),
    status: (idle) => forward(merge.status(channel, idle), to),
  };
};

/** Passes on what a merge lets out: `active`, then a watermark, then `idle`. */
export const forward = (
  { watermark, idle }: WatermarkChange,
  to: Pick<Receiver<never>, 'watermark' | 'status'>,
): void => {
  if (idle === false) to.status(false);
  if (watermark !== undefined) to.watermark(watermark);
  if (idle === true) to.status(true);
};
