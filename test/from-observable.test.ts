/** An Observable as a source: what is accepted, overflow, its end and its errors. */
import { callbackSink, exponentialDelay, MemoryStorage, StreamExecutionEnvironment } from 'millrace';
import { concat, defer, filter, firstValueFrom, from, Observable, of } from 'rxjs';
import { Subject, throwError } from 'rxjs';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { failure, Ledger, stillness, until } from './stories/story.ts';
import { numbers, create } from './rxjs-fixture.ts';

describe('fromObservable', () => {
  test('brings what the Observable emits, and ends with it', async () => {
    const env = create();
    expect(await env.executeAndCollect(env.fromObservable(from(numbers(10))))).toEqual(numbers(10));
  });

  test('an Observable that fails, fails the job after the values before it', async () => {
    const env = create();
    const seen: number[] = [];
    env
      .fromObservable(
        new Observable<number>((to) => {
          to.next(1);
          to.error(new RangeError('gone'));
        }),
      )
      .map((n) => seen.push(n))
      .print({ write: () => {} });
    expect((await failure(env.execute(), 'SOURCE_FAILED')).cause).toBeInstanceOf(RangeError);
    expect(seen).toEqual([1]);
  });

  test('more than fits: an error, or the rest is dropped', async () => {
    const refused = create();
    refused.fromObservable(from(numbers(100)), { capacity: 10 }).print({ write: () => {} });
    expect((await failure(refused.execute(), 'INPUT_OVERFLOW')).message).toContain('10');
    const dropping = create();
    expect(
      await dropping.executeAndCollect(dropping.fromObservable(from(numbers(100)), { capacity: 10, overflow: 'drop' })),
    ).toEqual(numbers(10));
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
    await stillness(job);
    await job.cancel();
    wait = Promise.resolve();
    // Nobody sends the old clicks again.
    await start(of(4, 5)).execute();
    expect(ledger.values).toEqual([0, 1, 2, 3, 4, 5].map((n) => `click ${n}`));
    expect([calls.get(0), calls.get(1)]).toEqual([1, 1]);
  });

  const restarting = (): StreamExecutionEnvironment =>
    create({ storage: new MemoryStorage(), restart: exponentialDelay({ initial: 1, max: 1 }) });

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
    env
      .fromObservable(subject)
      .map(throwsOnce((n) => n === 1))
      .sinkTo(callbackSink((n) => void got.push(n)));
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
    const source$ = defer(() =>
      ++subscriptions === 1
        ? concat(
            of('a'),
            throwError(() => new Error('gone')),
          )
        : of('b'),
    );
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
    env
      .fromObservable(
        new Observable(() => {
          throw new Error('no line');
        }),
      )
      .sinkTo(callbackSink(() => {}));
    await expect((await env.executeAsync()).done).rejects.toThrow('no line');
  });

  test('what can not be journaled is left out, counted and logged once, and the job goes on', async () => {
    class Order {
      id = 1;
    }
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const env = create({ storage: new MemoryStorage(), logger });
    const bad: unknown[] = [() => 1, new Order(), { deep: [Symbol('s')] }];
    const got: unknown[] = [];
    env
      .fromObservable(from(['a', ...bad, 'b']))
      .uid('orders')
      .sinkTo(callbackSink((value) => void got.push(value)));
    const job = await env.executeAsync();
    await job.done;
    expect(got).toEqual(['a', 'b']);
    expect((await job.metrics.snapshot())['operator.orders.numRecordsRefused']).toBe(3);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/source `orders`, split `observable`: value 1 of 5 can not be journaled/);
  });
});
