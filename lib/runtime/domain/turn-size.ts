/**
 * How many records a turn takes: as many as are done in a slice, by what the turns before took (I20). Nothing but the
 * length of turns follows from it: what a record brings about does not depend on which turn it is in.
 */

/** The first turn, and the longest. */
const few = 8;
const most = 512;

export class TurnSize {
  readonly #sliceMs: number;
  #records = few;

  constructor(sliceMs: number) {
    this.#sliceMs = sliceMs;
  }

  get records(): number {
    return this.#records;
  }

  /** A turn of so many records took so long. */
  took(records: number, ms: number): void {
    if (ms > this.#sliceMs) this.#records = Math.max(1, Math.floor((records * this.#sliceMs) / ms));
    else if (records >= this.#records && ms < this.#sliceMs / 2) this.#records = Math.min(most, this.#records * 2);
  }
}
