import { describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { WatermarkGenerator } from '../../../../lib/runtime/edges/watermark-generator.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';

const needsTick = (generator: WatermarkGenerator, now: number): boolean => generator.tickInMs(now) === 0;
const bounded = (ms: number): WatermarkGenerator => new WatermarkGenerator(WatermarkStrategy.boundedOutOfOrderness(ms));

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
