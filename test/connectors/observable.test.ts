import { concat, from, NEVER, of, Subject, throwError } from 'rxjs';
import { expect, test } from 'vitest';
import { observableSource } from '../../connectors/observable.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';

const { signal } = new AbortController();

for (const { name, run } of sourceSuite('observable', async () => ({
  source: observableSource(from([1, 2, 3])),
  expected: [1, 2, 3],
  cleanup: async () => {},
}))) {
  test(name, run);
}

test('a value wakes a read that waits, and the position counts on over runs', async () => {
  const subject = new Subject<string>();
  const reader = await observableSource(subject).open('observable', 40, signal);
  const read = reader.read(signal);
  subject.next('a');
  subject.next('b');
  const batch = await read;
  expect(batch?.values).toEqual(['a', 'b']);
  expect([batch?.position(0), batch?.position(2)]).toEqual([40, 42]);
  subject.next('c');
  subject.complete();
  expect((await reader.read(signal))?.position(1)).toBe(43);
  expect(await reader.read(signal)).toBeUndefined();
});

test('an error comes behind the values before it, at each read', async () => {
  const reader = await observableSource(
    concat(
      of(1),
      throwError(() => new Error('broken')),
    ),
  ).open('observable', undefined, signal);
  expect((await reader.read(signal))?.values).toEqual([1]);
  await expect(reader.read(signal)).rejects.toThrow('broken');
  await expect(reader.read(signal)).rejects.toThrow('broken');
});

test('overflow: an error behind the values that fitted, and the producer is left', async () => {
  const subject = new Subject<number>();
  const reader = await observableSource(subject, { capacity: 2 }).open('observable', undefined, signal);
  for (const value of [1, 2, 3, 4]) subject.next(value);
  expect(subject.observed).toBe(false);
  expect((await reader.read(signal))?.values).toEqual([1, 2]);
  await expect(reader.read(signal)).rejects.toMatchObject({ code: 'INPUT_OVERFLOW' });
});

test('overflow inside the subscribe itself leaves the producer too', async () => {
  const tail = new Subject<number>();
  await observableSource(concat(of(1, 2, 3), tail), { capacity: 2 }).open('observable', undefined, signal);
  expect(tail.observed).toBe(false);
});

test('drop: counted, and it goes on when there is room', async () => {
  const subject = new Subject<number>();
  const source = observableSource(subject, { capacity: 2, overflow: 'drop' });
  const reader = await source.open('observable', undefined, signal);
  for (const value of [1, 2, 3, 4]) subject.next(value);
  expect((await reader.read(signal))?.values).toEqual([1, 2]);
  subject.next(5);
  expect((await reader.read(signal))?.values).toEqual([5]);
  expect(source.dropped).toBe(2);
});

test('closing a reader ends a read that waits, closing the source leaves the producer; an abort does neither', async () => {
  const subject = new Subject<number>();
  const source = observableSource(subject);
  const reader = await source.open('observable', undefined, signal);
  const controller = new AbortController();
  const aborted = reader.read(controller.signal);
  controller.abort(new Error('stop'));
  await expect(aborted).rejects.toThrow('stop');
  subject.next(1);
  expect((await reader.read(signal))?.values).toEqual([1]);
  const waiting = reader.read(signal);
  await reader.close();
  expect(await waiting).toBeUndefined();
  expect(subject.observed).toBe(true);
  await source.close();
  await source.close();
  expect(subject.observed).toBe(false);
});

test('the next reader begins behind what is durable, whatever was handed out before', async () => {
  const subject = new Subject<string>();
  const source = observableSource(subject);
  const first = await source.open('observable', undefined, signal);
  for (const value of ['a', 'b', 'c']) subject.next(value);
  expect((await first.read(signal))?.values).toEqual(['a', 'b', 'c']);
  await first.committed?.(1);
  await first.close();
  subject.next('d');
  const second = await source.open('observable', 2, signal);
  const batch = await second.read(signal);
  expect([batch?.values, batch?.position(1)]).toEqual([['c', 'd'], 3]);
  await source.close();
  expect(source.dropped).toBe(2); // Handed out, and nobody said that they are kept.
});

test('what is neither done nor kept when the job is over is counted', async () => {
  const subject = new Subject<string>();
  const source = observableSource(subject);
  const reader = await source.open('observable', undefined, signal);
  subject.next('a');
  await reader.read(signal);
  for (const value of ['b', 'c']) subject.next(value);
  await source.close();
  expect(source.dropped).toBe(3);
});

test('options that make no sense are refused', () => {
  expect(() => observableSource(NEVER, { capacity: 0 })).toThrow(
    'Expected `capacity` to be an integer from 1 up, got `0` (number)',
  );
  expect(() => observableSource(NEVER, { overflow: 'block' as 'drop' })).toThrow('overflow');
});
