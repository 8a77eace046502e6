/**
 * `keyedConcatMap` against the literal composition, frame by frame, on random plans of arrivals, inners, errors and
 * early ends.
 */
import fc from 'fast-check';
import {
  concat,
  concatMap,
  defer,
  EMPTY,
  from,
  groupBy,
  map,
  mergeMap,
  Observable,
  of,
  take,
  throwError,
  timer,
  type ObservableInput,
  type OperatorFunction,
} from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import { keyedConcatMap } from '../../operators/keyed-concat-map.ts';

type Kind = 'sync' | 'array' | 'one' | 'two' | 'throws' | 'error' | 'late error' | 'empty' | 'never';

interface Item {
  readonly at: number;
  readonly key: string;
  readonly delay: number;
  readonly kind: Kind;
}

interface Plan {
  readonly items: readonly Item[];
  readonly end: number;
  readonly ending: 'complete' | 'error' | 'never';
  readonly take: number;
  readonly unsubscribeAt: number | undefined;
  readonly keyThrowsAt: number | undefined;
}

type Arrival = Item & { readonly number: number };
type Candidate = (
  keyOf: (value: Arrival) => string,
  project: (value: Arrival, key: string) => ObservableInput<string>,
) => OperatorFunction<Arrival, string>;

const literal: Candidate = (keyOf, project) => (source) =>
  source.pipe(
    groupBy(keyOf),
    mergeMap((group) => group.pipe(concatMap((value) => project(value, group.key)))),
  );

const innerOf = ({ kind, number, delay }: Arrival, key: string, scheduler: TestScheduler): ObservableInput<string> => {
  const name = `${key}${number}`;
  const later = (suffix: string): Observable<string> => timer(delay, scheduler).pipe(map(() => name + suffix));
  switch (kind) {
    case 'sync':
      return of(`${name}s`, `${name}t`);
    case 'array':
      return [name];
    case 'one':
      return later('a');
    case 'two':
      return concat(later('a'), later('b'));
    case 'throws':
      throw new Error(`throws ${name}`);
    case 'error':
      return throwError(() => new Error(`error ${name}`));
    case 'late error':
      return concat(
        later('a'),
        throwError(() => new Error(`late ${name}`)),
      );
    case 'empty':
      return EMPTY;
    case 'never':
      return new Observable<string>(() => {});
  }
};

interface Run {
  readonly log: readonly unknown[];
  readonly overlap: number;
  /** Inners and sources still subscribed at the end. */
  readonly open: number;
}

const runPlan = (candidate: Candidate, plan: Plan): Run => {
  const scheduler = new TestScheduler(() => {});
  const log: unknown[] = [];
  const busy = new Map<string, number>();
  let [overlap, open] = [0, 0];
  const counted = <T>(source: Observable<T>, key?: string): Observable<T> =>
    new Observable((out) => {
      open += 1;
      if (key !== undefined) busy.set(key, (busy.get(key) ?? 0) + 1);
      overlap = Math.max(overlap, ...busy.values());
      out.add(() => {
        open -= 1;
        if (key !== undefined) busy.set(key, (busy.get(key) ?? 0) - 1);
      });
      source.subscribe(out);
    });
  scheduler.run(() => {
    const arrivals = new Observable<Arrival>((out) => {
      plan.items.forEach((item, number) =>
        out.add(timer(item.at, scheduler).subscribe(() => out.next({ ...item, number }))),
      );
      if (plan.ending === 'never') return;
      out.add(
        timer(plan.end, scheduler).subscribe(() =>
          plan.ending === 'error' ? out.error(new Error('source')) : out.complete(),
        ),
      );
    });
    const keyOf = ({ key, number }: Arrival): string => {
      if (number === plan.keyThrowsAt) throw new Error(`key ${number}`);
      return key;
    };
    const project = (value: Arrival, key: string): Observable<string> => {
      log.push([scheduler.now(), 'project', key, value.number]);
      const inner = innerOf(value, key, scheduler);
      return counted(
        defer(() => inner),
        key,
      );
    };
    const piped = counted(arrivals).pipe(candidate(keyOf, project));
    const subscription = (plan.take > 0 ? piped.pipe(take(plan.take)) : piped).subscribe({
      next: (value) => log.push([scheduler.now(), 'next', value]),
      error: (error: unknown) => log.push([scheduler.now(), 'error', String(error)]),
      complete: () => log.push([scheduler.now(), 'complete']),
    });
    if (plan.unsubscribeAt !== undefined)
      timer(plan.unsubscribeAt, scheduler).subscribe(() => subscription.unsubscribe());
    timer(1000, scheduler).subscribe(() => {});
  });
  return { log, overlap, open };
};

const kinds: readonly (readonly [number, Kind])[] = [
  [4, 'sync'],
  [2, 'array'],
  [8, 'one'],
  [6, 'two'],
  [1, 'throws'],
  [1, 'error'],
  [1, 'late error'],
  [3, 'empty'],
  [1, 'never'],
];

const item: fc.Arbitrary<Item> = fc.record({
  at: fc.integer({ min: 0, max: 30 }),
  key: fc.constantFrom('a', 'b', 'c'),
  delay: fc.integer({ min: 0, max: 9 }),
  kind: fc.oneof(...kinds.map(([weight, kind]) => ({ weight, arbitrary: fc.constant(kind) }))),
});

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const plan: fc.Arbitrary<Plan> = fc.record({
  items: fc.array(item, { maxLength: 25 }).map((items) => items.sort((a, b) => a.at - b.at)),
  end: fc.integer({ min: 0, max: 60 }),
  ending: fc.constantFrom('complete', 'complete', 'complete', 'error', 'never'),
  take: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 8 }) }),
  unsubscribeAt: rarely(fc.integer({ min: 0, max: 40 })),
  keyThrowsAt: rarely(fc.integer({ min: 0, max: 10 })),
});

describe('keyedConcatMap', () => {
  it('equals groupBy + mergeMap + concatMap in every frame', () => {
    fc.assert(
      fc.property(plan, (p) => {
        const mine = runPlan((keyOf, project) => keyedConcatMap(keyOf, project), p);
        expect(mine).toEqual(runPlan(literal, p));
        expect(mine.overlap).toBeLessThanOrEqual(1); // I1
      }),
      { numRuns: 1000 },
    );
  });

  it('equals it when everything is synchronous', () => {
    const sync = fc.array(
      fc.record({ key: fc.integer({ min: 0, max: 2 }), values: fc.array(fc.integer(), { maxLength: 3 }) }),
      {
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(sync, fc.integer({ min: 0, max: 10 }), (items, count) => {
        const run = (operator: OperatorFunction<(typeof items)[number], number>): unknown[] => {
          const log: unknown[] = [];
          const piped = from(items).pipe(operator);
          (count > 0 ? piped.pipe(take(count)) : piped).subscribe({
            next: (value) => log.push(value),
            complete: () => log.push('complete'),
          });
          return log;
        };
        const grouped = groupBy((each: (typeof items)[number]) => each.key);
        const expected = run((source) =>
          source.pipe(
            grouped,
            mergeMap((group) => group.pipe(concatMap(({ values }) => values))),
          ),
        );
        expect(
          run(
            keyedConcatMap(
              ({ key }) => key,
              ({ values }) => values,
            ),
          ),
        ).toEqual(expected);
      }),
    );
  });
});
