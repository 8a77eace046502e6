/**
 * The work of one operator in a harness: the engine's own turns, journal, work and recovery on a memory store. So a
 * durable call whose outcome is in the journal is not made again by an operator that comes back (I8), and a call starts
 * when its turn is durable (I14).
 */
import { makeAbort } from '../core/abort.ts';
import { systemClock } from '../core/clock.ts';
import type { Timestamp } from '../core/element.ts';
import type { ActionStateStore, JournalEntry } from '../core/journal.ts';
import { emptyJournal, Journal } from '../runtime/journal/journal.ts';
import { makeLogger } from '../runtime/job/logging.ts';
import { OpenWork } from '../runtime/domain/open-work.ts';
import { Recovery } from '../runtime/recovery/recovery.ts';
import { Turns } from '../runtime/domain/turns.ts';
import type { WorkQueue } from '../runtime/work/work.ts';
import { MemoryStorage } from '../state/memory-storage.ts';
import { settled, type ManualClock } from './clock.ts';

const logger = makeLogger('silent');

export const jobId = 'harness';

/** Macrotasks without a turn after which nothing is thought to move by itself. */
const quietMax = 8;

/** How long to wait in real time before work is looked at again that is no matter of promises alone. */
const pollMs = 1;

export class HarnessWork {
  readonly services: OpenWork;
  readonly #clock: ManualClock;
  readonly #store: ActionStateStore;
  readonly #journal: Journal;
  readonly #turns: Turns;
  readonly #abort = makeAbort();
  #failure: { readonly error: unknown } | undefined;
  /** A step of the test is in hand: what it throws goes back to the test and is no failure of work. */
  #stepping = false;

  private constructor(clock: ManualClock, store: ActionStateStore, recovery: Recovery) {
    const { signal } = this.#abort;
    const fail = (error: unknown): void => this.#fail(error);
    const branch = (): number => 0;
    this.#clock = clock;
    this.#store = store;
    this.#journal = new Journal({ store, clock, recordTurns: () => false, from: recovery.state, onFailure: fail });
    const journal = this.#journal;
    this.#turns = new Turns({ clock, journal, signal, fail });
    const turns = this.#turns;
    const onApplied = (): void => {};
    const uidOf = (): string => 'operator';
    this.services = new OpenWork({
      jobId,
      clock,
      journal,
      recovery,
      turns,
      signal,
      logger,
      strictReplay: true,
      branch,
      uidOf,
      onApplied,
      fail,
    });
  }

  /** Opens on what a journal held. */
  static async open(clock: ManualClock, entries: readonly JournalEntry[]): Promise<HarnessWork> {
    const { journal } = await new MemoryStorage().open();
    if (entries.length > 0) await journal.append(entries);
    return new HarnessWork(clock, journal, await Recovery.load(journal, { journal: emptyJournal, branch: 0 }));
  }

  /** Time of the turn in hand. */
  now(): Timestamp {
    return this.#turns.now();
  }

  /** Runs a step of the test as a turn; throws what it throws, or what work has failed with. */
  step(body: () => void): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    let thrown: { readonly error: unknown } | undefined;
    this.#stepping = true;
    this.#turns.run(
      () => {
        try {
          body();
        } catch (error) {
          thrown = { error };
          throw error;
        }
      },
      () => ({ kind: 'start' }),
    );
    this.#stepping = false;
    if (thrown !== undefined) throw thrown.error;
  }

  /** Starts what was open in the state that the operator was restored from. */
  resume(queue: WorkQueue | undefined): void {
    if (queue !== undefined) this.services.resume([queue]);
  }

  /** Resolves when nothing moves any more without time or something from outside. Throws what work has failed with. */
  async quiet(queue: WorkQueue | undefined): Promise<void> {
    for (let still = 0; still < quietMax; still += 1) {
      const before = this.#marks(queue);
      await settled();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#marks(queue) !== before) still = 0;
    }
  }

  /**
   * Resolves when no work is open, or all that is waits before its next attempt; false when that takes longer than
   * `timeoutMs` in real time.
   */
  async settled(queue: WorkQueue | undefined, timeoutMs: number): Promise<boolean> {
    const end = systemClock.elapsed() + timeoutMs;
    await this.quiet(queue);
    while (queue !== undefined && queue.open > 0 && queue.inFlight > 0) {
      if (systemClock.elapsed() > end) return false;
      await new Promise<void>((resolve) => void systemClock.setTimer(pollMs, resolve));
      await this.quiet(queue);
    }
    return true;
  }

  /** What the journal holds. */
  async entries(): Promise<readonly JournalEntry[]> {
    const entries: JournalEntry[] = [];
    for await (const { key, value } of this.#store.rebuildState())
      entries.push({ key: Uint8Array.from(key), value: Uint8Array.from(value) });
    return entries;
  }

  /** The process dies: what is open takes effect no more. */
  kill(reason: unknown = new Error('the harness was restored')): void {
    this.#journal.kill();
    this.#abort.abort(reason);
  }

  #fail(error: unknown): void {
    if (this.#stepping || this.#failure !== undefined || this.#abort.signal.aborted) return;
    this.#failure = { error };
    this.kill(error);
  }

  /** Changes with whatever moves. */
  #marks(queue: WorkQueue | undefined): string {
    return `${this.#turns.moves} ${this.#journal.backlog} ${this.#journal.state.lsn} ${queue?.open} ${queue?.inFlight} ${this.#clock.waiting}`;
  }
}
