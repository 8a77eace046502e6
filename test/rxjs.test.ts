import {
  callbackSink,
  defineSink,
  exponentialDelay,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type EnvironmentOptions,
  type Operator,
} from 'millrace';
import { bufferCount, concat, concatMap, config, count, defer, delay, endWith, filter, finalize, firstValueFrom, from, map, merge, mergeMap, NEVER, Observable, of, pairwise } from 'rxjs';
import { reduce, startWith, Subject, take, tap, throwError, timer, toArray, type OperatorFunction } from 'rxjs';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { failure, later, Ledger, once, until } from './stories/story.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const thrown = (): never => {
  throw new RangeError('mine');
};
const create = (options: EnvironmentOptions = {}): StreamExecutionEnvironment => StreamExecutionEnvironment.create({ ...once, ...options });

describe('asObservable', () => {
  test('brings each value as it passes, to every subscriber, and completes with the job', async () => {
    const env = create();
    const doubled = env.fromCollection(numbers(5)).map((n) => n * 2);
    const seen$ = doubled.asObservable();
    const [all, few] = [firstValueFrom(seen$.pipe(toArray())), firstValueFrom(seen$.pipe(take(2), toArray()))];
    await env.execute();
    expect(await all).toEqual([0, 2, 4, 6, 8]);
    expect(await few).toEqual([0, 2]);
  });

  test('ends with the error of the job', async () => {
    const env = create();
    const seen: number[] = [];
    const mapped = env.fromCollection(numbers(5)).map((n) => {
      if (n === 3) throw new RangeError('three');
      return n;
    });
    const ended = firstValueFrom(mapped.asObservable().pipe(tap((n) => seen.push(n)), toArray()));
    ended.catch(() => {});
    await failure(env.execute(), 'OPERATOR_FAILED');
    await failure(ended, 'OPERATOR_FAILED');
    expect(seen).toEqual([0, 1, 2]);
  });

  test('completes at once for who subscribes when the job is over, and fails if the job did', async () => {
    const env = create();
    const ended$ = env.fromCollection(numbers(2)).asObservable();
    await env.execute();
    expect(await firstValueFrom(ended$.pipe(toArray()))).toEqual([]);

    const failing = create();
    const failed$ = failing
      .fromCollection(numbers(2))
      .map((): number => {
        throw new RangeError('one');
      })
      .asObservable();
    await failure(failing.execute(), 'OPERATOR_FAILED');
    await failure(firstValueFrom(failed$), 'OPERATOR_FAILED');
  });

  test('of two jobs one after the other, each subscription hears its own', async () => {
    const env = create();
    const seen$ = env.fromCollection(numbers(2)).asObservable();
    const heard = (): Promise<number[]> => firstValueFrom(seen$.pipe(toArray()));
    const first = heard();
    await env.execute();
    expect(await first).toEqual([0, 1]);
    const job = await env.executeAsync();
    const second = heard();
    await job.done;
    expect(await second).toEqual([0, 1]);
  });

  test('who unsubscribes hears nothing more, and the job goes on', async () => {
    const env = create();
    const stream = env.fromCollection(numbers(5));
    const seen: number[] = [];
    const subscription = stream.asObservable().subscribe((n) => {
      seen.push(n);
      if (n === 1) subscription.unsubscribe();
    });
    expect(await env.executeAndCollect(stream)).toEqual(numbers(5));
    expect(seen).toEqual([0, 1]);
  });

  test('a subscriber that throws is reported by RxJS, and does not harm the job', async () => {
    const env = create();
    const stream = env.fromCollection(numbers(5));
    const reported: unknown[] = [];
    config.onUnhandledError = (error) => void reported.push(error);
    try {
      stream.asObservable().subscribe(() => {
        throw new RangeError('mine');
      });
      expect(await env.executeAndCollect(stream)).toEqual(numbers(5));
      await until(() => reported.length === 5);
    } finally {
      config.onUnhandledError = null;
    }
  });
});

