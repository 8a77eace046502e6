/**
 * Runs turns, one at a time and synchronously (I13): live ones, which are noted in the journal with the time they read,
 * and recorded ones, which see the recorded time again. What a live turn submits starts when the turn is durable (I14).
 */
import type { Clock } from '../../core/clock.ts';
import type { Timestamp } from '../../core/element.ts';
import { invariant } from '../../core/errors.ts';
import { Fifo } from '../../core/fifo.ts';
import type { Journal } from '../journal/journal.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import { moves, type Turn } from '../journal/turn.ts';
import type { WorkItem } from '../work/work-item.ts';
import type { WorkQueue } from '../work/work.ts';

export interface TurnsOptions {
  readonly clock: Clock;
  readonly journal: Journal;
  /** When aborted, no turn runs any more. */
  readonly signal: AbortSignal;
  readonly fail: (error: unknown) => void;
  /** While it says so, turns wait and slices go on. */
  readonly isHeld?: (() => boolean) | undefined;
  /** Sees every live turn. */
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}

/** What became of a live turn. One that waits runs behind those before it; `failed`: the job is over. */
export type TurnOutcome = 'ran' | 'waits' | 'failed';

interface WaitingTurn {
  readonly body: () => void;
  readonly turn: Turn | (() => Turn);
  readonly now: Timestamp | undefined;
}

export class Turns {
  readonly #options: TurnsOptions;
  readonly #waiting = new Fifo<WaitingTurn>();
  #running = false;
  #time: Timestamp | undefined;
  #submitted: { readonly queue: WorkQueue; readonly item: WorkItem }[] = [];
  #longestMs = 0;
  #moves = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Live turns so far that brought something: a tick and a start bring nothing new. */
  get moves(): number {
    return this.#moves;
  }

  /** The longest turn so far, in milliseconds. */
  get longestMs(): number {
    return this.#longestMs;
  }

  /** The time of the turn in hand: read once, and recorded with it. */
  now(): Timestamp {
    this.#time ??= this.#options.clock.now();
    return this.#time;
  }

  /** Lines up an item that the turn in hand submits. */
  submitted(queue: WorkQueue, item: WorkItem): void {
    this.#submitted.push({ queue, item });
  }

  /** Whether a turn would wait: one before it is not finished, or waits itself. */
  get isHeld(): boolean {
    return this.#options.isHeld?.() === true || this.#waiting.size > 0;
  }

  /**
   * Runs a live turn, at `now` if it is given, or when it is no longer held. A function `turn` is asked after
   * `body`. What must follow its effect looks at the outcome, or goes through `Slices.turn`.
   */
  run(body: () => void, turn: Turn | (() => Turn), now?: Timestamp): TurnOutcome {
    const { signal } = this.#options;
    if (!this.isHeld) return this.#live(body, turn, now) ? 'ran' : 'failed';
    if (signal.aborted) return 'failed';
    this.#waiting.push({ body, turn, now });
    return 'waits';
  }

  /** Goes on with what holds the others. */
  slice(body: () => void, turn: () => Turn): boolean {
    return this.#live(body, turn, undefined);
  }

  /** Runs the first turn that waits. */
  runWaiting(): boolean {
    const waiting = this.#waiting.shift();
    return waiting === undefined || this.#live(waiting.body, waiting.turn, waiting.now);
  }

  /**
   * Runs a recorded turn again, or a part of it, at its recorded time. What it submits is started when replay is over.
   */
  replay(now: Timestamp | undefined, body: () => void): void {
    this.#run(now, body);
  }

  #live(body: () => void, turn: Turn | (() => Turn), now: Timestamp | undefined): boolean {
    const { clock, journal, signal, fail, onTurn } = this.#options;
    if (signal.aborted) return false;
    const start = clock.elapsed();
    try {
      this.#run(now, body);
    } catch (error) {
      fail(error);
      return false;
    }
    const made = typeof turn === 'function' ? turn() : turn;
    if (moves(made)) this.#moves += 1;
    const marked = this.#marked(made);
    journal.note(marked);
    try {
      onTurn?.(marked);
    } catch (error) {
      fail(error);
      return false;
    }
    this.#startSubmitted();
    this.#longestMs = Math.max(this.#longestMs, clock.elapsed() - start);
    return true;
  }

  /** A turn with the time that it has read and what it has submitted. */
  #marked(made: Turn): Turn {
    const now = this.#time;
    const timed = now === undefined ? made : { ...made, now };
    if (this.#submitted.length === 0 || !this.#options.journal.keeps) return timed;
    const marked = { ...timed, submitted: this.#submitted.map(({ item }) => item.fingerprint) };
    return marked;
  }

  /** What replayed turns have submitted since this was asked last. */
  takeSubmitted(): readonly WorkItem[] {
    const submitted = this.#submitted.map(({ item }) => item);
    this.#submitted = [];
    return submitted;
  }

  #run(now: Timestamp | undefined, body: () => void): void {
    invariant(!this.#running, 'I13: turns are never nested');
    this.#running = true;
    this.#time = now;
    try {
      body();
    } catch (error) {
      throw operatorFailure(undefined, error);
    } finally {
      this.#running = false;
    }
  }

  #startSubmitted(): void {
    if (this.#submitted.length === 0) return;
    const submitted = this.#submitted;
    this.#submitted = [];
    this.#options.journal.flush(() => {
      for (const { queue, item } of submitted) queue.start(item);
    });
  }
}
