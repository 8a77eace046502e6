/**
 * A source that asks an address again and again. Where it is to go on stands in a cursor, which a function of the user
 * reads from each answer. Keeps I9 (waits on the clock of the job) and I10 (every wait takes the signal).
 */
import { isDeepStrictEqual } from 'node:util';
import type { RetryOptions } from '../../lib/core/call.ts';
import { sleep, systemClock, type Clock } from '../../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { StreamError } from '../../lib/core/errors.ts';
import {
  callable,
  durationMs,
  flag,
  knownOptions,
  refusal,
  refusedResult,
  type Duration,
} from '../../lib/core/options.ts';
import { looseCopy, ownCopy } from '../../lib/core/own-copy.ts';
import { Patience, sourceCodes, sourceRetry } from './asking.ts';
import { HttpDoor, type HttpAnswer, type HttpOptions } from './door.ts';

export interface HttpPage {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text as JSON. Throws `SOURCE_FAILED` when it is none. */
  json(): unknown;
}

export interface HttpPollPosition<C> {
  readonly cursor: C;
  /** Of the page at the cursor, when all of it was handed out. */
  readonly etag?: string | undefined;
  /** Items of the page at the cursor that were handed out. */
  readonly skip: number;
}

export interface HttpPollOptions<T, C> extends Omit<HttpOptions, 'retryAfterMax'> {
  /** For logs and uids. @defaultValue 'http-poll' */
  readonly name?: string | undefined;
  /** The first cursor. @defaultValue null */
  readonly start?: C | undefined;
  /** What is put behind `baseUrl` for a cursor; a query may stand in it. @defaultValue nothing */
  readonly path?: ((cursor: C) => string) | undefined;
  /** The items of a page, oldest first; undefined at the end of the input, which is then not asked for again. */
  readonly items: (page: HttpPage, cursor: C) => readonly T[] | undefined;
  /**
   * The cursor of what comes behind a page, which is asked for at once; undefined where there is nothing behind it yet.
   * @defaultValue there never is: the same page is asked for again
   */
  readonly next?: ((page: HttpPage, cursor: C) => C | undefined) | undefined;
  /** From one request to the next, when there was nothing behind a page or nothing in it. @defaultValue '10s' */
  readonly interval?: Duration | undefined;
  /**
   * How often and when a request is tried again. @defaultValue for as long as the job runs, after waits from 1 s to 1
   * min
   */
  readonly retry?: Omit<RetryOptions, 'retryOnResult'> | undefined;
  /**
   * Whether a cursor gives the same page again, also later; if not, items are journaled. @defaultValue false
   */
  readonly replayable?: boolean | undefined;
}

const optionNames = {
  baseUrl: true,
  apiKey: true,
  headers: true,
  timeout: true,
  responseBytesMax: true,
  fetch: true,
  name: true,
  start: true,
  path: true,
  items: true,
  next: true,
  interval: true,
  retry: true,
  replayable: true,
} as const;

interface Parts<T, C> {
  readonly name: string;
  readonly door: HttpDoor;
  readonly path: (cursor: C) => string;
  readonly items: HttpPollOptions<T, C>['items'];
  readonly next: (page: HttpPage, cursor: C) => C | undefined;
  readonly intervalMs: number;
  readonly retry: RetryOptions;
}

/**
 * A source of the items of pages. A page that has an etag is asked for again with `if-none-match`, and gives nothing
 * while it is what it was; one without gives its items again, so that `distinct` has to tell what is new. What may mend
 * itself (no answer, status 408, 409, 425, 429 or 5xx) is asked again, not before the time of a `Retry-After`. A
 * position is a cursor with the number of items of its page that were handed out: a restart in the middle of a page
 * asks for it again and passes over as many. Rejects with `SOURCE_FAILED`.
 *
 * @example
 * const pages = [{ items: ['a', 'b'], next: 1 }, { items: ['c'] }];
 * const letters = httpPollSource({
 *   baseUrl: 'http://letters.example/api',
 *   fetch: async (url) => Response.json(pages[Number(String(url).slice(-1))] ?? {}),
 *   start: 0,
 *   path: (page) => `/letters?page=${page}`,
 *   items: (page) => (page.json() as (typeof pages)[0]).items,
 *   next: (_page, cursor) => cursor + 1,
 * });
 * console.log(await env.fromSource(letters).executeAndCollect()); // prints [ 'a', 'b', 'c' ]
 */
