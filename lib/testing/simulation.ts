/**
 * Simulates a whole job from one seed: time, delays, crashes at any turn and any write, and what is outside. One seed
 * gives one history.
 *
 * Judged are I6 (a fresh job that does the surviving turns from the first one, calling nobody, sends the same to its
 * sinks and ends in the same state), I7, I8 (no journaled call is executed again), and that the job comes to its end.
 * What a pipeline means to compute is for its own test to judge, by `received`.
 */
import { isDeepStrictEqual } from 'node:util';
import { sleep, systemClock } from '../core/clock.ts';
import { encodeText } from '../core/serde.ts';
import { messageOf } from '../core/errors.ts';
import type { EnvironmentBaseOptions, StateInStorage } from '../environment-options.ts';
import { StreamExecutionEnvironment } from '../environment.ts';
import type { Job } from '../runtime/job/job.ts';
import { makeLogger } from '../runtime/job/logging.ts';
import type { Turn } from '../runtime/journal/turn.ts';
import type { MemoryFault, MemoryOperation } from '../state/memory-disk.ts';
import { settled, SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './history.ts';
import { checkSimulation, type CrashPoint, type SimulationOptions } from './simulation-options.ts';
import { SimulatedProcess, SimulationFailure, SimulatedWorld } from './world.ts';

export interface SimulationResult {
  readonly seed: number;
  /** What each sink received, by number. */
  readonly received: ReadonlyMap<string, readonly unknown[]>;
  /** The turns that the final state is made of. */
  readonly history: readonly Turn[];
  readonly crashes: number;
  /** Live turns, writes and clock events of each life. */
  readonly lives: readonly LifeCounts[];
  readonly executions: number;
  /** Journaled outcomes that a start has found. */
  readonly journaled: number;
}

export interface LifeCounts {
  readonly turns: number;
  readonly writes: number;
  readonly events: number;
}

/** Clock events without any turn after which the job is taken to hang, and of one life at all. */
const quietEventsMax = 20_000;
/** Rounds without any event: the first ones at once, the later ones with a real pause, in which modules are loaded. */
const idle = { quickRounds: 20, rounds: 1000, pauseMs: 5 } as const;
const crashesMax = 6;

const silent = makeLogger('silent');

/**
 * Runs the job to its end, through its crashes. Rejects with a `SimulationFailure` when a rule is broken.
 *
 * @example
 * const { received } = await simulate({
 *   seed: 7,
 *   pipeline: (env, process) =>
 *     env
 *       .fromSource(process.source({ name: 'numbers', splits: { a: [1, 2, 3] } }))
 *       .asyncMap((value, call) => process.call(call, { answer: () => value * 2 }), { order: 'arrival' })
 *       .sinkTo(process.collect('doubles')),
 * });
 * console.log(received.get('doubles')); // prints [ 2, 4, 6 ]
 */
export const simulate = async (options: SimulationOptions): Promise<SimulationResult> => {
  checkSimulation(options);
  const { seed, pipeline } = options;
  const simulation = new Simulation(options);
  try {
    await simulation.run();
    if (options.replica ?? true) await simulation.compareWithReplica(pipeline);
    return simulation.result();
  } catch (error) {
    throw new SimulationFailure(`seed ${seed}: ${messageOf(error)}`, { cause: error });
  }
};

class Simulation {
  readonly #options: SimulationOptions;
  readonly #clock: SimulatedClock;
  readonly #disk: SimulatedDisk;
  readonly #world: SimulatedWorld;
  readonly #trace: (line: string) => void;
  readonly #intervalMs: number;
  readonly #lives: LifeCounts[] = [];

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#clock = new SimulatedClock({ seed: options.seed });
    this.#trace = options.trace ?? (() => {});
    const slowest = 1 + Math.floor(this.#clock.random() ** 2 * 30);
    const { failingWrites = 0 } = options;
    const fault = ({ kind }: MemoryOperation): MemoryFault => {
      if (kind === 'open' || failingWrites === 0 || this.#clock.random() >= failingWrites) return 'none';
      return this.#clock.random() < 0.5 ? 'fail-before' : 'fail-after';
    };
    this.#disk = new SimulatedDisk({
      clock: this.#clock,
      writeDelayMs: () => Math.floor(this.#clock.random() * slowest),
      fault,
    });
    this.#world = new SimulatedWorld(this.#disk, this.#trace);
    this.#intervalMs = options.checkpointIntervalMs ?? 40 + Math.floor(this.#clock.random() ** 2 * 1500);
  }

  async run(): Promise<void> {
    const crashes =
      this.#options.crashes ??
      Array.from({ length: Math.floor(this.#clock.random() * (crashesMax + 1)) }, () => this.#anyCrash());
    for (const crash of crashes) if (await this.#live(crash)) return;
    await this.#live(undefined);
  }

  /** Does the surviving turns anew in a fresh job and compares what it sends and what it ends with. */
  async compareWithReplica(pipeline: SimulationOptions['pipeline']): Promise<void> {
    const disk = await this.#disk.replica();
    const world = new SimulatedWorld(disk, () => {});
    const clock = new SimulatedClock({ seed: 1, order: 'fixed' });
    const life = new Life({
      clock,
      disk,
      world,
      number: 0,
      crash: undefined,
      trace: () => {},
      onTurn: (turn) => {
        if (turn.kind !== 'start')
          throw new SimulationFailure(`I6: the replica makes a turn of its own: ${encodeText(turn)}`);
      },
    });
    await life.run(this.#environment(1_000_000), pipeline);
    if (world.executions > 0) throw new SimulationFailure(`I8: replay has called ${world.executions} times`);
    for (const [name, values] of this.#world.received)
      same(`what sink ${name} received`, values, world.received.get(name) ?? []);
    const [mine, replicas] = [await this.#disk.finalState(), await disk.finalState()];
    same('the final state', mine.rows, replicas.rows);
    for (const uid of Object.keys(mine.nodes)) same(`the final state of ${uid}`, mine.nodes[uid], replicas.nodes[uid]);
  }

  result(): SimulationResult {
    return {
      seed: this.#options.seed,
      received: this.#world.received,
      history: this.#disk.history,
      crashes: this.#lives.length - 1,
      lives: this.#lives,
      executions: this.#world.executions,
      journaled: this.#disk.journaled.size,
    };
  }

  /** One process. True when the job came to its end. */
  async #live(crash: CrashPoint | undefined): Promise<boolean> {
    const number = this.#lives.length;
    this.#trace(`---- life ${number}${crash === undefined ? '' : `, to die at ${crash.at} ${crash.number}`}`);
    const life = new Life({
      clock: this.#clock,
      disk: this.#disk,
      world: this.#world,
      number,
      crash,
      trace: this.#trace,
      onTurn: (turn) => {
        this.#disk.note(turn);
        if (this.#options.trace !== undefined) this.#trace(`turn ${this.#disk.history.length}: ${encodeText(turn)}`);
      },
    });
    const ended = await life.run(this.#environment(this.#intervalMs), this.#options.pipeline);
    this.#lives.push(life.counts);
    return ended;
  }

  #environment(intervalMs: number): EnvironmentBaseOptions & StateInStorage {
    return {
      freezeState: true,
      ...this.#options.environment,
      checkpoint: { interval: intervalMs },
      strictReplay: this.#options.strictReplay ?? true,
      logger: silent,
    };
  }

  /** Early points are the more likely ones, so that recoveries die too. */
  #anyCrash(): CrashPoint {
    const random = (): number => this.#clock.random();
    const kinds = ['turn', 'turn', 'before-write', 'after-write', 'event', 'event', 'stop'] as const;
    const at = kinds[Math.floor(random() * kinds.length)] ?? 'event';
    const far = { turn: 40, 'before-write': 30, 'after-write': 30, event: 300, stop: 200 }[at];
    return { at, number: 1 + Math.floor(random() ** 2 * far), landed: Math.floor(random() * 3) };
  }
}

interface LifeOptions {
  readonly clock: SimulatedClock;
  readonly disk: SimulatedDisk;
  readonly world: SimulatedWorld;
  readonly number: number;
  readonly crash: CrashPoint | undefined;
  readonly trace: (line: string) => void;
  readonly onTurn: (turn: Turn) => void;
}

/** One simulated process, from its start to its death or the end of the job. */
class Life {
  readonly #options: LifeOptions;
  readonly #clock;
  #failure: { readonly error: unknown } | undefined;
  #job: Job | undefined;
  #stopped = false;
  #turns = 0;
  #writes = 0;
  #events = 0;
  #lastTurnAt = 0;

  constructor(options: LifeOptions) {
    this.#options = options;
    this.#clock = options.clock.process();
  }

  get counts(): LifeCounts {
    return { turns: this.#turns, writes: this.#writes, events: this.#events };
  }

  /** True when the job came to its end, false when the process died. */
  async run(
    environment: EnvironmentBaseOptions & StateInStorage,
    pipeline: SimulationOptions['pipeline'],
  ): Promise<boolean> {
    const clock = this.#clock;
    const env = StreamExecutionEnvironment.create({
      ...environment,
      clock,
      storage: this.#options.disk.storage({
        alive: () => clock.alive,
        next: () => (this.#writes += 1),
        before: (number) => this.#dieAt('before-write', number),
        after: (number) => this.#dieAt('after-write', number),
      }),
      onTurn: (turn) => this.#onTurn(turn),
    });
    const fail = (error: unknown): void => void (this.#failure ??= { error });
    pipeline(env, new SimulatedProcess({ clock, world: this.#options.world, life: this.#options.number, fail }));
    let ended = false;
    const run = async (): Promise<void> => {
      this.#job = await env.executeAsync('simulated');
      this.#job.status$.subscribe(({ state, error }) => {
        if (clock.alive)
          this.#options.trace(`the job is ${state}${error === undefined ? '' : `: ${messageOf(error)}`}`);
      });
      await this.#job.done;
    };
    run().then(
      () => (ended = true),
      (error: unknown) => {
        // A stop may fail on its way, by a write say; the next start goes on from what is durable.
        if (clock.alive && this.#stopped) ended = true;
        else if (clock.alive) fail(error);
      },
    );
    try {
      await this.#drive(() => ended);
      ended &&= clock.alive && this.#job?.status.state === 'finished';
    } finally {
      clock.kill();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    await settled();
    return ended;
  }

  async #drive(ended: () => boolean): Promise<void> {
    const { clock } = this.#options;
    let idleRounds = 0;
    for (;;) {
      await settled();
      if (ended() || this.#failure !== undefined || !this.#clock.alive) return;
      if (!clock.step()) {
        idleRounds += 1;
        if (idleRounds > idle.rounds) throw new SimulationFailure('the job waits for something that is not simulated');
        if (idleRounds > idle.quickRounds) await sleep(systemClock, idle.pauseMs);
        continue;
      }
      idleRounds = 0;
      this.#events += 1;
      if (this.#events - this.#lastTurnAt > quietEventsMax)
        throw new SimulationFailure(`the job hangs: no turn since event ${this.#lastTurnAt}`);
      this.#dieAt('event', this.#events);
    }
  }

  #onTurn(turn: Turn): void {
    if (!this.#clock.alive) return;
    this.#turns += 1;
    this.#lastTurnAt = this.#events;
    try {
      this.#options.onTurn(turn);
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#dieAt('turn', this.#turns);
  }

  #stop(): void {
    this.#options.trace('the job is told to stop');
    this.#stopped = true;
    this.#job?.stop().catch(() => {}); // Whoever waits for its end sees it.
  }

  #dieAt(at: CrashPoint['at'], number: number): void {
    const { crash, disk, trace } = this.#options;
    if (crash?.at === 'stop' && at === 'event' && crash.number === number) this.#stop();
    if (crash?.at !== at || crash.at === 'stop' || crash.number !== number || !this.#clock.alive) return;
    trace(`the process dies at ${at} ${number}`);
    this.#clock.kill();
    const { landed = 0 } = crash;
    disk.crash({ state: landed, journal: landed });
  }
}

const same = (what: string, mine: unknown, replicas: unknown): void => {
  if (isDeepStrictEqual(mine, replicas)) return;
  const [a, b] = [show(mine), show(replicas)];
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  const part = (text: string): string => text.slice(Math.max(0, at - 200), at + 200);
  throw new SimulationFailure(
    `I6: ${what} differs from that of the surviving history\n  here: ...${part(a)}\n  there: ...${part(b)}`,
  );
};

const show = (value: unknown): string => {
  try {
    return encodeText(value);
  } catch {
    return String(value);
  }
};
