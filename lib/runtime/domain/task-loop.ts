/**
 * The task loop: pulls sources and pushes their records in turns. Among splits that have records it takes the one with
 * the lowest watermark; while any bounded place is full it pulls nothing (I10). A turn is never nested and never
 * awaited (I13), and neither turns nor sources that answer at once keep the event loop for long (I20). Records that
 * can't be read again are accepted: journaled first, and handed over when they are durable, so that whatever a turn
 * does to them they are there (I22).
 */
import type { Clock } from '../../core/clock.ts';
import type { SourceBatch } from '../../core/connector.ts';
import { invariant } from '../../core/errors.ts';
import { LoopSlice } from '../../core/slice.ts';
import type { Places } from '../edges/places.ts';
import type { Pushed, PushOptions, SourceHost } from '../hosts/source-host.ts';
import type { Split } from '../hosts/split.ts';
import { markOfPosition, type Turn } from '../journal/turn.ts';
import { Alignment } from './alignment.ts';
import { ReadySplits, type HostedSplit } from './ready-splits.ts';
import type { Slices } from './slices.ts';
import { TurnSize } from './turn-size.ts';
import type { TurnOutcome } from './turns.ts';

export interface TaskLoopOptions {
  readonly clock: Clock;
  readonly sources: readonly SourceHost<unknown>[];
  readonly places: Places;
  readonly signal: AbortSignal;
  /** Runs a live turn. `turn` is asked after `body` has run. */
  readonly turn: (body: () => void, turn: () => Turn) => TurnOutcome;
  /** What turns have left for later. */
  readonly slices: Pick<Slices, 'isOpen' | 'step'>;
  /** True while work is open anywhere, or timers of the clock: the end of input waits for it. */
  readonly workOpen: () => boolean;
  /** Called between turns, now and then. */
  readonly between: () => void;
  /** Whether anything is journaled. If not, what was accepted is acknowledged when it was handed over. */
  readonly journals: boolean;
  readonly whenDurable: (then: () => void) => void;
  readonly fail: (error: unknown) => void;
}

/** Splits that are read between two turns at most. */
const readsMax = 64;

/** How long a turn may take, in milliseconds. Each has costs of its own, so it is longer than a slice. */
const turnMs = 4;

/** Records that are accepted in one turn at most: each is copied and journaled. */
const acceptMax = 256;

/** Of one split are no more accepted while so many wait to be handed over, since a checkpoint holds those. */
const acceptedMax = 1024;

