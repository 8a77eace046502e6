/** What the environment gives a job. */
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { Storage } from '../../state/store.ts';
import type { DomainSettings } from '../domain/assemble.ts';
import type { StreamGraph } from '../edges/graph.ts';
import type { Turn } from '../journal/turn.ts';
import type { RestoreOptions } from '../recovery/savepoint.ts';
import type { JobMetrics } from './metrics.ts';
import type { RestartStrategy } from './restart.ts';

export interface JobOptions {
  readonly name: string;
  readonly graph: StreamGraph;
  readonly settings: DomainSettings;
  readonly storage: Storage | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: JobMetrics;
  readonly restart: RestartStrategy;
  /**
   * Between the end of one checkpoint and the start of the next, in milliseconds. Undefined: only on demand, on stop
   * and at the end.
   */
  readonly intervalMs: number | undefined;
  readonly stopTimeoutMs: number;
  /** The savepoint that an empty place for state is filled from. */
  readonly restoreFrom?: RestoreOptions | undefined;
  /** Runs before each start and is closed after it: the resources of the job's agents. */
  readonly resources?: { open(): Promise<void>; close(): Promise<void> } | undefined;
  readonly onTurn?: ((turn: Turn) => void) | undefined;
}
