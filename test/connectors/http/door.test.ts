/** The door against a real server: where requests go, how long answers may be and take, and what is told of failures. */
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { HttpDoor, type HttpOptions } from '../../../connectors/http/door.ts';
import { StreamError } from '../../../lib/core/errors.ts';
import { reply, serve } from './server.ts';

const codes = { refused: 'MODEL_REQUEST', unavailable: 'MODEL_UNAVAILABLE', response: 'MODEL_RESPONSE' } as const;
const never = new AbortController().signal;

const post = (baseUrl: string, options: Partial<HttpOptions> = {}, signal = never): Promise<string> =>
  new HttpDoor({ baseUrl, ...options }, codes).post({ path: '/ask', body: '{}', headers: { 'x-own': 'ours' }, place: 'it', signal });

const failure = async (answer: Promise<unknown>): Promise<StreamError> => {
  const error: unknown = await answer.then(
    (value) => value,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StreamError);
  expect((error as StreamError).cause).toBeUndefined();
  return error as StreamError;
};

describe('where requests go', () => {
  test.each([
    ['', '/v1/ask'],
    ['/', '/v1/ask'],
    ['//?api-version=2024-10-21&key=a%20b', '/v1/ask?api-version=2024-10-21&key=a%20b'],
  ])('behind the address and before its query: %j', async (rest, url) => {
    const { base, seen } = await serve(reply(200, 'ok'));
    expect(await post(`${base}${rest}`, { apiKey: 'sk-1', headers: { 'X-Own': 'user' } })).toBe('ok');
    expect(seen).toMatchObject([{ url, headers: { authorization: 'Bearer sk-1', 'content-type': 'application/json', 'x-own': 'user' } }]);
  });

  test('a header of the user replaces ours however it is spelt', async () => {
    const { base, seen } = await serve(reply(200, ''));
    await post(base, { apiKey: 'sk-1', headers: { AUTHORIZATION: 'Token t', 'Content-Type': 'application/x' } });
    expect(seen[0]?.headers).toMatchObject({ authorization: 'Token t', 'content-type': 'application/x' });
  });

  test.each([301, 302, 303, 307, 308])('a redirect (%i) is an error and nothing is sent on', async (status) => {
    const elsewhere = await serve(reply(200, 'forged'));
    const { base } = await serve(reply(status, 'moved', { location: `http://user:pass@${elsewhere.host}/steal?token=SECRET` }));
    const error = await failure(post(base, { apiKey: 'sk-1' }));
    expect(error).toMatchObject({ code: 'MODEL_REQUEST', retryable: false, details: { status } });
    expect(error.message).toBe(`it redirects (${status}) to http://${elsewhere.host}, which is not followed`);
    expect(elsewhere.seen).toEqual([]);
  });

  test('a redirect to the same server is one too, and one that somebody\u2019s fetch followed', async () => {
    const { base, host, seen } = await serve((response, { url }) => reply(url.endsWith('/ask') ? 307 : 200, 'x', { location: '/other' })(response));
    expect((await failure(post(base))).message).toBe(`it redirects (307) to http://${host}, which is not followed`);
    expect(seen).toHaveLength(1);
    const followed: typeof fetch = async (url, init) => fetch(url, { ...init, redirect: 'follow' });
    expect(await failure(post(base, { fetch: followed }))).toMatchObject({ code: 'MODEL_REQUEST', retryable: false });
  });
});

