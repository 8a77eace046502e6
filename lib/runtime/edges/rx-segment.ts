/**
 * A user's RxJS operator between two chains. It must emit while it handles a value, or while its input completes:
 * whatever awaits touches no output (I13). With the final watermark its input completes, so that what it still holds
 * comes out in front of that watermark; a stop brings no final watermark, and what is held then is lost, as with every
 * restart: no checkpoint sees it.
 */
import { Subject, type OperatorFunction } from 'rxjs';
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { StreamError } from '../../core/errors.ts';
import { resultWith } from '../../core/options.ts';
import { tooManyValues, valuesMaxDefault } from '../../core/values-bound.ts';
import { DirectObserver } from './direct-observer.ts';
import { operatorFailure } from './operator-failure.ts';
import type { Receiver } from './receiver.ts';

export interface RxSegmentOptions<I, O> {
  readonly uid: string;
  readonly operator: OperatorFunction<I, O>;
  readonly to: Receiver<O>;
  /** Aborted when the job ends: timers that the operator has started end with it. */
  readonly signal: AbortSignal;
  readonly fail: (error: unknown) => void;
}

export const rxSegment = <I, O>({ uid, operator, to, signal, fail }: RxSegmentOptions<I, O>): Receiver<I> => {
  const input = new Subject<I>();
  const outsideTurn = (what: string): StreamError =>
    new StreamError('EMIT_OUTSIDE_TURN', `the RxJS operator of \`${uid}\` ${what}`);
  const output = new Results<O>({
    to,
    refusal: () => outsideTurn('emitted while it handled no value'),
    tooMany: () => tooManyValues(`the RxJS operator of \`${uid}\``, valuesMaxDefault, { uid, hint: fewer }),
    fail: (error) => fail(operatorFailure(uid, error)),
  });
  let watermark = MIN_TIMESTAMP;
  /** Throws in the turn what came through RxJS, which would report it far from its cause. */
  const leave = (): void => {
    output.handling = false;
    if (output.thrown !== undefined) throw operatorFailure(uid, output.thrown.error);
  };
  const complete = (): void => {
    // What was held back until now must not be late for the watermarks that have passed meanwhile.
    if (output.timestamp !== MIN_TIMESTAMP) output.timestamp = Math.max(output.timestamp, watermark + 1);
    output.handling = true;
    output.left = Number.POSITIVE_INFINITY; // What was held is not what one value gives.
    input.complete();
    leave();
    if (!output.completed)
      throw outsideTurn('had not completed when its input had: it waits for something that is no value of its input');
  };
  output.subscribing = true;
  try {
    resultWith('operator', input.pipe(operator), ['subscribe']).subscribe(output);
  } catch (error) {
    throw operatorFailure(uid, error);
  }
  output.subscribing = false;
  leave();
  signal.addEventListener('abort', () => output.unsubscribe(), { once: true });
  return {
    record(value, timestamp) {
      output.handling = true;
      output.timestamp = timestamp;
      output.left = valuesMaxDefault;
      input.next(value);
      leave();
    },
    watermark(timestamp) {
      if (timestamp === MAX_TIMESTAMP) complete();
      watermark = timestamp;
      to.watermark(timestamp);
    },
    status: (idle) => to.status(idle),
  };
};

const fewer =
  'what one value gives leaves at once, and nothing else happens meanwhile: give fewer, or let a source read them';

interface ResultsOptions<O> {
  readonly to: Receiver<O>;
  /** The error of what is emitted while nothing is handled. */
  readonly refusal: () => StreamError;
  readonly tooMany: () => StreamError;
  readonly fail: (error: unknown) => void;
}

/** What comes out. */
class Results<O> extends DirectObserver<O> {
  handling = false;
  subscribing = false;
  completed = false;
  /** That of the value in hand. */
  timestamp: Timestamp = MIN_TIMESTAMP;
  thrown: { readonly error: unknown } | undefined;
  /** Values that may still come of the one in hand. */
  left = 0;
  readonly #options: ResultsOptions<O>;

  constructor(options: ResultsOptions<O>) {
    super();
    this.#options = options;
  }

  protected override onNext(value: O): void {
    const { to, refusal, tooMany } = this.#options;
    if (!this.handling) return this.error(refusal());
    this.left -= 1;
    if (this.left >= 0) return to.record(value, this.timestamp);
    this.error(tooMany());
    this.unsubscribe(); // Else what has no end goes on.
  }

  protected override onError(error: unknown): void {
    if (this.handling || this.subscribing) this.thrown = { error };
    else this.#options.fail(error);
  }

  protected override onComplete(): void {
    this.completed = true;
    this.unsubscribe();
  }
}
