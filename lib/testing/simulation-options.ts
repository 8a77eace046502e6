/** What a simulation is told: what it means, and what is refused. */
import {
  callable,
  flag,
  integer,
  knownOptions,
  numberFrom,
  oneOf,
  refusal,
  type OptionNames,
} from '../core/options.ts';
import type { EnvironmentBaseOptions } from '../environment-options.ts';
import type { StreamExecutionEnvironment } from '../environment.ts';
import type { SimulatedProcess } from './world.ts';

/** Where a process dies, counted from its start. */
export type CrashPoint =
  /** After the `number`-th turn, in the middle of what the loop does. */
  | { readonly at: 'turn'; readonly number: number; readonly landed?: number | undefined }
  /** Before the `number`-th write is issued, or when it is durable and nobody knows. */
  | { readonly at: 'before-write' | 'after-write'; readonly number: number; readonly landed?: number | undefined }
  /** Between two events of the clock: the beginning of the recovery included. */
  | { readonly at: 'event'; readonly number: number; readonly landed?: number | undefined }
  /** After that many events the job is stopped, as by SIGTERM: it leaves with a checkpoint. */
  | { readonly at: 'stop'; readonly number: number };

type SimulatedEnvironment = Pick<
  EnvironmentBaseOptions,
  | 'maxParallelism'
  | 'dirtyMax'
  | 'timersPerTurn'
  | 'stateCacheMax'
  | 'serialiseEdges'
  | 'restart'
  | 'freezeState'
  | 'freeze'
>;

export interface SimulationOptions {
  /** Decides all that is left to chance; one seed gives one history. A whole number from 0 to 2^32 - 1. */
  readonly seed: number;
  /** Builds the pipeline; called for each start of the job. */
  readonly pipeline: (env: StreamExecutionEnvironment, process: SimulatedProcess) => void;
  /**
   * Where the first process dies, the second, ...; the process after the last of them lives. @defaultValue up to 6,
   * from the seed
   */
  readonly crashes?: readonly CrashPoint[] | undefined;
  /**
   * Share of the writes that fail although the process lives, from 0 to 1; half of them reach the disk. @defaultValue 0
   */
  readonly failingWrites?: number | undefined;
  /** @defaultValue from the seed, 40 to 1540 ms */
  readonly checkpointIntervalMs?: number | undefined;
  /** Options of the environment. @defaultValue its defaults */
  readonly environment?: SimulatedEnvironment | undefined;
  /** Is told what happens, line by line. @defaultValue nobody */
  readonly trace?: ((line: string) => void) | undefined;
  /** Compare with a job that does the surviving turns anew. @defaultValue true */
  readonly replica?: boolean | undefined;
  /**
   * Whether a replay that meets something else than was recorded breaks a rule. Without it the pipeline may change from
   * life to life; `replica` must be false then, since no one pipeline has made the history. @defaultValue true
   */
  readonly strictReplay?: boolean | undefined;
}

const optionNames = {
  seed: true,
  pipeline: true,
  crashes: true,
  failingWrites: true,
  checkpointIntervalMs: true,
  environment: true,
  trace: true,
  replica: true,
  strictReplay: true,
} as const satisfies OptionNames<SimulationOptions>;

const environmentNames = {
  maxParallelism: true,
  dirtyMax: true,
  timersPerTurn: true,
  stateCacheMax: true,
  serialiseEdges: true,
  restart: true,
  freezeState: true,
  freeze: true,
} as const satisfies OptionNames<SimulatedEnvironment>;

/** Throws a `TypeError` that names the option, the rule and the value. */
export const checkSimulation = (options: SimulationOptions): void => {
  knownOptions('simulate', options, optionNames);
  const { seed, pipeline, crashes, failingWrites, checkpointIntervalMs, environment, trace } = options;
  const { replica = true, strictReplay = true } = options;
  integer('seed', seed, { max: 2 ** 32 - 1 });
  callable('pipeline', pipeline);
  if (crashes !== undefined) checkCrashes(crashes);
  if (failingWrites !== undefined) numberFrom('failingWrites', failingWrites, { min: 0, max: 1 });
  if (checkpointIntervalMs !== undefined) integer('checkpointIntervalMs', checkpointIntervalMs, { min: 1 });
  // The values are checked with those of the environment.
  if (environment !== undefined) knownOptions('environment', environment, environmentNames);
  if (trace !== undefined) callable('trace', trace);
  flag('strictReplay', strictReplay);
  if (flag('replica', replica) && !strictReplay)
    throw refusal('replica', 'false where `strictReplay` is: no one pipeline has made the history', replica);
};

const checkCrashes = (crashes: readonly CrashPoint[]): void => {
  if (!Array.isArray(crashes)) throw refusal('crashes', 'a list of crash points', crashes);
  for (const [index, crash] of crashes.entries()) {
    const option = `crashes[${index}]`;
    knownOptions<CrashPoint & { readonly landed?: number | undefined }>(option, crash, {
      at: true,
      number: true,
      landed: true,
    });
    oneOf(`${option}.at`, crash.at, ['turn', 'before-write', 'after-write', 'event', 'stop']);
    integer(`${option}.number`, crash.number, { min: 1 });
    if ('landed' in crash && crash.landed !== undefined) integer(`${option}.landed`, crash.landed);
  }
};
