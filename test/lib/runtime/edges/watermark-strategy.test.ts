import { describe, expect, it } from 'vitest';
import type { Source } from '../../../../lib/core/connector.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';

describe('WatermarkStrategy', () => {
  it('takes the type of its stream, and changes nothing in place', () => {
    const fromSource = <T>(_: Source<T>, strategy: WatermarkStrategy<NoInfer<T>>): WatermarkStrategy<T> => strategy;
    const source = {} as Source<{ readonly ts: number }>;
    const base = WatermarkStrategy.boundedOutOfOrderness('5s');
    const strategy = fromSource(
      source,
      base
        .withIdleness('1m')
        .withEmitEvery(10)
        .withTimestamps((record) => record.ts * 1000),
    );
    expect(strategy.timestampOf?.({ ts: 2 })).toBe(2000);
    expect([strategy.outOfOrdernessMs, strategy.idlenessMs, strategy.emitEvery]).toEqual([5000, 60_000, 10]);
    expect([base.timestampOf, base.idlenessMs, base.emitEvery]).toEqual([undefined, undefined, 64]);
    const others = WatermarkStrategy.monotonous().withTimestamps((record: { readonly time: number }) => record.time);
    // @ts-expect-error a strategy for other records is refused
    fromSource(source, others);
  });

  it('refuses nonsense by name', () => {
    expect(() => WatermarkStrategy.boundedOutOfOrderness(-1)).toThrow('`duration`');
    expect(() => WatermarkStrategy.monotonous().withIdleness(0)).toThrow('`duration`');
    expect(() => WatermarkStrategy.none().withEmitEvery(0)).toThrow(
      'Expected `records` to be an integer from 1 up, got `0` (number)',
    );
    expect(() => WatermarkStrategy.none().withTimestamps('ts' as never)).toThrow('`withTimestamps`');
  });
});
