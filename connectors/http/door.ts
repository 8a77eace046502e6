/**
 * The door of connectors that ask a server by HTTP: where requests go, what they carry, how long they and their answers
 * may be, and what is told of a failure. Plain fetch; no retries of its own, but each error says whether and when one
 * can help.
 *
 * Rules:
 *  - A redirect is an error: nothing that was meant for one server is sent to another.
 *  - Of a header, a key or an address no more than the host gets into an error. What was caught is therefore never kept
 *    as its `cause`.
 *  - A request ends with its time or its signal, also when `fetch` looks at neither; an answer ends at its limit,
 *    counted as it is read and unpacked (I10).
 */
import { systemClock } from '../../lib/core/clock.ts';
import { isMistake, messageOf, StreamError, type ErrorCode, type StreamErrorOptions } from '../../lib/core/errors.ts';
import { callable, durationMs, integer, type Duration } from '../../lib/core/options.ts';
import { addressOf, headersOf, isRedirect, originOf } from './address.ts';
import { canHelp, failureIn, type Failure } from './failure.ts';
import { readInto, RequestLimit } from './limit.ts';
import { retryAfterMs, waitText } from './retry-after.ts';
import { hider, type Hider } from './secrets.ts';

/** What the user of a connector may say about its door. */
export interface HttpOptions {
  /** The address that paths are put behind; a query in it stays. Without a user's name, a password or a fragment. */
  readonly baseUrl: string;
  /** Sent as a bearer token. @defaultValue none, as local servers want it */
  readonly apiKey?: string | undefined;
  /** Sent with each request; they win over those of the connector. @defaultValue none */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Limit of one request with its answer, from 1 ms. Node's own `fetch` waits for the first byte no longer than 5
   * minutes.
   * @defaultValue '1m'
   */
  readonly timeout?: Duration | undefined;
  /**
   * Longest answer that is read, in bytes after it was unpacked, from 1; a longer one is an error. @defaultValue 16 MiB
   */
  readonly responseBytesMax?: number | undefined;
  /**
   * Longest wait that the server may ask for by `Retry-After`; one that asks for more is not asked again. @defaultValue
   * '10m'
   */
  readonly retryAfterMax?: Duration | undefined;
  /** @defaultValue the global one */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** The codes of a connector's errors: what was refused, what may be tried again, and what can not be read. */
export interface HttpCodes {
  readonly refused: ErrorCode;
  readonly unavailable: ErrorCode;
  readonly response: ErrorCode;
  /** A code of its own for what a server says, where there is one. */
  of?(said: Failure): ErrorCode | undefined;
}

export interface HttpRequest {
  /** @defaultValue 'POST' */
  readonly method?: string | undefined;
  /** What the path is put behind the address with: `/chat/completions`; a query is added to that of the address. */
  readonly path: string;
  /** JSON, unless a header says otherwise. @defaultValue none */
  readonly body?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** What is asked, for messages: `model "m" at host`. */
  readonly place: string;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** An answer that is read as it comes. */
export interface HttpStream {
  readonly status: number;
  readonly headers: Headers;
  /** The next part, or undefined at the end. Only one read is open at a time. */
  read(): Promise<Uint8Array | undefined>;
  /** Ends the connection. May be called twice. */
  close(): void;
}

/** What is asked for has not changed since: an answer as good as any to who has asked for that. */
const notModified = 304;

/** Bytes of a failed answer that are read for its message. */
const failureBytesMax = 64 * 1024;
/** Characters of a server's text that go into a message. */
const shownMax = 300;

/**
 * Errors of Node that come back however often one asks: a certificate that is not trusted, a port that is never asked.
 */
const lasting = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)|^bad port$/;

export class HttpDoor {
  /** Host and port: all of the address that may be told. */
  readonly host: string;
  readonly retryAfterMaxMs: number;
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #hider: Hider;
  readonly #codes: HttpCodes;
  readonly #timeoutMs: number;
  readonly #bytesMax: number;
  readonly #fetch: typeof globalThis.fetch;

  /** Throws a `TypeError` that names the option, and never what may be a secret. */
  constructor(options: HttpOptions, codes: HttpCodes) {
    const {
      baseUrl,
      apiKey,
      headers = {},
      timeout = '1m',
      responseBytesMax = 2 ** 24,
      retryAfterMax = '10m',
    } = options;
    const { fetch = globalThis.fetch } = options;
    this.#base = addressOf(baseUrl);
    this.host = this.#base.host;
    this.#headers = headersOf(headers, apiKey);
    this.#hider = hider({ apiKey, headers, query: this.#base.searchParams });
    this.#codes = codes;
    this.#timeoutMs = durationMs('timeout', timeout, { min: 1, max: 2 ** 31 - 1 });
    this.#bytesMax = integer('responseBytesMax', responseBytesMax, { min: 1 });
    this.retryAfterMaxMs = durationMs('retryAfterMax', retryAfterMax);
    this.#fetch = callable('fetch', fetch);
  }

