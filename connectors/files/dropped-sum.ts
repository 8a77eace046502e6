/** What sources have dropped between the begin and the end of each, summed: some may run at once, or come again. */
import type { Source } from '../../lib/core/connector.ts';

type Counted = Pick<Source<unknown>, 'dropped'>;

export class DroppedSum {
  #ended = 0;
  /** Those that run, with what they had dropped before. */
  readonly #running = new Map<Counted, { readonly before: number; readers: number }>();

  get sum(): number {
    let sum = this.#ended;
    for (const [source, { before }] of this.#running) sum += (source.dropped ?? 0) - before;
    return sum;
  }

  begin(source: Counted): void {
    const running = this.#running.get(source);
    if (running === undefined) this.#running.set(source, { before: source.dropped ?? 0, readers: 1 });
    else running.readers += 1;
  }

  end(source: Counted): void {
    const running = this.#running.get(source);
    if (running === undefined || (running.readers -= 1) > 0) return;
    this.#running.delete(source);
    this.#ended += (source.dropped ?? 0) - running.before;
  }
}