export class TaskLoop {
  readonly #options: TaskLoopOptions;
  readonly #size = new TurnSize(turnMs);
  #stopped = false;
  /** Hands over what can't be read again, and takes nothing else. */
  #draining = false;
  #wake: (() => void) | undefined;
  /** Something has woken it since it looked: a source that it asks may end the job, before the loop waits. */
  #isWoken = false;
  readonly #ready = new ReadySplits();
  #turnStart = 0;
  readonly #alignment: Alignment;
  /** The split that is pushed from. */
  #pushed: HostedSplit | undefined;
  readonly #push: PushOptions = {
    mayGoOn: () => this.#options.clock.elapsed() - this.#turnStart < turnMs && !this.#isTooFar(this.#pushed),
  };

  constructor(options: TaskLoopOptions) {
    this.#options = options;
    this.#alignment = new Alignment(options.sources);
    options.places.onRoom(() => this.wake());
  }

  /** Looks again whether there is something to do. */
  wake(): void {
    this.#isWoken = true;
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
    const { clock, slices, workOpen, between, sources } = this.#options;
    for (const host of sources) for (const split of host.splits.values()) this.#ready.add({ host, split });
    const slice = new LoopSlice(clock);
    while (!this.#stopped || slices.isOpen) {
      this.#isWoken = false;
      if (!this.#stopped) this.#read();
      if (slices.isOpen) {
        if (!slices.step()) return false;
      } else {
        const accepted = !this.#stopped && this.#acceptNext(acceptedMax);
        const next = this.#next();
        if (next !== undefined) {
          const done = this.#step(next);
          this.#ready.look(next.split);
          if (!done) return false;
        } else if (this.#isDone && !workOpen()) return true;
        else if (!this.#ready.wantRead && !accepted && !this.#isWoken) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
      between();
      // Who wakes the loop in a microtask, such as a source that answers at once, does not give the event loop back.
      if (slice.isOver) await slice.giveBack();
    }
    // What a read has brought is kept, though nothing is handed over any more.
    for (const { splits } of sources) for (const split of splits.values()) this.#ready.look(split);
    while (!this.#options.signal.aborted) {
      if (slices.isOpen) {
        if (!slices.step()) return false;
      } else if (!this.#acceptNext()) return false;
      if (slice.isOver) await slice.giveBack();
    }
    return false;
  }

  /** Runs a turn that what follows counts on: nothing is left of one before it. False when it failed. */
  #turn(body: () => void, turn: () => Turn): boolean {
    const outcome = this.#options.turn(body, turn);
    invariant(outcome !== 'waits', 'I22: what is taken as accepted or handed over is');
    return outcome === 'ran';
  }

  #step(next: HostedSplit): boolean {
    const { host, split } = next;
    const { clock } = this.#options;
    this.#pushed = next;
    const facts = { source: host.number, split: split.name };
    if (split.isDrained) {
      return this.#turn(
        () => host.end(split),
        () => ({ kind: 'end', ...facts }),
      );
    }
    const start = clock.elapsed();
    this.#turnStart = start;
    let pushed: Pushed = { count: 0 };
    const done = this.#turn(
      () => (pushed = host.push(split, this.#size.records, this.#push)),
      () => ({ kind: 'records', ...facts, ...pushed, ...markOfPosition(split.position) }),
    );
    this.#size.took(pushed.count, clock.elapsed() - start);
    const handedOver = !this.#options.journals && !host.source.replayable && !split.hasRecords;
    if (done && handedOver) this.#acknowledge(split, split.position);
    return done;
  }

  /**
   * Takes the next of the records that can't be read again: they are handed over when they are durable. `waitingMax`:
   * while so many of a split wait for that it is passed over, and is looked at again when they have left. False when
   * there are none.
   */
  #acceptNext(waitingMax = Number.POSITIVE_INFINITY): boolean {
    const next = this.#ready.takeToAccept();
    if (next === undefined) return false;
    const { host, split } = next;
    const part = split.inHand < waitingMax ? split.takeUnaccepted(acceptMax) : undefined;
    if (part === undefined) return true;
    this.#accept(host, split, part);
    this.#ready.look(split);
    return true;
  }

  #accept(host: SourceHost<unknown>, split: Split<unknown>, part: SourceBatch<unknown>): void {
    const { whenDurable } = this.#options;
    const input = host.acceptable(split, part);
    const accepted = this.#turn(
      () => split.accept(input),
      () => ({ kind: 'input', source: host.number, split: split.name, input }),
    );
    if (!accepted) return;
    whenDurable(() => {
      split.release();
      this.#ready.look(split);
      this.#acknowledge(split, input.position);
      this.wake();
    });
  }

  #acknowledge(split: Split<unknown>, position: unknown): void {
    split.committed(position).catch((error: unknown) => this.#options.fail(error));
  }

  /** The split to push from next: one whose end was read, or the one with the lowest watermark. */
  #next(): HostedSplit | undefined {
    if (this.#options.places.full) return undefined;
    if (!this.#draining) return this.#ready.takeDrained() ?? this.#takeAligned();
    let next = this.#ready.takeLowest();
    while (next?.host.source.replayable === true) next = this.#ready.takeLowest();
    return next;
  }

  /** The split with the lowest watermark that is not too far ahead of its group. */
  #takeAligned(): HostedSplit | undefined {
    if (!this.#alignment.isUsed) return this.#ready.takeLowest();
    const held: HostedSplit[] = [];
    let next = this.#ready.takeLowest();
    for (; next !== undefined && this.#isTooFar(next); next = this.#ready.takeLowest()) held.push(next);
    for (const { split } of held) this.#ready.look(split);
    return next;
  }

  #isTooFar(split: HostedSplit | undefined): boolean {
    return split !== undefined && this.#alignment.isUsed && !this.#draining && this.#alignment.holds(split);
  }

  /** Opens a read for splits that have nothing in hand: for some of many, since each takes time. */
  #read(): void {
    for (let reads = 0; reads < readsMax; reads += 1) {
      const next = this.#ready.takeToRead();
      if (next === undefined) return;
      if (!this.#draining || !next.host.source.replayable) this.#readFrom(next);
    }
  }

  #readFrom({ host, split }: HostedSplit): void {
    const { signal, fail } = this.#options;
    split
      .read(signal)
      .then((batch) => {
        if (batch !== undefined) this.#took(host, split, batch);
        this.#ready.look(split);
        this.wake();
      })
      .catch((error: unknown) => {
        if (!signal.aborted && !this.#stopped) fail(error);
      });
  }

  #took(host: SourceHost<unknown>, split: Split<unknown>, batch: SourceBatch<unknown>): void {
    host.noteDropped();
    if (host.source.replayable || !this.#options.journals) split.take(batch);
    else split.keep(batch);
  }
}
