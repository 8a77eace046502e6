/**
 * A source of what others send by HTTP. A request is answered with 202 when its value is durable in the journal, and
 * not before: what was not acknowledged its sender sends again, and nothing that was is lost (I22). How many may wait
 * for that is bounded (I10); what comes beyond is asked to come later.
 */
import type { Hono } from 'hono';
import type { Server } from 'node:http';
import type { Source, SourceReader } from '../../lib/core/connector.ts';
import { sleep, systemClock } from '../../lib/core/clock.ts';
import { makeAbort } from '../../lib/core/abort.ts';
import { messageOf, StreamError } from '../../lib/core/errors.ts';
import { callable, durationMs, integer, knownOptions, refusal, type Duration } from '../../lib/core/options.ts';
import { loadPackage } from '../../lib/core/package-loading.ts';
import { observableSource, type ObservableSource } from '../observable.ts';

export interface WebhookRequest {
  /** Path and query, as they were asked for. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface WebhookOptions<T> {
  /** The port to listen on, up to 65535; 0 for any that is free, which `address` of the source then says. */
  readonly port: number;
  /** The address to listen on. @defaultValue '127.0.0.1': this machine alone */
  readonly host?: string | undefined;
  /** The path that is answered, by POST. @defaultValue '/' */
  readonly path?: string | undefined;
  /**
   * Whether to believe a request; one that is not believed is answered with 401. `hmacSignature` makes one that looks
   * at a signature. @defaultValue every request is believed
   */
  readonly verify?: ((request: WebhookRequest) => boolean | PromiseLike<boolean>) | undefined;
  /** The value of a request; one that it throws for is answered with 400. @defaultValue the body as JSON */
  readonly decode?: ((request: WebhookRequest) => T) | undefined;
  /**
   * What a sender names a request by when it sends it again. One that was taken before, among the last 10,000 of this
   * process, is acknowledged and not taken again. @defaultValue the header `idempotency-key`, where there is one
   */
  readonly idempotencyKey?: ((request: WebhookRequest) => string | undefined) | undefined;
  /** Longest body in bytes, from 1; a longer one is answered with 413. @defaultValue 1 MiB */
  readonly bodyBytesMax?: number | undefined;
  /** Requests that wait to be durable, from 1; one beyond them is answered with 503. @defaultValue 1024 */
  readonly capacity?: number | undefined;
  /**
   * How long a request waits to be durable. One that has waited so long is answered with 503, and may have been taken.
   * @defaultValue '30s'
   */
  readonly timeout?: Duration | undefined;
  /** What `Retry-After` asks for with a 503, in whole seconds. @defaultValue '1s' */
  readonly retryAfter?: Duration | undefined;
}

export interface WebhookSource<T> extends Source<T, number> {
  /** Where it listens, such as `http://127.0.0.1:8080/`; undefined while it does not. */
  readonly address: string | undefined;
}

const optionNames = {
  port: true,
  host: true,
  path: true,
  verify: true,
  decode: true,
  idempotencyKey: true,
  bodyBytesMax: true,
  capacity: true,
  timeout: true,
  retryAfter: true,
} as const;

/** Keys of requests that are known. */
const keysMax = 10_000;

interface Settings<T> {
  readonly verify: (request: WebhookRequest) => boolean | PromiseLike<boolean>;
  readonly decode: (request: WebhookRequest) => T;
  readonly idempotencyKey: (request: WebhookRequest) => string | undefined;
  readonly bodyBytesMax: number;
  readonly capacity: number;
  readonly timeoutMs: number;
  readonly retryAfterS: string;
}

/**
 * A source of the requests that come to a port, from the start of the job until it is over. It can not be replayed: a
 * value is journaled, and its request acknowledged with 202 when that is durable; it needs a place for state to be so
 * over a crash. A request that was not acknowledged may have been taken, so its sender sends it again under one key. A
 * key is known for as long as the process lives: who must not see a value twice over a crash has `distinct` behind
 * it. Needs the packages `hono` and `@hono/node-server`. Rejects with `SOURCE_FAILED` or `PACKAGE_MISSING`.
 *
 * @example
 * const payments = webhook<{ euros: number }>({ port: 0, path: '/payments' });
 * const euros: number[] = [];
 * env.fromSource(payments).sinkTo(callbackSink((payment) => euros.push(payment.euros)));
 * const job = await env.executeAsync();
 * const answer = await fetch(payments.address ?? '', { method: 'POST', body: '{"euros":5}' });
 * await job.stop();
 * console.log(answer.status, euros); // prints 202 [ 5 ]
 */
