import { EMPTY, from, NEVER, Observable, of, range, Subject, take, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { keyedConcatMap } from '../../operators/keyed-concat-map.ts';

const collect = <T>(source: Observable<T>): unknown[] => {
  const log: unknown[] = [];
  source.subscribe({
    next: (value) => log.push(value),
    error: (error: unknown) => log.push(error),
    complete: () => log.push('complete'),
  });
  return log;
};

const same = <T>(value: T): T => value;
/** `of` would emit the key too. */
const just = <T>(value: T): Observable<T> => of(value);

describe('keyedConcatMap', () => {
  it('stays silent with a source that does', () => {
    expect(collect(NEVER.pipe(keyedConcatMap(same, just)))).toEqual([]);
  });

  it('completes with an empty source', () => {
    expect(collect(EMPTY.pipe(keyedConcatMap(same, just)))).toEqual(['complete']);
  });

  it('projects one value with its key', () => {
    expect(
      collect(
        of('x').pipe(
          keyedConcatMap(
            (value) => value.length,
            (value, key) => [value, key],
          ),
        ),
      ),
    ).toEqual(['x', 1, 'complete']);
  });

  it('passes an error of the source', () => {
    expect(collect(throwError(() => 'broken').pipe(keyedConcatMap(same, just)))).toEqual(['broken']);
  });

  it.each([
    [
      'keyOf',
      () =>
        keyedConcatMap<number, number, number>(() => {
          throw new Error('no key');
        }, just),
      'no key',
    ],
    [
      'project',
      () =>
        keyedConcatMap<number, number, number>(same, () => {
          throw new Error('no inner');
        }),
      'no inner',
    ],
  ] as const)('passes what %s throws', (_, operator, message) => {
    expect(collect(of(1, 2).pipe(operator()))).toEqual([new Error(message)]);
  });

  it('stops an endless synchronous source and an endless synchronous inner', () => {
    expect(collect(range(0, Infinity).pipe(keyedConcatMap(same, just), take(3)))).toEqual([0, 1, 2, 'complete']);
    expect(
      collect(
        of('a').pipe(
          keyedConcatMap(same, () => range(0, Infinity)),
          take(2),
        ),
      ),
    ).toEqual([0, 1, 'complete']);
  });

  it('keeps order when a result lets the source emit again', () => {
    const source = new Subject<number>();
    const seen: number[] = [];
    source
      .pipe(
        keyedConcatMap(
          () => 'one',
          (value) => of(value),
        ),
      )
      .subscribe((value) => {
        seen.push(value);
        if (value < 3) source.next(value + 1);
      });
    source.next(0);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it('starts the next inner after the teardown of the one before', () => {
    const log: string[] = [];
    const source = new Subject<number>();
    const gates: Subject<never>[] = [];
    const inner = (value: number): Observable<never> =>
      new Observable((out) => {
        log.push(`start ${value}`);
        const gate = new Subject<never>();
        gates.push(gate);
        out.add(() => log.push(`end ${value}`));
        gate.subscribe(out);
      });
    source.pipe(keyedConcatMap(() => 0, inner)).subscribe();
    source.next(1);
    source.next(2);
    gates[0]?.complete();
    expect(log).toEqual(['start 1', 'end 1', 'start 2']);
  });

  it('tears down everything that is open, and calls no project any more', () => {
    const source = new Subject<string>();
    let [open, projected] = [0, 0];
    const inner = (): Observable<never> =>
      new Observable(() => {
        open += 1;
        return () => (open -= 1);
      });
    const subscription = source.pipe(keyedConcatMap(same, () => ((projected += 1), inner()))).subscribe();
    for (const key of ['a', 'a', 'b', 'c']) source.next(key);
    expect([open, projected]).toEqual([3, 3]);
    subscription.unsubscribe();
    source.next('d');
    expect([open, projected, source.observed]).toEqual([0, 3, false]);
  });

  it('tells how many keys are busy, and keeps none that is idle', () => {
    const counts: number[] = [];
    const gates = new Map<string, Subject<number>>();
    const source = new Subject<string>();
    const inner = (key: string): Subject<number> => {
      const gate = new Subject<number>();
      gates.set(key, gate);
      return gate;
    };
    source.pipe(keyedConcatMap(same, inner, { onBusyKeys: (count) => counts.push(count) })).subscribe();
    for (const key of ['a', 'b', 'a']) source.next(key);
    gates.get('b')?.complete();
    gates.get('a')?.complete();
    gates.get('a')?.complete();
    expect(counts).toEqual([1, 2, 1, 0]);
  });

  it('works through a long queue in constant time each and without recursion', () => {
    const gate = new Subject<number>();
    const source = new Subject<number>();
    let sum = 0;
    let completed = false;
    source
      .pipe(
        keyedConcatMap(
          () => 'one',
          (value) => (value === 0 ? gate : of(value)),
        ),
      )
      .subscribe({
        next: (value) => (sum += value),
        complete: () => (completed = true),
      });
    for (let i = 0; i <= 200_000; i += 1) source.next(i);
    source.complete();
    gate.complete();
    expect([sum, completed]).toEqual([(200_000 * 200_001) / 2, true]);
  });

  it('takes promises and arrays as inners', async () => {
    const values: number[] = [];
    await new Promise<void>((resolve) => {
      from([1, 2, 3])
        .pipe(
          keyedConcatMap(
            (value) => value % 2,
            (value) => Promise.resolve(value * 10),
          ),
        )
        .subscribe({
          next: (value) => values.push(value),
          complete: resolve,
        });
    });
    expect(values.sort()).toEqual([10, 20, 30]);
  });
});
