/** RxJS at the end of a pipeline, and pipelines that are shaped by it. */
import { callbackSink, defineSink, outputTag, valueState, type Operator } from 'millrace';
import { config, firstValueFrom, take, tap, toArray } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { failure, until } from './stories/story.ts';
import { numbers, create } from './rxjs-fixture.ts';

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
    const ended = firstValueFrom(
      mapped.asObservable().pipe(
        tap((n) => seen.push(n)),
        toArray(),
      ),
    );
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

describe('the shape of a pipeline', () => {
  test('a union keeps the order of each input, and fan-out gives each consumer all', async () => {
    const env = create();
    const source = env.fromCollection(numbers(20));
    const [even, odd] = [source.filter((n) => n % 2 === 0), source.filter((n) => n % 2 === 1).map((n) => `odd ${n}`)];
    const seen: (number | string)[] = [];
    even.sinkTo(callbackSink((n) => void seen.push(n)));
    const out = await env.executeAndCollect(even.union(odd));
    expect(out.filter((each) => typeof each === 'number')).toEqual(numbers(20).filter((n) => n % 2 === 0));
    expect(out.filter((each) => typeof each === 'string')).toEqual(
      numbers(20)
        .filter((n) => n % 2 === 1)
        .map((n) => `odd ${n}`),
    );
    expect(seen).toEqual(numbers(20).filter((n) => n % 2 === 0));
  });

  test('a stream united with itself brings each record twice', async () => {
    const env = create();
    const stream = env.fromCollection([1, 2]);
    const out = await env.executeAndCollect(
      stream.union(
        stream,
        stream.map((n) => n * 10),
      ),
    );
    expect(out.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2, 10, 20]);
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
    split
      .sideOutput(high)
      .map((text) => text.length)
      .print({ write: () => {} });
    expect(await env.executeAndCollect(split)).toEqual([2, 3]);
    expect([lows, highs]).toEqual([
      [0, 1],
      ['high 4', 'high 5'],
    ]);
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
    expect(
      await env.executeAndCollect(
        env
          .fromCollection(words)
          .keyBy((word) => word)
          .transform('numbered', numbered),
      ),
    ).toEqual(['aa1', 'bb1', 'aa2', 'aa3', 'bb2']);
    const unkeyed = create();
    expect(await unkeyed.executeAndCollect(unkeyed.fromCollection(words).transform('numbered', numbered))).toEqual([
      'a1',
      'b2',
      'a3',
      'a4',
      'b5',
    ]);
  });

  test('empty input, and a stream that nobody reads', async () => {
    const env = create();
    env.fromCollection(numbers(3)).map((n) => n);
    expect(
      await env.executeAndCollect(
        env
          .fromCollection<number>([])
          .keyBy((n) => n)
          .reduce((a, b) => a + b),
      ),
    ).toEqual([]);
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
