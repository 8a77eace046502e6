/**
 * Durable calls that an action started and nobody has looked at. Such a call runs, has its effect, and its outcome goes
 * nowhere; so an action that ends with one fails. Whether a promise was looked at follows from the action's code alone
 * and not from who was faster, so it is decided alike after a crash (I6). A call that lost a race was looked at: it may
 * be left behind.
 */

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

export class StartedCalls {
  readonly #unseen: Watched[] = [];

  /** Gives the promise itself. */
  watch<R>(id: string, promise: Promise<R>): Promise<R> {
    const call = Object.setPrototypeOf(promise, watched) as Watched & Promise<R>; // `watched` gives it what is missing.
    call[owner] = this;
    call[name] = id;
    this.#unseen.push(call);
    return call;
  }

  /** Most calls are awaited where they are made, so the last one is the one. */
  seen(call: Watched): void {
    if (this.#unseen.at(-1) === call) this.#unseen.pop();
    else this.#unseen.splice(this.#unseen.indexOf(call), 1);
  }

  /**
   * Ids of the calls that nobody has looked at. Their rejection must not end the process as well, so now they count as
   * seen.
   */
  takeUnseen(): readonly string[] {
    const unseen = [...this.#unseen];
    for (const call of unseen) call.catch(() => {});
    return unseen.map((call) => call[name]);
  }
}
