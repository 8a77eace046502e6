/** What `printSink` makes of values. */
import { expect, test } from 'vitest';
import { printSink } from '../../connectors/print.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';

test('a job prints whatever there is, also what throws when it is looked at', async () => {
  const hostile = new Error('hidden');
  Object.defineProperty(hostile, 'message', {
    get: () => {
      throw new Error('not to be read');
    },
  });
  const values: readonly unknown[] = ['text', { a: 1 }, undefined, hostile, (): number => 1];
  const lines: string[] = [];
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  env
    .fromCollection(values.map((_, at) => at))
    .map((at) => values[at])
    .sinkTo(printSink({ prefix: '> ', write: (text) => void lines.push(...text.trimEnd().split('\n')) }));
  await env.execute();
  expect(lines.slice(0, 3)).toEqual(['> text', '> {"a":1}', '> undefined']);
  expect(lines).toHaveLength(5);
  expect(lines[3]).toBe('> [a value that can not be shown]');
  expect(lines[4]).toContain('Function');
});
