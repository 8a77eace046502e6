/** The door against a real server: where requests go, and how long answers may be and take. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { HttpDoor, type HttpOptions } from '../../../connectors/http/door.ts';
import { reply, serve } from './server.ts';
import { codes, post, failure } from './door-fixture.ts';

describe('where requests go', () => {
  test.each([
    ['', '/v1/ask'],
    ['/', '/v1/ask'],
    ['//?api-version=2024-10-21&key=a%20b', '/v1/ask?api-version=2024-10-21&key=a%20b'],
  ])('behind the address and before its query: %j', async (rest, url) => {
    const { base, seen } = await serve(reply(200, 'ok'));
    expect(await post(`${base}${rest}`, { apiKey: 'sk-1', headers: { 'X-Own': 'user' } })).toBe('ok');
    expect(seen).toMatchObject([
      { url, headers: { authorization: 'Bearer sk-1', 'content-type': 'application/json', 'x-own': 'user' } },
    ]);
  });

  test('a header of the user replaces ours however it is spelt', async () => {
    const { base, seen } = await serve(reply(200, ''));
    await post(base, { apiKey: 'sk-1', headers: { AUTHORIZATION: 'Token t', 'Content-Type': 'application/x' } });
    expect(seen[0]?.headers).toMatchObject({ authorization: 'Token t', 'content-type': 'application/x' });
  });

  test.each([301, 302, 303, 307, 308])('a redirect (%i) is an error and nothing is sent on', async (status) => {
    const elsewhere = await serve(reply(200, 'forged'));
    const { base } = await serve(
      reply(status, 'moved', { location: `http://user:pass@${elsewhere.host}/steal?token=SECRET` }),
    );
    const error = await failure(post(base, { apiKey: 'sk-1' }));
    expect(error).toMatchObject({ code: 'MODEL_REQUEST', retryable: false, details: { status } });
    expect(error.message).toBe(`it redirects (${status}) to http://${elsewhere.host}, which is not followed`);
    expect(elsewhere.seen).toEqual([]);
  });

  test('a redirect to the same server is one too, and one that somebody\u2019s fetch followed', async () => {
    const { base, host, seen } = await serve((response, { url }) =>
      reply(url.endsWith('/ask') ? 307 : 200, 'x', { location: '/other' })(response),
    );
    expect((await failure(post(base))).message).toBe(`it redirects (307) to http://${host}, which is not followed`);
    expect(seen).toHaveLength(1);
    const followed: typeof fetch = async (url, init) => fetch(url, { ...init, redirect: 'follow' });
    expect(await failure(post(base, { fetch: followed }))).toMatchObject({ code: 'MODEL_REQUEST', retryable: false });
  });
});

describe('what can not be an address or a header is refused when the door is made', () => {
  const made =
    (options: Partial<HttpOptions>): (() => HttpDoor) =>
    () =>
      new HttpDoor({ baseUrl: 'http://x', ...options }, codes);

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

  test.each([
    '',
    ' ',
    'sk-PASSWORD1\n',
    ' sk-PASSWORD1',
    'sk PASSWORD1',
    'sk-PASSWORD1\t',
    'sk-PÄSSWORD1',
    7 as unknown as string,
  ])('key %j', (apiKey) => {
    expect(made({ apiKey })).toThrow(
      /^Expected `apiKey` to be a text that a header can hold, not empty and without white space$/,
    );
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
    expect(made({ timeout: Number.POSITIVE_INFINITY })).toThrow('`timeout`');
    expect(made({ fetch: 'x' as never })).toThrow('`fetch`');
  });
});

describe('how long an answer may be', () => {
  const tooLong = {
    code: 'MODEL_RESPONSE',
    retryable: false,
    message: 'it answered more than 1000 bytes',
    details: { responseBytesMax: 1000 },
  };

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
    expect(await failure(post(base, { responseBytesMax: 1_000_000 }))).toMatchObject({
      code: 'MODEL_RESPONSE',
      retryable: false,
    });
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
    expect(error).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
      details: { status: 429, retryAfterMs: 3000 },
    });
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
    expect(await failure(post(base, { timeout: 150 }))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      retryable: true,
      message: 'it did not answer within 150 ms',
    });
    await expect.poll(open).toBe(0); // It does not go on behind our back.
  });

  test('a failed answer that drips: its status counts', async () => {
    const { base } = await serve((response) => {
      response.writeHead(503);
      response.write('no room');
    });
    // Long enough for the status to come on a machine that stands still now and then.
    expect(await failure(post(base, { timeout: 2000 }))).toMatchObject({
      details: { status: 503 },
      message: 'it answered 503: no room',
    });
  });

  test('a server that takes the request and says nothing', async () => {
    const { base } = await serve(() => {});
    expect(await failure(post(base, { timeout: 50 }))).toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      message: expect.stringContaining('50 ms'),
    });
  });

  test.each([
    ['never answers', async () => new Promise<Response>(() => {})],
    ['gives a body that never comes', async () => new Response(new ReadableStream())],
  ])('a fetch that %s, and looks at no signal', async (_what, fetch) => {
    expect(await failure(post('http://x', { timeout: 30, fetch }))).toMatchObject({
      message: 'it did not answer within 30 ms',
    });
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
    await expect.poll(() => seen.length).toBe(1);
    controller.abort(new Error('while it reads'));
    await rejected;
  });
});
