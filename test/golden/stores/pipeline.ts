/**
 * The pipeline of the golden stores: a little of everything that a state directory holds. Value state, an agent with
 * memory and durable calls, windows with their timers, numbered sinks. Every later version must go on with it where the
 * version that made the store has died.
 */
import {
  agent,
  defineSink,
  defineSource,
  InputEvent,
  OutputEvent,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type Job,
} from 'millrace';

export interface Order {
  readonly key: string;
  readonly n: number;
}

export const orders: readonly Order[] = Array.from({ length: 12 }, (_, n) => ({ key: `k${n % 3}`, n }));

/** Inputs that the first life reads before its checkpoint, and behind it. */
export const [coveredCount, readCount] = [6, 9];

/** One life of the job: what it calls and what leaves it. */
export class Life {
  /** Inputs that may be read. */
  limit: number;
  readonly calls: string[] = [];
  /** What the receivers were given, by number. */
  readonly rows = new Map<number, string>();
  readonly sums = new Map<number, string>();
  readonly #openFrom: number;

  /** Runs of inputs from `openFrom` on stay open behind their first call. */
  constructor({ limit, openFrom }: { readonly limit: number; readonly openFrom: number }) {
    this.limit = limit;
    this.#openFrom = openFrom;
  }

  start(directory: string): Promise<Job> {
    const env = StreamExecutionEnvironment.create({ checkpoint: { directory, interval: '1h' }, logger: 'silent' });
    const results = env
      .fromSource(
        this.#source(),
        WatermarkStrategy.boundedOutOfOrderness<Order>(0).withTimestamps(({ n }) => n * 10),
      )
      .uid('orders')
      .keyBy(({ key }) => key)
      .process<Order & { readonly seen: number }, { seen: ReturnType<typeof seen> }>({
        state: { seen: seen() },
        process(order, ctx) {
          const count = (ctx.state.seen.value() ?? 0) + 1;
          ctx.state.seen.update(count);
          ctx.emit({ ...order, seen: count });
        },
      })
      .uid('count')
      .keyBy(({ key }) => key)
      .applyAgent(this.#clerk(), { outputOrder: 'arrival' })
      .uid('clerk');
    results
      .map(({ key, n, seen: count, sum }) => `${key}:${n}:${count}:${sum}`)
      .sinkTo(receiver('rows', this.rows))
      .uid('rows');
    results
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of(60))
      .reduce((a, b) => ({ ...b, n: a.n + b.n }))
      .uid('windows')
      .map(({ key, n }) => `${key}:${n}`)
      .sinkTo(receiver('sums', this.sums))
      .uid('sums');
    return env.executeAsync('golden');
  }

  #source() {
    return defineSource<Order, number>({
      name: 'orders',
      start: 0,
      pollInterval: 5,
      read: (from) =>
        from === orders.length
          ? undefined
          : { values: orders.slice(from, Math.max(from, this.limit)), position: (count) => from + count },
    });
  }

  #clerk() {
    return agent<Order & { readonly seen: number }, Order & { readonly seen: number; readonly sum: number }>(
      'clerk',
    ).on(
      InputEvent,
      'look',
      async ({ input }, ctx) => {
        const { n } = input;
        const value = await ctx.durableExecute('look-up', () => {
          this.calls.push(`look-up ${n}`);
          return { n, at: new Date(n), big: 2n ** 64n };
        });
        // Leaves only when the outcome of the first one is journaled.
        await ctx.durableExecute('note', () => void this.calls.push(`note ${n}`));
        if (n >= this.#openFrom) await new Promise(() => {});
        const sum = (ctx.shortTermMemory.get<number>('sum') ?? 0) + value.n;
        ctx.shortTermMemory.set('sum', sum);
        ctx.sendEvent(new OutputEvent({ ...input, sum }));
      },
      { async: true },
    );
  }
}

const seen = () => valueState<number>('seen');

const receiver = (name: string, into: Map<number, string>) =>
  defineSink<string>({
    name,
    guarantee: 'exactly-once',
    write: (values, { firstNumber }) => values.forEach((value, index) => into.set(firstNumber + index, value)),
  });
