/** Values as requests: keys, order, what is tried again and when, servers that fail in every way, and crashes. */
import type { ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { collection } from '../../../connectors/collection.ts';
import { httpSink, type HttpSinkOptions } from '../../../connectors/http/http-sink.ts';
import { sinkSuite } from '../../../lib/core/sink-suite.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';
import { reply, serve, type SeenRequest, type TestServer } from './server.ts';

const { signal } = new AbortController();
const fresh = { sinkId: 'job.sink 1 \u20ac', pending: [], epoch: 1, last: undefined, signal };
const soon = { initialInterval: 1, maxInterval: 4 } as const;

vi.spyOn(process, 'emitWarning').mockImplementation(() => {}); // Failures are what these tests are about.

for (const { name, run } of sinkSuite('http', async () => {
  const taken = new Map<unknown, unknown>();
  const server = await serve((response, { headers, body }) => {
    taken.set(headers['idempotency-key'], JSON.parse(body));
    reply(204, '')(response);
  });
  const visible = async (): Promise<readonly unknown[]> => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return [...taken.values()];
  };
  const sink = httpSink<unknown>({ baseUrl: server.base });
  return { sink, values: ['a', 'b', { c: 1 }, ['d'], 5, null], visible, cleanup: async () => {} };
})) {
  test(name, run);
}

/** Answers each request with the next of these, and the last from then on. */
const script = (...answers: readonly ((response: ServerResponse) => void)[]): Promise<TestServer> => {
  let next = 0;
  return serve((response) => answers[Math.min(next++, answers.length - 1)]?.(response));
};
const ok = reply(200, 'thanks');
const cut = (response: ServerResponse): void => void response.socket?.destroy();
const hang = (): void => {};
/** Begins an answer and does not end it. */
const stall = (response: ServerResponse): void => void response.writeHead(200).write('so');

const send = async (options: HttpSinkOptions<string>, values = 'a'): Promise<void> => {
  const writer = await httpSink<string>({ retry: soon, ...options }).open(fresh);
  onTestFinished(() => writer.close());
  for (const [index, value] of [...values].entries()) writer.write(value, 0, index);
  await writer.seal(1);
};
const keysOf = ({ seen }: TestServer): readonly unknown[] => seen.map(({ headers }) => headers['idempotency-key']);

test('a request per value, in order, each with a key of its own', async () => {
  const server = await script(ok);
  await send({ baseUrl: server.base, headers: { 'x-team': 'blue' } }, 'abc');
  expect(server.seen.map(({ url, body }) => [url, body])).toEqual(
    ['a', 'b', 'c'].map((value) => ['/v1', `"${value}"`]),
  );
  expect(server.seen[0]?.headers).toMatchObject({ 'x-team': 'blue', 'content-type': 'application/json' });
  expect(keysOf(server).map((key) => /^[\da-f]{32}-(\d)$/.exec(String(key))?.[1])).toEqual(['0', '1', '2']);
});

test('what is asked for a value is up to the user', async () => {
  const server = await script(ok);
  await send({
    baseUrl: `${server.base}?team=blue`,
    keyHeader: 'X-Key',
    request: (value) => ({
      method: 'PUT',
      path: `/${value}?full=1`,
      headers: { 'content-type': 'text/plain' },
      body: 'x',
    }),
  });
  expect(server.seen).toMatchObject([
    {
      url: '/v1/a?team=blue&full=1',
      body: 'x',
      headers: { 'content-type': 'text/plain', 'x-key': expect.any(String) },
    },
  ]);
});

describe('tried again, under the same key, until it is taken', () => {
  test.each([
    ['status 500', reply(500, 'oops')],
    ['status 429', reply(429, 'slow down')],
    ['a connection that is cut', cut],
    ['a server that hangs', hang],
    ['an answer that does not end', stall],
  ])('%s', async (_title, failure) => {
    const server = await script(failure, failure, ok);
    await send({ baseUrl: server.base, timeout: 100 });
    expect(server.seen.map(({ body }) => body)).toEqual(['"a"', '"a"', '"a"']);
    expect(new Set(keysOf(server)).size).toBe(1);
    expect(await server.open()).toBeLessThanOrEqual(3);
  });

  test('not before the time of a Retry-After', async () => {
    const times: number[] = [];
    const server = await serve((response) => {
      times.push(performance.now());
      if (times.length === 1) reply(503, '', { 'retry-after': '0.3' })(response);
      else ok(response);
    });
    await send({ baseUrl: server.base });
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(295);
  });
});

describe('the end of the job', () => {
  test.each([
    ['a refusal', [reply(400, '{"error":"no such field"}')], 1, 'answered 400: no such field'],
    ['a redirect', [reply(302, '', { location: 'https://elsewhere.example/' })], 1, 'redirects'],
    ['no attempt left', [reply(500, 'oops')], 3, 'gave up record 0 after attempt 3'],
    ['a longer wait than may be asked for', [reply(429, '', { 'retry-after': '3600' })], 1, '3600'],
  ])('%s', async (_title, answers, requests, message) => {
    const server = await script(...answers);
    const sent = send({ baseUrl: server.base, retry: { ...soon, attempts: 3 } }, 'ab');
    await expect(sent).rejects.toMatchObject({
      code: 'SINK_FAILED',
      retryable: false,
      message: expect.stringContaining(message),
    });
    expect(server.seen).toHaveLength(requests);
  });

  test('a request that is none', async () => {
    const server = await script(ok);
    const sent = send({ baseUrl: server.base, request: () => ({ path: 'no-slash' }) });
    await expect(sent).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: false });
    expect(server.seen).toEqual([]);
  });
});

test('no secret is told', async () => {
  const server = await script(reply(400, 'the key s3cret-key is wrong'));
  const sent = send({ baseUrl: server.base, apiKey: 's3cret-key' });
  await expect(sent).rejects.not.toThrow('s3cret');
});

test('options that are wrong are refused at once', () => {
  expect(() => httpSink({ baseUrl: 'ftp://x' })).toThrow('baseUrl');
  expect(() => httpSink({ baseUrl: 'http://x', inFlightMax: 0 })).toThrow('inFlightMax');
  expect(() => httpSink({ baseUrl: 'http://x', keyHeader: 'no header' })).toThrow(TypeError);
  expect(() => httpSink({ baseUrl: 'http://x', retry: { attempts: 0 } })).toThrow('retry.attempts');
});

test('a job that fails in the middle and starts again sends under the same keys: a receiver takes each once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-http-sink-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const taken = new Map<unknown, string>();
  let life = 0;
  const server = await serve((response, { headers, body }: SeenRequest) => {
    const isNew = !taken.has(headers['idempotency-key']);
    taken.set(headers['idempotency-key'], body);
    // Of each life the third new value is taken, and its answer lost.
    if (isNew && life < 3 && taken.size % 3 === 0) reply(400, 'broken')(response);
    else ok(response);
  });
  const values = Array.from({ length: 10 }, (_, index) => index);
  const run = async (): Promise<void> => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent', checkpoint: { directory, interval: '1h' } });
    env.fromSource(collection(values)).sinkTo(httpSink<number>({ baseUrl: server.base, retry: soon }));
    await env.execute('sending');
  };
  for (; life < 3; life += 1) await expect(run()).rejects.toMatchObject({ code: 'SINK_FAILED' });
  await run();
  expect([...taken.values()].map(Number)).toEqual(values);
  expect(server.seen.length).toBeGreaterThan(values.length);
});
