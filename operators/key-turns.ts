/**
 * One item of a key at a time, in the order in which they come: `arrivals.pipe(keyedConcatMap(key => key, ...))`. Keeps
 * I1 and I10.
 *
 * What waits stands in keyed state and nowhere else: what arrives at the mailbox of a key is a token, which says that
 * something waits there, and the mailbox says when the key is free for it. An item that ends at once on a free key
 * needs no mailbox.
 */
import { EMPTY, Observable, Subject, type Subscriber } from 'rxjs';
import { invariant } from '../lib/core/errors.ts';
import { mapKeyOf, type MapKey } from '../lib/core/key.ts';
import type { OperatorContext, Place } from '../lib/core/operator.ts';
import { listState, unshared, type ListState, type ValueState } from '../lib/core/state-descriptor.ts';
import { keyedConcatMap } from './keyed-concat-map.ts';

export interface KeyTurnsOptions<T> {
  /** Name of the state that holds what waits: items that nobody else holds. */
  readonly name: string;
  /** Begins an item under its key. False when it has ended already; of another, the end is told by `ended`. */
  readonly begin: (item: T) => boolean;
  /** Items of all keys that may wait before sources are not pulled. @defaultValue no bound of its own */
  readonly waitingMax?: number | undefined;
  /** Items of one key that may wait before sources are not pulled. @defaultValue no bound of its own */
  readonly waitingPerKeyMax?: number | undefined;
}

export class KeyTurns<T> {
  readonly #context: Pick<OperatorContext<never>, 'currentKey'>;
  readonly #begin: KeyTurnsOptions<T>['begin'];
  readonly #waiting: ListState<T>;
  readonly #waitingPlace: Place | undefined;
  readonly #perKeyMax: number;
  /** Full while that many wait for any key. */
  readonly #fullKeys: Place | undefined;
  readonly #arrivals = new Subject<MapKey>();
  /** Mailboxes of keys whose item is open. */
  readonly #open = new Map<MapKey, Subscriber<never>>();
  /** The key that is being taken by an item that has begun. */
  #taken: MapKey = '';
  #taking = false;
  #failure: { readonly error: unknown } | undefined;
  /** An item that is open: nothing comes out of it but its end. */
  readonly #item = new Observable<never>((mailbox) => void this.#open.set(this.#taken, mailbox));

  constructor(
    context: OperatorContext<never>,
    { name, begin, waitingMax, waitingPerKeyMax = Number.POSITIVE_INFINITY }: KeyTurnsOptions<T>,
  ) {
    this.#context = context;
    this.#begin = begin;
    this.#waiting = context.state(unshared(listState<T>(name)));
    this.#waitingPlace = waitingMax === undefined ? undefined : context.place({ name, max: waitingMax });
    this.#perKeyMax = waitingPerKeyMax;
    this.#fullKeys =
      waitingPerKeyMax === Number.POSITIVE_INFINITY ? undefined : context.place({ name: `full-${name}`, max: 1 });
    this.#arrivals
      .pipe(
        keyedConcatMap(
          (key: MapKey) => key,
          (key: MapKey) => this.#turnOf(key),
        ),
      )
      .subscribe();
  }

  /** Whether an item of the current key is open. */
  get busy(): boolean {
    return this.#open.has(this.#key);
  }

  /**
   * Begins an item of the current key, or lines it up behind the one that is open. `isBusy`: for who has asked already.
   */
  arrive(item: T, isBusy = this.busy): void {
    if (!isBusy) {
      if (this.#begin(item)) this.#take();
      return;
    }
    this.#waiting.add(item);
    this.#waitingPlace?.add(1);
    if (this.#waiting.size === this.#perKeyMax) this.#fullKeys?.add(1);
    this.#arrivals.next(this.#key);
  }

  /**
   * The open item of the current key has ended: those that wait begin, up to one that stays open. Throws what beginning
   * one throws.
   */
  ended(): void {
    const key = this.#key;
    const mailbox = this.#open.get(key);
    invariant(mailbox !== undefined, 'I1: an item that ends is open');
    this.#open.delete(key);
    mailbox.complete();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /**
   * After a restart, in `open`: keys that hold something in `busy` have an open item, for which `resume` is called.
   * Gives how many items are open or wait.
   */
  async open(busy: Pick<ValueState<unknown>, 'forEachKey'>, resume?: () => void): Promise<number> {
    let count = 0;
    await busy.forEachKey(() => {
      resume?.();
      this.#take();
      count += 1;
    });
    await this.#waiting.forEachKey(() => {
      const { size } = this.#waiting;
      for (let i = 0; i < size; i += 1) this.#arrivals.next(this.#key);
      this.#waitingPlace?.add(size);
      if (size >= this.#perKeyMax) this.#fullKeys?.add(1);
      count += size;
    });
    return count;
  }

  close(): void {
    this.#arrivals.complete();
  }

  get #key(): MapKey {
    return mapKeyOf(this.#context.currentKey());
  }

  /** The current key has an open item from now on. */
  #take(): void {
    this.#taking = true;
    this.#arrivals.next(this.#key);
    this.#taking = false;
  }

  /** What the mailbox of a free key works on next. */
  #turnOf(key: MapKey): Observable<never> {
    this.#taken = key;
    if (this.#taking) return this.#item;
    try {
      return this.#failure === undefined && this.#begin(this.#shift()) ? this.#item : EMPTY;
    } catch (error) {
      this.#failure ??= { error }; // Thrown when the mailbox has returned, not through RxJS.
      return EMPTY;
    }
  }

  #shift(): T {
    if (this.#waiting.size === this.#perKeyMax) this.#fullKeys?.add(-1);
    const item = this.#waiting.shift();
    invariant(item !== undefined, 'I1: something waits for each token');
    this.#waitingPlace?.add(-1);
    return item;
  }
}
