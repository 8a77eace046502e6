/** The door against a real server: answers that can not be read, and what is told of failures. */
import { createServer } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { reply, serve } from './server.ts';
import { post, failure } from './door-fixture.ts';

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
    expect(await failure(post(`http://127.0.0.1:${port}`))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
    });
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
    [
      'a certificate',
      'https://x',
      async () =>
        Promise.reject(
          new TypeError('fetch failed', { cause: Object.assign(new Error('old'), { code: 'CERT_HAS_EXPIRED' }) }),
        ),
    ],
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
    const { base } = await serve(
      reply(429, '{"error":{"message":"exceeded","type":"insufficient_quota","code":"insufficient_quota"}}'),
    );
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
    [
      '{"error":{"message":"Provider returned error","metadata":{"raw":"no memory"}}}',
      'Provider returned error: no memory',
    ],
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
    else
      expect(error.message).toMatch(
        /^it answered 429: later; it asks to wait (\d+|Infinity) s( \(until 20.*Z\))?, longer than the \d+ s of `retryAfterMax`$/,
      );
    expect(Number.isSafeInteger(error.details['retryAfterMs'] ?? 0)).toBe(true);
  });
});
