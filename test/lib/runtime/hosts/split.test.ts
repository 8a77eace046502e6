import { describe, expect, test } from 'vitest';
import type { SourceBatch, SourceReader } from '../../../../lib/core/connector.ts';
import { MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { WatermarkGenerator } from '../../../../lib/runtime/edges/watermark-generator.ts';
import { Split } from '../../../../lib/runtime/hosts/split.ts';
import { batchOf } from './sources.ts';

const made = <T = string>(): Split<T> =>
  new Split<T>({ uid: 'src', name: 's', generator: new WatermarkGenerator({ outOfOrdernessMs: 0, idlenessMs: 50 }) });

/** A reader that gives these batches, then the end. */
const reading = (split: Split<string>, ...batches: readonly SourceBatch<string>[]): { readonly told: unknown[] } => {
  const [left, told]: [SourceBatch<string>[], unknown[]] = [[...batches], []];
  const reader: SourceReader<string> = {
    read: async () => left.shift(),
    committed: async (position) => void told.push(position),
    close: async () => void told.push('closed'),
  };
  split.open(reader);
  return { told };
};

const never = new AbortController().signal;

describe('what was read', () => {
  test('leaves record by record; its position belongs to what was handed over', () => {
    const split = made();
    split.take(batchOf(['a', 'b', 'c'], { position: (count) => `behind ${count}` }));
    expect([split.hasRecords, split.inHand, split.position, split.records]).toEqual([true, 3, undefined, 0]);
    split.advance(0);
    expect(split.position).toBeUndefined(); // Nothing was handed over: a place was full.
    split.advance(2);
    expect([split.inHand, split.position, split.records]).toEqual([1, 'behind 2', 2]);
    expect(split.front?.cursor).toBe(2);
    split.advance(3);
    expect([split.hasRecords, split.front, split.inHand, split.position, split.records]).toEqual([
      false,
      undefined,
      0,
      'behind 3',
      3,
    ]);
  });

  test('is asked for once at a time, and not while anything is in hand', async () => {
    const split = made();
    expect(split.wantsRead).toBe(false); // It is not open.
    reading(split, batchOf(['a']), batchOf([]));
    expect(split.wantsRead).toBe(true);
    const read = split.read(never);
    expect(split.wantsRead).toBe(false);
    await expect(split.read(never)).rejects.toThrow(/I12/);
    const batch = await read;
    expect(split.wantsRead).toBe(true);
    split.take(batch ?? batchOf([]));
    expect(split.wantsRead).toBe(false);
    split.advance(1);
    expect(split.wantsRead).toBe(true);
    split.take((await split.read(never)) ?? batchOf(['x']));
    expect([split.hasRecords, split.wantsRead]).toEqual([false, true]); // Nothing was there.
  });

  test('has an end, which comes behind what is in hand', async () => {
    const split = made();
    reading(split);
    split.take(batchOf(['a']));
    expect(await split.read(never)).toBeUndefined();
    expect([split.isDrained, split.isEmptied, split.wantsRead]).toEqual([false, false, false]);
    split.advance(1);
    expect([split.isDrained, split.isEmptied, split.wantsRead]).toEqual([true, true, false]);
    split.end();
    expect([split.isDrained, split.ended]).toEqual([false, true]);
  });

  test.each([[Number.NaN], [Number.POSITIVE_INFINITY], ['1' as unknown as number]])(
    'is refused with a timestamp of %s (I16)',
    async (timestamp) => {
      const split = made();
      reading(split, batchOf(['a', 'b'], { timestamps: [1, timestamp] }));
      await expect(split.read(never)).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
    },
  );

  test('is no promise', () => {
    const split = made<unknown>();
    expect(() => split.take(batchOf<unknown>(['a', Promise.resolve(1)]))).toThrow(/split `s`, record 1/);
  });

  test('never goes back', () => {
    const split = made();
    split.take(batchOf(['a', 'b']));
    split.advance(2);
    expect(() => split.advance(1)).toThrow(/I4/);
  });
});

describe('what was accepted', () => {
  const input = (values: readonly string[], position: number) => ({ values, position });

  test('leaves when it is durable; its position is behind all of it at once', () => {
    const split = made();
    split.accept(input(['a', 'b'], 2));
    expect([split.hasRecords, split.inHand, split.position, split.records]).toEqual([false, 2, 2, 0]);
    split.release();
    split.accept(input(['c'], 3));
    split.advance(2);
    expect([split.hasRecords, split.inHand, split.position, split.records]).toEqual([false, 1, 3, 2]);
    split.release();
    expect(split.hasRecords).toBe(true);
  });

  test('waits in the checkpoint until it was handed over, as it was (I21)', () => {
    const split = made<{ n: number }>();
    const values = [{ n: 1 }, { n: 2 }, { n: 3 }];
    split.accept({ values, position: 3 });
    split.release();
    split.advance(1);
    const snapshot = split.snapshot();
    for (const value of values) value.n = 99;
    const restored = made<{ n: number }>();
    restored.restore(snapshot);
    expect([restored.inHand, restored.position, restored.records, restored.hasRecords]).toEqual([2, 3, 1, true]);
    expect(restored.front?.batch.values).toEqual([{ n: 2 }, { n: 3 }]);
  });

  test('takes its end from the journal', () => {
    const split = made();
    split.accept(input(['a'], 1));
    split.release();
    split.noteEnd();
    expect(split.isDrained).toBe(false);
    split.advance(1);
    expect(split.isDrained).toBe(true);
  });
});

describe('a split', () => {
  test('comes back as it was', () => {
    const split = made();
    split.take(batchOf(['a', 'b'], { timestamps: [5, 6] }));
    split.generator.onRecords(6);
    split.advance(2);
    split.end();
    const restored = made();
    restored.restore(split.snapshot());
    expect(restored.snapshot()).toEqual(split.snapshot());
    expect([restored.ended, restored.generator.greatest, made().generator.greatest]).toEqual([true, 6, MIN_TIMESTAMP]);
  });

  test('says what it means that nothing came: only one that is asked and reads can be quiet (I17)', async () => {
    const split = made();
    let answer = (_batch: SourceBatch<string>): void => {};
    const reader = {
      read: () => new Promise<SourceBatch<string>>((resolve) => (answer = resolve)),
      close: async () => {},
      waiting: true,
    };
    split.open(reader);
    expect(split.quiet(true)).toBe('held');
    const read = split.read(never);
    expect([split.quiet(true), split.quiet(false)]).toEqual(['waits', 'held']);
    reader.waiting = false; // It has something, and brings it.
    expect(split.quiet(true)).toBe('reads');
    answer(batchOf(['a']));
    split.take((await read) ?? batchOf([]));
    expect(split.quiet(true)).toBe('held');
  });

  test('tells the source what is durable, and nothing of where it starts', async () => {
    const split = made();
    const { told } = reading(split);
    await split.committed(undefined);
    await split.committed(7);
    await split.close();
    expect(told).toEqual([7, 'closed']);
    await made().close(); // It was never open.
  });
});
