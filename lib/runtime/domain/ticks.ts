/** Makes ticks turns: who is quiet, which processing-time timers are due, and whether the job stands still. */
import type { Clock } from '../../core/clock.ts';
import type { Timestamp } from '../../core/element.ts';
import type { Places } from '../edges/places.ts';
import type { Topology } from '../hosts/topology.ts';
import type { TickedSplit, TickTurn } from '../journal/turn.ts';
import type { TaskLoop } from './task-loop.ts';
import { Ticker } from './ticker.ts';
import type { Turns } from './turns.ts';
import type { Watchdog } from './watchdog.ts';
import type { WatermarkHolders } from './watermark-holders.ts';

export interface TicksOptions {
  readonly clock: Clock;
  /** Between two ticks at least, unless a timer is due, in milliseconds. */
  readonly tickMs: number;
  readonly places: Places;
  readonly topology: Topology;
  readonly turns: Turns;
  readonly loop: TaskLoop;
  readonly watchdog: Watchdog;
  readonly holders: WatermarkHolders;
  readonly fail: (error: unknown) => void;
}

export class Ticks {
  readonly #options: TicksOptions;
  readonly #ticker: Ticker;
  /** Whether somebody held a watermark at the last tick. */
  #anyHolders = false;

  constructor(options: TicksOptions) {
    this.#options = options;
    const { clock, tickMs } = options;
    this.#ticker = new Ticker({
      clock,
      tickMs,
      timerInMs: () => this.#timerInMs(clock.now()),
      changeInMs: () => this.#told(() => this.#changeInMs(clock.now()), Number.POSITIVE_INFINITY),
      tick: (stoodStill) => this.#told(() => this.#tick(stoodStill), undefined),
    });
  }

  /** Nobody else would hear of a failure, which may be that of a source: this is a timer. */
  #told<R>(look: () => R, otherwise: R): R {
    try {
      return look();
    } catch (error) {
      this.#options.fail(error);
      return otherwise;
    }
  }

  start(): void {
    this.#ticker.start();
  }

  stop(): void {
    this.#ticker.stop();
  }

  /** A turn has run: what it brought may wait for a tick. */
  moved(): void {
    this.#ticker.moved();
  }

  #tick(stoodStill: boolean): void {
    const { clock, topology, turns, loop, watchdog, holders } = this.#options;
    const now = clock.now();
    const splits = topology.sources.flatMap((source) => source.dueForTick(now, loop.asks && !stoodStill));
    // Behind what is left of other turns it would run later than it says; the next tick sees what this one would have.
    if (!turns.isHeld && (splits.length > 0 || this.#timerInMs(now) <= 0)) {
      let turn: TickTurn = { kind: 'tick', now, ...(splits.length > 0 && { splits }) };
      turns.run(
        () => (turn = this.#done(turn)),
        () => turn,
        now,
      );
    }
    watchdog.look(clock.elapsed());
    this.#anyHolders = holders.look();
    loop.wake();
  }

  /** Does a tick, up to where something is left for slices: records of a timer would have to finish that first. */
  #done(turn: TickTurn): TickTurn {
    const { topology, turns } = this.#options;
    const { now, splits = [] } = turn;
    for (const [index, split] of splits.entries()) {
      tickSplit(topology, split, now);
      if (turns.isHeld) return { ...turn, splits: splits.slice(0, index + 1), cut: true };
    }
    fireTimers(topology, now);
    return turn;
  }

  /** Until the next processing-time timer is due: when the clock has passed it. */
  #timerInMs(now: Timestamp): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { nextProcessingTime } of this.#options.topology.operators) {
      next = Math.min(next, nextProcessingTime ?? next);
    }
    return next + 1 - now;
  }

  #changeInMs(now: Timestamp): number {
    const { topology, loop, places, watchdog, holders } = this.#options;
    const changes = topology.sources.map((source) => source.tickInMs(now, loop.asks));
    const looks = [...(places.full ? [watchdog.lookMs] : []), ...(this.#anyHolders ? [holders.lookMs] : [])];
    return Math.min(...changes, ...looks);
  }
}

const tickSplit = ({ source }: Pick<Topology, 'source'>, [number, split, quiet]: TickedSplit, now: Timestamp): void =>
  source(number)?.tick(split, now, quiet);

const fireTimers = ({ operators }: Pick<Topology, 'operators'>, now: Timestamp): void => {
  for (const operator of operators) operator.processingTime(now - 1);
};

/** What a recorded tick did. Runs in a turn. */
export const tickAgain = (topology: Pick<Topology, 'operators' | 'source'>, turn: TickTurn): void => {
  const { now, splits = [], cut = false } = turn;
  for (const split of splits) tickSplit(topology, split, now);
  if (!cut) fireTimers(topology, now);
};
