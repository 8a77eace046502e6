/**
 * The doors to the outside: sources and sinks. A connector sees this page and nothing of the engine.
 * Keeps I7 (effects of an epoch become visible only after its checkpoint) and I10 (every wait takes an AbortSignal).
 */
import type { Clock } from './clock.ts';
import type { Timestamp } from './element.ts';

// ---------- sources

/**
 * Rules of a source:
 *  - A position is opaque and serialisable, and copied when it is taken or given, so either side may change its own.
 *    `open` continues right behind it; undefined means from the start.
 *  - The values of a batch are given away: they go into the pipeline as they are, and its code may change them. A
 *    source that keeps a value, or brings one object twice, brings copies.
 *  - `read` waits until there is something and resolves with undefined at the end of the split. It rejects with the
 *    signal's reason when aborted. A batch without values says that there is nothing now.
 *  - Only one `read` of a reader is open at a time; a batch may be consumed in parts, and `position(count)` is asked
 *    for any part.
 *  - A source that waits, to poll or to pace, does so on the clock of the job, which `open` is given.
 *  - A `replayable` source gives the same records again from the same position. For one that can't, the engine journals
 *    what it accepted, and says so by `committed`; what it has not is asked for again when the job starts again in the
 *    same process.
 */
export interface Source<T, P = unknown> {
  readonly name: string;
  readonly replayable: boolean;
  /**
   * Values that the source has left out in this process: it had no room for them, had them left when it was closed, or
   * they were lines that are no data. A metric, and logged once.
   */
  readonly dropped?: number | undefined;
  /** Names of the splits, each read by its own reader. Asked at each start; a name that is new becomes a new split. */
  splits(signal: AbortSignal): Promise<readonly string[]>;
  /** Opens a reader of a split right behind a position; undefined: from the start. `clock` is that of the job. */
  open(split: string, position: P | undefined, signal: AbortSignal, clock?: Clock): Promise<SourceReader<T, P>>;
  /**
   * The job is over: ends what the source keeps over restarts. May be called twice; the source may be opened again by
   * another job.
   */
  close?(): Promise<void>;
}

export interface SourceReader<T, P = unknown> {
  /** Resolves with the next values, or with undefined at the end of the split. */
  read(signal: AbortSignal): Promise<SourceBatch<T, P> | undefined>;
  /**
   * Whether an open read waits for what is not there yet (true), or is about to bring what is (false): only a split
   * that waits is ever idle. @defaultValue true
   */
  readonly waiting?: boolean | undefined;
  /**
   * Informational: this position is covered by a durable checkpoint (or, for a source that can't replay, durably
   * journaled).
   */
  committed?(position: P): Promise<void>;
  /**
   * A job that keeps nothing is to stop: what has come is brought by the next reads, then the end; what comes later is
   * not taken. For a source that can't replay.
   */
  end?(): void;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface SourceBatch<T, P = unknown> {
  readonly values: readonly T[];
  /**
   * Timestamps of the values, as many, when the source knows them: finite numbers, or undefined for a value without
   * one.
   */
  readonly timestamps?: readonly Timestamp[] | undefined;
  /** Values that go to the side output with this tag id instead (malformed input, say); by index into `values`. */
  readonly sides?: ReadonlyMap<number, string> | undefined;
  /** The position behind the first `count` values, 0 <= count <= values.length. */
  position(count: number): P;
}

// ---------- sinks

/**
 * Rules of a sink:
 *  - `write` is synchronous, into the current epoch. `seal(n)` ends epoch n at that instant; its promise finishes the
 *    flush and gives the committable, which the checkpoint stores (undefined: nothing to commit).
 *  - `commit` makes a sealed epoch visible. It may be repeated, with the same committable, also by a writer opened
 *    after a crash: each call is given a copy, which it may change.
 *  - After a crash every committable that a durable checkpoint holds is committed again; an epoch that was sealed and
 *    is in no durable checkpoint is rewritten by replay, so `open` discards it.
 */
export interface Sink<T, C = unknown> {
  readonly name: string;
  /**
   * `exactly-once`: effects become visible by `commit` only. `at-least-once`: `write` may have effects at once, so the
   * engine first makes the log durable up to the turn that wrote.
   */
  readonly guarantee: 'exactly-once' | 'at-least-once';
  /**
   * What only one sink may write to, as texts that are equal whenever it is the same: a file by whatever path it is
   * reached. Asked when a job is composed, which refuses two sinks that share one. Absent where sharing does no harm.
   */
  outputs?(): readonly string[];
  /** Opens a writer for this life of the job: commits again what is pending, discards what no checkpoint knows. */
  open(context: SinkContext<C>): Promise<SinkWriter<T, C>>;
}

export interface SinkContext<C> {
  /**
   * Tells this sink of this job's history from every other one: the same after any restart, another one in a fresh
   * state directory, of another operator, and of one that was dropped and has come back. Numbers of records mean
   * something only together with it.
   */
  readonly sinkId: string;
  /** Sealed by durable checkpoints and perhaps not committed yet, oldest first. Commit them again. */
  readonly pending: readonly C[];
  /** Number of the epoch that begins. 1 in a fresh job. */
  readonly epoch: number;
  /** The position of the newest committable a durable checkpoint knows, committed or not; undefined in a fresh job. */
  readonly last: C | undefined;
  readonly signal: AbortSignal;
}

export interface SinkWriter<T, C = unknown> {
  /**
   * `number` counts the records of this sink from 0 and is the same after a crash. The value may be changed by others
   * when this has returned: who keeps it keeps a copy, or what it is written as.
   */
  write(value: T, timestamp: Timestamp, number: number): void;
  /** While true, sources are not pulled. */
  readonly full: boolean;
  /**
   * At-least-once sinks: sends what was written; called when the log is durable up to it, and before each `seal`. What
   * it could not send is sent first when it is called again, which it is after a failure that may mend itself.
   */
  flush?(signal: AbortSignal): Promise<void>;
  /** Ends an epoch at this instant; resolves with what commits it, undefined when there is nothing to commit. */
  seal(epoch: number): Promise<C | undefined>;
  /** Makes a sealed epoch visible, once however often it is called. */
  commit(committable: C, signal: AbortSignal): Promise<void>;
  /** May be called twice. Discards what is not sealed. */
  close(): Promise<void>;
}
