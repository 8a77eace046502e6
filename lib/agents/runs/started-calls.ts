/**
 * Durable calls that an action started: those whose function runs, and those that nobody has looked at. One of these
 * runs, has its effect, and its outcome goes nowhere; so an action that ends with one fails. Whether a promise was
 * looked at follows from the action's code alone and not from who was faster, so it is decided alike after a crash
 * (I6). A call that lost a race was looked at: it may be left behind.
 */
import type { DurableBody } from './durable-body.ts';

const owner = Symbol('owner');
const name = Symbol('name');

/** A promise of a durable call, while nobody has looked at it. */
interface Watched extends Promise<unknown> {
  [owner]: StartedCalls | undefined;
  [name]: string;
}

/**
 * `await`, `then`, `catch`, `finally`, `Promise.all` and `Promise.race` all read the `constructor` of a promise, by the
 * language's definition, and `await` does nothing else that could be seen. Giving them `Promise` keeps the order of
 * promise jobs as it is; a subclass would add two jobs and a promise to each call.
 */
const watched: object = Object.create(Promise.prototype, {
  constructor: {
    get(this: Watched): PromiseConstructor {
      const calls = this[owner];
      if (calls !== undefined) {
        this[owner] = undefined;
        calls.seen(this);
      }
      return Promise;
    },
  },
}) as object;

const none: readonly string[] = [];

export class StartedCalls {
  // The lists are made with their first member: most actions have one call at a time.
  #unseen: Watched[] | undefined;
  /** Those whose function was started and may be running. */
  #bodies: DurableBody[] | undefined;
  /** How many of them there may be before those that have ended are forgotten. */
  #bodiesMax = 16;

  /** The function of a call is about to run. */
  began(body: DurableBody): void {
    if (this.#bodies === undefined) {
      this.#bodies = [body];
      return;
    }
    if (this.#bodies.length >= this.#bodiesMax) {
      this.#bodies = this.running();
      this.#bodiesMax = Math.max(this.#bodiesMax, 2 * this.#bodies.length);
    }
    this.#bodies.push(body);
  }

  /** Those whose function has not ended. */
  running(): DurableBody[] {
    return this.#bodies?.filter(({ call }) => call.isOpen) ?? [];
  }

  /** Gives the promise itself. */
  watch<R>(id: string, promise: Promise<R>): Promise<R> {
    const call = Object.setPrototypeOf(promise, watched) as Watched & Promise<R>; // `watched` gives it what is missing.
    call[owner] = this;
    call[name] = id;
    if (this.#unseen === undefined) this.#unseen = [call];
    else this.#unseen.push(call);
    return call;
  }

  /** Most calls are awaited where they are made, so the last one is the one. */
  seen(call: Watched): void {
    const unseen = this.#unseen ?? [];
    if (unseen.at(-1) === call) unseen.pop();
    else unseen.splice(unseen.indexOf(call), 1);
    if (unseen.length === 0) this.#unseen = undefined;
  }

  /**
   * Ids of the calls that nobody has looked at. Their rejection must not end the process as well, so now they count as
   * seen.
   */
  takeUnseen(): readonly string[] {
    if (this.#unseen === undefined) return none;
    const unseen = [...this.#unseen];
    for (const call of unseen) call.catch(() => {});
    return unseen.map((call) => call[name]);
  }
}
