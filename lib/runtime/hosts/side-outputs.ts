/**
 * Where an operator's side outputs go. What is sent to one that nobody reads is counted, and the first of it is told
 * (I22).
 */
import type { Logger } from '../../core/logger.ts';
import type { MetricGroup } from '../../core/metric.ts';
import { nowhere, type Receiver } from '../edges/receiver.ts';

export interface SideOutputsOptions {
  readonly uid: string;
  /** Receivers by tag id. */
  readonly read: ReadonlyMap<string, Receiver<unknown>>;
  readonly metrics: MetricGroup;
  readonly logger?: Pick<Logger, 'warn'> | undefined;
  /** Tags of which the start of the job has said already that nobody reads them. */
  readonly told?: readonly string[] | undefined;
}

export class SideOutputs {
  readonly #options: SideOutputsOptions;
  readonly #unread = new Map<string, Receiver<unknown>>();

  constructor(options: SideOutputsOptions) {
    this.#options = options;
  }

  /** Whether somebody reads it. */
  isRead(tag: string): boolean {
    return this.#options.read.has(tag);
  }

  /** What stands behind a side output. */
  of(tag: string): Receiver<unknown> {
    return this.#options.read.get(tag) ?? this.#unread.get(tag) ?? this.#lost(tag);
  }

  #lost(tag: string): Receiver<unknown> {
    const { uid, metrics, logger, told = [] } = this.#options;
    const dropped = metrics.getCounter('numSideRecordsDropped');
    const lost: Receiver<unknown> = { ...nowhere, record: () => dropped.inc() };
    if (this.#unread.size >= tagsMax) return lost;
    this.#unread.set(tag, lost);
    if (!told.includes(tag)) {
      const what = `operator \`${uid}\` sends records to side output '${tag}', which nobody reads; see the metric numSideRecordsDropped`;
      logger?.warn({ operator: uid, sideOutput: tag }, what);
    }
    return lost;
  }
}

/** Tags that are told apart; what goes to later ones is counted without a word (I10). */
const tagsMax = 1000;
