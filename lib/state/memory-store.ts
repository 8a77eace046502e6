/**
 * The memory store: what a job without a directory writes to, and the disk of the simulation. What was written survives the handles that
 * wrote it, so a job can be crashed and started again; a write becomes durable when its promise resolves and not before.
 * Keeps I5 (a batch is whole or absent), I9 (delays come from the clock) and I15 (after a failed write the store is reopened).
 */
import type { Cancel, Clock } from '../core/clock.ts';
import type { ActionStateStore, JournalEntry, JournalPosition } from '../core/journal.ts';
import type { KeyRange, OpenStorage, Storage, Store, StoreBatch } from './store.ts';
import { systemClock } from '../core/clock.ts';
import { StreamError } from '../core/errors.ts';

export type MemoryDatabaseName = 'state' | 'journal';

/** One operation that can fail. `number` counts all operations of the storage from 0, over crashes and reopenings. */
export interface MemoryOperation {
  readonly database: MemoryDatabaseName;
  readonly kind: 'write' | 'clear' | 'open' | 'append' | 'prune';
  readonly number: number;
}

/** `fail-before`: an error, and nothing was written. `fail-after`: an error, although all of it is durable. */
export type MemoryFault = 'none' | 'fail-before' | 'fail-after';

export interface MemoryStorageOptions {
  /** Brings the delays. @defaultValue the system's clock; without it and without `writeDelayMs` writes settle in a microtask */
  readonly clock?: Clock | undefined;
  /** How long the next write takes, in milliseconds. @defaultValue not even a macrotask, or `clock.defer` when a clock is given */
  readonly writeDelayMs?: (() => number) | undefined;
  /** Asked once for each operation, when it is called. @defaultValue nothing fails */
  readonly fault?: ((operation: MemoryOperation) => MemoryFault) | undefined;
}

/** How many of the oldest writes in flight had reached the disk when the process died, without anybody having been told. */
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

