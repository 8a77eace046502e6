/** What a job says of its life at level `info`: a line when it starts or goes on, and one when it is over. */
import type { Logger } from '../../core/logger.ts';
import type { Domain } from '../domain/domain.ts';
import type { JobStatus } from './job.ts';

export class JobLog {
  readonly #logger: Logger;
  readonly #job: string;
  #recordsRead = 0;
  #recordsWritten = 0;

  constructor(logger: Logger, job: string) {
    this.#logger = logger;
    this.#job = job;
  }

  /** State is open, and the recorded turns are about to be done again: that may take a while. */
  begins({ resumed, topology: { sources, operators, sinks } }: Domain): void {
    const job = this.#job;
    if (resumed === undefined) {
      const facts = { job, sources: sources.length, operators: operators.length, sinks: sinks.length };
      this.#logger.info(facts, `job "${job}" starts`);
      return;
    }
    const { checkpoint, turns, records, outcomes, formerName } = resumed;
    if (formerName !== undefined) {
      const what = `the state that job "${job}" goes on from is that of job "${formerName}"`;
      this.#logger.warn({ job, formerName }, `${what}: if that is another job, give each a directory of its own`);
    }
    const from = checkpoint === undefined ? 'the beginning' : `checkpoint ${checkpoint}`;
    const again = `${turns} turns with ${records} records to do again, and the journal has ${outcomes} outcomes`;
    this.#logger.info({ job, ...resumed }, `job "${job}" goes on from ${from}: ${again} of calls`);
  }

  /** A life is about to end: its numbers are counted. */
  count({ topology }: Domain): void {
    for (const { records } of topology.sources) this.#recordsRead += records;
    for (const { records } of topology.sinks) this.#recordsWritten += records;
  }

  over({ state, restarts, error }: JobStatus): void {
    const facts = {
      ...{ job: this.#job, state, restarts, recordsRead: this.#recordsRead, recordsWritten: this.#recordsWritten },
      ...(error === undefined ? {} : { error }),
    };
    const numbers = `${this.#recordsRead} records read, ${this.#recordsWritten} given to sinks`;
    this.#logger.info(facts, `job "${this.#job}" is ${state}: ${numbers}`);
  }
}
