/**
 * The task loop: pulls sources and pushes their records in turns. Among splits that have records it takes the one with
 * the lowest watermark; while any bounded place is full it pulls nothing (I10). A turn is never nested and never
 * awaited (I13), and neither turns nor sources that answer at once keep the event loop for long (I20). Records that
 * can't be read again are accepted: journaled first, and handed over when they are durable, so that whatever a turn
 * does to them they are there (I22).
 */
import type { Clock } from '../../core/clock.ts';
import type { SourceBatch } from '../../core/connector.ts';
import type { Places } from '../edges/places.ts';
import type { PushOptions, SourceHost } from '../hosts/source-host.ts';
import type { Split } from '../hosts/split.ts';
import { markOfPosition, type Turn } from '../journal/turn.ts';
import type { Slices } from './slices.ts';
import { TurnSize } from './turn-size.ts';

export interface TaskLoopOptions {
  readonly clock: Clock;
  readonly sources: readonly SourceHost<unknown>[];
  readonly places: Places;
  readonly signal: AbortSignal;
  /** Runs a live turn; false when it failed and the job is over. `turn` is asked after `body` has run. */
  readonly turn: (body: () => void, turn: () => Turn) => boolean;
  /** What turns have left for later. */
  readonly slices: Pick<Slices, 'isOpen' | 'step'>;
  /** True while work is open anywhere: the end of input waits for it. */
  readonly workOpen: () => boolean;
  /** Called between turns, now and then. */
  readonly between: () => void;
  /** Whether anything is journaled. If not, what was accepted is acknowledged when it was handed over. */
  readonly journals: boolean;
  readonly whenDurable: (then: () => void) => void;
  readonly fail: (error: unknown) => void;
}

interface Ready {
  readonly host: SourceHost<unknown>;
  readonly split: Split<unknown>;
}

/** How long the loop keeps the event loop, in milliseconds. */
const sliceMs = 4;

export class TaskLoop {
  readonly #options: TaskLoopOptions;
  readonly #size = new TurnSize(sliceMs);
  #stopped = false;
  /** Hands over what can't be read again, and takes nothing else. */
  #draining = false;
  #wake: (() => void) | undefined;
  #sliceStart = 0;
  #turnStart = 0;
  readonly #push: PushOptions = { mayGoOn: () => this.#options.clock.elapsed() - this.#turnStart < sliceMs };

  constructor(options: TaskLoopOptions) {
    this.#options = options;
    options.places.onRoom(() => this.wake());
  }

  /** Looks again whether there is something to do. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /** Ends `run` after the present turn, without the end of input. */
  stop(): void {
    this.#stopped = true;
    this.wake();
  }

  /**
   * Ends `run` when what has come and can't be read again is handed over and all work is done: for a job that keeps
   * nothing, of which it would be lost (I22). Without the end of input.
   */
  drain(): void {
    this.#draining = true;
    for (const { splits } of this.#sources) for (const split of splits.values()) split.endInput();
    this.wake();
  }

  /** What is read from and handed over. */
  get #sources(): readonly SourceHost<unknown>[] {
    const { sources } = this.#options;
    return this.#draining ? sources.filter(({ source }) => !source.replayable) : sources;
  }

  /** Nothing comes any more. */
  get #isDone(): boolean {
    if (!this.#draining) return this.#options.sources.every(({ ended }) => ended);
    return this.#sources.every(({ splits }) => [...splits.values()].every(({ isEmptied }) => isEmptied));
  }

  /** Whether sources are asked at all. */
  get asks(): boolean {
    return !this.#stopped && !this.#options.places.full;
  }