export const webhook = <T = unknown>(options: WebhookOptions<T>): WebhookSource<T> => {
  knownOptions('webhook', options, optionNames);
  const { port, host = '127.0.0.1', path = '/', timeout = '30s', retryAfter = '1s' } = options;
  integer('port', port, { max: 65_535 });
  if (typeof host !== 'string' || host === '') throw refusal('host', 'an address to listen on', host);
  if (typeof path !== 'string' || !path.startsWith('/')) throw refusal('path', 'a text that begins with `/`', path);
  const settings: Settings<T> = {
    verify: callable('verify', options.verify ?? (() => true)),
    // What JSON says is what T is when nothing else is said.
    decode: callable('decode', options.decode ?? (({ body }) => JSON.parse(new TextDecoder().decode(body)) as T)),
    idempotencyKey: callable('idempotencyKey', options.idempotencyKey ?? (({ headers }) => headers['idempotency-key'])),
    bodyBytesMax: integer('bodyBytesMax', options.bodyBytesMax ?? 2 ** 20, { min: 1 }),
    capacity: integer('capacity', options.capacity ?? 1024, { min: 1 }),
    timeoutMs: durationMs('timeout', timeout, { min: 1 }),
    retryAfterS: String(Math.ceil(durationMs('retryAfter', retryAfter) / 1000)),
  };
  const intake = new Intake(settings);
  let server: Server | undefined;
  return {
    name: 'webhook',
    replayable: false,
    get address() {
      const at = server?.address();
      if (typeof at !== 'object' || at === null) return undefined;
      return `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}${path}`;
    },
    splits: async () => ['webhook'],
    async open(_split, position, signal) {
      const reader = await intake.open(position, signal);
      server ??= await listen(await appOf(path, (request) => intake.take(request)), { port, hostname: host });
      return reader;
    },
    async close() {
      const closing = server;
      server = undefined;
      await intake.close();
      if (closing === undefined) return;
      await new Promise<void>((done) => {
        closing.close(() => done());
        closing.closeIdleConnections();
      });
    },
  };
};

/** What has come and is not durable yet, by the number that it has in the journal. */
class Intake<T> {
  readonly #settings: Settings<T>;
  readonly #source: ObservableSource<T>;
  #push: ((value: T) => void) | undefined;
  /** Number of the next value. */
  #next = 0;
  readonly #waiting = new Map<number, () => void>();
  /** Of requests that are known, the number; the one that was asked for least lately first. */
  readonly #numbers = new Map<string, number>();
  #durable = 0;
  #closed = makeAbort();

  constructor(settings: Settings<T>) {
    this.#settings = settings;
    const subscribe = (observer: { readonly next?: (value: T) => void }): { unsubscribe(): void } => {
      this.#push = (value) => observer.next?.(value);
      return { unsubscribe: () => void (this.#push = undefined) };
    };
    // Only asked to subscribe. What waits to be read waits to be durable, so its own bound is never met.
    this.#source = observableSource({ subscribe } as Parameters<typeof observableSource<T>>[0], {
      capacity: settings.capacity,
    });
  }

