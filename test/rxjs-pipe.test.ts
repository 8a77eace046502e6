/** An RxJS operator within a pipeline. */
import { callbackSink, MemoryStorage, TumblingEventTimeWindows, WatermarkStrategy } from 'millrace';
import {
  bufferCount,
  concatMap,
  count,
  delay,
  endWith,
  filter,
  finalize,
  from,
  map,
  merge,
  mergeMap,
  NEVER,
  Observable,
  of,
  pairwise,
} from 'rxjs';
import { reduce, startWith, Subject, take, tap, throwError, timer, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { failure, until } from './stories/story.ts';
import { numbers, thrown, create } from './rxjs-fixture.ts';

describe('pipe', () => {
  test('takes several operators, each of the values of the one before, and options behind them', async () => {
    const env = create({ storage: new MemoryStorage() });
    const texts = env.fromCollection(numbers(6)).pipe(
      filter((n) => n % 2 === 0),
      map((n) => n * 10),
      pairwise(),
      map(([a, b]) => `${a} ${b}`),
      { stateless: true },
    );
    expect(await texts.executeAndCollect()).toEqual(['0 20', '20 40']);
    const six = create()
      .fromCollection([1])
      .pipe(
        map(String),
        map(Number),
        map((n) => n + 1),
        map(String),
        map((text) => text + text),
        map(Number),
      );
    expect(await six.executeAndCollect()).toEqual([22]);
  });

  test('takes RxJS operators that emit while they handle a value', async () => {
    const env = create();
    const piped = env.fromCollection(numbers(6)).pipe((values$) =>
      values$.pipe(
        filter((n) => n % 2 === 0),
        mergeMap((n) => of(n, n * 10)),
      ),
    );
    expect(await env.executeAndCollect(piped)).toEqual([0, 0, 2, 20, 4, 40]);
  });

  test('keeps the timestamps, so windows behind it work', async () => {
    const env = create();
    const stamps: number[] = [];
    const stamped = env.fromCollection(numbers(3)).process<number>((n, ctx) => ctx.emit(n, n * 1000));
    const piped = stamped
      .pipe((values$) => values$.pipe(map((n) => n + 1)))
      .process<number>((n, ctx) => {
        stamps.push(ctx.timestamp);
        ctx.emit(n);
      });
    expect(await env.executeAndCollect(piped)).toEqual([1, 2, 3]);
    expect(stamps).toEqual([0, 1000, 2000]);
  });

  test.each([
    ['delay', (n$: Observable<number>) => n$.pipe(delay(1))],
    ['a promise', (n$: Observable<number>) => n$.pipe(concatMap((n) => Promise.resolve(n)))],
  ])('emits outside a turn: %s is refused', async (_what, operator) => {
    const env = create();
    env
      .fromObservable(
        from([1, 2, 3]).pipe((n$) => new Observable<number>((to) => n$.subscribe({ next: (n) => to.next(n) }))),
      )
      .pipe(operator)
      .print({ write: () => {} });
    const error = await failure(env.execute(), 'EMIT_OUTSIDE_TURN');
    expect(error.message).toContain('pipe');
    expect(error.hint).toContain('asyncMap');
  });

  const sum = (n$: Observable<number>) => n$.pipe(reduce((a, b) => a + b));

  test.each([
    ['a buffer that is not full', (n$: Observable<number>) => n$.pipe(bufferCount(3)), [[0, 1, 2], [3]]],
    ['a result that waits for the end', sum, [6]],
    ['what is added at the end', (n$: Observable<number>) => n$.pipe(endWith(9)), [0, 1, 2, 3, 9]],
    ['nothing, when it has ended already', (n$: Observable<number>) => n$.pipe(take(2)), [0, 1]],
  ])('the end of the input is its end: %s comes out', async (_what, operator, out) => {
    const env = create();
    expect(
      await env.executeAndCollect(env.fromCollection(numbers(4)).pipe(operator as OperatorFunction<number, unknown>)),
    ).toEqual(out);
  });

  test('an empty input completes too', async () => {
    const env = create();
    expect(await env.executeAndCollect(env.fromCollection<number>([]).pipe(count()))).toEqual([0]);
  });

  test('what comes out at the end is not late for the windows behind it, and comes before they close', async () => {
    const env = create();
    const at = [1000, 2000, 90_000, 3000]; // The last one is late, and what it ends up in must not be.
    const sums = env
      .fromCollection(
        at,
        WatermarkStrategy.monotonous<number>()
          .withTimestamps((ts) => ts)
          .withEmitEvery(1),
      )
      .pipe(sum)
      .keyBy(() => 'all')
      .window(TumblingEventTimeWindows.of('1m'))
      .process((values, { window }) => [window.start, ...values]);
    expect(await env.executeAndCollect(sums)).toEqual([[60_000, 96_000]]);
  });

  test('a failure at the end is a failure of the job', async () => {
    const env = create();
    const failing = (n$: Observable<number>) => n$.pipe(toArray(), map(thrown));
    env
      .fromCollection(numbers(2))
      .pipe(failing)
      .print({ write: () => {} });
    expect((await failure(env.execute(), 'OPERATOR_FAILED')).message).toContain('pipe');
  });

  test.each([
    ['it waits', (n$: Observable<number>) => n$.pipe(delay(1))],
    ['it never completes', (n$: Observable<number>) => merge(n$, NEVER)],
    ['it waits for another stream', (n$: Observable<number>) => merge(n$, timer(60_000))],
  ])(
    'one that has not completed with its input is refused, and loses nothing in silence: %s',
    async (_what, operator) => {
      const env = create();
      env
        .fromCollection([1, 2, 3])
        .pipe(operator)
        .print({ write: () => {} });
      await failure(env.execute(), 'EMIT_OUTSIDE_TURN');
    },
  );

  test.each([
    ['emits before its first value', (n$: Observable<number>) => n$.pipe(startWith(0)), 'EMIT_OUTSIDE_TURN'],
    ['can not be made', thrown, 'OPERATOR_FAILED'],
  ] as const)('one that %s is refused when the job starts', async (_what, operator, code) => {
    const env = create();
    env
      .fromCollection([1, 2, 3])
      .pipe(operator)
      .print({ write: () => {} });
    expect((await failure(env.execute(), code)).message).toContain('pipe');
  });

  test('a stop is no end: what is held then is lost, and what it waits for ends with the job', async () => {
    const env = create();
    const [clicks, seen] = [new Subject<number>(), [] as number[]];
    let torn = 0;
    const operator = (n$: Observable<number>): Observable<number> =>
      merge(
        n$.pipe(
          tap((n) => seen.push(n)),
          reduce((a, b) => a + b),
        ),
        NEVER.pipe(finalize(() => (torn += 1))),
      );
    const out: number[] = [];
    env
      .fromObservable(clicks)
      .pipe(operator)
      .sinkTo(callbackSink((n) => void out.push(n)));
    const job = await env.executeAsync();
    await until(() => clicks.observed);
    clicks.next(1);
    await until(() => seen.length === 1);
    await job.stop();
    expect([out, torn]).toEqual([[], 1]);
  });

  test('an operator that fails, and one behind it that does, fail the job', async () => {
    const own = create();
    own
      .fromCollection(numbers(3))
      .pipe((n$) => n$.pipe(mergeMap((n) => (n === 1 ? throwError(() => new RangeError('one')) : of(n)))))
      .print({ write: () => {} });
    expect((await failure(own.execute(), 'OPERATOR_FAILED')).cause).toBeInstanceOf(RangeError);
    const behind = create();
    const boom = (n: number): number => {
      if (n === 1) throw new RangeError('one');
      return n;
    };
    behind
      .fromCollection(numbers(3))
      .pipe((n$) => n$.pipe(map((n) => n)))
      .map(boom)
      .print({ write: () => {} });
    expect((await failure(behind.execute(), 'OPERATOR_FAILED')).cause).toBeInstanceOf(RangeError);
  });

  test('with a place for state it must say that it holds none', async () => {
    const holding = create({ storage: new MemoryStorage() });
    holding
      .fromCollection(numbers(3))
      .pipe(pairwise())
      .print({ write: () => {} });
    expect((await failure(holding.execute(), 'GRAPH_INVALID')).hint).toContain('stateless');
    const stateless = create({ storage: new MemoryStorage() });
    const out = stateless.fromCollection(numbers(3)).pipe(
      map((n: number) => n + 1),
      { stateless: true },
    );
    expect(await stateless.executeAndCollect(out)).toEqual([1, 2, 3]);
    const inMemory = create();
    expect(await inMemory.executeAndCollect(inMemory.fromCollection(numbers(4)).pipe(bufferCount(2)))).toEqual([
      [0, 1],
      [2, 3],
    ]);
  });
});