  /** Sends the request and gives the text of the answer. Rejects as `ask` does. */
  async post(request: HttpRequest): Promise<string> {
    return (await this.ask(request)).text;
  }

  /**
   * Sends the request and reads the answer, which is UTF-8: one of a good status, or 304 where the request asked for
   * that. Rejects with a `StreamError`, or with the reason of the signal.
   */
  async ask(request: HttpRequest): Promise<HttpAnswer> {
    const limit = new RequestLimit(request.signal, this.#timeoutMs);
    try {
      const response = await this.#respond(request, limit);
      const text = this.#decoded(await this.#read(response, request.place, limit), request.place);
      return { status: response.status, headers: response.headers, text };
    } catch (error) {
      throw this.#failure(error, request, limit);
    } finally {
      limit.end();
    }
  }

  /**
   * Sends the request and gives an answer that is read as it comes, without an end to its length: no part of it is
   * waited for longer than the time of a request. Rejects as `ask` does, and so does reading.
   */
  async open(request: HttpRequest): Promise<HttpStream> {
    const limit = new RequestLimit(request.signal, this.#timeoutMs);
    try {
      const { status, headers, body } = await this.#respond(request, limit);
      limit.pause();
      return { status, headers, ...this.#parts(body, request, limit) };
    } catch (error) {
      limit.end();
      throw this.#failure(error, request, limit);
    }
  }

  #parts(
    body: ReadableStream<Uint8Array> | null,
    request: HttpRequest,
    limit: RequestLimit,
  ): Pick<HttpStream, 'read' | 'close'> {
    const reader = body?.getReader();
    return {
      read: async () => {
        limit.renew();
        try {
          return reader === undefined ? undefined : (await limit.race(reader.read())).value;
        } catch (error) {
          throw this.#failure(error, request, limit);
        } finally {
          limit.pause();
        }
      },
      close: () => {
        limit.end();
        void reader?.cancel().catch(() => {});
      },
    };
  }

  /** The answer, when its status is one that was asked for. */
  async #respond(request: HttpRequest, limit: RequestLimit): Promise<Response> {
    request.signal.throwIfAborted();
    const response = await limit.race(
      this.#send(request, limit.signal),
      (late) => void late.body?.cancel().catch(() => {}),
    );
    const isKnown = response.status === notModified && 'if-none-match' in request.headers;
    if ((response.ok || isKnown) && !response.redirected) return response;
    throw await this.#refusal(response, request.place, limit);
  }

  /** What is told of what was caught. */
  #failure(error: unknown, { signal, place }: HttpRequest, limit: RequestLimit): unknown {
    // The job stopped or the call timed out: not a fault of the server.
    if (signal.aborted) return signal.reason;
    if (error instanceof StreamError) return error;
    if (!limit.passed) return this.#unreached(error, place);
    return new StreamError(this.#codes.unavailable, `${place} did not answer within ${this.#timeoutMs} ms`, {
      details: { timeoutMs: this.#timeoutMs },
    });
  }

  /** A server's text without secrets. */
  hide(text: string): string {
    return this.#hider.hide(text);
  }

  /** The same as a message may hold it: one line, not long. */
  show(text: string): string {
    // What is cut first could leave the beginning of a secret.
    const line = this.hide(text).replaceAll(/\s+/g, ' ').trim();
    return line.length <= shownMax ? line : `${line.slice(0, shownMax).replace(/[\ud800-\udbff]$/, '')}...`;
  }

  /** The error for what a server says went wrong. */
  failed(
    said: Failure,
    more: { readonly text: string; readonly status?: number; readonly headers?: Headers },
  ): StreamError {
    const { text, status, headers } = more;
    const asked = headers?.get('x-should-retry');
    const retryable = asked === 'true' || (asked !== 'false' && canHelp(said, status));
    const { waits, ...wait } = this.#wait(headers, retryable);
    const code = typeof said.code === 'string' ? this.show(said.code) : said.code;
    const facts = {
      ...(status === undefined ? {} : { status }),
      ...(code === undefined ? {} : { providerCode: code }),
    };
    const own = this.#codes.of?.(said);
    const errorCode = own ?? this.#codes[retryable ? 'unavailable' : 'refused'];
    return new StreamError(errorCode, `${text}: ${this.show(said.message)}${waits ?? ''}`, {
      // One code may stand for both.
      ...(own === undefined && { retryable }),
      ...wait,
      details: { ...facts, ...wait.details },
    });
  }

