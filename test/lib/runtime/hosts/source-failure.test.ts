import { defineSource, exponentialDelay, MemoryStorage, StreamExecutionEnvironment, type Source } from 'millrace';
import { describe, expect, test } from 'vitest';
import { namedSource } from '../../../../lib/runtime/hosts/source-failure.ts';
import { failure, Sluice } from '../../../stories/story.ts';

const offline = (): TypeError => new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });

/** A source of which one method fails so many times. */
const failing = (
  method: 'splits' | 'open' | 'read',
  times: number,
  error: () => unknown = offline,
): Source<number, number> => {
  const { source } = new Sluice([1, 2, 3]);
  let left = times;
  const fail = (at: string): void => {
    if (at !== method || left === 0) return;
    left -= 1;
    throw error();
  };
  return {
    ...source,
    splits: async (signal) => (fail('splits'), source.splits(signal)),
    async open(split, position, signal) {
      fail('open');
      const reader = await source.open(split, position, signal);
      return { ...reader, read: async (readSignal) => (fail('read'), reader.read(readSignal)) };
    },
  };
};

const collect = (source: Source<number, number>): Promise<number[]> => {
  const env = StreamExecutionEnvironment.create({
    logger: 'silent',
    storage: new MemoryStorage(),
    restart: exponentialDelay({ initial: 1, max: 1 }),
  });
  return env.fromSource(source).executeAndCollect();
};

describe('a source that is away for a while', () => {
  test.each(['splits', 'open', 'read'] as const)(
    'is tried longer than code of the pipeline would be: %s',
    async (method) => {
      expect(await collect(failing(method, 8))).toEqual([1, 2, 3]);
      expect(await collect(failing(method, 8, () => new Error('503')))).toEqual([1, 2, 3]);
    },
  );

  test.each([
    ['splits', 'failed to list its splits: fetch failed'],
    ['open', 'failed to open split `only`: fetch failed'],
    ['read', 'failed to read split `only`: fetch failed'],
  ] as const)('says what failed: %s', async (method, what) => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    const error = await failure(env.fromSource(failing(method, 1)).uid('orders').executeAndCollect(), 'SOURCE_FAILED');
    expect(error).toMatchObject({
      message: `source \`orders\` ${what}`,
      retryable: true,
      cause: { message: 'fetch failed' },
    });
  });
});

test('a mistake in a source ends the job at once', async () => {
  const error = await failure(
    collect(failing('read', 1, () => new TypeError("Cannot read properties of undefined (reading 'items')"))),
    'SOURCE_FAILED',
  );
  expect(error).toMatchObject({
    retryable: false,
    hint: expect.stringContaining('mend the code'),
    message: expect.stringContaining("reading 'items'"),
  });
});

test('a field that the values do not have, taken for their position, ends the job and says so', async () => {
  const page = [{ ID: 1 }] as readonly { readonly id?: number; readonly ID: number }[];
  const source = defineSource({
    start: 0,
    read: () => ({ values: page, position: (count) => page[count - 1]?.id as number }),
  });
  const env = StreamExecutionEnvironment.create({ logger: 'silent', storage: new MemoryStorage() });
  const error = await failure(env.fromSource(source).executeAndCollect(), 'SOURCE_FAILED');
  expect(error.cause).toBeInstanceOf(TypeError);
  expect(error.message).toContain('Expected `position(1)` to be where to read on');
});

test('errors with a code, and the reason of an abort, pass as they are', async () => {
  const signal = AbortSignal.abort(new Error('stop'));
  const source = namedSource(new Sluice<number>([]).source, { uid: 'numbers', jobId: 'job' });
  const reader = await source.open('only', undefined, new AbortController().signal);
  expect(reader.committed).toBeUndefined();
  const aborted = namedSource(
    failing('read', 1, () => signal.reason),
    { uid: 'numbers', jobId: 'job' },
  );
  await expect((await aborted.open('only', undefined, signal)).read(signal)).rejects.toThrow('stop');
});
