/**
 * The savepoints of a running job: what fills its place for state, and files that are written one after the other,
 * while it runs or as it stops.
 */
import { StreamError } from '../../core/errors.ts';
import { refusal } from '../../core/options.ts';
import type { OpenStorage } from '../../state/store.ts';
import { asItsJob, claim, exportSavepoint, isMadeOf, Restore, type RestoredOn } from '../recovery/savepoint.ts';
import type { JobOptions } from './job-options.ts';

export class Savepoints {
  readonly #options: JobOptions;
  #storage: OpenStorage | undefined;
  #written: Promise<void> = Promise.resolve();
  #atStop: string | undefined;
  /** What was read before the place for state was made. */
  #restore: Restore | undefined;
  /** The place for state is filled; a later life goes on with it, whatever stands at the path by then. */
  #isRestored: boolean;

  constructor(options: JobOptions) {
    this.#options = options;
    this.#isRestored = options.restoreFrom === undefined;
  }

  /** Where no place for state is made yet, what it is to be filled from is read first: refused, it makes none. */
  async beforeOpening(declared: RestoredOn['declared']): Promise<void> {
    const { storage } = this.#options;
    if (!this.#isRestored && (await storage?.exists?.()) === false) this.#restore = await this.#read(declared);
  }

  /** The place for state of this life, filled where it is to be. */
  async begin(storage: OpenStorage, declared: RestoredOn['declared']): Promise<OpenStorage> {
    const { restoreFrom } = this.#options;
    if (restoreFrom !== undefined && !this.#isRestored) {
      if (!(await isMadeOf(storage.state, restoreFrom)))
        await (this.#restore ?? (await this.#read(declared)))?.into(storage);
      await claim(restoreFrom);
      this.#isRestored = true;
      this.#restore = undefined;
    }
    this.#storage = asItsJob(storage);
    return this.#storage;
  }

  async #read(declared: RestoredOn['declared']): Promise<Restore | undefined> {
    const { restoreFrom, graph, settings } = this.#options;
    if (restoreFrom === undefined) return undefined;
    const uids = new Set(graph.nodes.map(({ uid }) => uid));
    return Restore.read(restoreFrom, { uids, maxParallelism: settings.maxParallelism, declared });
  }

  end(): void {
    this.#storage = undefined;
  }

  check(path: unknown): void {
    if (typeof path !== 'string' || path === '' || path.includes('\0')) throw refusal('savepoint', 'a path', path);
    if (this.#options.storage === undefined)
      throw new TypeError('Expected a job with a place for state: without one there is nothing to save');
  }

  async write(path: string): Promise<void> {
    const storage = this.#storage;
    if (storage === undefined) throw new TypeError('Expected the job to be running, got one that is over');
    const written = this.#written.then(() => exportSavepoint(storage, path));
    this.#written = written.catch(() => {}); // Whoever asked for it sees it.
    return written;
  }

  askAtStop(path: string | undefined): void {
    if (path === undefined) return;
    this.check(path);
    this.#atStop = path;
  }

  /** The job has its last checkpoint, or had no time for it. */
  async writeAtStop(committed: boolean): Promise<void> {
    if (!committed) this.refuse();
    else if (this.#atStop !== undefined) await this.write(this.#atStop);
  }

  /** The job leaves without the checkpoint that was to be saved. */
  refuse(): void {
    if (this.#atStop === undefined) return;
    const message = `job "${this.#options.name}" was stopped before it had a checkpoint to save`;
    throw new StreamError('SAVEPOINT_FAILED', message, {
      hint: 'start it again, wait until it runs, and give the stop more time',
    });
  }
}