  /** How long the server asks to wait, and whether that is too long. */
  #wait(headers: Headers | undefined, retryable: boolean): StreamErrorOptions & { readonly waits?: string } {
    const nowMs = systemClock.now();
    const askedMs = headers === undefined ? undefined : retryAfterMs(headers, nowMs);
    if (askedMs === undefined) return {};
    const details = { retryAfterMs: Math.min(askedMs, Number.MAX_SAFE_INTEGER) };
    if (!retryable || askedMs <= this.retryAfterMaxMs) return { details };
    const waits = `; it asks to wait ${waitText(askedMs, nowMs)}, longer than the ${waitText(this.retryAfterMaxMs, Number.NaN)} of \`retryAfterMax\``;
    return { details, retryable: false, hint: 'ask again after that time, or raise `retryAfterMax`', waits };
  }

  async #send({ method = 'POST', path, body, headers }: HttpRequest, signal: AbortSignal): Promise<Response> {
    const url = new URL(this.#base);
    const [pathname = '', query] = path.split(/\?(.*)/s);
    if (pathname !== '') url.pathname = `${url.pathname.replace(/\/+$/, '')}${pathname}`;
    for (const [name, value] of new URLSearchParams(query)) url.searchParams.append(name, value);
    const fetch = this.#fetch; // Called without a receiver, as `fetch` wants it.
    return await fetch(url.href, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers, ...this.#headers },
      ...(body !== undefined && { body }),
      redirect: 'manual',
      signal,
    });
  }

  /** Why an answer is none. */
  async #refusal(response: Response, place: string, limit: RequestLimit): Promise<StreamError> {
    const { status, headers } = response;
    if (isRedirect(response)) {
      void response.body?.cancel().catch(() => {});
      const to = originOf(headers.get('location'), this.#base);
      const told = `${place} redirects${status === 0 || response.ok ? '' : ` (${status})`} to ${to}, which is not followed`;
      return new StreamError(this.#codes.refused, told, {
        retryable: false,
        hint: 'give the address that answers as `baseUrl`',
        details: { status },
      });
    }
    const said = failureIn(await this.#readFailure(response, limit));
    return this.failed(said, { text: `${place} answered ${status}`, status, headers });
  }

  /** What there is of a failed answer: its status counts, whatever becomes of its body. */
  async #readFailure(response: Response, limit: RequestLimit): Promise<string> {
    const chunks: Uint8Array[] = [];
    const whole = await readInto(chunks, response, limit, failureBytesMax).catch(() => false);
    const text = new TextDecoder().decode(Buffer.concat(chunks));
    // A secret that was cut is not found any more.
    return whole ? text : text.slice(0, Math.max(0, text.length - this.#hider.longest));
  }

  async #read(response: Response, place: string, limit: RequestLimit): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    const max = this.#bytesMax;
    const isLong = Number(response.headers.get('content-length')) > max;
    if (!isLong && (await readInto(chunks, response, limit, max))) return Buffer.concat(chunks);
    void response.body?.cancel().catch(() => {});
    throw new StreamError(this.#codes.response, `${place} answered more than ${max} bytes`, {
      retryable: false,
      hint: 'raise `responseBytesMax`, or look at why the answer is that long',
      details: { responseBytesMax: max },
    });
  }

  #decoded(bytes: Uint8Array, place: string): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      throw new StreamError(this.#codes.response, `${place} answered something that is no UTF-8`);
    }
  }

  #unreached(error: unknown, place: string): StreamError {
    const { cause } = error instanceof Error ? error : {};
    const code = systemCode(cause) ?? systemCode(error);
    const parts = [messageOf(error), code, cause === undefined ? undefined : messageOf(cause)];
    const reason = parts.filter((part) => part !== undefined && part !== '').join(': ');
    const lasts =
      lasting.test(code ?? '') || lasting.test(cause === undefined ? '' : messageOf(cause)) || isMistake(error);
    return new StreamError(this.#codes.unavailable, `${place} can not be reached: ${this.show(reason)}`, {
      ...(lasts ? { retryable: false } : {}),
      details: code === undefined ? {} : { causeCode: code },
    });
  }
}

const systemCode = (error: unknown): string | undefined => {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
};
