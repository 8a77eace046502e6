/** Messages of a WebSocket: connections that end, break and fall silent, bounds, and what is an error. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import type { SourceReader } from '../../../lib/core/connector.ts';
import { webSocketSource, type WebSocketOptions } from '../../../connectors/web-socket/web-socket-source.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';

const { signal } = makeAbort();
const soon = { initialInterval: 1, maxInterval: 4 } as const;
type Message = string | Uint8Array;

interface Peer {
  readonly url: string;
  /** Handshakes so far. */
  readonly count: () => number;
  readonly open: () => number;
}

/** Serves until the test ends; `handle` gets each connection with its number from 1. */
const peer = async (
  handle: (socket: WebSocket, count: number) => void,
  refuse?: (count: number) => number | 'hang' | undefined,
): Promise<Peer> => {
  const http = createServer();
  const server = new WebSocketServer({ noServer: true, autoPong: false });
  let count = 0;
  http.on('upgrade', (request, socket, head) => {
    count += 1;
    const status = refuse?.(count);
    if (status === 'hang') return;
    if (status !== undefined) socket.end(`HTTP/1.1 ${status} No\r\nlocation: /x\r\nconnection: close\r\n\r\n`);
    else server.handleUpgrade(request, socket, head, (each) => handle(each, count));
  });
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    http.closeAllConnections();
    http.close();
  });
  // It listens on a port.
  const { port } = http.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}/`, count: () => count, open: () => server.clients.size };
};

const opened = async (url: string, options: WebSocketOptions<Message> = {}): Promise<SourceReader<Message, number>> => {
  const source = webSocketSource(url, { retry: soon, ...options });
  onTestFinished(() => source.close());
  return source.open('web-socket', undefined, signal);
};

const take = async (reader: SourceReader<Message, number>, count: number): Promise<readonly Message[]> => {
  const values: Message[] = [];
  while (values.length < count) values.push(...((await reader.read(signal))?.values ?? []));
  return values;
};

for (const { name, run } of sourceSuite('web socket', async () => {
  const { url } = await peer((socket) => ['a', 'b', 'c'].forEach((text) => socket.send(text)));
  const source = webSocketSource(url);
  return { source, expected: ['a', 'b', 'c'], endless: true, cleanup: () => source.close() };
})) {
  test(name, run);
}

test('texts and bytes come as they are, behind what is said first, on every connection', async () => {
  const { url } = await peer((socket, count) => {
    socket.on('message', (data) => {
      socket.send(`heard ${String(data)}`);
      socket.send(Buffer.of(count));
      socket.close(1000);
    });
  });
  const reader = await opened(url, { hello: ['subscribe'] });
  const each = (count: number): readonly Message[] => ['heard subscribe', Uint8Array.of(count)];
  expect(await take(reader, 4)).toEqual([...each(1), ...each(2)]);
});

test.each([
  ['a connection that is cut', undefined],
  ['status 500', 500],
  ['status 429', 429],
  ['a handshake that hangs', 'hang'],
] as const)('connected to anew after %s', async (_title, refusal) => {
  const server = await peer(
    (socket, count) => {
      socket.send(String(count), () => void (count === 1 && socket.terminate()));
    },
    (count) => (count === 2 || count === 3 ? refusal : undefined),
  );
  const reader = await opened(server.url, { heartbeat: 100 });
  expect(await take(reader, 2)).toEqual(['1', refusal === undefined ? '2' : '4']);
});

test('a side that does not answer is left, and one that does is kept', async () => {
  const silent = await peer((socket, count) => socket.send(String(count)));
  const reader = await opened(silent.url, { heartbeat: 40 });
  expect(await take(reader, 2)).toEqual(['1', '2']);
  const answering = await peer((socket, count) => {
    socket.on('ping', () => socket.pong());
    setTimeout(() => socket.send(String(count)), 200);
  });
  expect(await take(await opened(answering.url, { heartbeat: 40 }), 1)).toEqual(['1']);
});

test('the end of the job: a refusal, a redirect, no attempt left, a message that is too long, code that throws', async () => {
  const failing = async (status: number | undefined, options: WebSocketOptions<Message> = {}): Promise<unknown> => {
    const { url } = await peer(
      (socket) => socket.send('x'.repeat(200)),
      () => status,
    );
    return (await opened(url, options)).read(signal).catch((error: unknown) => error);
  };
  const refused = { code: 'SOURCE_FAILED', retryable: false };
  expect(await failing(403)).toMatchObject(refused);
  expect(await failing(302)).toMatchObject(refused);
  expect(await failing(500, { retry: { ...soon, attempts: 2 } })).toMatchObject({ code: 'SOURCE_FAILED' });
  expect(await failing(undefined, { messageBytesMax: 100 })).toMatchObject(refused);
  const decode = (): never => {
    throw new RangeError('no number');
  };
  expect(await failing(undefined, { decode })).toBeInstanceOf(RangeError);
  expect(() => webSocketSource('http://x')).toThrow('url');
  expect(() => webSocketSource('ws://user:secret@x')).toThrow('url');
  expect(() => webSocketSource('ws://x', { heartbeat: 0 })).toThrow('heartbeat');
});

test('more than may wait is an error, or dropped and counted', async () => {
  const { url } = await peer((socket) => ['a', 'b', 'c', 'd'].forEach((text) => socket.send(text)));
  const failing = await opened(url, { capacity: 2 });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await failing.read(signal))?.values).toEqual(['a', 'b']);
  await expect(failing.read(signal)).rejects.toMatchObject({ code: 'INPUT_OVERFLOW' });
  const source = webSocketSource(url, { capacity: 2, overflow: 'drop' });
  onTestFinished(() => source.close());
  await source.open('web-socket', undefined, signal);
  await expect.poll(() => source.dropped).toBe(2);
});

test('a restart in this process keeps the connection and what is not durable; the end of the job ends it', async () => {
  const server = await peer((socket) => ['a', 'b'].forEach((text) => socket.send(text)));
  const source = webSocketSource(server.url);
  const first = await source.open('web-socket', undefined, signal);
  expect(await take(first, 2)).toEqual(['a', 'b']);
  await first.close();
  expect(await take(await source.open('web-socket', 1, signal), 1)).toEqual(['b']);
  expect([server.count(), server.open()]).toEqual([1, 1]);
  await source.close();
  await expect.poll(server.open).toBe(0);
});
