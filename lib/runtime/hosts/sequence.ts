/** Numbers counted per key group, so that a key that is done leaves nothing behind. */
export type SequenceSnapshot = readonly (readonly [keyGroup: number, next: number])[];

export class Sequence {
  /** By key group, with holes: a look-up for each input and each item of work. */
  readonly #next: number[] = [];

  /** The group's next number, from 0. */
  next(keyGroup: number): number {
    const next = this.#next[keyGroup] ?? 0;
    this.#next[keyGroup] = next + 1;
    return next;
  }

  snapshot(): SequenceSnapshot {
    const taken: [number, number][] = [];
    this.#next.forEach((next, keyGroup) => taken.push([keyGroup, next]));
    return taken;
  }

  restore(snapshot: SequenceSnapshot): void {
    for (const [keyGroup, next] of snapshot) this.#next[keyGroup] = next;
  }
}
