/** Makes ticks turns: who is quiet, which processing-time timers are due, and whether the job stands still. */
import type { Clock } from '../../core/clock.ts';
import type { Timestamp } from '../../core/element.ts';
import type { Places } from '../edges/places.ts';
import type { Topology } from '../hosts/topology.ts';
import type { TickTurn } from '../journal/turn.ts';
import type { TaskLoop } from './task-loop.ts';
import { Ticker } from './ticker.ts';
import type { Turns } from './turns.ts';
import type { Watchdog } from './watchdog.ts';

export interface TicksOptions {
  readonly clock: Clock;
  /** Between two ticks at least, unless a timer is due, in milliseconds. */
  readonly tickMs: number;
  readonly places: Places;
  readonly topology: Pick<Topology, 'sources' | 'operators' | 'source'>;
  readonly turns: Turns;
  readonly loop: TaskLoop;
  readonly watchdog: Watchdog;
  readonly fail: (error: unknown) => void;
}

export class Ticks {
  readonly #options: TicksOptions;
  readonly #ticker: Ticker;

  constructor(options: TicksOptions) {
    this.#options = options;
    const { clock, tickMs } = options;
    this.#ticker = new Ticker({
      clock,
      tickMs,
      timerInMs: () => this.#timerInMs(clock.now()),
      changeInMs: () => this.#changeInMs(clock.now()),
      tick: (stoodStill) => {
        try {
          this.#tick(stoodStill);
        } catch (error) {
          options.fail(error); // Nobody else would hear of it: this is a timer.
        }
      },
    });
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
    const { clock, topology, turns, loop, watchdog } = this.#options;
    const now = clock.now();
    const splits = topology.sources.flatMap((source) => source.dueForTick(now, loop.asks && !stoodStill));
    // Behind what is left of other turns it would run later than it says; the next tick sees what this one would have.
    if (!turns.isHeld && (splits.length > 0 || this.#timerInMs(now) <= 0)) {
      const turn: TickTurn = { kind: 'tick', now, ...(splits.length > 0 && { splits }) };
      turns.run(
        () => tickTopology(topology, turn),
        () => turn,
        now,
      );
    }
    watchdog.look(clock.elapsed());
    loop.wake();
  }

  /** Until the next processing-time timer is due: when the clock has passed it. */
  #timerInMs(now: Timestamp): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { timerService } of this.#options.topology.operators) {
      next = Math.min(next, timerService?.nextProcessingTime ?? next);
    }
    return next + 1 - now;
  }

  #changeInMs(now: Timestamp): number {
    const { topology, loop, places, watchdog } = this.#options;
    const changes = topology.sources.map((source) => source.tickInMs(now, loop.asks));
    return Math.min(...changes, places.full ? watchdog.lookMs : Number.POSITIVE_INFINITY);
  }
}

/** What a tick does, live or replayed. Runs in a turn. */
export const tickTopology = (topology: Pick<Topology, 'operators' | 'source'>, turn: TickTurn): void => {
  const { source, operators } = topology;
  const { now, splits = [] } = turn;
  for (const [number, split, quiet] of splits) source(number)?.tick(split, now, quiet);
  for (const operator of operators) operator.processingTime(now - 1);
};