/** @internal Made by `MemoryStorage`. */
export class MemoryStore implements Store {
  readonly #handle: DiskHandle;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#handle.assertUsable();
    const value = this.#handle.rows.get(textOf(key));
    return value === undefined ? undefined : Buffer.from(value);
  }

  entries(range: KeyRange): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]> {
    this.#handle.assertUsable();
    return later(this.#handle, this.#handle.rows.range(range));
  }

  batch(): StoreBatch {
    this.#handle.assertUsable();
    return new MemoryBatch(this.#handle);
  }

  clear(range: KeyRange): Promise<void> {
    const [gte, lt] = [textOf(range.gte), textOf(range.lt)];
    return this.#handle.perform('clear', (rows) => rows.clear(gte, lt));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** @internal Made by `MemoryStorage`. */
export class MemoryActionStateStore implements ActionStateStore {
  readonly #handle: DiskHandle;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  append(entries: readonly JournalEntry[]): Promise<void> {
    const changes = entries.map(({ key, value }): Change => [textOf(key), Buffer.from(value)]);
    return this.#handle.perform('append', (rows) => rows.apply(changes));
  }

  async get(key: Uint8Array): Promise<JournalEntry | undefined> {
    await this.#handle.usable();
    const value = this.#handle.rows.get(textOf(key));
    return value === undefined ? undefined : { key: Buffer.from(key), value: Buffer.from(value) };
  }

  /** Always the beginning: memory gives everything anyway. */
  async getRecoveryMarker(): Promise<JournalPosition> {
    await this.#handle.usable();
    return 0;
  }

  async *rebuildState(_marker?: JournalPosition): AsyncIterable<JournalEntry> {
    await this.#handle.usable();
    for await (const [key, value] of later(this.#handle, this.#handle.rows.range())) yield { key, value };
  }

  pruneState(keys: readonly Uint8Array[]): Promise<void> {
    const changes = keys.map((key): Change => [textOf(key), undefined]);
    return this.#handle.perform('prune', (rows) => rows.apply(changes));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

class MemoryBatch implements StoreBatch {
  readonly #handle: DiskHandle;
  readonly #changes: Change[] = [];
  #bytes = 0;
  #open = true;

  constructor(handle: DiskHandle) {
    this.#handle = handle;
  }

  get length(): number {
    return this.#changes.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#add(textOf(key), Buffer.from(value));
  }

  delete(key: Uint8Array): void {
    this.#add(textOf(key), undefined);
  }

  async write(): Promise<void> {
    if (!this.#open) throw new TypeError('Expected a batch that was not written or closed');
    this.#open = false;
    await this.#handle.perform('write', (rows) => rows.apply(this.#changes));
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  #add(key: string, value: Buffer | undefined): void {
    if (!this.#open) throw new TypeError('Expected a batch that was not written or closed');
    this.#changes.push([key, value]);
    this.#bytes += key.length + (value?.length ?? 0);
  }
}

// ---------- the disk

/** @internal A key as latin1 text (one character per byte, so that the order of texts is the order of bytes), and its value unless deleted. */
type Change = readonly [key: string, value: Buffer | undefined];

const textOf = (key: Uint8Array): string =>
  (Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength)).toString('latin1');

/** @internal What is durable in one database. */
class Rows {
  readonly #values = new Map<string, Buffer>();
  /** All keys in order, while no key has come or gone since they were sorted. */
  #sorted: string[] | undefined;

  get(key: string): Buffer | undefined {
    return this.#values.get(key);
  }

  apply(changes: readonly Change[]): void {
    const size = this.#values.size;
    let removed = false;
    for (const [key, value] of changes) {
      if (value === undefined) removed = this.#values.delete(key) || removed;
      else this.#values.set(key, value);
    }
    if (removed || this.#values.size !== size) this.#sorted = undefined;
  }

  clear(gte: string, lt: string): void {
    this.apply(this.#keys(gte, lt).map((key) => [key, undefined]));
  }

  /** Copies of the rows in a range, or of all. */
  range(range?: KeyRange): [key: Buffer, value: Buffer][] {
    const keys = range === undefined ? this.#keys('') : this.#keys(textOf(range.gte), textOf(range.lt));
    return keys.map((key) => [Buffer.from(key, 'latin1'), Buffer.from(this.#values.get(key) ?? '')]);
  }

  #keys(gte: string, lt?: string): string[] {
    this.#sorted ??= [...this.#values.keys()].sort();
    return this.#sorted.slice(lowerBound(this.#sorted, gte), lt === undefined ? undefined : lowerBound(this.#sorted, lt));
  }
}

/** Index of the first key that is not below `bound`. */
const lowerBound = (keys: readonly string[], bound: string): number => {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as string) < bound) low = middle + 1; // inside the bounds by construction
    else high = middle;
  }
  return low;
};

/** @internal */
type Schedule = (fn: () => void) => Cancel;

/** @internal */
interface Disk {
  readonly name: MemoryDatabaseName;
  readonly rows: Rows;
  /** The only handle that may write: a database has one owner at a time. */
  handle: DiskHandle | undefined;
  readonly schedule: Schedule;
  readonly faultOf: (database: MemoryDatabaseName, kind: MemoryOperation['kind']) => MemoryFault;
}

/** @internal */
interface PendingWrite {
  readonly kind: MemoryOperation['kind'];
  readonly apply: (rows: Rows) => void;
  readonly fault: MemoryFault;
  readonly resolve: () => void;
  readonly reject: (error: StreamError) => void;
}

const openHandle = (disk: Disk): DiskHandle => {
  if (disk.handle !== undefined) throw new StreamError('STORE_LOCKED', `the ${disk.name} database in memory is open already`);
  if (disk.faultOf(disk.name, 'open') !== 'none') throw injected(disk.name, 'open');
  disk.handle = new DiskHandle(disk);
  return disk.handle;
};

/** @internal One opening of a database. Writes take effect one after the other, in the order of their calls. */
class DiskHandle {
  readonly #disk: Disk;
  readonly #pending: PendingWrite[] = [];
  #status: 'open' | 'closing' | 'closed' | 'dead' = 'open';
  #failure: StreamError | undefined;
  #cancel: Cancel | undefined;
  #drained: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  get rows(): Rows {
    return this.#disk.rows;
  }

  assertUsable(): void {
    const error = this.#unusable();
    if (error !== undefined) throw error;
  }

  /** Waits for ever in a dead process; rejects after a failed write and after close. */
  usable(): Promise<void> {
    if (this.#status === 'dead') return never();
    const error = this.#unusable();
    return error === undefined ? Promise.resolve() : Promise.reject(error);
  }

  perform(kind: MemoryOperation['kind'], apply: (rows: Rows) => void): Promise<void> {
    if (this.#status === 'dead') return never();
    const error = this.#unusable();
    if (error !== undefined) return Promise.reject(error);
    const fault = this.#disk.faultOf(this.#disk.name, kind);
    return new Promise((resolve, reject) => {
      this.#pending.push({ kind, apply, fault, resolve, reject });
      if (this.#pending.length === 1) this.#next();
    });
  }

  /** Waits for the writes in flight. */
  close(): Promise<void> {
    if (this.#status === 'dead') return Promise.resolve();
    this.#closed ??= this.#drain().then(() => {
      if (this.#status === 'closing') this.#leave('closed');
    });
    return this.#closed;
  }

  die(landed: number): void {
    for (const { apply, fault } of this.#pending.splice(0).slice(0, landed)) {
      if (fault === 'fail-before') break;
      apply(this.#disk.rows);
    }
    this.#cancel?.();
    this.#leave('dead');
    // Who waits in `close` is told, so that a test can clean up; nobody else hears from a dead process.
    this.#drained?.();
  }

  #next(): void {
    this.#cancel = this.#disk.schedule(() => {
      const write = this.#pending.shift();
      if (write === undefined) return;
      if (write.fault !== 'fail-before') write.apply(this.#disk.rows);
      if (write.fault === 'none') write.resolve();
      else this.#fail(write, injected(this.#disk.name, write.kind));
      if (this.#pending.length > 0) this.#next();
      else this.#drained?.();
    });
  }

  #fail(write: PendingWrite, error: StreamError): void {
    this.#failure = error;
    write.reject(error);
    for (const waiting of this.#pending.splice(0)) waiting.reject(failedBefore(this.#disk.name, error));
  }

  #drain(): Promise<void> {
    this.#status = 'closing';
    return this.#pending.length === 0 ? Promise.resolve() : new Promise((resolve) => (this.#drained = resolve));
  }

  #leave(status: 'closed' | 'dead'): void {
    this.#status = status;
    if (this.#disk.handle === this) this.#disk.handle = undefined;
  }

  #unusable(): StreamError | undefined {
    if (this.#failure !== undefined) return failedBefore(this.#disk.name, this.#failure);
    if (this.#status === 'open') return undefined;
    const how = this.#status === 'dead' ? 'belongs to a process that crashed' : 'is closed';
    return new StreamError('STORE_FAILED', `the ${this.#disk.name} database in memory ${how}`);
  }
}

const injected = (database: MemoryDatabaseName, kind: string): StreamError =>
  new StreamError('STORE_FAILED', `an injected fault failed ${kind} in the ${database} database in memory`);

const failedBefore = (database: MemoryDatabaseName, cause: StreamError): StreamError =>
  new StreamError('STORE_FAILED', `the ${database} database in memory failed before and was not reopened`, { cause });

const never = (): Promise<never> => new Promise(() => undefined);

const later = async function* <T>(handle: DiskHandle, rows: readonly T[]): AsyncGenerator<T> {
  for (const row of rows) {
    await handle.usable();
    yield row;
  }
};

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
