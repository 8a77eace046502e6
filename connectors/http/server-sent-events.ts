/**
 * A source of server-sent events: an answer that does not end, taken up again behind the last event that had an id. It
 * is read as fast as the job takes it, and the server is held back by the connection (I10).
 */
import type { EventSourceMessage, EventSourceParser } from 'eventsource-parser';
import type { RetryOptions } from '../../lib/core/call.ts';
import { makeAbort } from '../../lib/core/abort.ts';
import { systemClock, type Clock } from '../../lib/core/clock.ts';
import type { Source, SourceBatch, SourceReader } from '../../lib/core/connector.ts';
import { messageOf, StreamError } from '../../lib/core/errors.ts';
import { flag, integer, knownOptions, type Duration } from '../../lib/core/options.ts';
import { loadPackage } from '../../lib/core/package-loading.ts';
import { untilAborted } from '../../lib/core/waits.ts';
import { Patience, sourceCodes, sourceRetry } from './asking.ts';
import { HttpDoor, type HttpOptions, type HttpStream } from './door.ts';

export interface ServerSentEvent {
  /** Its kind; undefined where the server says none. */
  readonly event?: string | undefined;
  readonly data: string;
  readonly id?: string | undefined;
}

export interface ServerSentEventsOptions extends Omit<HttpOptions, 'retryAfterMax' | 'timeout' | 'responseBytesMax'> {
  /** For logs and uids. @defaultValue 'server-sent-events' */
  readonly name?: string | undefined;
  /** How long the server may be silent, comments included, before it is connected to anew. @defaultValue '2m' */
  readonly silence?: Duration | undefined;
  /** Most characters of an event whose end has not come, from 1; more is an error. @defaultValue 1 MiB */
  readonly eventLengthMax?: number | undefined;
  /**
   * How often and when it is connected to anew, counted from the last event; not before the time that the server asks
   * for by `retry:`. @defaultValue for as long as the job runs, after waits from 1 s to 1 min
   */
  readonly retry?: Omit<RetryOptions, 'retryOnResult'> | undefined;
  /**
   * Whether the server gives every event behind an id again, however old; if not, events are journaled.
   * @defaultValue false
   */
  readonly replayable?: boolean | undefined;
}

const optionNames = {
  baseUrl: true,
  apiKey: true,
  headers: true,
  fetch: true,
  name: true,
  silence: true,
  eventLengthMax: true,
  retry: true,
  replayable: true,
} as const;

interface Parts {
  readonly door: HttpDoor;
  readonly place: string;
  readonly eventLengthMax: number;
  readonly retry: RetryOptions;
  readonly makeParser: typeof import('eventsource-parser').createParser;
}

/**
 * A source of the events that an address sends. A position is the id of the last event that had one; where the
 * connection breaks, and after a restart, it goes on behind that (`Last-Event-ID`), as far as the server can: what it
 * does not keep, or sends without an id, is missing. Status 204 is the end of the input. What may mend itself is tried
 * again; anything else is `SOURCE_FAILED`. Needs the package `eventsource-parser`.
 *
 * @example
 * const text = 'id: 1\ndata: {"euros":5}\n\nid: 2\ndata: {"euros":7}\n\n';
 * const payments = serverSentEvents({
 *   baseUrl: 'http://payments.example/events',
 *   retry: { initialInterval: 1 },
 *   fetch: async (_url, init) =>
 *     new Headers(init?.headers).has('last-event-id') ? new Response(null, { status: 204 }) : new Response(text),
 * });
 * const euros = env.fromSource(payments).map(({ data }) => JSON.parse(data).euros);
 * console.log(await euros.executeAndCollect()); // prints [ 5, 7 ]
 */
export const serverSentEvents = (options: ServerSentEventsOptions): Source<ServerSentEvent, string> => {
  knownOptions('serverSentEvents', options, optionNames);
  const { name = 'server-sent-events', silence = '2m', eventLengthMax = 2 ** 20, retry = {} } = options;
  const { replayable = false, ...http } = options;
  integer('eventLengthMax', eventLengthMax, { min: 1 });
  // How long a wait may be is a matter of the retry, which looks at what the answer asks for.
  const door = new HttpDoor({ ...http, timeout: silence, retryAfterMax: Number.MAX_SAFE_INTEGER }, sourceCodes);
  const parts = { door, place: `source "${name}" at ${door.host}`, eventLengthMax, retry: sourceRetry(retry) };
  return {
    name,
    replayable: flag('replayable', replayable),
    splits: async () => [name],
    async open(_split, position, signal, clock = systemClock) {
      const load = (): Promise<typeof import('eventsource-parser')> => import('eventsource-parser');
      const { createParser } = await loadPackage('eventsource-parser', 'server-sent events', load);
      signal.throwIfAborted();
      return new EventReader({ ...parts, makeParser: createParser }, position ?? '', clock);
    },
  };
};

