import { describe, expect, it } from 'vitest';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { WatermarkCombiner, WatermarkValve } from '../../../../lib/runtime/edges/watermark-merge.ts';

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
    expect(valve.watermark('b', 7)).toEqual({ watermark: 7 });
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
    for (const call of [() => valve.watermark('x', 1), () => valve.status('x', true)]) expect(call).toThrow('got `x`');
  });

  it('says nothing when there is no channel', () => {
    const combiner = new WatermarkCombiner();
    expect([combiner.emit(), combiner.slowest, combiner.current]).toEqual([{}, undefined, MIN_TIMESTAMP]);
  });
});