describe('what can not be an address or a header is refused when the door is made', () => {
  const made = (options: Partial<HttpOptions>): (() => HttpDoor) => () => new HttpDoor({ baseUrl: 'http://x', ...options }, codes);

  test.each([
    'http://user:PASSWORD1@x/v1',
    'http://PASSWORD1@x/v1',
    'http://:PASSWORD1@x',
    'http://@x/PASSWORD1',
    ' https://a:PASSWORD1@x',
    'http://x/v1#PASSWORD1',
    'x:80/PASSWORD1',
    'ftp://a:PASSWORD1@x',
    'http:///PASSWORD1@x',
    'http://PASSWORD1 x/',
    '',
  ])('%j', (baseUrl) => {
    expect(made({ baseUrl })).toThrow(TypeError);
    expect(made({ baseUrl })).toThrow('`baseUrl`');
    expect(made({ baseUrl })).not.toThrow('PASSWORD1');
  });

  test.each(['', ' ', 'sk-PASSWORD1\n', ' sk-PASSWORD1', 'sk PASSWORD1', 'sk-PASSWORD1\t', 'sk-PÄSSWORD1', 7 as unknown as string])('key %j', (apiKey) => {
    expect(made({ apiKey })).toThrow(/^Expected `apiKey` to be a text that a header can hold, not empty and without white space$/);
  });

  test.each([
    [{ 'x-a': 'PASSWORD1\r\nx-b: 1' }, '`x-a`'],
    [{ 'x-a': 'PASSWORD1\u0000' }, '`x-a`'],
    [{ 'x-a': 7 as unknown as string }, '`x-a`'],
    [{ 'PASSWORD1 name': 'a' }, '`headers`'],
    [{ 'x-a\n': 'a' }, '`headers`'],
    [{ '': 'a' }, '`headers`'],
    [{ 'X-A': '1', 'x-a': '2' }, '`headers`'],
    [{ 'Content-Length': '2' }, 'belongs to the transport'],
    [{ 'transfer-encoding': 'chunked' }, 'belongs to the transport'],
    [null as unknown as Record<string, string>, '`headers`'],
  ])('headers %j', (headers, message) => {
    expect(made({ headers })).toThrow(TypeError);
    expect(made({ headers })).toThrow(message);
    expect(made({ headers })).not.toThrow('PASSWORD1');
  });

  test('limits', () => {
    expect(made({ responseBytesMax: 0 })).toThrow('`responseBytesMax`');
    expect(made({ retryAfterMax: 'soon' as never })).toThrow('`retryAfterMax`');
    expect(made({ timeoutMs: Number.POSITIVE_INFINITY })).toThrow('`timeoutMs`');
    expect(made({ fetch: 'x' as never })).toThrow('`fetch`');
  });
});

describe('how long an answer may be', () => {
  const tooLong = { code: 'MODEL_RESPONSE', retryable: false, message: 'it answered more than 1000 bytes', details: { responseBytesMax: 1000 } };

  test('up to the limit', async () => {
    const { base } = await serve(reply(200, 'x'.repeat(1000)));
    expect(await post(base, { responseBytesMax: 1000 })).toHaveLength(1000);
  });

  test('one byte more, said before', async () => {
    const { base } = await serve(reply(200, 'x'.repeat(1001), { 'content-length': '1001' }));
    expect(await failure(post(base, { responseBytesMax: 1000 }))).toMatchObject(tooLong);
  });

  test('without an end: counted as it comes, and the rest is not fetched', async () => {
    let sent = 0;
    const { base } = await serve((response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(10_000, 0x20))) sent += 10_000;
      };
      response.writeHead(200);
      response.on('drain', more);
      more();
    });
    expect(await failure(post(base, { responseBytesMax: 1000 }))).toMatchObject(tooLong);
    expect(sent).toBeLessThan(20_000_000); // What the sockets hold.
  });

  test('packed: counted as it is unpacked', async () => {
    const packed = gzipSync(Buffer.alloc(50_000_000, 0x20));
    expect(packed.length).toBeLessThan(100_000);
    const { base } = await serve(reply(200, packed, { 'content-encoding': 'gzip' }));
    expect(await failure(post(base, { responseBytesMax: 1_000_000 }))).toMatchObject({ code: 'MODEL_RESPONSE', retryable: false });
    expect(await post((await serve(reply(200, gzipSync('hello'), { 'content-encoding': 'gzip' }))).base)).toBe('hello');
  });

  test('a failed answer is told by its beginning, however long it is', async () => {
    const { base } = await serve((response) => {
      response.writeHead(429, { 'retry-after': '3' });
      const more = (): void => {
        while (!response.destroyed && response.write('slow down! '.repeat(1000)));
      };
      response.on('drain', more);
      more();
    });
    const error = await failure(post(base, { responseBytesMax: 10 }));
    expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: true, details: { status: 429, retryAfterMs: 3000 } });
    expect(error.message).toContain('slow down! slow down!');
    expect(error.message.length).toBeLessThan(400);
  });
});

