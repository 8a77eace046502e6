/**
 * The task loop: pulls sources and pushes their records in turns. Among splits that have records it takes the one with the lowest
 * watermark; while any bounded place is full it pulls nothing (I10). A turn is never nested and never awaited (I13).
 */
import { sleep, type Clock } from '../../core/clock.ts';
import type { Places } from '../edges/places.ts';
import type { SourceHost, Split } from '../hosts/source-host.ts';
import { markOfPosition, type RecordedInput, type Turn } from '../journal/turn.ts';

export interface TaskLoopOptions {
  readonly clock: Clock;
  readonly sources: readonly SourceHost<unknown>[];
  readonly places: Places;
  readonly signal: AbortSignal;
  /** Runs a live turn; false when it failed and the job is over. `turn` is asked after `body` has run. */
  readonly turn: (body: () => void, turn: () => Turn) => boolean;
  /** True while work is open anywhere: the end of input waits for it. */
  readonly workOpen: () => boolean;
  /** Called between turns, now and then. */
  readonly between: () => void;
  /** An accepted record that can't be replayed is acknowledged when it is durable. */
  readonly whenDurable: (then: () => void) => void;
  readonly fail: (error: unknown) => void;
}

/** Records of one turn at most, and how long the loop keeps the event loop, in milliseconds. */
const turnRecordsMax = 512;
const sliceMs = 4;

export class TaskLoop {
  readonly #options: TaskLoopOptions;
  readonly #ends = new Set<Split<unknown>>();
  #stopped = false;
  #wake: (() => void) | undefined;

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

  /** Resolves with true when all input has ended and all work is done, with false when the loop was stopped. */
  async run(): Promise<boolean> {
    const { clock, places, sources, workOpen, between } = this.#options;
    let sliceStart = clock.elapsed();
    while (!this.#stopped) {
      this.#read();
      const next = places.full ? undefined : this.#next();
      if (next === undefined) {
        if (sources.every(({ ended }) => ended) && !workOpen()) return true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        sliceStart = Math.max(sliceStart, clock.elapsed() - sliceMs / 2);
      } else if (!this.#step(next.host, next.split)) return false;
      between();
      if (clock.elapsed() - sliceStart > sliceMs) {
        await new Promise<void>((resolve) => clock.defer(resolve));
        sliceStart = clock.elapsed();
      }
    }
    return false;
  }

  #step(host: SourceHost<unknown>, split: Split<unknown>): boolean {
    const { turn } = this.#options;
    const facts = { source: host.number, split: split.name };
    if (this.#ends.delete(split)) {
      return turn(
        () => host.end(split),
        () => ({ kind: 'end', ...facts }),
      );
    }
    if (!host.source.replayable) return this.#accept(host, split);
    let count = 0;
    return turn(
      () => (count = host.push(split, turnRecordsMax)),
      () => ({ kind: 'records', ...facts, count, ...markOfPosition(split.position) }),
    );
  }

  /** Takes records that can't be read again: they are journaled with the turn. */
  #accept(host: SourceHost<unknown>, split: Split<unknown>): boolean {
    const { batch } = split;
    if (batch === undefined) return true;
    const input: RecordedInput = {
      values: batch.values,
      timestamps: batch.timestamps,
      sides: batch.sides === undefined ? undefined : [...batch.sides],
      position: batch.position(batch.values.length),
    };
    const done = this.#options.turn(
      () => host.pushRecorded(split, input),
      () => ({ kind: 'input', source: host.number, split: split.name, input }),
    );
    this.#options.whenDurable(() => {
      split.reader?.committed?.(input.position).catch((error: unknown) => this.#options.fail(error));
    });
    return done;
  }

  /** The split to push from next: one that has ended, or the one with the lowest watermark. */
  #next(): { readonly host: SourceHost<unknown>; readonly split: Split<unknown> } | undefined {
    let found: { readonly host: SourceHost<unknown>; readonly split: Split<unknown> } | undefined;
    for (const host of this.#options.sources) {
      for (const split of host.splits.values()) {
        if (this.#ends.has(split)) return { host, split };
        if (!split.hasRecords) continue;
        if (found === undefined || split.generator.current < found.split.generator.current) found = { host, split };
      }
    }
    return found;
  }

  /** Opens a read for each split that has nothing in hand. */
  #read(): void {
    for (const host of this.#options.sources) {
      for (const split of host.splits.values()) {
        if (split.reading || split.ended || split.hasRecords || this.#ends.has(split) || split.reader === undefined) continue;
        split.reading = true;
        split.reader.read(this.#options.signal).then(
          (batch) => {
            split.reading = false;
            split.batch = batch;
            split.cursor = 0;
            if (batch === undefined) this.#ends.add(split);
            this.wake();
          },
          (error: unknown) => {
            split.reading = false;
            if (!this.#options.signal.aborted && !this.#stopped) this.#options.fail(error);
          },
        );
      }
    }
  }
}

/** Runs `tick` at least every `intervalMs`, and earlier when `nextMs` says so, until aborted. */
export const tickEvery = async (options: {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly nextMs: () => number;
  readonly tick: () => void;
}): Promise<void> => {
  const { clock, intervalMs, signal, nextMs, tick } = options;
  while (!signal.aborted) {
    await sleep(clock, Math.max(1, Math.min(intervalMs, nextMs())), signal).catch(() => {}); // Aborted: the condition sees it.
    if (!signal.aborted) tick();
  }
};
