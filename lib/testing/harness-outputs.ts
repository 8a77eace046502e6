/** Writes down what comes out of an operator in a harness: of a step, and of work between two steps. */
import type { Timestamp } from '../core/element.ts';
import type { Receiver } from '../runtime/edges/receiver.ts';

/** What came out, in order. */
export type HarnessOutput<O> =
  | { readonly kind: 'record'; readonly value: O; readonly timestamp: Timestamp }
  | { readonly kind: 'side'; readonly tag: string; readonly value: unknown; readonly timestamp: Timestamp }
  | { readonly kind: 'watermark'; readonly timestamp: Timestamp }
  | { readonly kind: 'status'; readonly idle: boolean };

export class HarnessOutputs<O> {
  #outputs: HarnessOutput<O>[] = [];

  /** Takes what leaves at the main output. */
  readonly main: Receiver<O> = {
    record: (value, timestamp) => void this.#outputs.push({ kind: 'record', value, timestamp }),
    watermark: (timestamp) => void this.#outputs.push({ kind: 'watermark', timestamp }),
    status: (idle) => void this.#outputs.push({ kind: 'status', idle }),
  };

  /** Takes what leaves at a side output. Watermarks go there too; written down are those of the main output. */
  side(tag: string): Receiver<unknown> {
    return {
      record: (value, timestamp) => void this.#outputs.push({ kind: 'side', tag, value, timestamp }),
      watermark: () => {},
      status: () => {},
    };
  }

  /** What comes out of `step` alone; what came before waits until it is taken. */
  of(step: () => void): readonly HarnessOutput<O>[] {
    const before = this.take();
    try {
      step();
      return this.#outputs;
    } finally {
      this.#outputs = before;
    }
  }

  /** Adds what came out of a step to what waits. */
  keep(outputs: readonly HarnessOutput<O>[]): void {
    this.#outputs.push(...outputs);
  }

  /** What came out of work since it was last asked for. */
  take(): HarnessOutput<O>[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }
}
