/** An address that is asked again and again: cursors, etags, restarts, and servers that fail in every way. */
import type { ServerResponse } from 'node:http';
import type { SourceReader } from '../../../lib/core/connector.ts';
import { expect, test } from 'vitest';
import { httpPollSource, type HttpPollOptions, type HttpPollPosition } from '../../../connectors/http/http-poll.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { reply, serve, type SeenRequest, type TestServer } from './server.ts';

const { signal } = makeAbort();
const soon = { initialInterval: 1, maxInterval: 4 } as const;

/** Pages of letters by number, then nothing more, without end or with one. */
const pages = ['ab', 'c', '', 'def'];
const letters = (
  { base }: { readonly base: string },
  more: Partial<HttpPollOptions<string, number>> = {},
): HttpPollOptions<string, number> => ({
  baseUrl: base,
  start: 0,
  path: (page) => `?page=${page}`,
  items: ({ text }) => (text === 'end' ? undefined : [...text]),
  next: (_page, cursor) => cursor + 1,
  interval: 2,
  retry: soon,
  ...more,
});
const pageOf = ({ url }: SeenRequest): string => pages[Number(/page=(\d+)/.exec(url)?.[1])] ?? 'end';

for (const { name, run } of sourceSuite('http poll', async () => {
  const server = await serve((response, request) => reply(200, pageOf(request))(response));
  const source = httpPollSource(letters(server, { replayable: true }));
  return { source, expected: [...'abcdef'], cleanup: async () => {} };
})) {
  test(name, run);
}

const script = (
  ...answers: readonly ((response: ServerResponse, request: SeenRequest) => void)[]
): Promise<TestServer> => {
  let next = 0;
  return serve((response, request) => answers[Math.min(next++, answers.length - 1)]?.(response, request));
};

type Reader = SourceReader<string, HttpPollPosition<number>>;
const opened = (options: HttpPollOptions<string, number>, position?: HttpPollPosition<number>): Promise<Reader> =>
  httpPollSource(options).open('http-poll', structuredClone(position), signal);
const next = async (reader: Reader): Promise<string | undefined> => (await reader.read(signal))?.values.join('');

test('a page with an etag gives nothing while it is what it was, also after a restart', async () => {
  const server = await serve((response, { headers }) => {
    const version = server.seen.length < 4 ? '"1"' : '"2"';
    if (headers['if-none-match'] === version) reply(304, '')(response);
    else reply(200, version === '"1"' ? 'ab' : 'xyz', { etag: version })(response);
  });
  const options = letters(server, { next: () => undefined });
  const batch = await (await opened(options)).read(signal);
  expect(batch?.values.join('')).toBe('ab');
  expect(await next(await opened(options, batch?.position(2)))).toBe('xyz');
  expect(server.seen.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"1"', '"1"']);
  // In the middle of a page all of it is asked for.
  expect(await next(await opened(options, batch?.position(1)))).toBe('yz');
  expect(server.seen.at(-1)?.headers['if-none-match']).toBeUndefined();
});

test('a page that has nothing behind it is asked for again after the interval', async () => {
  const times: number[] = [];
  const server = await serve((response) => {
    times.push(performance.now());
    reply(200, 'a')(response);
  });
  const reader = await opened(letters(server, { next: () => undefined, interval: 60 }));
  expect([await next(reader), await next(reader)]).toEqual(['a', 'a']);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(58);
});

test.each([
  ['status 500', reply(500, 'oops')],
  ['status 429', reply(429, 'slow down', { 'retry-after': '0.05' })],
  ['a connection that is cut', (response: ServerResponse): void => void response.socket?.destroy()],
  ['a server that hangs', (): void => {}],
  ['an answer that does not end', (response: ServerResponse): void => void response.writeHead(200).write('a')],
])('asked again after %s', async (_title, failure) => {
  const server = await script(reply(200, 'ab'), failure, failure, reply(200, 'c'));
  const reader = await opened(letters(server, { timeout: 100 }));
  expect([await next(reader), await next(reader)]).toEqual(['ab', 'c']);
  expect(server.seen.map(({ url }) => url.slice(-1))).toEqual(['0', '1', '1', '1']);
});

test('the end of the job: a refusal, a redirect, no attempt left, code that throws', async () => {
  const failing = async (answer: (response: ServerResponse) => void, more = {}): Promise<unknown> => {
    const reader = await opened(letters(await script(answer), more));
    return reader.read(signal).catch((error: unknown) => error);
  };
  expect(await failing(reply(403, 'no'))).toMatchObject({ code: 'SOURCE_FAILED', retryable: false });
  expect(await failing(reply(302, '', { location: '/other' }))).toMatchObject({ retryable: false });
  expect(await failing(reply(500, 'oops'), { retry: { ...soon, attempts: 2 } })).toMatchObject({
    code: 'SOURCE_FAILED',
  });
  expect(await failing(reply(200, 'a'), { items: () => 'a' })).toBeInstanceOf(TypeError);
  expect(await failing(reply(200, 'a'), { path: () => 'x' })).toBeInstanceOf(TypeError);
  expect(await failing(reply(200, '{'), { items: (page: { json(): unknown }) => page.json() })).toMatchObject({
    code: 'SOURCE_FAILED',
  });
  expect(() => httpPollSource(letters({ base: 'http://x' }, { interval: 0 }))).toThrow('interval');
});

test('an abort ends a wait and a request', async () => {
  const hangs = await opened(letters(await script(() => {})));
  const waits = await opened(letters(await script(reply(200, '')), { interval: '1h' }));
  for (const reader of [hangs, waits]) {
    const controller = makeAbort();
    const reading = reader.read(controller.signal);
    setTimeout(() => controller.abort(new Error('stop')), 30);
    await expect(reading).rejects.toThrow('stop');
  }
});