  async open(position: number | undefined, signal: AbortSignal): Promise<SourceReader<T, number>> {
    if (this.#push === undefined) this.#begin(position ?? 0);
    else if (position !== undefined) this.#isDurable(position);
    const reader = await this.#source.open('webhook', position, signal);
    return {
      read: (readSignal) => reader.read(readSignal),
      committed: async (durable) => {
        await reader.committed?.(durable);
        this.#isDurable(durable);
      },
      end: () => reader.end?.(),
      close: () => reader.close(),
    };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#source.close();
  }

  /** Answers a request. */
  async take(request: Request): Promise<Response> {
    if (this.#push === undefined || this.#waiting.size >= this.#settings.capacity) return this.#later();
    const body = await bodyOf(request, this.#settings.bodyBytesMax);
    if (body === undefined) return new Response('the body is too long', { status: 413 });
    const { pathname, search } = new URL(request.url);
    const asked = { url: `${pathname}${search}`, headers: Object.fromEntries(request.headers), body };
    if ((await this.#settings.verify(asked)) !== true) return new Response('not believed', { status: 401 });
    const number = this.#accept(asked);
    if (number === 'malformed') return new Response('not understood', { status: 400 });
    if (number === undefined || !(await this.#untilDurable(number))) return this.#later();
    return new Response(null, { status: 202 });
  }

  #begin(first: number): void {
    this.#next = first;
    this.#durable = first;
    this.#waiting.clear();
    this.#numbers.clear();
    this.#closed = makeAbort();
  }

  /** The number that the value has, or had when it came before; undefined when there is no room. */
  #accept(asked: WebhookRequest): number | 'malformed' | undefined {
    const { decode, idempotencyKey, capacity } = this.#settings;
    const key = idempotencyKey(asked);
    const known = key === undefined ? undefined : this.#numbers.get(key);
    if (known !== undefined) return known;
    let value: T;
    try {
      value = decode(asked);
    } catch {
      return 'malformed';
    }
    // Others may have come while the body was read.
    if (this.#push === undefined || this.#waiting.size >= capacity) return undefined;
    const number = this.#next;
    this.#next += 1;
    this.#waiting.set(number, () => {});
    if (key !== undefined) this.#remember(key, number);
    this.#push(value);
    return number;
  }

  #remember(key: string, number: number): void {
    this.#numbers.set(key, number);
    if (this.#numbers.size <= keysMax) return;
    for (const [oldest] of this.#numbers) {
      this.#numbers.delete(oldest);
      return;
    }
  }

  async #untilDurable(number: number): Promise<boolean> {
    if (number < this.#durable) return true;
    const passed = makeAbort();
    const signal = AbortSignal.any([passed.signal, this.#closed.signal]);
    const before = this.#waiting.get(number);
    const durable = new Promise<boolean>((resolve) =>
      this.#waiting.set(number, () => {
        before?.();
        resolve(true);
      }),
    );
    const late = sleep(systemClock, this.#settings.timeoutMs, signal).then(
      () => false,
      () => false,
    );
    try {
      return await Promise.race([durable, late]);
    } finally {
      passed.abort();
    }
  }

  /** Values before this number are journaled. */
  #isDurable(number: number): void {
    this.#durable = Math.max(this.#durable, number);
    for (const [each, tell] of this.#waiting) {
      if (each >= this.#durable) return; // They stand in the order of their numbers.
      this.#waiting.delete(each);
      tell();
    }
  }

  #later(): Response {
    return new Response('not now', { status: 503, headers: { 'retry-after': this.#settings.retryAfterS } });
  }
}

/** Undefined when there is more of it. */
const bodyOf = async (request: Request, bytesMax: number): Promise<Uint8Array | undefined> => {
  if (Number(request.headers.get('content-length')) > bytesMax) return undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const appOf = async (path: string, take: (request: Request) => Promise<Response>): Promise<Hono> => {
  const { Hono } = await loadPackage('hono', 'webhooks', () => import('hono'));
  const app = new Hono();
  app.post(path, ({ req }) => take(req.raw));
  app.all(path, () => new Response('only POST', { status: 405, headers: { allow: 'POST' } }));
  app.onError((error) => {
    process.emitWarning(`a webhook can not answer: ${messageOf(error)}`, 'MillraceWarning');
    return new Response('failed', { status: 500 });
  });
  return app;
};

const listen = async (app: Hono, at: { readonly port: number; readonly hostname: string }): Promise<Server> => {
  const { serve } = await loadPackage('@hono/node-server', 'webhooks', () => import('@hono/node-server'));
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, ...at }, () => resolve(server as Server)); // HTTP/1 when nothing is said.
    server.once('error', (cause) =>
      reject(
        new StreamError(
          'SOURCE_FAILED',
          `the webhook can not listen on ${at.hostname}:${at.port}: ${messageOf(cause)}`,
          {
            cause,
          },
        ),
      ),
    );
  });
};
