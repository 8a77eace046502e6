/**
 * `keyedConcatMap`: order per key, concurrency between keys. Keeps I1: for one key, processing never overlaps and keeps
 * arrival order.
 *
 * The literal composition keeps a group per key for ever; here a mailbox exists only while its key is busy, so idle
 * keys cost nothing. What takes the source's values is chained to the output as RxJS's own operators chain theirs: an
 * early `take` stops a source or an inner Observable that emits synchronously without end, and the next inner starts
 * after the teardown of the one before.
 */
import {
  EMPTY,
  from,
  Observable,
  type ObservableInput,
  type OperatorFunction,
  type Subscriber,
  type Unsubscribable,
} from 'rxjs';
import { Fifo } from '../lib/core/fifo.ts';
import { harmless } from '../lib/core/listener.ts';
import { DirectObserver } from '../lib/runtime/edges/direct-observer.ts';

export interface KeyedConcatMapOptions {
  /**
   * Called with the number of busy keys when it changes. That it throws is told once, as a warning of the process.
   * @defaultValue none
   */
  readonly onBusyKeys?: ((count: number) => unknown) | undefined;
}

/**
 * Same as `groupBy(keyOf), mergeMap(group => group.pipe(concatMap(value => project(value, group.key))))`: values of one
 * key are projected one after the other, values of different keys at the same time. Keys are compared as a `Map`
 * compares them. A mailbox has no bound of its own: bound what comes in.
 *
 * @example
 * import { delay, from, of } from 'rxjs';
 * from([{ id: 'a', ms: 20 }, { id: 'a', ms: 1 }, { id: 'b', ms: 5 }])
 *   .pipe(keyedConcatMap((job) => job.id, (job) => of(job).pipe(delay(job.ms))))
 *   .subscribe(console.log); // b, then both a in order
 */
export const keyedConcatMap =
  <T, K, R>(
    keyOf: (value: T) => K,
    project: (value: T, key: K) => ObservableInput<R>,
    options: KeyedConcatMapOptions = {},
  ): OperatorFunction<T, R> =>
  (source) =>
    new Observable((out) => {
      const onBusyKeys = options.onBusyKeys && harmless('`onBusyKeys` of `keyedConcatMap`', options.onBusyKeys);
      const mailboxes = new Mailboxes({ keyOf, project, out, onBusyKeys });
      out.add(() => mailboxes.stop());
      source.subscribe(new Arrivals(out, mailboxes));
    });

/** One busy key: the value in work and what waits behind it. */
class Mailbox<T> {
  /** What works on the value; undefined when it ended at once. */
  inner: Unsubscribable | undefined;
  /** Made when something waits: most keys have nothing. */
  #values: Fifo<T> | undefined;
  /**
   * True while the inner of this key is being subscribed: its end is then seen by the loop that subscribes, which needs
   * no recursion.
   */
  subscribing = false;
  /** True when the inner in work has ended. */
  free = false;

  push(value: T): void {
    (this.#values ??= new Fifo()).push(value);
  }

  get isEmpty(): boolean {
    return this.#values === undefined || this.#values.size === 0;
  }

  /** The oldest value. Only while there is one. */
  shift(): T {
    const values = this.#values as Fifo<T>; // somebody waits
    const value = values.shift() as T; // one of them
    if (values.size === 0) this.#values = undefined;
    return value;
  }
}

interface MailboxesOptions<T, K, R> {
  readonly keyOf: (value: T) => K;
  readonly project: (value: T, key: K) => ObservableInput<R>;
  readonly out: Subscriber<R>;
  readonly onBusyKeys: ((count: number) => void) | undefined;
}

class Mailboxes<T, K, R> {
  readonly #options: MailboxesOptions<T, K, R>;
  readonly #busy = new Map<K, Mailbox<T>>();
  #ended = false;

  constructor(options: MailboxesOptions<T, K, R>) {
    this.#options = options;
  }

