/** The options of an environment: what they mean, what they are when nobody gives them, and what is refused. */
import { isThenable, refusedPromise } from './core/errors.ts';
import { named } from './core/failures.ts';
import { systemClock, type Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import {
  callable,
  durationMs,
  flag,
  integer,
  knownOptions,
  refusal,
  withMethods,
  type Duration,
  type OptionNames,
} from './core/options.ts';
import { timersAtEnd, type TimersAtEnd } from './core/timers-at-end.ts';
import { LevelStorage } from './state/level-storage.ts';
import { namedStorage } from './state/named-storage.ts';
import type { Storage } from './state/store.ts';
import type { DomainSettings } from './runtime/domain/assemble.ts';
import { makeLogger, type LogLevel } from './runtime/job/logging.ts';
import type { RestoreOptions } from './runtime/recovery/savepoint.ts';
import { exponentialDelay, noRestart, type RestartStrategy } from './runtime/job/restart.ts';
import type { Turn } from './runtime/journal/turn.ts';

/** When checkpoints are taken. */
export interface CheckpointTimes {
  /** From the end of one checkpoint to the start of the next. @defaultValue '10s' */
  readonly interval?: Duration | undefined;
}

export interface CheckpointOptions extends CheckpointTimes {
  /**
   * Where state is kept. The job goes on from there when it is started again. What is made there is open to its owner
   * alone.
   */
  readonly directory: string;
}

/** State is kept in a directory, or nowhere. */
export interface StateInDirectory {
  /** @defaultValue none: state is in memory and sinks commit at the end */
  readonly checkpoint?: CheckpointOptions | undefined;
  readonly storage?: undefined;
}

/** State is kept in a place that is given. */
export interface StateInStorage {
  /**
   * Another place for state than a directory: a `LevelStorage` with options, a `MemoryStorage`, or one of your own.
   * Beside it `checkpoint` names no directory.
   */
  readonly storage?: Storage | undefined;
  readonly checkpoint?: (CheckpointTimes & { readonly directory?: undefined }) | undefined;
}

/** What an environment may be told. */
export type EnvironmentOptions = EnvironmentBaseOptions & (StateInDirectory | StateInStorage);

/** What does not depend on where state is kept. */
export interface EnvironmentBaseOptions {
  /** Number of key groups, 1 to 32768; fixed for the life of the state. @defaultValue 128 */
  readonly maxParallelism?: number | undefined;
  /** @defaultValue `exponentialDelay()` with a place for state, else `noRestart()` */
  readonly restart?: RestartStrategy | undefined;
  /**
   * How long a stop takes at most: calls that have started, the last checkpoint, commits, closing. Also how long a
   * failed job waits for its parts to close before it starts again. @defaultValue '30s'
   */
  readonly stopTimeout?: Duration | undefined;
  /**
   * Fail when replay meets other inputs or code than were recorded, instead of going on in a new branch. @defaultValue
   * false
   */
  readonly strictReplay?: boolean | undefined;
  /**
   * Fill an empty place for state from a savepoint before the job starts. One that was filled from it before is left as
   * it is, so this may stay in the code. @defaultValue none
   */
  readonly restoreFrom?: RestoreOptions | undefined;
  /** Drop state that no operator claims, instead of refusing to start. @defaultValue false */
  readonly allowUnclaimedState?: boolean | undefined;
  /** Entries of state kept in memory; more are read from the store again. @defaultValue 1000000 */
  readonly stateCacheMax?: number | undefined;
  /** Changed entries that start a checkpoint early. @defaultValue 500000 */
  readonly dirtyMax?: number | undefined;
  /**
   * Timers and windows of an operator that fire in one turn at most. What is left when more are due at once is done in
   * turns of its own, between which the event loop is given back, while the watermark is held and sources wait. It may
   * be another at each start.
   * @defaultValue 128
   */
  readonly timersPerTurn?: number | undefined;
  /**
   * What becomes of processing-time timers that are not due when the input ends: `drop`, `fire` or `wait`; see
   * `TimersAtEnd`. @defaultValue 'drop'
   */
  readonly processingTimersAtEnd?: TimersAtEnd | undefined;
  /** Encode and decode every record at keyed edges, as between processes: a test mode. @defaultValue false */
  readonly serialiseEdges?: boolean | undefined;
  /** Freeze values that state hands out: a test mode that finds who changes them. @defaultValue false */
  readonly freezeState?: boolean | undefined;
  /**
   * Freeze all that user code is given: state, events, inputs, results of durable calls, records with several readers.
   * A test mode that finds who changes what. @defaultValue false
   */
  readonly freeze?: boolean | undefined;
  /** A pino logger, or the level of one that writes to standard error. @defaultValue 'warn' */
  readonly logger?: Logger | LogLevel | undefined;
  /** What the job takes time, delays and randomness from. @defaultValue `systemClock` */
  readonly clock?: Clock | undefined;
  /** Sees every live turn; for tests. @defaultValue none */
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}

const optionNames = {
  checkpoint: true,
  storage: true,
  maxParallelism: true,
  restart: true,
  stopTimeout: true,
  strictReplay: true,
  allowUnclaimedState: true,
  restoreFrom: true,
  stateCacheMax: true,
  dirtyMax: true,
  timersPerTurn: true,
  processingTimersAtEnd: true,
  serialiseEdges: true,
  freezeState: true,
  freeze: true,
  logger: true,
  clock: true,
  onTurn: true,
} as const satisfies OptionNames<EnvironmentOptions>;

/** Bytes of changed entries that start a checkpoint early. */
const dirtyBytesMax = 64 * 2 ** 20;
const tickMs = 200;

export interface EnvironmentSettings {
  readonly domain: DomainSettings;
  readonly storage: Storage | undefined;
  readonly intervalMs: number | undefined;
  readonly stopTimeoutMs: number;
  readonly restart: RestartStrategy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onTurn: ((turn: Turn) => void) | undefined;
  readonly restoreFrom: RestoreOptions | undefined;
}

export const settingsOf = (options: EnvironmentOptions): EnvironmentSettings => {
  knownOptions('StreamExecutionEnvironment.create', options, optionNames);
  const {
    checkpoint,
    clock = systemClock,
    stopTimeout = '30s',
    maxParallelism = 128,
    stateCacheMax = 1_000_000,
    dirtyMax = 500_000,
  } = options;
  const {
    timersPerTurn = 128,
    processingTimersAtEnd = 'drop',
    strictReplay = false,
    allowUnclaimedState = false,
    serialiseEdges = false,
    freezeState = false,
    freeze = false,
    onTurn,
    restoreFrom,
  } = options;
  if (options.restart !== undefined)
    withMethods('restart', options.restart, 'a RestartStrategy; `exponentialDelay()` makes one', ['make']);
  if (onTurn !== undefined) callable('onTurn', onTurn);
  const storage = placeOf(options);
  if (restoreFrom !== undefined) checkRestore(restoreFrom, storage);
  return {
    domain: {
      maxParallelism: integer('maxParallelism', maxParallelism, { min: 1, max: 32_768 }),
      serialiseEdges: flag('serialiseEdges', serialiseEdges),
      strictReplay: flag('strictReplay', strictReplay),
      allowUnclaimedState:
        flag('allowUnclaimedState', allowUnclaimedState) || restoreFrom?.allowNonRestoredState === true,
      dirtyMax: integer('dirtyMax', dirtyMax, { min: 1 }),
      dirtyBytesMax,
      timersPerTurn: integer('timersPerTurn', timersPerTurn, { min: 1 }),
      timersAtEnd: timersAtEnd(processingTimersAtEnd),
      cacheMax: integer('stateCacheMax', stateCacheMax, { min: 1 }),
      tickMs,
      freezeState: flag('freezeState', freezeState),
      freeze: flag('freeze', freeze),
    },
    storage,
    intervalMs:
      storage === undefined ? undefined : durationMs('checkpoint.interval', checkpoint?.interval ?? '10s', { min: 1 }),
    stopTimeoutMs: durationMs('stopTimeout', stopTimeout),
    restart: options.restart ?? (storage === undefined ? noRestart() : exponentialDelay()),
    clock: withMethods('clock', clock, 'a Clock', ['now', 'elapsed', 'setTimer', 'defer', 'random']),
    logger: makeLogger(options.logger),
    onTurn: onTurn && watching(onTurn),
    restoreFrom,
  };
};

/** An observer that fails is a mistake in code, and is told as one. */
const watching =
  (onTurn: (turn: Turn) => void) =>
  (turn: Turn): void => {
    const returned: unknown = named({ code: 'OPERATOR_FAILED', what: '`onTurn` threw' }, () => onTurn(turn));
    if (isThenable(returned)) throw refusedPromise('`onTurn`', returned);
  };

const checkRestore = (restoreFrom: RestoreOptions, storage: Storage | undefined): void => {
  knownOptions('restoreFrom', restoreFrom, { path: true, mode: true, allowNonRestoredState: true });
  const { path, mode = 'copy', allowNonRestoredState = false } = restoreFrom;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw refusal('restoreFrom.path', 'a path', path);
  if (mode !== 'copy' && mode !== 'claim') throw refusal('restoreFrom.mode', "'copy' or 'claim'", mode);
  flag('restoreFrom.allowNonRestoredState', allowNonRestoredState);
  if (storage === undefined)
    throw refusal('restoreFrom', 'given beside a place for state, `checkpoint` or `storage`', path);
};

/** Where state is kept: the storage, or the directory, and never both. */
const placeOf = ({ checkpoint, storage }: EnvironmentOptions): Storage | undefined => {
  if (checkpoint !== undefined) knownOptions('checkpoint', checkpoint, { directory: true, interval: true });
  const directory: unknown = checkpoint?.directory;
  if (storage !== undefined) {
    if (directory !== undefined)
      throw refusal('checkpoint.directory', 'left out beside `storage`, which says where state is kept', directory);
    return namedStorage(withMethods('storage', storage, 'a Storage', ['open']));
  }
  if (checkpoint === undefined) return undefined;
  if (typeof directory !== 'string' || directory === '') throw refusal('checkpoint.directory', 'a path', directory);
  return new LevelStorage(directory);
};
