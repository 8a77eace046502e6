/** Events that a server sends: ids, connections that end, break and fall silent, restarts, and what is an error. */
import type { ServerResponse } from 'node:http';
import type { SourceReader } from '../../../lib/core/connector.ts';
import { expect, onTestFinished, test } from 'vitest';
import {
  serverSentEvents,
  type ServerSentEvent,
  type ServerSentEventsOptions,
} from '../../../connectors/http/server-sent-events.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';
import { reply, serve, type SeenRequest } from './server.ts';

const { signal } = makeAbort();
const soon = { initialInterval: 1, maxInterval: 4 } as const;
const all = ['a', 'b', 'c', 'd', 'e'];
const behind = ({ headers }: SeenRequest): number => Number(headers['last-event-id'] ?? 0);
const textOf = (from: number, to: number): string =>
  all
    .slice(from, to)
    .map((data, index) => `id: ${from + index + 1}\ndata: ${data}\n\n`)
    .join('');

/** Two events of each connection, then its end; no more behind the last. */
const twoEach = (response: ServerResponse, request: SeenRequest): void => {
  const from = behind(request);
  if (from >= all.length) reply(204, '')(response);
  else reply(200, textOf(from, from + 2), { 'content-type': 'text/event-stream' })(response);
};

for (const { name, run } of sourceSuite('server-sent events', async () => {
  const { base } = await serve(twoEach);
  const source = serverSentEvents({ baseUrl: base, retry: soon, replayable: true });
  const expected = all.map((data, index) => ({ id: String(index + 1), event: undefined, data }));
  return { source, expected, cleanup: async () => {} };
})) {
  test(name, run);
}

const opened = async (
  options: ServerSentEventsOptions,
  position?: string,
): Promise<SourceReader<ServerSentEvent, string>> => {
  const reader = await serverSentEvents({ retry: soon, ...options }).open('', position, signal);
  onTestFinished(() => reader.close());
  return reader;
};

const take = async (reader: SourceReader<ServerSentEvent, string>, count: number): Promise<string> => {
  const values: string[] = [];
  while (values.length < count) {
    const batch = await reader.read(signal);
    if (batch === undefined) break;
    values.push(...batch.values.map(({ data }) => data));
  }
  return values.join('');
};

test('events come as they are sent, cut anywhere', async () => {
  const server = await serve((response) => {
    const bytes = Buffer.from(': hello\n\nevent: sum\nid: 7\ndata: 5 \u20ac\ndata: more\n\n');
    response.writeHead(200);
    for (const [index, byte] of bytes.entries()) setTimeout(() => response.write(Buffer.of(byte)), index);
  });
  const batch = await (await opened({ baseUrl: server.base })).read(signal);
  expect(batch?.values).toEqual([{ event: 'sum', id: '7', data: '5 \u20ac\nmore' }]);
  expect([batch?.position(0), batch?.position(1)]).toEqual(['', '7']);
});

test.each([
  ['status 500', reply(500, 'oops')],
  ['status 429', reply(429, '', { 'retry-after': '0.05' })],
  ['a connection that is cut', (response: ServerResponse): void => void response.socket?.destroy()],
  ['a server that hangs', (): void => {}],
  ['a server that falls silent', (response: ServerResponse): void => void response.writeHead(200).write('data: x')],
])('connected to anew after %s, behind the last id', async (_title, failure) => {
  const server = await serve((response, request) => {
    if (server.seen.length === 1) {
      response.writeHead(200).write(textOf(0, 2));
      setTimeout(() => response.destroy(), 20);
    } else if (server.seen.length < 4) failure(response);
    else response.writeHead(200).write(textOf(behind(request), 5));
  });
  const reader = await opened({ baseUrl: server.base, silence: 100 });
  expect(await take(reader, 5)).toBe('abcde');
  expect(server.seen.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '2', '2', '2']);
});

test('an event whose end did not come is not given, and a restart goes on behind its position', async () => {
  const server = await serve((response, request) => {
    if (server.seen.length === 1) response.writeHead(200).end(`${textOf(0, 1)}id: 2\ndata: half`);
    else reply(200, textOf(behind(request), 3))(response);
  });
  expect(await take(await opened({ baseUrl: server.base }), 3)).toBe('abc');
  expect(await take(await opened({ baseUrl: server.base }, '2'), 1)).toBe('c');
});

test('the time between two connections is what the server asks for', async () => {
  const times: number[] = [];
  const server = await serve((response, request) => {
    times.push(performance.now());
    reply(200, `retry: 150\n\n${textOf(behind(request), behind(request) + 1)}`)(response);
  });
  expect(await take(await opened({ baseUrl: server.base }), 2)).toBe('ab');
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(145);
});

test('the end of the job: a refusal, a redirect, no attempt left, an event that is too long', async () => {
  const failing = async (
    answer: (response: ServerResponse) => void,
    options: Partial<ServerSentEventsOptions> = {},
  ): Promise<unknown> => {
    const { base } = await serve(answer);
    return (await opened({ baseUrl: base, ...options })).read(signal).catch((error: unknown) => error);
  };
  const refused = { code: 'SOURCE_FAILED', retryable: false };
  expect(await failing(reply(403, 'no'))).toMatchObject(refused);
  expect(await failing(reply(302, '', { location: '/other' }))).toMatchObject(refused);
  expect(await failing(reply(200, `data: ${'x'.repeat(200)}`), { eventLengthMax: 100 })).toMatchObject(refused);
  const attempts = { retry: { ...soon, attempts: 2 } };
  expect(await failing(reply(500, 'oops'), attempts)).toMatchObject({ code: 'SOURCE_FAILED' });
});

test('an abort ends a read, and what it has left is read by the next', async () => {
  let send = (): void => {};
  const server = await serve((response) => {
    response.writeHead(200).flushHeaders();
    send = () => void response.write(textOf(0, 1));
  });
  const reader = await opened({ baseUrl: server.base });
  const controller = makeAbort();
  const reading = reader.read(controller.signal);
  setTimeout(() => controller.abort(new Error('stop')), 50);
  await expect(reading).rejects.toThrow('stop');
  send();
  expect(await take(reader, 1)).toBe('a');
  await reader.close();
  await expect.poll(() => server.open()).toBe(0);
});
