/** A domain of a pipeline by hand, on a storage and a clock of the test: a job's life without the job around it. */
import { MemoryStorage, StreamExecutionEnvironment } from 'millrace';
import { pino } from 'pino';
import { settingsOf } from '../../../../lib/environment-options.ts';
import type { CheckpointStats } from '../../../../lib/runtime/checkpoint/coordinator.ts';
import type { DomainOptions, DomainSettings } from '../../../../lib/runtime/domain/assemble.ts';
import { Domain } from '../../../../lib/runtime/domain/domain.ts';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import type { OpenStorage, Storage } from '../../../../lib/state/store.ts';
import { ManualClock } from '../../../../lib/testing/clock.ts';

export interface OpenDomainOptions extends Partial<Omit<DomainOptions, 'storage' | 'clock' | 'settings'>> {
  /** Null: nothing is kept. @defaultValue a new one in memory */
  readonly storage?: Storage | null | undefined;
  readonly clock?: ManualClock | undefined;
  readonly settings?: Partial<DomainSettings> | undefined;
  /** Stands for what the storage gives when it is opened. */
  readonly opened?: ((opened: OpenStorage) => OpenStorage) | undefined;
}

export interface Line {
  readonly msg: string;
  readonly [fact: string]: unknown;
}

/** A domain that is open and not started, and what it has told. */
export const openDomain = async (
  build: (env: StreamExecutionEnvironment) => void,
  options: OpenDomainOptions = {},
) => {
  const { storage: place = new MemoryStorage(), clock = new ManualClock(), settings, opened = same, ...more } = options;
  const [lines, failures, checkpoints, turns]: [Line[], unknown[], CheckpointStats[], Turn[]] = [[], [], [], []];
  // Lines of pino are objects.
  const write = (line: string): void => void lines.push(JSON.parse(line) as Line);
  const logger = pino({ base: null, timestamp: false }, { write });
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  build(env);
  const storage = place === null ? undefined : opened(await place.open());
  const domain = await Domain.open({
    name: 'job',
    graph: env.graph,
    settings: { ...settingsOf({}).domain, ...settings },
    ...{ storage, clock, logger, memoryId: 'memory' },
    metrics: new MetricTree({ job: 'job', clock }).root,
    onCheckpoint: (stats) => checkpoints.push(stats),
    onFailure: (error) => failures.push(error),
    onTurn: (turn) => turns.push(turn),
    ...more,
  });
  return { domain, storage, clock, logger, lines, failures, checkpoints, turns };
};

const same = (opened: OpenStorage): OpenStorage => opened;
