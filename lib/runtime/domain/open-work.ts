/**
 * The work of a whole job: what bodies need of it, which items go on after a restart, when a stop may leave, and which
 * records of the journal have become garbage. Keeps I8: an outcome that is journaled is applied, never asked for again.
 */
import type { Clock } from '../../core/clock.ts';
import { StreamError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Outcome } from '../../core/work.ts';
import type { Journal } from '../journal/journal.ts';
import { workKey } from '../journal/journal-format.ts';
import type { Recovery } from '../recovery/recovery.ts';
import type { Turns } from './turns.ts';
import type { WorkItem } from '../work/work-item.ts';
import type { WorkQueue, WorkServices } from '../work/work.ts';
import { Macrotasks } from '../work/macrotasks.ts';
import type { RecordedItem } from '../work/recorded-calls.ts';

export interface OpenWorkOptions {
  readonly jobId: string;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly recovery: Recovery;
  readonly turns: Turns;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly strictReplay: boolean;
  /** Freeze what bodies are given: a test mode. */
  readonly freeze?: boolean | undefined;
  readonly branch: () => number;
  /** The uid of an operator, for messages. */
  readonly uidOf: (operator: number) => string;
  /** Called after an item was applied. */
  readonly onApplied: () => void;
  readonly fail: (error: unknown) => void;
}

export class OpenWork implements WorkServices {
  readonly jobId: string;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly signal: AbortSignal;
  readonly macrotasks: Macrotasks;
  readonly freeze: boolean;
  readonly #options: OpenWorkOptions;
  #accepting = true;
  /** Replay is over. */
  #isLive = false;
  #callsOpen = 0;
  #whenCallsDone: (() => void)[] = [];
  /** Keys of the records of items that are applied: garbage once a checkpoint covers that. */
  #garbage: Uint8Array[] = [];

  constructor(options: OpenWorkOptions) {
    this.#options = options;
    this.jobId = options.jobId;
    this.clock = options.clock;
    this.journal = options.journal;
    this.signal = options.signal;
    this.macrotasks = new Macrotasks(options.clock);
    this.freeze = options.freeze === true;
  }

  get branch(): number {
    return this.#options.branch();
  }

  get accepting(): boolean {
    return this.#accepting;
  }

  turn(queue: Pick<WorkQueue, 'apply'>, item: WorkItem, outcome: Outcome<unknown>): void {
    const { turns, onApplied } = this.#options;
    turns.run(
      () => {
        queue.apply(item, outcome);
        for (const key of item.journaled) this.#garbage.push(key);
      },
      { kind: 'work', work: item.id },
    );
    onApplied();
  }

  submitted(queue: WorkQueue, item: WorkItem): void {
    // What replay submits again has claimed before; that nothing has is looked at when replay is over.
    if (this.#isLive && this.#options.recovery.leftOver !== undefined) this.#claim(item);
    this.#options.turns.submitted(queue, item);
  }

  recorded(item: WorkItem): RecordedItem | undefined {
    return this.#options.recovery.take(item);
  }

  diverged(item: WorkItem, what: string): void {
    const { strictReplay, fail } = this.#options;
    if (strictReplay) fail(new StreamError('DIVERGED', this.#named(item, what)));
    else this.overtaken(item, what);
  }

  overtaken(item: WorkItem, what: string): void {
    this.#options.logger.warn({ code: 'DIVERGED', key: item.key }, this.#named(item, what));
  }

  #named(item: WorkItem, what: string): string {
    return `operator \`${this.#options.uidOf(item.id.operator)}\`, key ${JSON.stringify(item.key)}: ${what}`;
  }

  /**
   * Journaled in the group of the turn that submits the item, so that it has what it claims before it runs and after
   * the next crash.
   */
  #claim(item: WorkItem): void {
    const claimed = this.#options.recovery.claim(item);
    if (claimed === undefined) return;
    const { branch, number } = item.id;
    this.journal.append(
      { kind: 'claimed', ...item.facts(), lsn: this.journal.nextLsn(), work: claimed.work, by: { branch, number } },
      () => {},
    );
    claimed.keys.push(workKey(claimed.work, 0, 'claimed'));
  }

  failWork(error: unknown): void {
    this.#options.fail(error);
  }

  callsOpen(delta: 1 | -1): void {
    this.#callsOpen += delta;
    if (this.#callsOpen > 0) return;
    for (const done of this.#whenCallsDone.splice(0)) done();
  }

  /**
   * No call starts any more. Resolves when those that have started are journaled, or after `timeoutMs`. What it waits
   * for ends with the job.
   */
  async quiesce(timeoutMs: number): Promise<void> {
    this.#accepting = false;
    if (this.#callsOpen > 0) await this.#callsDone(timeoutMs);
    this.signal.throwIfAborted(); // The journal takes nothing any more.
    await new Promise<void>((resolve) => this.journal.flush(resolve));
  }

  #callsDone(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        cancel();
        this.signal.removeEventListener('abort', end);
        resolve();
      };
      const cancel = this.clock.setTimer(timeoutMs, end);
      this.signal.addEventListener('abort', end, { once: true });
      this.#whenCallsDone.push(end);
    });
  }

  /**
   * After replay: applies the ends that were journaled without a turn, in the order of the log, then starts the rest.
   */
  resume(queues: readonly WorkQueue[]): void {
    const { recovery } = this.#options;
    const queueOf = new Map(
      queues.flatMap((queue) => [...queue.items()].map((item): [WorkItem, WorkQueue] => [item, queue])),
    );
    this.#isLive = true;
    for (const item of queueOf.keys()) if (item.id.branch === this.branch && !recovery.knows(item)) this.#claim(item);
    const ended = new Set<WorkItem>();
    for (const { item, outcome } of recovery.ends(queueOf.keys())) {
      ended.add(item); // Its turn may have to wait.
      // What it brings about is submitted, and claims what is left over.
      item.addJournaled(recovery.take(item)?.keys ?? []);
      const queue = queueOf.get(item);
      if (queue !== undefined) this.turn(queue, item, outcome);
    }
    const open = [...queueOf].filter(([item]) => !ended.has(item));
    this.journal.flush(() => {
      for (const [item, queue] of open) queue.start(item);
    });
  }

  /** The instant of a checkpoint: keys of the records that are garbage once it is durable. */
  cutGarbage(): readonly Uint8Array[] {
    const garbage = this.#garbage.concat(this.#options.recovery.takeGarbage());
    this.#garbage = [];
    return garbage;
  }
}