export const httpPollSource = <T, C = null>(options: HttpPollOptions<T, C>): Source<T, HttpPollPosition<C>> => {
  knownOptions('httpPollSource', options, optionNames);
  const { name = 'http-poll', path = () => '', next = () => undefined, interval = '10s', retry = {} } = options;
  // Without a start a cursor is null, which is what C is when nothing else is said.
  const { start = null as C, replayable = false } = options;
  const parts: Parts<T, C> = {
    name,
    // How long a wait may be is a matter of the retry, which looks at what the answer asks for.
    door: new HttpDoor({ ...options, retryAfterMax: Number.MAX_SAFE_INTEGER }, sourceCodes),
    path: callable('path', path),
    items: callable('items', options.items),
    next: callable('next', next),
    intervalMs: durationMs('interval', interval, { min: 1 }),
    retry: sourceRetry(retry),
  };
  return {
    name,
    replayable: flag('replayable', replayable),
    splits: async () => [name],
    async open(_split, position, signal, clock = systemClock) {
      signal.throwIfAborted();
      return new PollReader(parts, position ?? { cursor: ownCopy(start), skip: 0 }, clock);
    },
  };
};

class PollReader<T, C> implements SourceReader<T, HttpPollPosition<C>> {
  readonly #parts: Parts<T, C>;
  readonly #clock: Clock;
  readonly #patience: Patience;
  #position: HttpPollPosition<C>;
  /** When it is to be asked again; by the clock's `elapsed`. */
  #dueMs = 0;
  #ended = false;
  #sleeping = false;

  constructor(parts: Parts<T, C>, position: HttpPollPosition<C>, clock: Clock) {
    this.#parts = parts;
    this.#position = position;
    this.#clock = clock;
    this.#patience = new Patience(parts.retry, clock);
  }

  get waiting(): boolean {
    return this.#sleeping;
  }

  async read(signal: AbortSignal): Promise<SourceBatch<T, HttpPollPosition<C>> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#ended) return undefined;
      await this.#untilDue(signal);
      const batch = await this.#ask(signal).then(
        (answer) => this.#batchOf(answer),
        async (error: unknown) => void (await this.#waiting(this.#patience.failed(error, signal))),
      );
      if (batch !== undefined) return batch;
    }
  }

  end(): void {
    this.#ended = true;
  }

  async close(): Promise<void> {}

  async #ask(signal: AbortSignal): Promise<HttpAnswer> {
    const { door, name, path } = this.#parts;
    const { cursor, etag } = this.#position;
    const where = path(ownCopy(cursor));
    if (typeof where !== 'string' || !/^($|\/|\?)/.test(where))
      throw refusal('path', 'a text that begins with `/`', where);
    const headers = { accept: 'application/json, */*;q=0.5', ...(etag !== undefined && { 'if-none-match': etag }) };
    return door.ask({ method: 'GET', path: where, headers, place: `source "${name}" at ${door.host}`, signal });
  }

  /** Undefined when there is nothing new, or no more. */
  #batchOf(answer: HttpAnswer): SourceBatch<T, HttpPollPosition<C>> | undefined {
    const { items, next, intervalMs, name } = this.#parts;
    this.#patience.succeeded();
    const before = this.#position;
    const { cursor, skip } = before;
    if (answer.status === 304) return this.#rest(intervalMs);
    const page = { ...answer, json: () => jsonOf(answer.text, name) };
    const all: unknown = items(page, ownCopy(cursor));
    this.#ended = all === undefined;
    if (all === undefined) return undefined;
    if (!Array.isArray(all)) throw refusedResult('items', 'a list, or undefined at the end of the input', all);
    const behind = ownCopy(next(page, ownCopy(cursor)) ?? cursor);
    const moved = !isDeepStrictEqual(behind, cursor);
    const etag = moved ? undefined : (answer.headers.get('etag') ?? undefined);
    const after = { cursor: behind, etag, skip: 0 };
    // The list is what `items` says it is.
    const values = all.slice(skip).map((value: T) => looseCopy(value));
    this.#position = after;
    if (!moved || values.length === 0) this.#rest(intervalMs);
    if (values.length === 0) return undefined;
    const position = (count: number): HttpPollPosition<C> => {
      if (count === 0) return before;
      return count === values.length ? after : { cursor, skip: skip + count };
    };
    return { values, position };
  }

  #rest(ms: number): undefined {
    this.#dueMs = this.#clock.elapsed() + ms;
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    const waitMs = this.#dueMs - this.#clock.elapsed();
    if (this.#dueMs > 0 && waitMs > 0) await this.#waiting(sleep(this.#clock, waitMs, signal));
  }

  async #waiting(wait: Promise<void>): Promise<void> {
    this.#sleeping = true;
    try {
      await wait;
    } finally {
      this.#sleeping = false;
    }
  }
}

const jsonOf = (text: string, name: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw new StreamError('SOURCE_FAILED', `source "${name}" was answered with something that is no JSON`);
  }
};
