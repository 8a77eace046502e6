/**
 * What may come behind what in a pattern: for a match that has got so far, the places that its next event may take, and
 * what becomes of events until then.
 */
import type { Contiguity, Not, Pattern, Stage } from './pattern.ts';
import type { SkipStrategy } from './skip-strategies.ts';

/** A place that the next event of a match may take. */
export interface Target {
  /** Which stage; undefined: the end, behind what must not come. */
  readonly stage: Stage | undefined;
  /** Its number, and how often it has occurred with this event, counted as far as it matters. */
  readonly at: number;
  readonly count: number;
  /** Which events may stand before it. */
  readonly contiguity: Contiguity;
  /** It is another event of the stage in hand, whose `until` ends the loop. */
  readonly isInner: boolean;
  /** What must not come before it. */
  readonly nots: readonly Not[];
  /** Greedy stages that must not be able to take an event that is passed by on the way. */
  readonly greedy: readonly Stage[];
}

/** Where a match stands. */
export interface Place {
  readonly targets: readonly Target[];
  /** It has all that the pattern asks for. */
  readonly isWhole: boolean;
}

/** Which of the places behind the start a pattern has. */
export class PatternPlan {
  readonly names: readonly string[];
  readonly skip: SkipStrategy;
  readonly withinMs: number;
  readonly #stages: readonly Stage[];
  /** What must not come before each stage, and before the end. */
  readonly #nots: readonly (readonly Not[])[];
  readonly #places = new Map<string, Place>();

  constructor(pattern: Pattern<never, string>) {
    const { parts, skip, withinMs } = pattern.whole;
    const nots: Not[][] = [[]];
    const stages: Stage[] = [];
    for (const part of parts) {
      if (part.kind !== 'stage') nots.at(-1)?.push(part);
      else {
        stages.push(part);
        nots.push([]);
      }
    }
    this.#stages = stages;
    this.#nots = nots;
    this.names = stages.map(({ name }) => name);
    this.skip = skip;
    this.withinMs = withinMs;
  }

  /** Where a match stands whose last event was the `count`th of a stage; before the first one at -1. */
  place(at: number, count: number): Place {
    const name = `${at} ${count}`;
    let place = this.#places.get(name);
    if (place === undefined) this.#places.set(name, (place = this.#placeOf(at, count)));
    return place;
  }

  #placeOf(at: number, count: number): Place {
    const targets: Target[] = [];
    const current = this.#stages[at];
    const greedy: Stage[] = [];
    if (current !== undefined && count < current.max) {
      // What must not come behind a loop ends it too: another event of the loop does not make up for it.
      const nots = this.#nots[at + 1] ?? [];
      const counted = Math.min(count + 1, current.max === Infinity ? current.min : current.max);
      const { inner: contiguity } = current;
      targets.push({ stage: current, at, count: counted, contiguity, isInner: true, nots, greedy: [] });
      if (current.greedy) greedy.push(current);
    }
    if (current !== undefined && count < current.min) return { targets, isWhole: false };
    const nots: Not[] = [];
    for (let next = at + 1; ; next++) {
      nots.push(...(this.#nots[next] ?? []));
      const stage = this.#stages[next];
      const isEnd = stage === undefined;
      if (isEnd && nots.length === 0) return { targets, isWhole: current !== undefined };
      if (!isEnd || current !== undefined)
        targets.push({
          stage,
          at: next,
          count: 1,
          contiguity: stage?.contiguity ?? 'any',
          isInner: false,
          nots: [...nots],
          greedy: [...greedy],
        });
      if (stage === undefined || !stage.optional) return { targets, isWhole: false };
      if (stage.greedy) greedy.push(stage);
    }
  }
}
