/**
 * The storage in memory: what tests write to, and the simulation. What was written survives the handles that wrote it,
 * so a job can be crashed and started again; a write becomes durable when its promise resolves and not before. Keeps I9
 * (delays come from the clock).
 */
import { systemClock, type Cancel, type Clock } from '../core/clock.ts';
import {
  Rows,
  openHandle,
  type Disk,
  type MemoryDatabaseName,
  type MemoryFault,
  type MemoryOperation,
  type Schedule,
} from './memory-disk.ts';
import { MemoryActionStateStore, MemoryStore } from './memory-store.ts';
import type { OpenStorage, Storage } from './store.ts';

export interface MemoryStorageOptions {
  /**
   * Brings the delays.
   * @defaultValue the system's clock; without it and without `writeDelayMs` writes settle in a microtask
   */
  readonly clock?: Clock | undefined;
  /**
   * How long the next write takes, in milliseconds.
   * @defaultValue not even a macrotask, or `clock.defer` when a clock is given
   */
  readonly writeDelayMs?: (() => number) | undefined;
  /** Asked once for each operation, when it is called. @defaultValue nothing fails */
  readonly fault?: ((operation: MemoryOperation) => MemoryFault) | undefined;
}

/**
 * How many of the oldest writes in flight had reached the disk when the process died, without anybody having been told.
 */
export interface MemoryCrash {
  /** @defaultValue 0 */
  readonly state?: number | undefined;
  /** @defaultValue 0 */
  readonly journal?: number | undefined;
}

/**
 * Keeps state and journal in memory, as long as the object lives: for tests, which can make it crash
 * (`CrashingStorage`).
 *
 * @example
 * const storage = new MemoryStorage();
 * const env = StreamExecutionEnvironment.create({ storage });
 * console.log(await env.fromCollection([1, 2]).executeAndCollect()); // prints [ 1, 2 ]
 */
export class MemoryStorage implements Storage {
  readonly name = 'memory';
  readonly #jobId: string;
  readonly #state: Disk;
  readonly #journal: Disk;

  constructor(options: MemoryStorageOptions = {}) {
    let operations = 0;
    const schedule = scheduler(options);
    const faultOf = (database: MemoryDatabaseName, kind: MemoryOperation['kind']): MemoryFault => {
      const number = operations;
      operations += 1;
      return options.fault?.({ database, kind, number }) ?? 'none';
    };
    this.#state = { name: 'state', rows: new Rows(), handle: undefined, schedule, faultOf };
    this.#journal = { name: 'journal', rows: new Rows(), handle: undefined, schedule, faultOf };
    const random = (): string => Math.floor((options.clock ?? systemClock).random() * 2 ** 32).toString(16);
    this.#jobId = `memory-${random()}-${random()}`;
  }

  /**
   * Opens it, once at a time: what was kept is there again.
   *
   * @example
   * const { state, close } = await new MemoryStorage().open();
   * const batch = state.batch();
   * batch.put(new Uint8Array([1]), new Uint8Array([2]));
   * await batch.write();
   * console.log(state.get(new Uint8Array([1]))?.length); // prints 1
   * await close();
   */
  async open(): Promise<OpenStorage> {
    const state = new MemoryStore(openHandle(this.#state));
    try {
      const journal = new MemoryActionStateStore(openHandle(this.#journal));
      const close = async (): Promise<void> => void (await Promise.all([state.close(), journal.close()]));
      return { jobId: this.#jobId, state, journal, close };
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /**
   * The process dies: writes in flight are lost, their promises never settle, and every handle opened so far is dead.
   *
   * @example
   * const storage = new CrashingStorage();
   * const { state } = await storage.open();
   * const batch = state.batch();
   * batch.put(new Uint8Array([1]), new Uint8Array([2]));
   * void batch.write();
   * storage.crash(); // before the write has reached the disk
   * console.log((await storage.open()).state.get(new Uint8Array([1]))); // prints undefined
   */
  crash(landed: MemoryCrash = {}): void {
    this.#state.handle?.die(landed.state ?? 0);
    this.#journal.handle?.die(landed.journal ?? 0);
  }
}

const scheduler = ({ clock, writeDelayMs }: MemoryStorageOptions): Schedule => {
  if (writeDelayMs !== undefined) return (fn) => (clock ?? systemClock).setTimer(writeDelayMs(), fn);
  if (clock === undefined) return (fn) => cancellable(fn, queueMicrotask);
  return (fn) => cancellable(fn, (run) => clock.defer(run));
};

const cancellable = (fn: () => void, run: (fn: () => void) => void): Cancel => {
  let live = true;
  run(() => {
    if (live) fn();
  });
  return () => (live = false);
};
