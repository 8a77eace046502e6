/** Warnings of an agent in the job's log, each topic once, so that what happens with every record does not fill it. */

/** Facts for programs and a sentence for people. */
export type Warn = (facts: Readonly<Record<string, unknown>>, message: string) => void;

/** Topics that are kept apart; later ones are not told (I10). */
const topicsMax = 1000;

export class Warnings {
  readonly #warn: Warn | undefined;
  readonly #told = new Set<string>();

  /** `warn` @defaultValue nobody listens */
  constructor(warn?: Warn) {
    this.#warn = warn;
  }

  once(topic: string, facts: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#warn === undefined || this.#told.has(topic) || this.#told.size >= topicsMax) return;
    this.#told.add(topic);
    this.#warn(facts, message);
  }
}
