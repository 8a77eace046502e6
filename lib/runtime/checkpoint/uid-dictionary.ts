/**
 * Numbers of uids and of their states, as they stand in every stored key. A number that was given once stays taken,
 * also when the pipeline no longer names who had it: else something new would read the rows of something old (I12).
 */
import type { WorkingSet } from '../../state/keyed-state.ts';
import type { Header, StateFacts } from './header.ts';

export class UidDictionary {
  readonly #header: Header;
  readonly #numbers = new Map<string, number>();
  #nextNumber: number;

  constructor(header: Header) {
    this.#header = header;
    this.#nextNumber = header.nextNumber;
    for (const [uid, { number }] of Object.entries(header.nodes)) this.#numbers.set(uid, number);
  }

  /** The next free number. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  numberOf(uid: string): number {
    const known = this.#numbers.get(uid);
    if (known !== undefined) return known;
    const number = this.#nextNumber++;
    this.#numbers.set(uid, number);
    return number;
  }

  /** Numbers of the states that the checkpoint holds, by name; those that were dropped are found by nobody. */
  stateNumbersOf(uid: string): ReadonlyMap<string, number> {
    return new Map(
      this.#stored(uid).flatMap(({ name, state, dropped }) => (dropped === true ? [] : [[name, state] as const])),
    );
  }

  /** The next free number of a state, behind those that were dropped too. */
  nextStateOf(uid: string): number {
    return Math.max(-1, ...this.#stored(uid).map(({ state }) => state)) + 1;
  }

  /** The states that an operator has declared. */
  statesOf(uid: string, workingSet: WorkingSet): readonly StateFacts[] {
    const number = this.numberOf(uid);
    return workingSet
      .states()
      .filter(({ operator }) => operator === number)
      .map(({ operator: _, ...facts }) => facts);
  }

  /**
   * Those, and what it has declared in earlier lives and does no more: that is dropped, since it was allowed to start
   * without.
   */
  statesEver(uid: string, workingSet: WorkingSet): readonly StateFacts[] {
    const declared = this.statesOf(uid, workingSet);
    const numbers = new Set(declared.map(({ state }) => state));
    const dropped = this.#stored(uid).filter(({ state }) => !numbers.has(state));
    return [...declared, ...dropped.map((facts) => ({ ...facts, dropped: true as const }))];
  }

  #stored(uid: string): readonly StateFacts[] {
    return this.#header.nodes[uid]?.states ?? [];
  }
}
