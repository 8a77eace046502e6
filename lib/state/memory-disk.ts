/**
 * The disk in memory: what is durable in a database, and its openings, of which one at a time may write. A write takes
 * effect whole, in the order of the calls, when its time has come; a crash takes those in flight with it but for the
 * oldest, and a fault is final until the database is opened anew (I15).
 */
import type { Cancel } from '../core/clock.ts';
import { StreamError } from '../core/errors.ts';
import type { KeyRange } from './store.ts';

export type MemoryDatabaseName = 'state' | 'journal';

/** One operation that can fail. `number` counts all operations of the storage from 0, over crashes and reopenings. */
export interface MemoryOperation {
  readonly database: MemoryDatabaseName;
  readonly kind: 'write' | 'clear' | 'open' | 'append' | 'prune';
  readonly number: number;
}

/** `fail-before`: an error, and nothing was written. `fail-after`: an error, although all of it is durable. */
export type MemoryFault = 'none' | 'fail-before' | 'fail-after';

/**
 * @internal A key as latin1 text (one character per byte, so that the order of texts is the order of bytes), and its
 * value unless deleted.
 */
export type Change = readonly [key: string, value: Buffer | undefined];

/** @internal The text of a key. */
export const textOf = (key: Uint8Array): string =>
  (Buffer.isBuffer(key) ? key : Buffer.from(key.buffer, key.byteOffset, key.byteLength)).toString('latin1');

/** @internal What is durable in one database. */
export class Rows {
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
    return this.#sorted.slice(
      lowerBound(this.#sorted, gte),
      lt === undefined ? undefined : lowerBound(this.#sorted, lt),
    );
  }
}

/** Index of the first key that is not below `bound`. */
const lowerBound = (keys: readonly string[], bound: string): number => {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    // Inside the bounds by construction.
    if ((keys[middle] as string) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** @internal */
export type Schedule = (fn: () => void) => Cancel;

/** @internal */
export interface Disk {
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

/** @internal Opens a database, once at a time. */
export const openHandle = (disk: Disk): DiskHandle => {
  if (disk.handle !== undefined)
    throw new StreamError('STORE_LOCKED', `the ${disk.name} database in memory is open already`);
  if (disk.faultOf(disk.name, 'open') !== 'none') throw injected(disk.name, 'open');
  disk.handle = new DiskHandle(disk);
  return disk.handle;
};

/** @internal One opening of a database. Writes take effect one after the other, in the order of their calls. */
export class DiskHandle {
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
