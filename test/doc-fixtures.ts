/**
 * What an `@example` need not make: `env`, and `orders`, a stream of it. Said in `test/README.md`; the same for all of
 * them.
 */
import { StreamExecutionEnvironment, WatermarkStrategy, type DataStream } from 'millrace';

export interface Order {
  readonly id: number;
  readonly customer: string;
  readonly euros: number;
  /** Milliseconds. */
  readonly ts: number;
}

const orders: readonly Order[] = [
  { id: 1, customer: 'ann', euros: 25, ts: 1_000 },
  { id: 2, customer: 'bob', euros: 5, ts: 2_000 },
  { id: 3, customer: 'ann', euros: 40, ts: 12_000 },
];

export class Fixtures {
  readonly env = StreamExecutionEnvironment.create();
  #orders: DataStream<Order> | undefined;

  get orders(): DataStream<Order> {
    this.#orders ??= this.env.fromCollection(
      orders,
      WatermarkStrategy.monotonous().withTimestamps(({ ts }) => ts),
    );
    return this.#orders;
  }

  /** Runs what an example has composed. */
  async run(): Promise<void> {
    if (this.env.graph.nodes.length > 0) await this.env.execute();
  }
}