describe('how long it may take', () => {
  test('an answer that drips for ever', async () => {
    const { base, open } = await serve((response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(' '), 5);
      response.on('close', () => clearInterval(drip));
    });
    expect(await failure(post(base, { timeoutMs: 150 }))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
      message: 'it did not answer within 150 ms',
    });
    await expect.poll(open, { timeout: 5000 }).toBe(0); // It does not go on behind our back.
  });

  test('a failed answer that drips: its status counts', async () => {
    const { base } = await serve((response) => {
      response.writeHead(503);
      response.write('no room');
    });
    expect(await failure(post(base, { timeoutMs: 150 }))).toMatchObject({ details: { status: 503 }, message: 'it answered 503: no room' });
  });

  test('a server that takes the request and says nothing', async () => {
    const { base } = await serve(() => {});
    expect(await failure(post(base, { timeoutMs: 50 }))).toMatchObject({ code: 'MODEL_UNAVAILABLE', message: expect.stringContaining('50 ms') });
  });

  test.each([
    ['never answers', async () => new Promise<Response>(() => {})],
    ['gives a body that never comes', async () => new Response(new ReadableStream())],
  ])('a fetch that %s, and looks at no signal', async (_what, fetch) => {
    expect(await failure(post('http://x', { timeoutMs: 30, fetch }))).toMatchObject({ message: 'it did not answer within 30 ms' });
    const controller = new AbortController();
    const answer = post('http://x', { fetch }, controller.signal);
    controller.abort(new Error('stop'));
    await expect(answer).rejects.toThrow('stop');
  });

  test('an abort is no fault of the server, whenever it comes', async () => {
    const { base, seen } = await serve((response) => {
      response.writeHead(200);
      response.write('x');
    });
    await expect(post(base, {}, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
    expect(seen).toEqual([]);
    const controller = new AbortController();
    const answer = post(base, {}, controller.signal);
    const rejected = expect(answer).rejects.toThrow('while it reads');
    await expect.poll(() => seen.length, { timeout: 5000 }).toBe(1);
    controller.abort(new Error('while it reads'));
    await rejected;
  });
});

describe('what can not be read', () => {
  const told = { code: 'MODEL_RESPONSE', retryable: true };

  test.each([
    ['a byte that is none', Uint8Array.of(0x22, 0xff, 0x22)],
    ['a character that is cut', Buffer.from('"\u{1f600}"').subarray(0, 3)],
    ['a lone surrogate', Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ['latin1', Buffer.from('"caf\u00e9"', 'latin1')],
  ])('no UTF-8: %s', async (_what, bytes) => {
    const { base } = await serve(reply(200, bytes, { 'content-type': 'application/json' }));
    expect(await failure(post(base))).toMatchObject({ ...told, message: 'it answered something that is no UTF-8' });
  });

  test('a mark of byte order is no part of the text', async () => {
    expect(await post((await serve(reply(200, '\ufeff{}'))).base)).toBe('{}');
  });

  test.each([200, 204])('nothing (%i)', async (status) => {
    expect(await post((await serve(reply(status, ''))).base)).toBe('');
  });

  test.each([
    ['in its head', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['in its body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a":'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{"a":'],
    ['before it begins', ''],
    ['for what is no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ])('an answer that breaks off %s', async (_where, raw) => {
    const server = createServer((socket) => socket.once('data', () => socket.end(raw)).on('error', () => {}));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    expect(await failure(post(`http://127.0.0.1:${port}`))).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: true });
  });

  test('a packing that is none', async () => {
    const { base } = await serve(reply(200, 'not packed', { 'content-encoding': 'gzip' }));
    expect(await failure(post(base))).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: true });
  });

  test('nobody there, with the code of the system', async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    await new Promise((done) => server.close(done));
    expect(await failure(post(`http://127.0.0.1:${port}`))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
      details: { causeCode: 'ECONNREFUSED' },
    });
  });

  test.each([
    ['a port that is never asked', 'http://127.0.0.1:9/v1', undefined],
    ['a certificate', 'https://x', async () => Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error('old'), { code: 'CERT_HAS_EXPIRED' }) }))],
    ['a mistake in a fetch', 'http://x', async () => Promise.reject(new TypeError('undefined is not a function'))],
  ])('%s comes back however often one asks', async (_what, baseUrl, fetch) => {
    expect(await failure(post(baseUrl, { fetch }))).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: false });
  });
});