describe('pipe', () => {
  test('takes RxJS operators that emit while they handle a value', async () => {
    const env = create();
    const piped = env.fromCollection(numbers(6)).pipe((values$) => values$.pipe(filter((n) => n % 2 === 0), mergeMap((n) => of(n, n * 10))));
    expect(await env.executeAndCollect(piped)).toEqual([0, 0, 2, 20, 4, 40]);
  });

  test('keeps the timestamps, so windows behind it work', async () => {
    const env = create();
    const stamps: number[] = [];
    const stamped = env.fromCollection(numbers(3)).process<number>((n, ctx) => ctx.emit(n, n * 1000));
    const piped = stamped.pipe((values$) => values$.pipe(map((n) => n + 1))).process<number>((n, ctx) => {
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
    env.fromObservable(from([1, 2, 3]).pipe((n$) => new Observable<number>((to) => n$.subscribe({ next: (n) => to.next(n) })))).pipe(operator).print({ write: () => {} });
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
    expect(await env.executeAndCollect(env.fromCollection(numbers(4)).pipe(operator as OperatorFunction<number, unknown>))).toEqual(out);
  });

  test('an empty input completes too', async () => {
    const env = create();
    expect(await env.executeAndCollect(env.fromCollection<number>([]).pipe(count()))).toEqual([0]);
  });

  test('what comes out at the end is not late for the windows behind it, and comes before they close', async () => {
    const env = create();
    const at = [1000, 2000, 90_000, 3000]; // The last one is late, and what it ends up in must not be.
    const sums = env
      .fromCollection(at, WatermarkStrategy.monotonous<number>().withTimestamps((ts) => ts).withEmitEvery(1))
      .pipe(sum)
      .keyBy(() => 'all')
      .window(TumblingEventTimeWindows.of('1m'))
      .process((values, { window }) => [window.start, ...values]);
    expect(await env.executeAndCollect(sums)).toEqual([[60_000, 96_000]]);
  });

  test('a failure at the end is a failure of the job', async () => {
    const env = create();
    const failing = (n$: Observable<number>) => n$.pipe(toArray(), map(thrown));
    env.fromCollection(numbers(2)).pipe(failing).print({ write: () => {} });
    expect((await failure(env.execute(), 'OPERATOR_FAILED')).message).toContain('pipe');
  });

  test.each([
    ['it waits', (n$: Observable<number>) => n$.pipe(delay(1))],
    ['it never completes', (n$: Observable<number>) => merge(n$, NEVER)],
    ['it waits for another stream', (n$: Observable<number>) => merge(n$, timer(60_000))],
  ])('one that has not completed with its input is refused, and loses nothing in silence: %s', async (_what, operator) => {
    const env = create();
    env.fromCollection([1, 2, 3]).pipe(operator).print({ write: () => {} });
    await failure(env.execute(), 'EMIT_OUTSIDE_TURN');
  });

  test.each([
    ['emits before its first value', (n$: Observable<number>) => n$.pipe(startWith(0)), 'EMIT_OUTSIDE_TURN'],
    ['can not be made', thrown, 'OPERATOR_FAILED'],
  ] as const)('one that %s is refused when the job starts', async (_what, operator, code) => {
    const env = create();
    env.fromCollection([1, 2, 3]).pipe(operator).print({ write: () => {} });
    expect((await failure(env.execute(), code)).message).toContain('pipe');
  });

  test('a stop is no end: what is held then is lost, and what it waits for ends with the job', async () => {
    const env = create();
    const [clicks, seen] = [new Subject<number>(), [] as number[]];
    let torn = 0;
    const operator = (n$: Observable<number>): Observable<number> => merge(n$.pipe(tap((n) => seen.push(n)), reduce((a, b) => a + b)), NEVER.pipe(finalize(() => (torn += 1))));
    const out: number[] = [];
    env.fromObservable(clicks).pipe(operator).sinkTo(callbackSink((n) => void out.push(n)));
    const job = await env.executeAsync();
    await until(() => clicks.observed);
    clicks.next(1);
    await until(() => seen.length === 1);
    await job.stop();
    expect([out, torn]).toEqual([[], 1]);
  });

  test('an operator that fails, and one behind it that does, fail the job', async () => {
    const own = create();
    own.fromCollection(numbers(3)).pipe((n$) => n$.pipe(mergeMap((n) => (n === 1 ? throwError(() => new RangeError('one')) : of(n))))).print({ write: () => {} });
    expect((await failure(own.execute(), 'OPERATOR_FAILED')).cause).toBeInstanceOf(RangeError);
    const behind = create();
    const boom = (n: number): number => {
      if (n === 1) throw new RangeError('one');
      return n;
    };
    behind.fromCollection(numbers(3)).pipe((n$) => n$.pipe(map((n) => n))).map(boom).print({ write: () => {} });
    expect((await failure(behind.execute(), 'OPERATOR_FAILED')).cause).toBeInstanceOf(RangeError);
  });

  test('with a place for state it must say that it holds none', async () => {
    const holding = create({ storage: new MemoryStorage() });
    holding.fromCollection(numbers(3)).pipe(pairwise()).print({ write: () => {} });
    expect((await failure(holding.execute(), 'GRAPH_INVALID')).hint).toContain('stateless');
    const stateless = create({ storage: new MemoryStorage() });
    const out = stateless.fromCollection(numbers(3)).pipe(map((n: number) => n + 1), { stateless: true });
    expect(await stateless.executeAndCollect(out)).toEqual([1, 2, 3]);
    const inMemory = create();
    expect(await inMemory.executeAndCollect(inMemory.fromCollection(numbers(4)).pipe(bufferCount(2)))).toEqual([[0, 1], [2, 3]]);
  });
});

describe('fromObservable', () => {
  test('brings what the Observable emits, and ends with it', async () => {
    const env = create();
    expect(await env.executeAndCollect(env.fromObservable(from(numbers(10))))).toEqual(numbers(10));
  });

  test('an Observable that fails, fails the job after the values before it', async () => {
    const env = create();
    const seen: number[] = [];
    env.fromObservable(new Observable<number>((to) => {
      to.next(1);
      to.error(new RangeError('gone'));
    })).map((n) => seen.push(n)).print({ write: () => {} });
    expect((await failure(env.execute(), 'SOURCE_FAILED')).cause).toBeInstanceOf(RangeError);
    expect(seen).toEqual([1]);
  });

  test('more than fits: an error, or the rest is dropped', async () => {
    const refused = create();
    refused.fromObservable(from(numbers(100)), { capacity: 10 }).print({ write: () => {} });
    expect((await failure(refused.execute(), 'INPUT_OVERFLOW')).message).toContain('10');
    const dropping = create();
    expect(await dropping.executeAndCollect(dropping.fromObservable(from(numbers(100)), { capacity: 10, overflow: 'drop' }))).toEqual(numbers(10));
  });

  test('exactly once from its acceptance on, through a crash', async () => {
    const [storage, ledger, clicks] = [new MemoryStorage(), new Ledger<string>(), new Subject<number>()];
    const calls = new Map<number, number>();
    let wait: Promise<void> = new Promise(() => {});
    const start = (source$: Observable<number>): StreamExecutionEnvironment => {
      const env = create({ storage });
      env
        .fromObservable(source$)
        .asyncMap(
          async (n) => {
            calls.set(n, (calls.get(n) ?? 0) + 1);
            if (n > 1) await wait;
            return `click ${n}`;
          },
          { order: 'arrival' },
        )
        .sinkTo(ledger.sink());
      return env;
    };
    const job = await start(clicks).executeAsync();
    await until(() => clicks.observed);
    for (const n of [0, 1, 2, 3]) clicks.next(n);
    await until(() => calls.size === 4); // A call starts when its record is journaled: all four are accepted.
    await later(10);
    await job.cancel();
    wait = Promise.resolve();
    // Nobody sends the old clicks again.
    await start(of(4, 5)).execute();
    expect(ledger.values).toEqual([0, 1, 2, 3, 4, 5].map((n) => `click ${n}`));
    expect([calls.get(0), calls.get(1)]).toEqual([1, 1]);
  });

  const restarting = (): StreamExecutionEnvironment => create({ storage: new MemoryStorage(), restart: exponentialDelay({ initial: 1, max: 1 }) });

  /** Throws at the first value for which `when` is true, and never again. */
  const throwsOnce = <T>(when: (value: T) => boolean): ((value: T) => T) => {
    let thrown = false;
    return (value) => {
      if (!thrown && when(value)) {
        thrown = true;
        throw new Error('once');
      }
      return value;
    };
  };

  test('a restart keeps the subscription, and what was accepted comes to its turn again', async () => {
    const env = restarting();
    let subscriptions = 0;
    const source$ = new Observable<number>((to) => {
      subscriptions += 1;
      for (const value of [1, 2, 3]) to.next(value);
      to.complete();
    });
    const out = env.fromObservable(source$).map(throwsOnce((n) => n === 2));
    expect(await env.executeAndCollect(out)).toEqual([1, 2, 3]);
    expect(subscriptions).toBe(1);
  });

  test('values that come while the job starts again are taken when it runs', async () => {
    const env = restarting();
    const subject = new Subject<number>();
    const got: number[] = [];
    env.fromObservable(subject).map(throwsOnce((n) => n === 1)).sinkTo(callbackSink((n) => void got.push(n)));
    const job = await env.executeAsync();
    job.status$.pipe(filter(({ state }) => state === 'restarting')).subscribe(() => subject.next(2));
    subject.next(1);
    await firstValueFrom(job.status$.pipe(filter(({ restarts, state }) => restarts === 1 && state === 'running')));
    subject.next(3);
    subject.complete();
    await job.done;
    expect(got).toEqual([1, 2, 3]);
    expect(subject.observed).toBe(false);
  });

  test('an Observable that has failed is subscribed to anew', async () => {
    const env = restarting();
    let subscriptions = 0;
    const source$ = defer(() => (++subscriptions === 1 ? concat(of('a'), throwError(() => new Error('gone'))) : of('b')));
    expect(await env.executeAndCollect(env.fromObservable(source$))).toEqual(['a', 'b']);
  });

  test('executeAsync is over when the Observable is subscribed to: what is pushed next is taken', async () => {
    for (const wait of [async () => undefined, () => new Promise(setImmediate), async () => await Promise.resolve()]) {
      const env = create();
      const subject = new Subject<number>();
      const got: number[] = [];
      env.fromObservable(subject).sinkTo(callbackSink((n) => void got.push(n)));
      const job = await env.executeAsync();
      expect([job.status.state, subject.observed]).toEqual(['running', true]);
      await wait();
      for (const value of [1, 2, 3]) subject.next(value);
      subject.complete();
      await job.done;
      expect(got).toEqual([1, 2, 3]);
    }
  });

  test('a start that fails gives the job too, which says why', async () => {
    const env = create();
    env.fromObservable(new Observable(() => { throw new Error('no line'); })).sinkTo(callbackSink(() => {}));
    await expect((await env.executeAsync()).done).rejects.toThrow('no line');
  });

  test('what can not be journaled is left out, counted and logged once, and the job goes on', async () => {
    class Order { id = 1; }
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const env = create({ storage: new MemoryStorage(), logger });
    const bad: unknown[] = [() => 1, new Order(), { deep: [Symbol('s')] }];
    const got: unknown[] = [];
    env.fromObservable(from(['a', ...bad, 'b'])).uid('orders').sinkTo(callbackSink((value) => void got.push(value)));
    const job = await env.executeAsync();
    await job.done;
    expect(got).toEqual(['a', 'b']);
    expect((await job.metrics.snapshot())['operator.orders.numRecordsRefused']).toBe(3);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/source `orders`, split `observable`: value 1 of 5 can not be journaled/);
  });
});

describe('the shape of a pipeline', () => {
  test('a union keeps the order of each input, and fan-out gives each consumer all', async () => {
    const env = create();
    const source = env.fromCollection(numbers(20));
    const [even, odd] = [source.filter((n) => n % 2 === 0), source.filter((n) => n % 2 === 1).map((n) => `odd ${n}`)];
    const seen: (number | string)[] = [];
    even.sinkTo(callbackSink((n) => void seen.push(n)));
    const out = await env.executeAndCollect(even.union(odd));
    expect(out.filter((each) => typeof each === 'number')).toEqual(numbers(20).filter((n) => n % 2 === 0));
    expect(out.filter((each) => typeof each === 'string')).toEqual(numbers(20).filter((n) => n % 2 === 1).map((n) => `odd ${n}`));
    expect(seen).toEqual(numbers(20).filter((n) => n % 2 === 0));
  });

  test('a stream can not be united with itself', () => {
    const stream = create().fromCollection([1]);
    expect(() => stream.union(stream)).toThrow(TypeError);
  });

  test('side outputs, read by several, by one, and by nobody', async () => {
    const env = create();
    const [low, high, unread] = [outputTag<number>('low'), outputTag<string>('high'), outputTag<number>('unread')];
    const split = env.fromCollection(numbers(6)).process<number>((n, ctx) => {
      if (n < 2) ctx.side(low, n);
      else if (n > 3) ctx.side(high, `high ${n}`);
      else ctx.emit(n);
      ctx.side(unread, n);
    });
    const [lows, highs]: [number[], string[]] = [[], []];
    const sink = <T>(to: T[]) => defineSink<T>({ write: (values) => void to.push(...values) });
    split.sideOutput(low).sinkTo(sink(lows));
    split.sideOutput(high).sinkTo(sink(highs));
    split.sideOutput(high).map((text) => text.length).print({ write: () => {} });
    expect(await env.executeAndCollect(split)).toEqual([2, 3]);
    expect([lows, highs]).toEqual([[0, 1], ['high 4', 'high 5']]);
  });

  test("an operator of one's own, keyed and not", async () => {
    const numbered: Operator<string, string> = (context) => {
      const count = context.state(valueState<number>('count'));
      return {
        process(value, timestamp) {
          const number = (count.value() ?? 0) + 1;
          count.update(number);
          context.output.emit(`${String(context.currentKey())}${value}${number}`, timestamp);
        },
      };
    };
    const words = ['a', 'b', 'a', 'a', 'b'];
    const env = create();
    expect(await env.executeAndCollect(env.fromCollection(words).keyBy((word) => word).transform('numbered', numbered))).toEqual(['aa1', 'bb1', 'aa2', 'aa3', 'bb2']);
    const unkeyed = create();
    expect(await unkeyed.executeAndCollect(unkeyed.fromCollection(words).transform('numbered', numbered))).toEqual(['a1', 'b2', 'a3', 'a4', 'b5']);
  });

  test('empty input, and a stream that nobody reads', async () => {
    const env = create();
    env.fromCollection(numbers(3)).map((n) => n);
    expect(await env.executeAndCollect(env.fromCollection<number>([]).keyBy((n) => n).reduce((a, b) => a + b))).toEqual([]);
  });

  test('an environment can be executed again, and gives the same', async () => {
    const env = create();
    const seen: number[] = [];
    env.fromCollection(numbers(3)).sinkTo(callbackSink((n) => void seen.push(n)));
    await env.execute();
    await env.execute();
    expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
  });
});
