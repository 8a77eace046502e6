/** Requests as values: when they are acknowledged, what is refused, what waits, and what a crash leaves. */
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { SourceReader } from '../../../lib/core/connector.ts';
import { callbackSink } from '../../../connectors/callback-sink.ts';
import { hmacSignature } from '../../../connectors/http/signature.ts';
import { webhook, type WebhookOptions, type WebhookSource } from '../../../connectors/http/webhook.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';
import { makeAbort } from '../../../lib/core/abort.ts';
import { sourceSuite } from '../../../lib/core/source-suite.ts';

const { signal } = makeAbort();

const opened = async (
  options: Partial<WebhookOptions<unknown>> = {},
): Promise<{ source: WebhookSource<unknown>; reader: SourceReader<unknown, number> }> => {
  const source = webhook({ port: 0, ...options });
  onTestFinished(() => source.close?.());
  return { source, reader: await source.open('webhook', undefined, signal) };
};

const post = (source: WebhookSource<unknown>, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(source.address ?? '', { method: 'POST', body, headers });

/** Reads what has come and says that it is durable. */
const journal = async (reader: SourceReader<unknown, number>): Promise<readonly unknown[]> => {
  const batch = await reader.read(signal);
  await reader.committed?.(batch?.position(batch.values.length) ?? 0);
  return batch?.values ?? [];
};

const isOpen = async (promise: Promise<unknown>): Promise<boolean> => {
  const pause = new Promise((resolve) => setTimeout(resolve, 40, 'open'));
  return (await Promise.race([promise, pause])) === 'open';
};

for (const { name, run } of sourceSuite('webhook', async () => {
  const { source } = webhookWithValues(['a', 'b', 'c']);
  return { source, expected: ['a', 'b', 'c'], endless: true, cleanup: async () => source.close?.() };
})) {
  test(name, run);
}

/** Values are sent when it is opened. */
function webhookWithValues(values: readonly string[]): { source: WebhookSource<unknown> } {
  const source = webhook({ port: 0 });
  return {
    source: {
      ...source,
      async open(...parameters: Parameters<typeof source.open>) {
        const reader = await source.open(...parameters);
        const send = async (): Promise<void> => {
          for (const value of values) {
            void post(source, JSON.stringify(value)).catch(() => {});
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        };
        void send();
        return reader;
      },
    },
  };
}

test('a request is acknowledged when its value is durable, and not before', async () => {
  const { source, reader } = await opened();
  const answer = post(source, '{"a":1}');
  const batch = await reader.read(signal);
  expect(batch?.values).toEqual([{ a: 1 }]);
  expect(await isOpen(answer)).toBe(true);
  await reader.committed?.(batch?.position(1) ?? 0);
  expect((await answer).status).toBe(202);
});

test('of those in one batch, those that are durable', async () => {
  const { source, reader } = await opened();
  const first = post(source, '1');
  await vi.waitUntil(async () => isOpen(first));
  const second = post(source, '2');
  await isOpen(second);
  await reader.read(signal);
  await reader.committed?.(1);
  expect((await first).status).toBe(202);
  expect(await isOpen(second)).toBe(true);
  await reader.committed?.(2);
  expect((await second).status).toBe(202);
});

test('what is no request of ours is refused, and nothing of it is taken', async () => {
  const verify = hmacSignature({ secret: ['old', 'new'], header: 'X-Signature', prefix: 'sha256=' });
  const { source, reader } = await opened({ bodyBytesMax: 20, path: '/hook', verify });
  const signed = (body: string, secret = 'new'): Record<string, string> => ({
    'x-signature': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  });
  const statusOf = async (body: string, headers: Record<string, string>): Promise<number> =>
    (await post(source, body, headers)).status;
  expect(await statusOf('1', {})).toBe(401);
  expect(await statusOf('1', signed('2'))).toBe(401);
  expect(await statusOf('1', { 'x-signature': 'sha256=zz' })).toBe(401);
  expect(await statusOf('1', signed('1', 'other'))).toBe(401);
  expect(await statusOf('{', signed('{'))).toBe(400);
  expect(await statusOf('1'.repeat(21), {})).toBe(413);
  expect((await fetch(source.address ?? '')).status).toBe(405);
  expect((await fetch(new URL('/other', source.address), { method: 'POST' })).status).toBe(404);
  const good = [post(source, '3', signed('3')), post(source, '3', signed('3', 'old'))];
  await vi.waitUntil(async () => isOpen(Promise.race(good)));
  expect(await journal(reader)).toEqual([3, 3]);
  expect((await Promise.all(good)).map(({ status }) => status)).toEqual([202, 202]);
});

test('a body of unknown length is read no longer than the limit', async () => {
  const { source } = await opened({ bodyBytesMax: 1000 });
  const status = await new Promise((resolve, reject) => {
    const request = httpRequest(source.address ?? '', { method: 'POST' }, ({ statusCode }) => resolve(statusCode));
    request.on('error', reject);
    request.write('x'.repeat(600));
    setTimeout(() => request.end('x'.repeat(600)), 20);
  });
  expect(status).toBe(413);
});

test('beyond the capacity a sender is asked to come later', async () => {
  const { source, reader } = await opened({ capacity: 2, retryAfter: '3s' });
  const two = [post(source, '1'), post(source, '2')];
  await isOpen(Promise.race(two));
  const third = await post(source, '3');
  expect([third.status, third.headers.get('retry-after')]).toEqual([503, '3']);
  // What was read and is not durable counts.
  await reader.read(signal);
  expect((await post(source, '3')).status).toBe(503);
  await reader.committed?.(2);
  expect((await Promise.all(two)).map(({ status }) => status)).toEqual([202, 202]);
  expect(await isOpen(post(source, '3'))).toBe(true);
});

test('one that waits too long is asked to come again, and under its key is taken once', async () => {
  const { source, reader } = await opened({ timeout: 50 });
  const key = { 'idempotency-key': 'k' };
  expect((await post(source, '1', key)).status).toBe(503);
  const again = post(source, '1', key);
  expect(await isOpen(again)).toBe(true);
  expect(await journal(reader)).toEqual([1]);
  expect((await again).status).toBe(202);
  expect((await post(source, '1', key)).status).toBe(202);
  const other = post(source, '2', { 'idempotency-key': 'l' });
  expect(await journal(reader)).toEqual([2]);
  expect((await other).status).toBe(202);
});

test('a restart in this process goes on with what is not durable; the end of the job acknowledges none of it', async () => {
  const { source, reader } = await opened();
  const first = post(source, '1');
  await reader.read(signal);
  const second = post(source, '2');
  await isOpen(second);
  await reader.close();
  const next = await source.open('webhook', 1, signal);
  expect((await first).status).toBe(202);
  expect((await next.read(signal))?.values).toEqual([2]);
  await next.close();
  await source.close?.();
  expect((await second).status).toBe(503);
  expect(source.address).toBeUndefined();
});

test('a port that is taken, and code that throws', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const at = server.address();
  const port = typeof at === 'object' ? (at?.port ?? 0) : 0;
  await expect(webhook({ port }).open('webhook', undefined, signal)).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const { source } = await opened({
    verify: () => {
      throw new Error('no database');
    },
  });
  expect((await post(source, '1')).status).toBe(500);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('no database'), 'MillraceWarning');
  expect(() => webhook({ port: -1 })).toThrow('port');
  expect(() => hmacSignature({ secret: '', header: 'x' })).toThrow('secret');
});

