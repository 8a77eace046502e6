import { Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { observableSource } from '../../connectors/observable.ts';
import { paced } from '../../connectors/paced.ts';
import { systemClock } from '../../lib/core/clock.ts';
import type { Source, SourceReader } from '../../lib/core/connector.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { callbackSink } from '../../connectors/callback-sink.ts';
import { namedSource } from '../../lib/runtime/hosts/source-failure.ts';

type Optional<T> = { [K in keyof T as T extends Record<K, T[K]> ? never : K]-?: true };

/** What a source may have or not; the compiler asks for each new member here. */
const ofSource: Optional<Source<number, number>> = { dropped: true, close: true };
const ofReader: Optional<SourceReader<number, number>> = { waiting: true, committed: true, end: true };

const { signal } = new AbortController();

/** A source with all that one may have, or with nothing of it; it says what it was asked. */
const sourceOf = (full: boolean): { readonly source: Source<number, number>; readonly asked: string[] } => {
  const asked: string[] = [];
  const reader: SourceReader<number, number> = {
    read: async () => ({ values: [1, 2], position: (count) => count }),
    close: async () => void asked.push('close reader'),
    ...(full && {
      waiting: false,
      committed: async (position: number) => void asked.push(`committed ${position}`),
      end: () => void asked.push('end'),
    }),
  };
  const source: Source<number, number> = {
    name: 'wrapped',
    replayable: false,
    splits: async () => ['a', 'b'],
    open: async (split, position, _signal, clock) => {
      asked.push(`open ${split} ${position} ${clock === systemClock}`);
      return reader;
    },
    ...(full && { dropped: 3, close: async () => void asked.push('close') }),
  };
  return { source, asked };
};

/** The engine asks `close` of the source itself, never of what it has made of it. */
const wrappers: readonly (readonly [
  string,
  (source: Source<number, number>) => Source<number, number>,
  readonly string[],
])[] = [
  ['paced', (source) => paced(source, 1_000_000), []],
  // Positions of the engine are unknown to it, and those of this source are numbers.
  ['namedSource', (source) => namedSource(source, { uid: 'uid', jobId: 'job' }) as Source<number, number>, ['close']],
];

describe.each(wrappers)('a source in %s', (_name, wrap, without) => {
  it('has every member that it has itself, and no other', async () => {
    for (const full of [true, false]) {
      const wrapped = wrap(sourceOf(full).source);
      const reader = await wrapped.open('a', 7, signal, systemClock);
      const has = (of: object): string[] =>
        Object.keys(of).filter((name) => (of as Record<string, unknown>)[name] !== undefined);
      const optional = full ? [...Object.keys(ofSource), ...Object.keys(ofReader)] : [];
      const required = ['name', 'replayable', 'splits', 'open', 'read', 'close'];
      const expected = [...new Set([...required, ...optional])].sort();
      expect([...new Set([...has(wrapped), ...has(reader)])].sort()).toEqual(expected);
      expect('close' in wrapped).toBe(full && !without.includes('close'));
    }
  });

  it('is asked what the engine asks', async () => {
    const { source, asked } = sourceOf(true);
    const wrapped = wrap(source);
    expect([wrapped.name, wrapped.replayable, wrapped.dropped]).toEqual(['wrapped', false, 3]);
    expect(await wrapped.splits(signal)).toEqual(['a', 'b']);
    const reader = await wrapped.open('b', 7, signal, systemClock);
    expect(reader.waiting).toBe(false);
    expect((await reader.read(signal))?.values.length).toBeGreaterThan(0);
    await reader.committed?.(2);
    reader.end?.();
    await reader.close();
    await wrapped.close?.();
    const closed = without.includes('close') ? [] : ['close'];
    expect(asked).toEqual(['open b 7 true', 'committed 2', 'end', 'close reader', ...closed]);
  });
});

it('a stop takes all that a paced Observable has brought', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'fatal' });
  const values = new Subject<number>();
  const seen: number[] = [];
  env.fromSource(paced(observableSource(values), 400)).sinkTo(callbackSink((value: number) => void seen.push(value)));
  const job = await env.executeAsync();
  for (let n = 0; n < 100; n += 1) values.next(n);
  const stopped = job.stop({ timeout: '60s' });
  await stopped;
  expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
  expect(values.observed).toBe(false);
});
