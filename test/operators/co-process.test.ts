import { describe, expect, it } from 'vitest';
import { StreamExecutionEnvironment, type DataStream } from 'millrace';
import { reducingState, valueState } from '../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { coProcess } from '../../operators/co-process.ts';
import { type } from '../../operators/process.ts';

interface Order {
  readonly key: string;
  readonly euros: number;
}

interface Limit {
  readonly key: string;
  readonly limit: number;
}

/** Emits orders above the limit of their key, and the sum of a key at a timer. */
const limited = coProcess({
  emits: type<string>(),
  state: { limit: valueState<number>('limit'), sum: reducingState<number>('sum', (a, b) => a + b) },
  process1({ key, euros }: Order, ctx) {
    ctx.state.sum.add(euros);
    ctx.timers.register(100);
    if (euros > (ctx.state.limit.value() ?? Infinity)) ctx.emit(`${key}: ${euros}`);
  },
  process2: ({ limit }: Limit, ctx) => ctx.state.limit.update(limit),
  onTimer: (_timer, ctx) => ctx.emit(`${ctx.key} spent ${ctx.state.sum.get()}`),
});

const keyOf = ({ key }: Order | Limit): string => key;
const inputs = [{ keyOf }, { keyOf }];
const values = (outputs: readonly { readonly kind: string; readonly value?: unknown }[]): unknown[] =>
  outputs.flatMap((output) => (output.kind === 'record' ? [output.value] : []));

describe('a function of two inputs', () => {
  it('shares state and timers of a key, which restores keep together with how far each input is', async () => {
    const harness = await OperatorHarness.open(limited, { inputs });
    const limits = harness.input<Limit>(2);
    expect(values(harness.element({ key: 'ann', euros: 50 }, 1))).toEqual([]);
    limits.element({ key: 'ann', limit: 10 }, 1);
    expect(values(harness.element({ key: 'ann', euros: 20 }, 2))).toEqual(['ann: 20']);
    expect(values(harness.element({ key: 'bob', euros: 20 }, 2))).toEqual([]);
    expect(harness.watermark(100)).toEqual([]);
    await harness.restore(await harness.snapshot());
    expect(harness.input(2).watermark(40)).toEqual([{ kind: 'watermark', timestamp: 40 }]);
    expect(harness.watermark(90)).toEqual([]); // It has said more before.
    expect(values(harness.input(2).watermark(120))).toEqual(['ann spent 70', 'bob spent 20']);
  });

  it('refuses what an input returns, promises, and inputs that are not there', async () => {
    const returning = coProcess({ process1: () => 1 as never, process2: async () => {} });
    const harness = await OperatorHarness.open(returning, { inputs });
    expect(() => harness.element({ key: 'a', euros: 1 }, 0)).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED' }),
    );
    expect(() => harness.input<Limit>(2).element({ key: 'a', limit: 1 }, 0)).toThrow(
      expect.objectContaining({ code: 'ASYNC_IN_TURN' }),
    );
    expect(() => harness.input(3).watermark(1)).toThrow('Expected `number` to be from 1 to 2');
  });
});

describe('connected streams', () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const numbers = env.fromCollection([1, 2, 3]);

  it('are both keyed or both not', () => {
    const keyed = numbers.keyBy((n) => n);
    expect(() => keyed.connect(numbers as never)).toThrow('two keyed streams or two that are not');
    expect(() => numbers.connect([1] as never)).toThrow(TypeError);
    expect(() => numbers.connect(numbers).process({ process1: () => {} } as never)).toThrow(
      '`process1` and `process2`',
    );
  });

  it('may be one stream twice: each record comes to each input once', async () => {
    const own = StreamExecutionEnvironment.create({ logger: 'silent' });
    const stream = own.fromCollection([{ n: 1 }, { n: 2 }]);
    const both: DataStream<string> = stream.connect(stream).map(
      ({ n }) => `left ${n}`,
      ({ n }) => `right ${n}`,
    );
    expect((await both.executeAndCollect()).toSorted()).toEqual(['left 1', 'left 2', 'right 1', 'right 2']);
  });

  it('of a user whose operator has another number of inputs are refused', async () => {
    const own = StreamExecutionEnvironment.create({ logger: 'silent', restart: undefined });
    const stream = own.fromCollection([1]);
    const wrong = stream.connect(stream).transform('wrong', () => ({ inputs: [{ process: () => {} }] }) as never);
    await expect(wrong.executeAndCollect()).rejects.toThrow('`inputs`');
  });
});
