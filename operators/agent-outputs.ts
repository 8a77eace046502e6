/**
 * What leaves an agent: results and letters, each in the place of its run (I3, I17). A run that ends in the turn of its
 * input needs no hold unless something waits that its results must not overtake.
 */
import type { Timestamp } from '../lib/core/element.ts';
import type { Hold, Holds, OutputOrder } from '../lib/core/hold.ts';
import type { OperatorContext } from '../lib/core/operator.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import type { Run } from './agent-run.ts';
import type { DeadLetter } from './dead-letter.ts';

export interface AgentOutputsOptions {
  readonly order: OutputOrder;
  readonly deadLetters: OutputTag<DeadLetter> | undefined;
}

export class AgentOutputs<O> {
  readonly #context: OperatorContext<O>;
  readonly #holds: Holds<O>;
  readonly #deadLetters: OutputTag<DeadLetter> | undefined;

  constructor(context: OperatorContext<O>, { order, deadLetters }: AgentOutputsOptions) {
    this.#context = context;
    this.#holds = context.holds({ order, overtakeWatermarks: order === 'completion', keyOrder: true });
    this.#deadLetters = deadLetters;
  }

  /** The hold of an input that may have to wait; undefined where it needs none yet. */
  hold(timestamp: Timestamp, waits: boolean): Hold | undefined {
    return waits || this.#holds.blocks(timestamp) ? this.#holds.take() : undefined;
  }

  /** Keeps later watermarks behind a run that stays open. */
  keep(run: Run<unknown>): void {
    run.hold ??= this.#holds.take();
  }

  emit({ hold, input: { timestamp } }: Run<unknown>, output: unknown): void {
    const value = output as O; // The agent says which type its outputs have.
    if (hold === undefined) this.#context.output.emit(value, timestamp);
    else this.#holds.emit(hold, value, timestamp);
  }

  letter({ hold, input: { timestamp } }: Run<unknown>, letter: DeadLetter): void {
    if (this.#deadLetters === undefined) return;
    if (hold === undefined) this.#context.output.side(this.#deadLetters, letter, timestamp);
    else this.#holds.side(hold, this.#deadLetters, letter, timestamp);
  }

  /** The letter of an input that has no run. */
  refused(letter: DeadLetter, timestamp: Timestamp): void {
    if (this.#deadLetters === undefined) return;
    const hold = this.hold(timestamp, false);
    if (hold === undefined) this.#context.output.side(this.#deadLetters, letter, timestamp);
    else {
      this.#holds.side(hold, this.#deadLetters, letter, timestamp);
      this.#holds.release(hold);
    }
  }

  ended({ hold }: Run<unknown>): void {
    if (hold !== undefined) this.#holds.release(hold);
  }
}
