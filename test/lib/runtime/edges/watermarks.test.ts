import { describe, expect, it } from 'vitest';
import type { Source } from '../../../../lib/core/connector.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { WatermarkCombiner, WatermarkGenerator, WatermarkStrategy, WatermarkValve } from '../../../../lib/runtime/edges/watermarks.ts';

const needsTick = (generator: WatermarkGenerator, now: number): boolean => generator.tickInMs(now) === 0;
const bounded = (ms: number): WatermarkGenerator => new WatermarkGenerator(WatermarkStrategy.boundedOutOfOrderness(ms));

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
    expect(() => WatermarkStrategy.none().withEmitEvery(0)).toThrow('Expected `records` to be an integer from 1 up, got `0` (number)');
    expect(() => WatermarkStrategy.none().withTimestamps('ts' as never)).toThrow('`withTimestamps`');
  });
});

describe('WatermarkGenerator', () => {
  it('ignores records without a timestamp and keeps silent without any', () => {
    const generator = bounded(5);
    generator.onRecords(MIN_TIMESTAMP);
    expect([generator.emit(), generator.current]).toEqual([undefined, MIN_TIMESTAMP]);
    generator.onRecords(10);
    expect([generator.emit(), generator.emit(), generator.current]).toEqual([4, undefined, 4]);
  });

  it('stays below the final timestamp, which only an end brings', () => {
    for (const greatest of [MAX_TIMESTAMP, Number.MAX_VALUE, Number.MAX_SAFE_INTEGER]) {
      const generator = bounded(5);
      generator.onRecords(greatest);
      expect(generator.emit()).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
    }
  });

  it('emits nothing at all without a bound', () => {
    const generator = new WatermarkGenerator(WatermarkStrategy.none());
    generator.onRecords(MAX_TIMESTAMP);
    expect([generator.emit(), needsTick(generator, 0), generator.onTick(0)]).toEqual([undefined, false, {}]);
  });

  it('gives what is left over at the first quiet tick', () => {
    const generator = bounded(0);
    generator.onRecords(10);
    expect(needsTick(generator, 0)).toBe(true);
    expect(generator.onTick(0)).toEqual({});
    expect(needsTick(generator, 1)).toBe(true);
    expect(generator.onTick(1)).toEqual({ watermark: 9 });
    expect(needsTick(generator, 2)).toBe(false);
  });

  it('is idle after the duration, and active again with a record', () => {
    const generator = new WatermarkGenerator(WatermarkStrategy.monotonous().withIdleness(15));
    expect([10, 20, 25, 26].map((now) => generator.onTick(now).idle)).toEqual([undefined, undefined, undefined, true]);
    expect([generator.idle, needsTick(generator, 99)]).toEqual([true, false]);
    generator.onRecords(1);
    expect([needsTick(generator, 99), generator.onTick(99), generator.idle]).toEqual([true, { idle: false }, false]);
  });

  it('starts the countdown anew when told so', () => {
    const generator = new WatermarkGenerator(WatermarkStrategy.monotonous().withIdleness(15));
    generator.onTick(0);
    generator.restartCountdown();
    expect([generator.onTick(1000).idle, generator.onTick(1016).idle]).toEqual([undefined, true]);
  });

  it('goes on from a snapshot as if nothing had happened', () => {
    const strategy = WatermarkStrategy.boundedOutOfOrderness(5).withIdleness(15);
    const first = new WatermarkGenerator(strategy);
    first.onRecords(100);
    first.onTick(0);
    first.onTick(10);
    const second = new WatermarkGenerator(strategy);
    second.restore(structuredClone(first.snapshot()));
    expect(second.snapshot()).toEqual(first.snapshot());
    expect([second.current, second.emit(), second.onTick(26)]).toEqual([94, undefined, { idle: true }]);
  });
});

describe('merging watermarks', () => {
  it('waits for an idle channel when another has ended', () => {
    for (const merge of [new WatermarkValve(), new WatermarkCombiner()]) {
      merge.add('a');
      merge.add('b');
      merge.watermark('a', 5);
      merge.watermark('b', 3);
      expect(merge.watermark('a', MAX_TIMESTAMP)).toEqual({});
      expect(merge.status('b', true)).toEqual({ idle: true });
      expect(merge.status('b', false)).toEqual({ idle: false });
      expect(merge.watermark('b', 9)).toEqual({ watermark: 9 });
      expect(merge.watermark('b', MAX_TIMESTAMP)).toEqual({ watermark: MAX_TIMESTAMP });
    }
  });

  it('holds the watermark for a new channel and names it', () => {
    const valve = new WatermarkValve();
    valve.add('a');
    expect(valve.watermark('a', 5)).toEqual({ watermark: 5 });
    valve.add('b');
    expect(valve.watermark('a', 9)).toEqual({});
    expect(valve.slowest).toBe('b');
    expect(valve.watermark('b', 2)).toEqual({});
    expect(valve.remove('b')).toEqual({ watermark: 9 });
  });

  it('differs where a channel comes back behind: the valve goes on, the combiner waits', () => {
    const run = (merge: WatermarkValve | WatermarkCombiner): unknown => {
      for (const channel of ['a', 'b']) {
        merge.add(channel);
        merge.watermark(channel, 5);
      }
      merge.status('b', true);
      merge.watermark('a', 10);
      merge.status('b', false);
      return [merge.watermark('a', 12), merge.watermark('b', 11).watermark ?? merge.watermark('b', 12)];
    };
    expect(run(new WatermarkValve())).toEqual([{ watermark: 12 }, {}]);
    expect(run(new WatermarkCombiner())).toEqual([{}, 11]);
  });

  it('makes the stream active before a watermark of an idle input', () => {
    const combiner = new WatermarkCombiner();
    combiner.add('a');
    expect(combiner.status('a', true)).toEqual({ idle: true });
    expect(combiner.watermark('a', 3)).toEqual({ watermark: 3, idle: false });
    const valve = new WatermarkValve();
    valve.add('a');
    valve.status('a', true);
    expect(valve.watermark('a', 3)).toEqual({});
  });

  it('refuses channels that are not there, or twice', () => {
    const valve = new WatermarkValve();
    valve.add('a');
    expect(() => valve.add('a')).toThrow('got `a` twice');
    for (const call of [() => valve.watermark('x', 1), () => valve.status('x', true), () => valve.remove('x')])
      expect(call).toThrow('got `x`');
  });

  it('says nothing when there is no channel', () => {
    const combiner = new WatermarkCombiner();
    expect([combiner.emit(), combiner.slowest, combiner.current]).toEqual([{}, undefined, MIN_TIMESTAMP]);
  });
});
