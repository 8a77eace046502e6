/**
 * A sink that sends each value as a request, under a key that is the same when it is sent again, also after a crash: a
 * receiver that knows its keys takes each value once. Batching, retries and what a checkpoint waits for are those of
 * the asynchronous sink; where requests go and what is told of them are the door's.
 */
import { createHash } from 'node:crypto';
import type { Sink } from '../../lib/core/connector.ts';
import type { OptionNames } from '../../lib/core/options.ts';
import { callable, knownOptions, refusal, refusedResult } from '../../lib/core/options.ts';
import { asyncSink, asyncSinkOptionNames, type AsyncSinkOptions } from '../async-sink.ts';
import { headersOf } from './address.ts';
import { HttpDoor, type HttpOptions } from './door.ts';

export interface HttpSinkRequest {
  /** @defaultValue 'POST' */
  readonly method?: 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined;
  /** What is put behind `baseUrl`; begins with a slash. @defaultValue nothing */
  readonly path?: string | undefined;
  /** Beside those of the sink, and replaced by them. @defaultValue none */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as JSON, unless it is a text, which is sent as it is. @defaultValue nothing */
  readonly body?: unknown;
}

export interface HttpSinkOptions<T>
  extends Omit<HttpOptions, 'retryAfterMax'>, Omit<AsyncSinkOptions, 'batchMax' | 'linger'> {
  /** For logs and uids. @defaultValue 'http' */
  readonly name?: string | undefined;
  /** What is asked for a value. @defaultValue POST, with the value as JSON */
  readonly request?: ((value: T) => HttpSinkRequest) | undefined;
  /** The header that the key of a value is sent in. @defaultValue 'idempotency-key' */
  readonly keyHeader?: string | undefined;
}

const httpNames: OptionNames<Omit<HttpOptions, 'retryAfterMax'>> = {
  baseUrl: true,
  apiKey: true,
  headers: true,
  timeout: true,
  responseBytesMax: true,
  fetch: true,
};
const { batchMax: _batchMax, linger: _linger, ...sendingNames } = asyncSinkOptionNames;

/** Attempts for a value where nothing else is said: with the waits between them, about three minutes. */
const attempts = 12;

/**
 * A sink that sends a request for each value and waits for an answer of status 2xx, at least once: `inFlightMax` of
 * them at a time (1, and so in order). Each has a key in the header `idempotency-key`, which is the same after a crash
 * and another one for every other sink and in a fresh state directory. What may mend itself (no answer, status 408,
 * 409, 425, 429 or 5xx) is tried again, 12 times unless `retry` says otherwise and not before the time of a
 * `Retry-After`; anything else, and one that has no attempt left, ends the job with `SINK_FAILED`: it goes on there
 * when it is started again.
 *
 * @example
 * import { createServer } from 'node:http';
 * const keys = new Set<unknown>();
 * const server = createServer(({ headers }, answer) => {
 *   keys.add(headers['idempotency-key']);
 *   answer.end();
 * });
 * await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
 * const address = server.address();
 * const port = typeof address === 'object' ? address?.port : address;
 * orders.sinkTo(httpSink({ baseUrl: `http://127.0.0.1:${port}/orders`, inFlightMax: 2 }));
 * await env.execute();
 * console.log(keys.size); // prints 3
 * server.close();
 */
export const httpSink = <T>(options: HttpSinkOptions<T>): Sink<T, never> => {
  knownOptions('httpSink', options, { ...httpNames, ...sendingNames, name: true, request: true, keyHeader: true });
  const { name = 'http', request = asJson, keyHeader = 'idempotency-key' } = options;
  const { inFlightMax, pendingMax, retry = {} } = options;
  callable('request', request);
  headersOf({ [keyHeader]: 'a' }, undefined);
  // How long a wait may be is a matter of the retry, which looks at what the answer asks for.
  const door = new HttpDoor(
    { ...options, retryAfterMax: Number.MAX_SAFE_INTEGER },
    { refused: 'SINK_FAILED', unavailable: 'SINK_FAILED', response: 'SINK_FAILED' },
  );
  return asyncSink<T>({
    name,
    inFlightMax,
    pendingMax,
    batchMax: 1,
    retry: { ...retry, attempts: retry.attempts ?? attempts },
    async send(entries, { sinkId, signal }) {
      for (const { value, number } of entries) {
        const { method, path, headers, body } = checkedRequest(request(value));
        const key = keyOf(sinkId, number);
        const place = `sink "${name}" at ${door.host}: record ${number}`;
        await door.ask({ method, path, body, headers: { ...headers, [keyHeader.toLowerCase()]: key }, place, signal });
      }
    },
  });
};

const asJson = (value: unknown): HttpSinkRequest => ({ body: JSON.stringify(value) });

/** The id of a sink holds names that a header can not. */
const keyOf = (sinkId: string, number: number): string =>
  `${createHash('sha256').update(sinkId).digest('hex').slice(0, 32)}-${number}`;

interface CheckedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

const checkedRequest = (asked: HttpSinkRequest): CheckedRequest => {
  if (typeof asked !== 'object' || asked === null)
    throw refusedResult('request', 'an object with any of `method`, `path`, `headers` and `body`', asked);
  const { method = 'POST', path = '', headers = {}, body } = asked;
  if (typeof path !== 'string' || !/^($|\/|\?)/.test(path)) throw refusal('path', 'a text that begins with `/`', path);
  if (!/^(POST|PUT|PATCH|DELETE)$/.test(method)) throw refusal('method', 'POST, PUT, PATCH or DELETE', method);
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  return { method, path, headers: headersOf(headers, undefined), body: text };
};