  arrive(value: T): void {
    const { keyOf, out, onBusyKeys } = this.#options;
    let key: K;
    try {
      key = keyOf(value);
    } catch (error) {
      out.error(error);
      return;
    }
    const known = this.#busy.get(key);
    if (known !== undefined) {
      known.push(value);
      return;
    }
    const mailbox = new Mailbox<T>();
    this.#busy.set(key, mailbox);
    onBusyKeys?.(this.#busy.size);
    this.#work(key, mailbox, value);
  }

  end(): void {
    this.#ended = true;
    if (this.#busy.size === 0) this.#options.out.complete();
  }

  /** Projects `first` and then what waits, until an inner does not end at once. */
  #work(key: K, mailbox: Mailbox<T>, first: T): void {
    const { project, out } = this.#options;
    for (let value = first; ; value = mailbox.shift()) {
      mailbox.free = false;
      mailbox.subscribing = true;
      try {
        const inner = project(value, key);
        // It ends at once and emits nothing, so there is nothing to subscribe to.
        if (inner === EMPTY) mailbox.free = true;
        else this.#subscribe(key, mailbox, inner);
      } catch (error) {
        out.error(error);
      }
      mailbox.subscribing = false;
      if (out.closed || !mailbox.free) return;
      if (mailbox.isEmpty) {
        this.#forget(key);
        return;
      }
    }
  }

  #subscribe(key: K, mailbox: Mailbox<T>, inner: ObservableInput<R>): void {
    const subscriber = new Inner(this, this.#options.out, key, mailbox);
    mailbox.inner = subscriber;
    from(inner).subscribe(subscriber);
  }

  /** An inner has ended and is torn down. */
  ended(inner: Inner<T, K, R>): void {
    inner.mailbox.inner = undefined;
    this.#free(inner.key, inner.mailbox);
  }

  /** The output is closed: nothing that is in work matters any more. */
  stop(): void {
    for (const { inner } of this.#busy.values()) inner?.unsubscribe();
    this.#busy.clear();
  }

  /** The inner in work has ended and is torn down. */
  #free(key: K, mailbox: Mailbox<T>): void {
    if (this.#options.out.closed) return;
    mailbox.free = true;
    if (mailbox.subscribing) return;
    if (mailbox.isEmpty) this.#forget(key);
    else this.#work(key, mailbox, mailbox.shift());
  }

  #forget(key: K): void {
    this.#busy.delete(key);
    this.#options.onBusyKeys?.(this.#busy.size);
    if (this.#ended && this.#busy.size === 0) this.#options.out.complete();
  }
}

/** Takes the source's values. Errors pass to the output as they are. */
class Arrivals<T, R> extends DirectObserver<T> {
  readonly #out: Subscriber<R>;
  readonly #mailboxes: { arrive(value: T): void; end(): void };

  constructor(out: Subscriber<R>, mailboxes: { arrive(value: T): void; end(): void }) {
    super();
    this.#out = out;
    this.#mailboxes = mailboxes;
    out.add(this);
  }

  protected override onNext(value: T): void {
    this.#mailboxes.arrive(value);
  }

  protected override onError(error: unknown): void {
    this.#out.error(error);
    this.unsubscribe();
  }

  protected override onComplete(): void {
    this.#mailboxes.end();
    this.unsubscribe();
  }
}

/** Takes an inner's values. They and errors pass to the output; the end is told after the teardown. */
class Inner<T, K, R> extends DirectObserver<R> {
  readonly key: K;
  readonly mailbox: Mailbox<T>;
  readonly #mailboxes: Mailboxes<T, K, R>;
  readonly #out: Subscriber<R>;
  #completed = false;

  constructor(mailboxes: Mailboxes<T, K, R>, out: Subscriber<R>, key: K, mailbox: Mailbox<T>) {
    super(); // Not chained to the output: that would keep all inners in one list, and take each out of it by a search.
    this.#mailboxes = mailboxes;
    this.#out = out;
    this.key = key;
    this.mailbox = mailbox;
  }

  protected override onNext(value: R): void {
    this.#out.next(value);
  }

  protected override onError(error: unknown): void {
    this.#out.error(error);
    this.unsubscribe();
  }

  protected override onComplete(): void {
    this.#completed = true;
    this.unsubscribe();
  }

  override unsubscribe(): void {
    const { closed } = this;
    super.unsubscribe();
    if (!closed && this.#completed) this.#mailboxes.ended(this);
  }
}
