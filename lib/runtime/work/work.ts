/**
 * Work: promises that survive a crash. An item is submitted in a turn and is keyed state until it is applied; its body
 * runs outside any turn, after the submitting turn is durable (so no id leaves the process before, I14); its outcome is
 * journaled and then applied in a turn of its own (I8, I13). Bodies in flight are bounded; what waits is bounded by a
 * place (I10).
 */
import { timeoutMsOf } from '../../core/call.ts';
import { StreamError } from '../../core/errors.ts';
import { Fifo } from '../../core/fifo.ts';
import type { WorkId } from '../../core/journal.ts';
import type { Key } from '../../core/key.ts';
import type { Place } from '../../core/operator.ts';
import { mapState, scattered, unshared, type MapState } from '../../core/state-descriptor.ts';
import type { Outcome, Work, Worker, WorkOptions } from '../../core/work.ts';
import { ownCopy } from '../../core/own-copy.ts';
import type { KeyContext } from '../../state/key-context.ts';
import { operatorFailure } from '../edges/operator-failure.ts';
import { WorkItem, type KnownWorker, type WorkRow } from './work-item.ts';
import type { BodyOwner, BodyServices } from './body-services.ts';
import { WorkBody } from './work-body.ts';

export const workRows = scattered(unshared(mapState<number, WorkRow>('work', { indexed: false })));

export interface WorkServices extends BodyServices {
  readonly branch: number;
  /** Runs the turn in which the queue applies this outcome of its item. */
  turn(queue: Pick<WorkQueue, 'apply'>, item: WorkItem, outcome: Outcome<unknown>): void;
  /** Asks to start an item once the present turn is durable. */
  submitted(queue: WorkQueue, item: WorkItem): void;
}

export interface WorkQueueOptions {
  readonly operator: number;
  readonly uid: string;
  readonly keys: KeyContext;
  readonly rows: MapState<number, WorkRow>;
  readonly sequence: () => number;
  readonly keyGroup: () => number;
  readonly maxParallelism: number;
  readonly now: () => number;
  readonly place: Place;
  readonly inFlightMax: number;
  readonly services: WorkServices;
}

/** Key groups of a job at most. */
const groupsMax = 32_768;

/** The open work of one operator. */
export class WorkQueue implements BodyOwner {
  readonly #options: WorkQueueOptions;
  readonly #workers = new Map<string, KnownWorker>();
  /** Every open item. A number is used once per key group, whatever the branch. */
  readonly #open = new Map<number, WorkItem>();
  /** What waits for a place among those in flight: items that start, and what a body goes on with. */
  readonly #queue = new Fifo<WorkItem | (() => void)>();
  #inFlight = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get open(): number {
    return this.#open.size;
  }

  items(): Iterable<WorkItem> {
    return this.#open.values();
  }

  find(work: WorkId): WorkItem | undefined {
    const item = this.#open.get(this.#slot(work));
    return item?.id.branch === work.branch ? item : undefined;
  }

  register<W, R>(worker: Worker<W, R>, options: WorkOptions = {}): Work<W> {
    if (this.#workers.has(worker.name))
      throw new TypeError(`Expected workers of one operator to have different names, got \`${worker.name}\` twice`);
    // The queue keeps items as unknown; each goes back to the worker that took it as W.
    const known = {
      worker: worker as Worker<unknown, unknown>,
      uid: this.#options.uid,
      timeoutMs: timeoutMsOf(options),
    };
    this.#workers.set(worker.name, known);
    return { submit: (item) => this.#submit(known, item) };
  }

  /** Finds the items that were open in the checkpoint. */
  async restore(): Promise<void> {
    await this.#options.rows.forEachEntry((key, number, stored) => {
      const row = stored();
      const { operator } = this.#options;
      const { branch, group: keyGroup = this.#options.keyGroup() } = row;
      const id = { branch, operator, keyGroup, number };
      this.#add(this.#workerOf(row), { id, key, row });
    });
  }

  /** Starts an item whose turn is durable, or lines it up when enough are in flight. */
  start(item: WorkItem): void {
    if (item.worker.placeless === true) this.#begin(item);
    else this.#place(item);
  }

  enter(then: () => void): void {
    this.#place(then);
  }

  leave(): void {
    this.#inFlight -= 1;
    const next = this.#queue.shift();
    if (next !== undefined) this.#place(next);
  }

  ended(item: WorkItem, outcome: Outcome<unknown>): void {
    this.#options.services.turn(this, item, outcome);
  }

  /** Hands an outcome to its worker, under the item's key. Runs in a turn. */
  apply(item: WorkItem, outcome: Outcome<unknown>): void {
    const { keys, rows, place, uid } = this.#options;
    this.#open.delete(this.#slot(item.id));
    place.add(-1);
    keys.within(item.key, () => {
      rows.delete(item.id.number);
      try {
        item.worker.apply(item.item, outcome);
      } catch (error) {
        throw operatorFailure(uid, error);
      }
    });
  }

  #submit(known: KnownWorker, item: unknown): void {
    const { operator, keys, rows, sequence, keyGroup, now, services } = this.#options;
    const { name, owned } = known.worker;
    // Who submitted it may change it later, and its row is stored later (I21).
    const kept = owned === true ? item : ownCopy(item);
    const number = sequence();
    const { branch } = services;
    const group = keyGroup();
    const row: WorkRow = { worker: name, item: kept, submittedAt: now(), branch, group };
    rows.set(number, row);
    const added = this.#add(known, { id: { branch, operator, keyGroup: group, number }, key: keys.key, row });
    added.digest(); // In the turn, which fails when the item can't be stored.
    services.submitted(this, added);
  }

  #workerOf({ worker }: WorkRow): KnownWorker {
    const known = this.#workers.get(worker);
    if (known !== undefined) return known;
    throw new StreamError(
      'STATE_INCOMPATIBLE',
      `open work names a worker \`${worker}\` that the operator does not have`,
      { hint: 'go on with the code that has it until its work is done, or put it back' },
    );
  }

  #add(
    known: KnownWorker,
    { id, key, row }: { readonly id: WorkId; readonly key: Key; readonly row: WorkRow },
  ): WorkItem {
    const item = new WorkItem({ id, key, keys: this.#options.keys, known, row });
    this.#open.set(this.#slot(id), item);
    this.#options.place.add(1);
    return item;
  }

  #slot({ keyGroup, number }: WorkId): number {
    const { maxParallelism } = this.#options;
    // A group that is no longer one names work of before a savepoint; below 0 nothing else is.
    return keyGroup < maxParallelism ? number * maxParallelism + keyGroup : -1 - (number * groupsMax + keyGroup);
  }

  #place(next: WorkItem | (() => void)): void {
    if (this.#inFlight >= this.#options.inFlightMax) {
      this.#queue.push(next);
      return;
    }
    this.#inFlight += 1;
    if (typeof next === 'function') next();
    else this.#begin(next);
  }

  #begin(item: WorkItem): void {
    const { services } = this.#options;
    // One that may not start any more is state, and starts when the job does.
    if (services.accepting && !services.signal.aborted) new WorkBody(item, services, this).run();
  }
}
