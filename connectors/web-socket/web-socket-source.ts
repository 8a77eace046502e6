/**
 * A source of the messages of a WebSocket. It can't be replayed, and the protocol says of no message which it is: the
 * engine journals what it accepted, and what is sent while no connection is open is missing. What waits to be read is
 * bounded (I10).
 */
import type { RetryOptions } from '../../lib/core/call.ts';
import { makeAbort } from '../../lib/core/abort.ts';
import { systemClock, type Clock } from '../../lib/core/clock.ts';
import { callable, durationMs, integer, knownOptions, refusal, type Duration } from '../../lib/core/options.ts';
import { loadPackage } from '../../lib/core/package-loading.ts';
import { Patience, sourceRetry } from '../http/asking.ts';
import { headersOf } from '../http/address.ts';
import { observableSource, type ObservableSource, type ObservableSourceOptions } from '../observable.ts';
import { messagesOf } from './connection.ts';

export interface WebSocketOptions<T> extends ObservableSourceOptions {
  /** Sent with each handshake. @defaultValue none */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Protocols to choose one of. @defaultValue none */
  readonly protocols?: readonly string[] | undefined;
  /** Texts that are sent whenever a connection is open, such as a subscription. @defaultValue none */
  readonly hello?: readonly string[] | undefined;
  /** The value of a message: a text, or bytes. @defaultValue the message */
  readonly decode?: ((data: string | Uint8Array) => T) | undefined;
  /**
   * How often the other side is asked whether it is there, and how long it has for its answer and for the handshake.
   * @defaultValue '30s'
   */
  readonly heartbeat?: Duration | undefined;
  /** Longest message in bytes, from 1; a longer one ends the job with `SOURCE_FAILED`. @defaultValue 1 MiB */
  readonly messageBytesMax?: number | undefined;
  /**
   * How often and when it is connected to anew, counted since the other side has last answered. @defaultValue for as
   * long as the job runs, after waits from 1 s to 1 min
   */
  readonly retry?: Omit<RetryOptions, 'retryOnResult'> | undefined;
}

const optionNames = {
  capacity: true,
  overflow: true,
  headers: true,
  protocols: true,
  hello: true,
  decode: true,
  heartbeat: true,
  messageBytesMax: true,
  retry: true,
} as const;

type Observer<T> = Parameters<Parameters<typeof observableSource<T>>[0]['subscribe']>[0];

/**
 * A source of the messages that come from `url` while the job runs. It connects when the job starts, again whenever a
 * connection ends or its other side does not answer, and goes on with it when the job starts again after a failure in
 * this process. A message is in the job at most once: one that was accepted is journaled and survives a crash; one that
 * is sent while no connection is open, or was not accepted when the process died, is missing. More than `capacity` of
 * them that wait to be read are `INPUT_OVERFLOW`, or dropped and counted. Needs the package `ws`.
 *
 * @example
 * import { WebSocketServer } from 'ws';
 * const server = new WebSocketServer({ port: 0 });
 * server.on('connection', (socket) => socket.send('{"euros":5}'));
 * const address = server.address();
 * const port = typeof address === 'object' ? address?.port : address;
 * const payments = webSocketSource(`ws://localhost:${port}/`, { decode: (data) => JSON.parse(String(data)).euros });
 * const heard = new Promise((resolve) => env.fromSource(payments).sinkTo(callbackSink(resolve)));
 * const job = await env.executeAsync();
 * console.log(await heard); // prints 5
 * await job.stop();
 * server.close();
 */
export const webSocketSource = <T = string | Uint8Array>(
  url: string,
  options: WebSocketOptions<T> = {},
): ObservableSource<T> => {
  knownOptions('webSocketSource', options, optionNames);
  if (
    typeof url !== 'string' ||
    !/^wss?:\/\/[^/?#@]+(?![^/?#]*@)/i.test(url) ||
    !URL.canParse(url) ||
    url.includes('#')
  )
    throw new TypeError('Expected `url` to be like `wss://host/path`, without a name, a password and a fragment');
  const { capacity, overflow, headers = {}, protocols = [], hello = [], heartbeat = '30s', retry = {} } = options;
  const { messageBytesMax = 2 ** 20 } = options;
  if (!Array.isArray(hello)) throw refusal('hello', 'a list of texts', hello);
  // A message is what T is when nothing else is said.
  const decode = callable('decode', options.decode ?? ((data) => data as T));
  const heartbeatMs = durationMs('heartbeat', heartbeat, { min: 1, max: 2 ** 31 - 1 });
  const settings = {
    headers: headersOf(headers, undefined),
    handshakeTimeout: heartbeatMs,
    maxPayload: integer('messageBytesMax', messageBytesMax, { min: 1 }),
  };
  const connection = { host: new URL(url).host, heartbeatMs, hello };
  const retries = sourceRetry(retry);
  let time: Clock = systemClock;
  let WebSocket: (typeof import('ws'))['WebSocket'] | undefined;
  const subscribe = (observer: Observer<T>): { unsubscribe(): void } => {
    const closed = makeAbort();
    const patience = new Patience(retries, time);
    const alive = (): void => patience.succeeded();
    const message = (data: string | Uint8Array): void => {
      alive();
      try {
        observer.next?.(decode(data));
      } catch (error) {
        observer.error?.(error); // Nobody else would hear of it: this is an event of a socket.
      }
    };
    void whileOpen(patience, closed.signal, async () => {
      if (WebSocket === undefined) throw new TypeError('Expected `open` to be called first');
      const socket = new WebSocket(url, [...protocols], settings);
      await messagesOf(socket, connection, { message, alive }, closed.signal);
    }).catch((error: unknown) => (closed.signal.aborted ? undefined : observer.error?.(error)));
    return { unsubscribe: () => closed.abort() };
  };
  // Only asked to subscribe.
  const inner = observableSource<T>({ subscribe } as Parameters<typeof observableSource<T>>[0], { capacity, overflow });
  return {
    name: 'web-socket',
    replayable: false,
    get dropped() {
      return inner.dropped;
    },
    splits: async () => ['web-socket'],
    async open(split, position, signal, clock = systemClock) {
      WebSocket ??= (await loadPackage('ws', 'web sockets', () => import('ws'))).WebSocket;
      time = clock;
      return inner.open(split, position, signal);
    },
    close: () => inner.close(),
  };
};

/** Connects again and again; rejects when that is not to be tried any more. */
const whileOpen = async (patience: Patience, signal: AbortSignal, connect: () => Promise<void>): Promise<never> => {
  for (;;) {
    try {
      await connect();
    } catch (error) {
      await patience.failed(error, signal);
    }
  }
};
