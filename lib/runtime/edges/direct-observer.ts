/**
 * What takes the values of an Observable where a turn is under way. RxJS 7 wraps a plain observer in a subscriber of
 * its own, which reports what the observer throws later and far from its cause; what is observer and subscription at
 * once it takes as it is, so an error comes back to whoever emitted. Everything of the house that subscribes so is one
 * of these: no other file knows what RxJS makes of an observer, and nothing here overrides what RxJS keeps to itself.
 */
import { Subscription, type Observer } from 'rxjs';

export abstract class DirectObserver<T> extends Subscription implements Observer<T> {
  #over = false;

  protected abstract onNext(value: T): void;

  /** Once; no value comes after it. */
  protected abstract onError(error: unknown): void;

  /** Once; no value comes after it. */
  protected abstract onComplete(): void;

  next(value: T): void {
    if (!this.#over) this.onNext(value);
  }

  error(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.onError(error);
  }

  complete(): void {
    if (this.#over) return;
    this.#over = true;
    this.onComplete();
  }

  /** Nothing is taken any more; then what was added is torn down. */
  override unsubscribe(): void {
    this.#over = true;
    super.unsubscribe();
  }
}
