/**
 * Bounds how many requests one model takes at once, over all keys and agents of a job. Who waits is served in the order
 * in which it came; a request that waits to be tried again is not inside. Kept for one life of the job, so that a call
 * which hung in the last one holds no place. Keeps I10: what waits is bounded by the actions in flight.
 */
import { Fifo } from '../../core/fifo.ts';
import type { CallLimit } from '../../core/call.ts';

/** Token of the job's limits among its resources. */
export const callLimits = { type: 'call_limits', name: 'chat_models' } as const;

export class CallLimits {
  readonly #gates = new WeakMap<object, Map<string, Gate>>();

  /**
   * The limit of one model at one connection. Setups that name different bounds share the count, and each keeps its own
   * bound.
   */
  of(connection: object, model: string, concurrency: number): CallLimit {
    let models = this.#gates.get(connection);
    if (models === undefined) this.#gates.set(connection, (models = new Map()));
    let gate = models.get(model);
    if (gate === undefined) models.set(model, (gate = new Gate()));
    const found = gate;
    return { enter: (start) => found.enter(concurrency, start), leave: () => found.leave() };
  }
}

interface QueuedCall {
  readonly concurrency: number;
  readonly start: () => void;
}

class Gate {
  #inside = 0;
  readonly #queue = new Fifo<QueuedCall>();
  #admitting = false;

  enter(concurrency: number, start: () => void): void {
    this.#queue.push({ concurrency, start });
    this.#admit();
  }

  leave(): void {
    this.#inside -= 1;
    this.#admit();
  }

  /** Not re-entered, so that many who leave as soon as they enter do not pile up on the stack. */
  #admit(): void {
    if (this.#admitting) return;
    this.#admitting = true;
    for (
      let next = this.#queue.first;
      next !== undefined && this.#inside < next.concurrency;
      next = this.#queue.first
    ) {
      this.#queue.shift();
      this.#inside += 1;
      next.start();
    }
    this.#admitting = false;
  }
}
