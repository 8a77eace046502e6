/**
 * The work of a whole job: what bodies need of it, which items go on after a restart, when a stop may leave, and which records of the
 * journal have become garbage. Keeps I8: an outcome that is journaled is applied, never asked for again.
 */
import type { Logger } from 'pino';
import type { Clock } from '../core/clock.ts';
import { StreamError } from '../core/errors.ts';
import type { Journal } from './journal.ts';
import { workKey, type CalledRecord } from './journal-format.ts';
import type { Recovery } from './recovery.ts';
import type { Turns } from './turns.ts';
import type { WorkItem, WorkQueue, WorkServices } from './work.ts';
import { Macrotasks } from './macrotasks.ts';
import { inOrder, type RecordedItem } from './recorded-calls.ts';

export interface OpenWorkOptions {
  readonly jobId: string;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly recovery: Recovery;
  readonly turns: Turns;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly strictReplay: boolean;
  readonly branch: () => number;
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
  /** An item that a replayed turn has submitted instead of the recorded one. */
  contradiction: WorkItem | undefined;
  readonly #options: OpenWorkOptions;
  #accepting = true;
  #callsOpen = 0;
  #onCallsDone: () => void = () => {};
  /** Keys of the records of items that are applied: garbage once a checkpoint covers that. */
  #garbage: Uint8Array[] = [];

  constructor(options: OpenWorkOptions) {
    this.#options = options;
    this.jobId = options.jobId;
    this.clock = options.clock;
    this.journal = options.journal;
    this.signal = options.signal;
    this.macrotasks = new Macrotasks(options.clock);
  }

  get branch(): number {
    return this.#options.branch();
  }

  get accepting(): boolean {
    return this.#accepting;
  }

  turn(item: WorkItem, body: () => void): void {
    this.#options.turns.run(body, () => ({ kind: 'work', work: item.id }));
    for (const key of item.journaled) this.#garbage.push(key);
    this.#options.onApplied();
  }

  submitted(queue: WorkQueue, item: WorkItem): void {
    this.#options.turns.submitted(queue, item);
  }

  contradicts(item: WorkItem): boolean {
    const contradicts = this.#options.recovery.contradicts(item);
    if (contradicts) this.contradiction ??= item;
    return contradicts;
  }

  recorded(item: WorkItem): RecordedItem | undefined {
    const recorded = this.#options.recovery.take(item);
    // Claimed from a branch that was left: under its own name the next crash finds it too.
    if (recorded?.claimed === true) for (const called of inOrder(recorded)) this.#journalAgain(item, called);
    return recorded;
  }

  #journalAgain(item: WorkItem, { call, id, args, outcome, again }: CalledRecord): void {
    this.journal.append({ kind: 'called', lsn: this.journal.nextLsn(), ...item.facts(), call, id, args, outcome, again }, () => {
      item.addJournaled([workKey(item.id, call, 'called')]);
    });
  }

  diverged(item: WorkItem, what: string): void {
    const { strictReplay, logger, fail } = this.#options;
    if (strictReplay) fail(new StreamError('DIVERGED', what));
    else logger.warn({ code: 'DIVERGED', key: item.key }, what);
  }

  failWork(error: unknown): void {
    this.#options.fail(error);
  }

  callsOpen(delta: 1 | -1): void {
    this.#callsOpen += delta;
    if (this.#callsOpen === 0) this.#onCallsDone();
  }

  /** No call starts any more. Resolves when those that have started are journaled, or after `timeoutMs`. */
  async quiesce(timeoutMs: number): Promise<void> {
    this.#accepting = false;
    await new Promise<void>((resolve) => {
      const cancel = this.clock.setTimer(timeoutMs, resolve);
      this.#onCallsDone = () => {
        cancel();
        resolve();
      };
      if (this.#callsOpen === 0) this.#onCallsDone();
    });
    await new Promise<void>((resolve) => this.journal.flush(resolve));
  }

  /** After replay: applies the ends that were journaled without a turn, in the order of the log, then starts the rest. */
  resume(queues: readonly WorkQueue[]): void {
    const { recovery } = this.#options;
    const queueOf = new Map(queues.flatMap((queue) => [...queue.items()].map((item): [WorkItem, WorkQueue] => [item, queue])));
    recovery.offer(queueOf.keys());
    for (const { item, outcome } of recovery.ends(queueOf.keys())) this.turn(item, () => queueOf.get(item)?.apply(item, outcome));
    const open = [...queueOf].filter(([item, queue]) => queue.find(item.id) === item);
    for (const key of recovery.garbage(new Set(open.map(([item]) => item.name)))) this.#garbage.push(key);
    this.journal.flush(() => {
      for (const [item, queue] of open) queue.start(item);
    });
  }

  /** The instant of a checkpoint: keys of the records that are garbage once it is durable. */
  cutGarbage(): readonly Uint8Array[] {
    const garbage = this.#garbage;
    this.#garbage = [];
    return garbage;
  }
}
