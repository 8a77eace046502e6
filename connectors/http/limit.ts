/** The bounds of one request: its time, its caller's signal, and how much of an answer is read (I10). */
import { ChildAbort } from '../../lib/core/attempt.ts';
import { systemClock, type Cancel } from '../../lib/core/clock.ts';

/** Ends a request with its time or with its caller, whichever comes first. */
export class RequestLimit {
  readonly #abort: ChildAbort;
  readonly #timeoutMs: number;
  #cancel: Cancel = () => {};
  readonly #over: Promise<never>;
  /** Whether the time has passed. */
  passed = false;

  constructor(parent: AbortSignal, timeoutMs: number) {
    this.#abort = new ChildAbort(parent);
    this.#timeoutMs = timeoutMs;
    this.renew();
    this.#over = new Promise((_resolve, reject) => {
      const { signal } = this;
      if (signal.aborted) reject(signal.reason);
      else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.#over.catch(() => {}); // It may end when nobody waits.
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What `promise` comes to, or a rejection when the limit is reached first; `late` takes what comes after that. */
  race<T>(promise: Promise<T>, late: (value: T) => void = () => {}): Promise<T> {
    promise.then(
      (value) => (this.signal.aborted ? late(value) : undefined),
      () => {},
    );
    return Promise.race([promise, this.#over]);
  }

  /** The time begins anew. */
  renew(): void {
    this.#cancel();
    this.#cancel = systemClock.setTimer(this.#timeoutMs, () => {
      this.passed = true;
      this.#abort.abort(new Error('the time of the request has passed'));
    });
  }

  /** No time passes until it is renewed. */
  pause(): void {
    this.#cancel();
  }

  end(): void {
    this.#cancel();
    this.#abort.letGo();
  }
}

/**
 * Reads the body of an answer up to `bytesMax`, counted as it comes and after it was unpacked. Resolves with whether
 * that was all of it; of a longer one the rest is not fetched. What was read stays in `chunks` when the connection
 * breaks.
 */
export const readInto = async (
  chunks: Uint8Array[],
  response: Response,
  limit: RequestLimit,
  bytesMax: number,
): Promise<boolean> => {
  const reader = response.body?.getReader();
  if (reader === undefined) return true;
  let rest = bytesMax;
  try {
    for (;;) {
      const { done, value } = await limit.race(reader.read());
      if (done) return true;
      if (value.byteLength > rest) {
        chunks.push(value.subarray(0, rest));
        return false;
      }
      chunks.push(value);
      rest -= value.byteLength;
    }
  } finally {
    void reader.cancel().catch(() => {}); // Of a body that has ended it does nothing.
  }
};