describe('what a failed answer comes to', () => {
  test.each([408, 409, 425, 429, 500, 501, 502, 503, 504, 520, 524, 529])('%i may be granted later', async (status) => {
    const { base } = await serve(reply(status, '{"error":{"message":"not now","code":"busy"}}'));
    expect(await failure(post(base))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
      message: `it answered ${status}: not now`,
      details: { status, providerCode: 'busy' },
    });
  });

  test.each([304, 400, 401, 402, 403, 404, 405, 413, 415, 422, 451])('%i is refused', async (status) => {
    const { base } = await serve(reply(status, status === 304 ? '' : '{"error":{"message":"no"}}'));
    expect(await failure(post(base))).toMatchObject({ code: 'MODEL_REQUEST', retryable: false, details: { status } });
  });

  test('no money is no rate limit', async () => {
    const { base } = await serve(reply(429, '{"error":{"message":"exceeded","type":"insufficient_quota","code":"insufficient_quota"}}'));
    expect(await failure(post(base))).toMatchObject({ code: 'MODEL_REQUEST', retryable: false });
  });

  test.each([
    ['true', 400, true],
    ['false', 503, false],
    ['perhaps', 503, true],
  ])('the server says itself whether to ask again: %s to %i', async (value, status, retryable) => {
    const { base } = await serve(reply(status, '', { 'x-should-retry': value }));
    expect(await failure(post(base))).toMatchObject({ retryable });
  });

  test.each([
    ['<html><body>\n  <h1>502   Bad Gateway</h1></body></html>', '<html><body> <h1>502 Bad Gateway</h1></body></html>'],
    ['', 'nothing'],
    ['  \n', 'nothing'],
    ['null', 'nothing'],
    ['{"error":"no such model"}', 'no such model'],
    ['{"error":{"message":"no such model"}}', 'no such model'],
    ['[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]', 'overloaded'],
    ['{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}', 'field required'],
    ['{"detail":"Not Found"}', 'Not Found'],
    ['{"object":"error","message":"too long","code":40303}', 'too long'],
    ['{"error":{"message":"Provider returned error","metadata":{"raw":"no memory"}}}', 'Provider returned error: no memory'],
    ['{"error":{"message":{"deep":[1]}}}', '{"deep":[1]}'],
    ['{"error":{}}', '{}'],
    ['{"broken', '{"broken'],
    ['7', '7'],
  ])('%s', async (body, message) => {
    expect((await failure(post((await serve(reply(500, body))).base))).message).toBe(`it answered 500: ${message}`);
  });

  test.each([
    ['600', true, {}],
    ['601', false, {}],
    ['86400', false, {}],
    ['1e999', false, {}],
    [new Date(Date.now() + 3_600_000).toUTCString(), false, {}],
    ['Thu, 01 Jan 2099 00:00:00 GMT', false, {}],
    ['86400', true, { retryAfterMax: '1d' }],
    ['1', false, { retryAfterMax: 500 }],
    ['-1', true, {}],
    ['tomorrow', true, {}],
  ] as const)('Retry-After %s: to ask again can help: %s', async (value, retryable, options) => {
    const { base } = await serve(reply(429, 'later', { 'retry-after': value }));
    const error = await failure(post(base, options));
    expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable });
    if (retryable) expect(error.message).toBe('it answered 429: later');
    else expect(error.message).toMatch(/^it answered 429: later; it asks to wait (\d+|Infinity) s( \(until 20.*Z\))?, longer than the \d+ s of `retryAfterMax`$/);
    expect(Number.isSafeInteger(error.details['retryAfterMs'] ?? 0)).toBe(true);
  });
});