interface Connection {
  readonly stream: HttpStream;
  readonly parser: EventSourceParser;
  readonly decode: (bytes: Uint8Array) => string;
}

class EventReader implements SourceReader<ServerSentEvent, string> {
  readonly #parts: Parts;
  readonly #patience: Patience;
  readonly #closed = makeAbort();
  #lastId: string;
  #connection: Connection | undefined;
  /** A read that an abort has left is gone on with. */
  #reading: Promise<readonly EventSourceMessage[]> | undefined;
  #arrived: EventSourceMessage[] = [];
  /** What the server asks for between two connections. */
  #retryMs = 0;
  #ended = false;

  constructor(parts: Parts, lastId: string, clock: Clock) {
    this.#parts = parts;
    this.#lastId = lastId;
    this.#patience = new Patience(parts.retry, clock);
  }

  async read(signal: AbortSignal): Promise<SourceBatch<ServerSentEvent, string> | undefined> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#ended) return undefined;
      try {
        this.#reading ??= this.#receive();
        const events = await untilAborted(this.#reading, signal);
        this.#reading = undefined;
        if (events.length > 0) return this.#batchOf(events);
      } catch (error) {
        signal.throwIfAborted();
        this.#reading = undefined;
        this.#disconnect();
        await this.#patience.failed(error, signal);
      }
    }
  }

  end(): void {
    this.#ended = true;
  }

  async close(): Promise<void> {
    this.#closed.abort(new StreamError('WORK_ABORTED', 'the source was closed'));
    this.#reading?.catch(() => {}); // Nobody waits for it any more.
    this.#disconnect();
  }

  #batchOf(events: readonly EventSourceMessage[]): SourceBatch<ServerSentEvent, string> {
    this.#patience.succeeded();
    const ids = [this.#lastId];
    for (const { id } of events) ids.push(id ?? ids.at(-1) ?? '');
    this.#lastId = ids.at(-1) ?? '';
    return { values: events.map((each) => ({ ...each })), position: (count) => ids[count] ?? '' };
  }

  /** The events of the next part of the answer; none when it ended none, or when this was the end of the input. */
  async #receive(): Promise<readonly EventSourceMessage[]> {
    const connection = (this.#connection ??= await this.#connect());
    if (connection === undefined) {
      this.#ended = true;
      return [];
    }
    const bytes = await this.#lasting(connection.stream.read());
    if (bytes === undefined) throw this.#interrupted('has ended its answer');
    this.#arrived = [];
    connection.parser.feed(connection.decode(bytes));
    return this.#arrived;
  }

  async #connect(): Promise<Connection | undefined> {
    const { door, place } = this.#parts;
    const id = this.#lastId;
    const headers = { accept: 'text/event-stream', ...(id !== '' && { 'last-event-id': id }) };
    const stream = await door.open({ method: 'GET', path: '', headers, place, signal: this.#closed.signal });
    if (stream.status === 204) {
      stream.close();
      return undefined;
    }
    const decoder = new TextDecoder();
    return { stream, parser: this.#parser(), decode: (bytes) => decoder.decode(bytes, { stream: true }) };
  }

  #parser(): EventSourceParser {
    const { makeParser, eventLengthMax, place } = this.#parts;
    return makeParser({
      maxBufferSize: eventLengthMax,
      onEvent: (event) => void this.#arrived.push(event),
      onRetry: (ms) => void (this.#retryMs = ms),
      onError: ({ type }) => {
        if (type !== 'max-buffer-size-exceeded') return; // A field that nobody knows is passed over.
        const message = `${place} sent an event of more than ${eventLengthMax} characters`;
        throw new StreamError('SOURCE_FAILED', message, { retryable: false, hint: 'raise `eventLengthMax`' });
      },
    });
  }

  /** A connection that breaks is one that the server may want to be taken up later. */
  async #lasting<R>(reading: Promise<R>): Promise<R> {
    try {
      return await reading;
    } catch (error) {
      throw error instanceof StreamError && error.retryable ? this.#interrupted(messageOf(error)) : error;
    }
  }

  #interrupted(what: string): StreamError {
    const message = what.startsWith(this.#parts.place) ? what : `${this.#parts.place} ${what}`;
    return new StreamError('SOURCE_FAILED', message, { details: { retryAfterMs: this.#retryMs } });
  }

  #disconnect(): void {
    this.#connection?.stream.close();
    this.#connection = undefined;
  }
}