test('over failures of the job each request that was acknowledged is there once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-webhook-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const acknowledged: number[] = [];
  const seen = new Map<number, unknown>();
  for (let life = 0; life < 3; life += 1) {
    const env = StreamExecutionEnvironment.create({ logger: 'silent', checkpoint: { directory, interval: '1h' } });
    const source = webhook<number>({ port: 0 });
    env.fromSource(source).sinkTo(callbackSink<number>((value, { number }) => void seen.set(number, value)));
    const job = await env.executeAsync('webhook');
    const sent = Array.from({ length: 10 }, async (_, index) => {
      const value = life * 10 + index;
      if ((await post(source, String(value))).status === 202) acknowledged.push(value);
    });
    await Promise.all(life === 1 ? sent.slice(0, 3) : sent);
    // No checkpoint since the start: what was acknowledged is in the journal alone.
    await job.cancel().catch(() => {});
    await job.done.catch(() => {});
    await Promise.allSettled(sent);
  }
  const env = StreamExecutionEnvironment.create({ logger: 'silent', checkpoint: { directory, interval: '1h' } });
  env
    .fromSource(webhook<number>({ port: 0 }))
    .sinkTo(callbackSink<number>((value, { number }) => void seen.set(number, value)));
  const job = await env.executeAsync('webhook');
  await vi.waitUntil(() => acknowledged.every((value) => [...seen.values()].includes(value)), { timeout: 10_000 });
  await job.cancel().catch(() => {});
  await job.done.catch(() => {});
  const values = [...seen.values()];
  expect(new Set(values).size).toBe(values.length);
  expect(acknowledged.length).toBeGreaterThanOrEqual(23);
});
