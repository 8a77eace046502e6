/**
 * One connection of a WebSocket. It ends when either side ends it, and when the other side has not answered to a ping
 * (I10). Of the address no more than the host is told.
 */
import type { WebSocket } from 'ws';
import { systemClock, type Cancel } from '../../lib/core/clock.ts';
import { messageOf, StreamError, type StreamErrorOptions } from '../../lib/core/errors.ts';
import { canHelp } from '../http/failure.ts';

export interface ConnectionEvents {
  readonly message: (data: string | Uint8Array) => void;
  /** The other side has answered. */
  readonly alive: () => void;
}

export interface ConnectionOptions {
  /** Host and port: all of the address that may be told. */
  readonly host: string;
  readonly heartbeatMs: number;
  /** Sent when it is open. */
  readonly hello: readonly string[];
}

/** Gives messages until the connection ends; rejects with why, or with the reason of the signal. */
export const messagesOf = (
  socket: WebSocket,
  { host, heartbeatMs, hello }: ConnectionOptions,
  events: ConnectionEvents,
  signal: AbortSignal,
): Promise<never> =>
  new Promise((_resolve, reject) => {
    let cancelPing: Cancel = () => {};
    let answered = true;
    const end = (error: unknown): void => {
      cancelPing();
      signal.removeEventListener('abort', abort);
      reject(error);
      socket.terminate();
    };
    const fail = (what: string, options: StreamErrorOptions = {}): void =>
      end(new StreamError('SOURCE_FAILED', `the web socket at ${host} ${what}`, options));
    const abort = (): void => end(signal.reason);
    const ping = (): void => {
      if (!answered) return fail(`did not answer within ${heartbeatMs} ms`);
      answered = false;
      socket.ping();
      cancelPing = systemClock.setTimer(heartbeatMs, ping);
    };
    const heard = (): void => {
      answered = true;
    };
    socket.on('open', () => {
      for (const text of hello) socket.send(text);
      ping();
    });
    socket.on('pong', () => {
      heard();
      events.alive();
    });
    socket.on('message', (data, isBinary) => {
      heard();
      // Node's own kind of buffer, since no other was asked for.
      const bytes = data as Buffer;
      events.message(isBinary ? new Uint8Array(bytes) : bytes.toString('utf8'));
    });
    socket.on('unexpected-response', (_request, { statusCode = 0 }) =>
      fail(`answered ${statusCode}`, {
        retryable: canHelp({ message: '' }, statusCode),
        details: { status: statusCode },
      }),
    );
    socket.on('error', (error) => {
      const code = 'code' in error ? String(error.code) : '';
      fail(`failed: ${messageOf(error)}`, code.startsWith('WS_ERR_') ? { retryable: false } : {});
    });
    socket.on('close', (code) => fail(`was closed by the other side (${code})`));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
