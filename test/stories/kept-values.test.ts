/**
 * Whoever keeps a value beyond its turn has a copy of it, and so has whoever is told one from outside the job (I21):
 * what code does with its own later changes no outcome. `changing-code.crash.test.ts` tries it with random code; here
 * stand the doors that it does not pass, and what it would find by chance only.
 */
import {
  agent,
  exponentialDelay,
  generator,
  defineSource,
  InputEvent,
  listState,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  type,
  type DataStream,
} from 'millrace';
import { Observable } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { Ledger, once, until } from './story.ts';

interface Count {
  n: number;
}

const countsOf = (length: number): Count[] => Array.from({ length }, (_, n) => ({ n }));

describe('a restart in the process reads what it read before, whatever the pipeline has done to it', () => {
  const doors: Readonly<Record<string, (env: StreamExecutionEnvironment, data: Count[]) => DataStream<Count>>> = {
    fromCollection: (env, data) => env.fromCollection(data),
    'a generator of what is kept': (env, data) =>
      env.fromSource(generator({ generate: (n) => data[n] as Count, count: data.length })),
    'defineSource with pages that are kept': (env, data) =>
      env.fromSource(
        defineSource<Count, number>({
          start: 0,
          read: (at) => (at < data.length ? { values: data, position: (count) => at + count } : undefined),
        }),
      ),
    fromObservable: (env, data) =>
      env.fromObservable(
        new Observable<Count>((subscriber) => {
          for (const each of data) subscriber.next(each);
          subscriber.complete();
        }),
      ),
  };
  test.each(Object.keys(doors))('%s', async (name) => {
    let fails = true;
    const env = StreamExecutionEnvironment.create({
      logger: 'silent',
      restart: exponentialDelay({ initial: 1, max: 1 }),
    });
    const data = countsOf(4);
    const ledger = new Ledger<number>();
    doors[name]?.(env, data)
      .map((count) => {
        count.n += 100;
        if (count.n === 103 && fails) {
          fails = false;
          throw new Error('once');
        }
        return count.n;
      })
      .sinkTo(ledger.sink());
    await env.execute();
    expect(fails).toBe(false);
    expect(ledger.values).toEqual([100, 101, 102, 103]);
    expect(data).toEqual(countsOf(4)); // They belong to who gave them.
  });

  test('one object that is brought several times is several values', async () => {
    const data = countsOf(2);
    const env = StreamExecutionEnvironment.create(once);
    const again = env.fromSource(generator({ generate: (n) => data[n % 2] as Count, count: 6 }));
    expect(await again.map((count) => (count.n += 10)).executeAndCollect()).toEqual([10, 11, 10, 11, 10, 11]);
  });

  test('what an Observable has pushed is what it was then', async () => {
    const env = StreamExecutionEnvironment.create(once);
    const buffer = { n: 0 };
    const reused = new Observable<Count>((subscriber) => {
      for (buffer.n = 0; buffer.n < 3; buffer.n += 1) subscriber.next(buffer);
      subscriber.complete();
    });
    expect(await env.fromObservable(reused).executeAndCollect()).toEqual(countsOf(3));
  });
});

describe('what somebody outside does with what he is told is nothing to the job', () => {
  test('a listener of `asObservable`, whoever else reads the stream', async () => {
    for (const branches of [1, 2]) {
      const outputs: unknown[] = [];
      for (const isListening of [false, true]) {
        const env = StreamExecutionEnvironment.create(once);
        const sizes = outputTag<number>('sizes');
        const stream = env.fromCollection(countsOf(3)).process<Count>((count, ctx) => {
          ctx.emit(count);
          ctx.side(sizes, count.n); // Behind whoever was given it.
        });
        const read = branches === 1 ? [] : [stream.map(({ n }) => n)];
        const values = stream.asObservable();
        if (isListening) for (const by of [100, 1000]) values.subscribe((count) => void (count.n += by));
        outputs.push(await env.executeAndCollect(stream.sideOutput(sizes).union(...read)));
      }
      expect(outputs[1]).toEqual(outputs[0]);
    }
  });

  test('`onTurn`, before the turn is in the log', async () => {
    const storage = new MemoryStorage();
    const seen: string[] = [];
    for (const life of [1, 2]) {
      const asking = agent<Count, number>('asking').on(InputEvent, async ({ input }, ctx) => {
        await ctx.durableExecute('ask', () => true);
        seen.push(`${life} ${input.n} ${Object.keys(input).join()}`);
        if (life === 1) await new Promise(() => {});
        ctx.output(input.n);
      });
      const env = StreamExecutionEnvironment.create({
        ...once,
        storage,
        onTurn: (turn) => {
          if (turn.kind === 'input') Object.assign(turn.input.values[0] as object, { n: -1, more: true });
        },
      });
      env
        .fromObservable(new Observable<Count>((subscriber) => (life === 1 ? subscriber.next({ n: 7 }) : undefined)))
        .uid('in')
        .keyBy(() => 'k')
        .applyAgent(asking)
        .sinkTo(new Ledger<number>().sink());
      const job = await env.executeAsync();
      await until(() => seen.length === life);
      await job.cancel();
    }
    expect(seen).toEqual(['1 7 n', '2 7 n']);
  });

  test('the configuration of an agent, which actions can not change, nor its maker while they run', async () => {
    const config = { limits: { max: 3 } };
    const limited = agent<number, number>('limited')
      .options({ config })
      .on(InputEvent, ({ input }, ctx) => {
        const limits = ctx.agentConfig['limits'] as { max: number };
        expect(() => (limits.max += input)).toThrow(TypeError);
        ctx.output(limits.max);
        config.limits.max += 100;
      });
    const env = StreamExecutionEnvironment.create(once);
    const outputs = env
      .fromCollection([1, 2])
      .keyBy(() => 'k')
      .applyAgent(limited);
    expect(await outputs.executeAndCollect()).toEqual([3, 3]);
  });
});

test("an element that was taken out of a list is the reader's, though its row is stored later", async () => {
  const storage = new MemoryStorage();
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const taken = env
    .fromCollection(countsOf(70)) // More than a row of a list holds.
    .keyBy(() => 'k')
    .process({
      emits: type<number>(),
      state: { list: listState<Count & { fn?: () => void }>('list') },
      process(count, ctx) {
        const { list } = ctx.state;
        list.add(count);
        if (list.size < 66) return;
        const first = list.shift();
        if (first === undefined) return;
        ctx.emit(first.n);
        first.fn = () => {}; // Could not be stored.
      },
    });
  expect(await taken.executeAndCollect()).toEqual([0, 1, 2, 3, 4]);
});

test('branches of a stream do not see what others do to a record', async () => {
  for (const isFirst of [true, false]) {
    const env = StreamExecutionEnvironment.create(once);
    const stream = env.fromCollection(countsOf(2));
    const changing = (): DataStream<number> => stream.map((count) => (count.n += 100));
    const reading = (): DataStream<number> => stream.map(({ n }) => n);
    const [one, two] = isFirst ? [changing(), reading()] : [reading(), changing()];
    const both = await env.executeAndCollect(one.union(two));
    expect(both.toSorted((a, b) => a - b)).toEqual([0, 1, 100, 101]);
  }
});
