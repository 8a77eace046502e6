/**
 * Runs the work of an operator in a harness: real bodies on a journal that keeps nothing; each outcome is a step of its
 * own.
 */
import { systemClock } from '../../lib/core/clock.ts';
import type { Key } from '../../lib/core/key.ts';
import type { Operator } from '../../lib/core/operator.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { emptyJournal, Journal } from '../../lib/runtime/journal/journal.ts';
import { Macrotasks } from '../../lib/runtime/work/macrotasks.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import type { HarnessOutput } from '../../lib/testing/harness-outputs.ts';
import type { WorkItem } from '../../lib/runtime/work/work-item.ts';
import type { WorkQueue, WorkServices } from '../../lib/runtime/work/work.ts';

export class WorkHarness<I, O> {
  /** What came out, of every step. */
  readonly outputs: HarnessOutput<O>[] = [];
  /** What a turn threw, or a body that nobody handled. */
  readonly errors: unknown[] = [];
  readonly #abort = new AbortController();
  #harness: OperatorHarness<I, O> | undefined;
  /** Items of a process that died: their bodies may end, and nobody hears of it. */
  readonly #dead = new WeakSet<WorkItem>();
  readonly #submitted: { readonly queue: WorkQueue; readonly item: WorkItem }[] = [];

  static async open<I, O>(
    operator: Operator<I, O>,
    keyOf?: (value: I) => Key,
    sides?: readonly OutputTag<unknown>[],
  ): Promise<WorkHarness<I, O>> {
    const made = new WorkHarness<I, O>();
    made.#harness = await OperatorHarness.open(operator, { keyOf, sides, work: made.#services() });
    return made;
  }

  element(value: I, timestamp: number): void {
    this.#step((harness) => harness.element(value, timestamp));
  }

  watermark(timestamp: number): void {
    this.#step((harness) => harness.watermark(timestamp));
  }

  /** The process dies after what is in the journal; a new operator opens with the state as it is now. */
  async restart(): Promise<void> {
    const harness = this.#open();
    for (const item of harness.host.workQueue?.items() ?? []) this.#dead.add(item);
    await harness.restore(await harness.snapshot());
    const queue = harness.host.workQueue;
    for (const item of queue?.items() ?? []) queue?.start(item);
  }

  /** Rows that a checkpoint would hold now. */
  async rows(): Promise<number> {
    return (await this.#open().snapshot()).rows.length;
  }

  /** What is stored, as text. */
  async stored(): Promise<string> {
    return JSON.stringify((await this.#open().snapshot()).rows.map(([, value]) => Buffer.from(value).toString()));
  }

  get open(): number {
    return this.#open().host.workQueue?.open ?? 0;
  }

  get inFlight(): number {
    return this.#open().host.workQueue?.inFlight ?? 0;
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  #open(): OperatorHarness<I, O> {
    if (this.#harness === undefined) throw new Error('not open');
    return this.#harness;
  }

  #step(step: (harness: OperatorHarness<I, O>) => readonly HarnessOutput<O>[]): void {
    try {
      this.outputs.push(...step(this.#open()));
    } catch (error) {
      this.errors.push(error);
    }
    for (const { queue, item } of this.#submitted.splice(0)) queue.start(item);
  }

  #services(): WorkServices {
    return {
      branch: 0,
      journal: new Journal({
        store: undefined,
        clock: systemClock,
        recordTurns: () => false,
        from: emptyJournal,
        onFailure: (error) => this.errors.push(error),
      }),
      clock: systemClock,
      macrotasks: new Macrotasks(systemClock),
      jobId: 'test',
      signal: this.#abort.signal,
      accepting: true,
      turn: (queue, item, outcome) => {
        if (!this.#dead.has(item)) this.#step((harness) => harness.turn(() => queue.apply(item, outcome)));
      },
      submitted: (queue, item) => this.#submitted.push({ queue, item }),
      recorded: () => undefined,
      diverged: (_, what) => this.errors.push(what),
      overtaken: (_, what) => this.errors.push(what),
      failWork: (error) => this.errors.push(error),
      callsOpen: () => {},
    };
  }
}