  /** Resolves with true when all input has ended and all work is done, with false when the loop was stopped. */
  async run(): Promise<boolean> {
    const atEnd = await this.#run();
    // After a failure they come again, since the state begins anew.
    if (!this.#options.journals && !this.#options.signal.aborted) this.#acknowledgeAll();
    return atEnd && !this.#draining;
  }

  /** What turns have finished with is not what is left when the job is over. */
  #acknowledgeAll(): void {
    for (const { source, splits } of this.#options.sources) {
      if (source.replayable) continue;
      for (const split of splits.values()) if (split.inHand > 0) this.#acknowledge(split, split.position);
    }
  }

  async #run(): Promise<boolean> {
    const { clock, places, slices, workOpen, between } = this.#options;
    this.#sliceStart = clock.elapsed();
    while (!this.#stopped || slices.isOpen) {
      if (!this.#stopped) this.#read();
      const next = places.full ? undefined : this.#next();
      if (slices.isOpen) {
        if (!slices.step()) return false;
      } else if (next === undefined) {
        if (this.#isDone && !workOpen()) return true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else if (!this.#step(next)) return false;
      between();
      // Who wakes the loop in a microtask, such as a source that answers at once, does not give the event loop back.
      if (clock.elapsed() - this.#sliceStart > sliceMs) {
        await new Promise<void>((resolve) => clock.defer(resolve));
        this.#sliceStart = clock.elapsed();
      }
    }
    return false;
  }

  #step({ host, split }: Ready): boolean {
    const { turn, clock } = this.#options;
    const facts = { source: host.number, split: split.name };
    if (split.isDrained) {
      return turn(
        () => host.end(split),
        () => ({ kind: 'end', ...facts }),
      );
    }
    const start = clock.elapsed();
    this.#turnStart = start;
    let count = 0;
    const done = turn(
      () => (count = host.push(split, this.#size.records, this.#push)),
      () => ({ kind: 'records', ...facts, count, ...markOfPosition(split.position) }),
    );
    this.#size.took(count, clock.elapsed() - start);
    const handedOver = !this.#options.journals && !host.source.replayable && !split.hasRecords;
    if (done && handedOver) this.#acknowledge(split, split.position);
    return done;
  }

  /** Takes records that can't be read again: they are handed over when they are durable. */
  #accept(host: SourceHost<unknown>, split: Split<unknown>, batch: SourceBatch<unknown>): void {
    const { turn, whenDurable } = this.#options;
    const input = host.acceptable(split, batch);
    const accepted = turn(
      () => split.accept(input),
      () => ({ kind: 'input', source: host.number, split: split.name, input }),
    );
    if (!accepted) return;
    whenDurable(() => {
      split.release();
      this.#acknowledge(split, input.position);
      this.wake();
    });
  }

  #acknowledge(split: Split<unknown>, position: unknown): void {
    split.committed(position).catch((error: unknown) => this.#options.fail(error));
  }

  /** The split to push from next: one whose end was read, or the one with the lowest watermark. */
  #next(): Ready | undefined {
    let found: Ready | undefined;
    for (const host of this.#sources) {
      for (const split of host.splits.values()) {
        if (split.isDrained && !this.#draining) return { host, split };
        if (!split.hasRecords) continue;
        if (found === undefined || split.generator.current < found.split.generator.current) found = { host, split };
      }
    }
    return found;
  }

  /** Opens a read for each split that has nothing in hand. */
  #read(): void {
    const { signal, fail } = this.#options;
    for (const host of this.#sources) {
      for (const split of host.splits.values()) {
        if (!split.wantsRead) continue;
        split
          .read(signal)
          .then((batch) => {
            if (batch !== undefined) this.#took(host, split, batch);
            this.wake();
          })
          .catch((error: unknown) => {
            if (!signal.aborted && !this.#stopped) fail(error);
          });
      }
    }
  }

  #took(host: SourceHost<unknown>, split: Split<unknown>, batch: SourceBatch<unknown>): void {
    host.noteDropped();
    if (host.source.replayable || !this.#options.journals) split.take(batch);
    else if (batch.values.length > 0) this.#accept(host, split, batch);
  }
}
