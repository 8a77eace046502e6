import { StreamExecutionEnvironment } from 'millrace';
import { expect, test } from 'vitest';
import { defineSource } from '../../connectors/define-source.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';
import { systemClock, type Clock } from '../../lib/core/clock.ts';
import { StepClock } from './manual-clock.ts';

const { signal } = new AbortController();
const rows = Array.from({ length: 10 }, (_, index) => ({ id: 100 + index * 7 }));

/** An API that gives the rows behind an id, three at a time. */
const pageAfter = (id: number): { values: typeof rows; position: (count: number) => number } | undefined => {
  const values = rows.filter((row) => row.id > id).slice(0, 3);
  // Like a user's function, it can't answer for a count of 0.
  return values.length === 0 ? undefined : { values, position: (count) => (values[count - 1] as { id: number }).id };
};

for (const { name, run } of sourceSuite('defined', async () => ({
  source: defineSource({ name: 'orders', start: 0, read: async (after) => pageAfter(after) }),
  expected: rows,
  cleanup: async () => {},
}))) {
  test(name, run);
}

test('an empty page is asked for again after the poll interval, at the same position', async () => {
  const clock = new StepClock();
  const asked: number[] = [];
  const source = defineSource(
    {
      start: 5,
      pollInterval: '250ms',
      read: (after: number) => {
        asked.push(after);
        return { values: asked.length < 3 ? [] : ['x'], position: () => 6 };
      },
    },
    clock,
  );
  const reader = await source.open('source', undefined, signal);
  const read = reader.read(signal);
  expect(await clock.step()).toBe(250);
  expect(await clock.step()).toBe(250);
  expect((await read)?.values).toEqual(['x']);
  expect(asked).toEqual([5, 5, 5]);
  const polling = reader.read(AbortSignal.timeout(5));
  await polling.catch(() => undefined);
});

test('waits on the clock of the job, unless it was given one of its own', async () => {
  const [own, jobs] = [new StepClock(), new StepClock()];
  const definition = { start: 0, read: () => ({ values: [], position: () => 0 }) };
  const controller = new AbortController();
  for (const clock of [undefined, own]) {
    const reader = await defineSource(definition, clock).open('source', undefined, signal, jobs);
    reader.read(controller.signal).catch(() => {});
  }
  expect([await jobs.step(), await own.step()]).toEqual([1000, 1000]);
  controller.abort();
});

test('a position that is undefined is refused by the read, since it would begin the input anew', async () => {
  const page = [{ ID: 1 }] as readonly { readonly id?: number; readonly ID: number }[];
  const source = defineSource({
    start: 0,
    read: () => ({ values: page, position: (count) => page[count - 1]?.id as number }),
  });
  const reader = await source.open('source', undefined, signal);
  await expect(reader.read(signal)).rejects.toThrow(
    new TypeError(
      'Expected `position(1)` to be where to read on (perhaps a field that the values do not have), got `undefined` (undefined)',
    ),
  );
});

test('a wait between polls ends with the signal', async () => {
  const source = defineSource({ start: 0, read: () => ({ values: [], position: () => 0 }) }, new StepClock());
  const reader = await source.open('source', undefined, signal);
  const controller = new AbortController();
  const read = reader.read(controller.signal);
  await Promise.resolve();
  controller.abort(new Error('stop'));
  await expect(read).rejects.toThrow('stop');
});

test('what read throws comes through, and the next read asks again', async () => {
  let calls = 0;
  const source = defineSource({
    start: 0,
    read: () => {
      calls += 1;
      if (calls === 1) throw new Error('down');
      return { values: [calls], position: () => calls };
    },
  });
  const reader = await source.open('source', undefined, signal);
  await expect(reader.read(signal)).rejects.toThrow('down');
  expect((await reader.read(signal))?.values).toEqual([2]);
});

test('options that make no sense are refused', () => {
  expect(() => defineSource({ start: 0, read: 1 as unknown as () => undefined })).toThrow('read');
  expect(() => defineSource({ start: undefined, read: () => undefined })).toThrow('start');
  expect(() => defineSource({ start: 0, pollInterval: '5 s' as '5s', read: () => undefined })).toThrow('pollInterval');
});

test.each([
  ['an array', [1, 2], '[1,2]'],
  ['no values', { position: (): number => 1 }, '{}'],
  ['values that are no array', { values: new Set([1]), position: (): number => 1 }, '{"values":{}}'],
  ['no position', { values: [1] }, '{"values":[1]}'],
  ['null', null, 'null'],
])('a page that is none fails for good and says what one is: %s', async (_what, page, shown) => {
  const source = defineSource({ name: 'orders', start: 0, read: () => page as never });
  const reader = await source.open('orders', undefined, signal);
  const error: unknown = await reader.read(signal).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'SOURCE_FAILED', retryable: false });
  expect((error as Error).message).toMatch(/^source `orders`: /);
  expect((error as Error).message).toContain('a page `{ values, position: (count) => ... }`');
  expect((error as Error).message).toContain(`got \`${shown}\``);
});

test.each([
  [[1], '2 values (it has 1), got `[1]`'],
  [new Set([1, 2]), '2 values, got `Set {}`'],
])('timestamps that are not as many as the values are refused, and shown: case %#', async (timestamps, says) => {
  const page = { values: ['a', 'b'], timestamps: timestamps as readonly number[], position: (): number => 1 };
  const source = defineSource({ start: 0, read: (after: number) => (after === 0 ? page : undefined) });
  const stream = StreamExecutionEnvironment.create({ logger: 'silent' }).fromSource(source);
  await expect(stream.executeAndCollect()).rejects.toThrow(says);
});

test('a long page is copied in slices, and a stop ends that (I20)', async () => {
  const values = Array.from({ length: 5000 }, (_, n) => ({ n }));
  let [now, defers] = [0, 0];
  const abort = new AbortController();
  const clock: Clock = {
    ...systemClock,
    elapsed: () => (now += 0.125), // A quarter of a slice.
    defer(fn) {
      defers += 1;
      if (defers === 30) abort.abort(new Error('stopped'));
      systemClock.defer(fn);
    },
  };
  const source = defineSource({ start: 0, read: () => ({ values, position: (count) => count }) }, clock);
  const read = (await source.open('source', undefined, signal)).read(signal);
  const batch = await read;
  expect(batch?.values).toEqual(values);
  expect(batch?.values.some((each, at) => each === values[at])).toBe(false);
  expect(defers).toBeGreaterThan(10);
  const stopped = (await source.open('source', undefined, signal)).read(abort.signal);
  await expect(stopped).rejects.toThrow('stopped');
  expect(defers).toBe(30);
});
