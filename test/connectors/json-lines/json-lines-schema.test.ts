/**
 * What a schema throws: a refusal is bad data and skipped if the user says so; a mistake in it is none, and fails the
 * job by name.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pino } from 'pino';
import { NEVER } from 'rxjs';
import { z } from 'zod';
import { callbackSink } from '../../../connectors/callback-sink.ts';
import { jsonLines, type JsonLinesOptions } from '../../../connectors/json-lines/json-lines-source.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-schema-'));
  await writeFile(join(directory, 'in'), '{"a":1}\n{"a":"x"}\n{"a":3}\n');
});
afterAll(() => rm(directory, { recursive: true }));

type Schema = NonNullable<JsonLinesOptions<unknown>['schema']>;

const read = async (schema: Schema, onMalformed: 'skip' | 'side-output' | 'fail') => {
  const source = jsonLines<unknown>(join(directory, 'in'), { schema, onMalformed });
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  return { values: await env.fromSource(source).executeAndCollect(), skipped: source.skipped };
};

const numbers = z.object({ a: z.number() });
const foreign = (code: string): unknown => runInNewContext(code);

const mistakes: Readonly<Record<string, Schema>> = {
  'a TypeError of a transform': numbers.transform((value) => (value as unknown as { b: { c: number } }).b.c),
  'a ReferenceError of a refinement': z.any().refine(() => foreign('nowhere')),
  'a TypeError of another realm': { parse: () => foreign('undefined.member') },
  'any error of a transform in a schema of a library': numbers.transform(() => {
    throw new RangeError('not in my range');
  }),
  'a TypeError of a function': { parse: (value) => (value as { b: { c: number } }).b.c },
};

const promises: Readonly<Record<string, Schema>> = {
  'an asynchronous refinement': z.object({ a: z.any().refine(async () => true) }),
  'an asynchronous transform': z.any().transform(async (value: unknown) => value),
  'a function that gives a promise': { parse: async (value) => value },
  'a function that gives a promise that rejects': { parse: () => Promise.reject(new Error('later')) },
};

const refusals: Readonly<Record<string, Schema>> = {
  'a schema': numbers,
  'an error with issues, of no known class': {
    parse(value) {
      if (typeof (value as { a: unknown }).a === 'number') return value;
      throw Object.assign(new TypeError('invalid'), { issues: [{ message: 'no number', path: ['a'] }] });
    },
  },
  'an error of a function': {
    parse(value) {
      if (typeof (value as { a: unknown }).a === 'number') return value;
      throw new Error('no number');
    },
  },
  'the SyntaxError of a text inside the line': {
    parse: (value) => (JSON.parse(String((value as { a: unknown }).a)), value),
  },
};

for (const onMalformed of ['skip', 'side-output', 'fail'] as const) {
  describe(`onMalformed: ${onMalformed}`, () => {
    test.each(Object.entries(mistakes))('%s fails the job', async (_, schema) => {
      const message = expect.stringContaining(`the schema of input "${join(directory, 'in')}" failed at line 1: `);
      await expect(read(schema, onMalformed)).rejects.toMatchObject({
        code: 'SOURCE_FAILED',
        retryable: false,
        message,
        cause: expect.anything(),
      });
    });

    test.each(Object.entries(promises))('%s fails the job', async (_, schema) => {
      await expect(read(schema, onMalformed)).rejects.toMatchObject({
        code: 'ASYNC_IN_TURN',
        retryable: false,
        details: { line: 1 },
      });
    });

    test.each(Object.entries(refusals))('the refusal of %s is bad data', async (_, schema) => {
      const done = read(schema, onMalformed);
      if (onMalformed === 'fail')
        await expect(done).rejects.toMatchObject({ code: 'INPUT_MALFORMED', details: { line: 2 } });
      else expect(await done).toEqual({ values: [{ a: 1 }, { a: 3 }], skipped: onMalformed === 'skip' ? 1 : 0 });
    });
  });
}

test('what comes before a mistake is handed over first', async () => {
  const parse = (value: unknown): unknown =>
    (value as { a: { length: number } }).a.length === 1 ? (undefined as never as { b: 1 }).b : value;
  const path = join(directory, 'in');
  const source = jsonLines<unknown>(path, { schema: { parse }, onMalformed: 'skip' });
  const { signal } = new AbortController();
  const reader = await source.open(path, undefined, signal);
  expect((await reader.read(signal))?.values).toEqual([{ a: 1 }]);
  await expect(reader.read(signal)).rejects.toMatchObject({ code: 'SOURCE_FAILED', details: { line: 2 } });
  await reader.close();
});

test.each([
  ['skipped', 'skip'],
  ['sent to a side output that nobody reads', 'side-output'],
] as const)('malformed lines that are %s are counted as a metric and logged once', async (_, onMalformed) => {
  const path = join(directory, `bad-${onMalformed}`);
  await writeFile(path, '1\nx\n2\ny\n');
  const logged: unknown[] = [];
  const logger = pino(
    { level: 'warn' },
    { write: (line: string) => void logged.push((JSON.parse(line) as { msg: string }).msg) },
  );
  const env = StreamExecutionEnvironment.create({ logger });
  env
    .fromSource(jsonLines<number>(path, { onMalformed }))
    .uid('lines')
    .sinkTo(callbackSink(() => {}));
  env.fromObservable(NEVER).sinkTo(callbackSink(() => {})); // Keeps the job, whose numbers are looked at.
  const job = await env.executeAsync();
  await vi.waitFor(
    async () => expect(await job.metrics.snapshot()).toMatchObject({ 'operator.lines.numRecordsDropped': 2 }),
    60_000,
  );
  await job.cancel();
  expect(logged).toEqual([expect.stringContaining('numRecordsDropped')]);
});
