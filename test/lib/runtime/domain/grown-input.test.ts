import { WatermarkStrategy, type Source, type SourceReader } from 'millrace';
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import { refuseGrown } from '../../../../lib/runtime/domain/grown-input.ts';
import type { SourceSnapshot } from '../../../../lib/runtime/hosts/source-host.ts';
import { settled } from '../../../../lib/testing/clock.ts';
import { batchOf, HostedSource } from '../hosts/sources.ts';

interface Given {
  /** What reads bring behind the position, batch by batch; then comes the end. */
  readonly batches?: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly reader?: Partial<SourceReader<number>>;
  readonly source?: Partial<Source<number>>;
  /** What the last checkpoint says. @defaultValue splits `a` and `b`, read up to 5 */
  readonly known?: SourceSnapshot | undefined;
  readonly clock?: Clock;
}

const snapshotOf = (positions: Readonly<Record<string, unknown>>): SourceSnapshot => {
  const { host } = new HostedSource<number>(WatermarkStrategy.monotonous());
  for (const name of Object.keys(positions)) host.addSplit(name);
  const { splits, ...rest } = host.snapshot();
  const read = Object.entries(splits).map(([name, split]) => [name, { ...split, position: positions[name] }]);
  return { ...rest, splits: Object.fromEntries(read) as SourceSnapshot['splits'] };
};

/** Looks at a source, and notes what is opened, read and closed. */
const looking = ({ batches = {}, reader, source, clock = systemClock, ...given }: Given = {}) => {
  const known = 'known' in given ? given.known : snapshotOf({ a: 5, b: 5 });
  const log: string[] = [];
  const abort = new AbortController();
  const { host } = new HostedSource<number>(WatermarkStrategy.monotonous(), {
    name: 'numbers',
    replayable: true,
    splits: async () => ['a', 'b'],
    open: async (split, position) => {
      log.push(`open ${split} at ${String(position)}`);
      const left = [...(batches[split] ?? [])];
      return {
        read: async () => {
          log.push(`read ${split}`);
          const values = left.shift();
          return values && batchOf(values);
        },
        close: async () => void log.push(`close ${split}`),
        ...reader,
      };
    },
    ...source,
  });
  const looked = refuseGrown(host as HostedSource<unknown>['host'], { known, clock, signal: abort.signal });
  looked.catch(() => {}); // A test may look at it later.
  return { looked, log, abort };
};

const whole = (...splits: readonly string[]): readonly string[] =>
  splits.flatMap((split) => [`open ${split} at 5`, `read ${split}`, `close ${split}`]);

describe('input of a job that has finished', () => {
  test('is looked at behind what was read of each split, and is as it was', async () => {
    const { looked, log } = looking();
    await looked;
    expect(log).toEqual(whole('a', 'b'));
  });

  test('that has grown is refused, by source and split, and nothing stays open', async () => {
    const { looked, log } = looking({ batches: { b: [[7]] } });
    await expect(looked).rejects.toMatchObject({
      code: 'JOB_FINISHED',
      message: 'split b of source `src` has grown since the job finished',
    });
    expect(log).toEqual(whole('a', 'b'));
  });

  test('has grown too where the first that comes has no values: nothing was there now, and that was not the end', async () => {
    const { looked, log } = looking({ batches: { a: [[], [], []], b: [[], [1]] } });
    await expect(looked).rejects.toMatchObject({ code: 'JOB_FINISHED' });
    expect(log.filter((each) => each === 'read a')).toHaveLength(4);
  });

  test.each([
    ['a split that is new', snapshotOf({ a: 5 })],
    ['every split, where the checkpoint knows nothing of the source', undefined],
  ])('is read from the start: %s', async (_what, known) => {
    const { looked, log } = looking({ known, batches: { b: [[1]] } });
    await expect(looked).rejects.toMatchObject({ message: expect.stringContaining('split b') });
    expect(log).toContain('open b at undefined');
  });

  test('that can not be read again, or has no splits, is not looked at', async () => {
    const once = looking({ source: { replayable: false }, batches: { a: [[1]] } });
    await once.looked;
    const none = looking({ source: { splits: async () => [] } });
    await none.looked;
    expect([once.log, none.log]).toEqual([[], []]);
  });
});

describe('a source that fails', () => {
  test.each([
    ['to list its splits', { source: { splits: () => Promise.reject(new Error('away')) } }, []],
    ['to open one', { source: { open: () => Promise.reject(new Error('away')) } }, []],
    ['to read', { reader: { read: () => Promise.reject(new Error('away')) } }, ['open a at 5', 'close a']],
  ])('%s fails the start, and nothing stays open', async (_what, given, log) => {
    const looked = looking(given);
    await expect(looked.looked).rejects.toThrow('away');
    expect(looked.log).toEqual(log);
  });
});

describe('when the job ends meanwhile (I18)', () => {
  const never = (): Promise<never> => new Promise(() => {});
  const reason = new Error('cancelled');

  test('a read that never comes is waited for no longer, and its reader is closed', async () => {
    const { looked, log, abort } = looking({ reader: { read: never } });
    await settled();
    abort.abort(reason);
    await expect(looked).rejects.toBe(reason);
    expect(log).toEqual(['open a at 5', 'close a']);
  });

  test('what opens after that is closed again', async () => {
    let open = (_reader: SourceReader<number>): void => {};
    const { looked, abort } = looking({ source: { open: () => new Promise((resolve) => (open = resolve)) } });
    await settled();
    abort.abort(reason);
    await expect(looked).rejects.toBe(reason);
    let closed = 0;
    open({ read: never, close: async () => void (closed += 1) });
    await settled();
    expect(closed).toBe(1);
  });

  test('no other split is opened', async () => {
    const { looked, log, abort } = looking({ reader: { close: async () => abort.abort(reason) } });
    await expect(looked).rejects.toBe(reason);
    expect(log).toEqual(['open a at 5', 'read a']);
  });
});

test('a source that answers at once leaves the event loop to others (I20)', async () => {
  let [deferred, elapsed] = [0, 0];
  const clock: Clock = {
    ...systemClock,
    elapsed: () => (elapsed += 1), // Each look takes a slice.
    defer: (fn) => {
      deferred += 1;
      systemClock.defer(fn);
    },
  };
  const { looked } = looking({ clock, batches: { a: [[], [], []] } });
  await looked;
  expect(deferred).toBe(5); // Behind each batch without values, and each split.
});
