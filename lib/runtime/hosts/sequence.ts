/** Numbers counted per key group, so that a key that is done leaves nothing behind. */
export type SequenceSnapshot = readonly (readonly [keyGroup: number, next: number])[];

export class Sequence {
  readonly #next = new Map<number, number>();

  /** The group's next number, from 0. */
  next(keyGroup: number): number {
    const next = this.#next.get(keyGroup) ?? 0;
    this.#next.set(keyGroup, next + 1);
    return next;
  }

  snapshot(): SequenceSnapshot {
    return [...this.#next];
  }

  restore(snapshot: SequenceSnapshot): void {
    for (const [keyGroup, next] of snapshot) this.#next.set(keyGroup, next);
  }
}
