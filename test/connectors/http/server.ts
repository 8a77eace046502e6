/** A real local server for tests of what asks by HTTP: each request is answered by a function, and is written down. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

export interface SeenRequest {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface TestServer {
  readonly host: string;
  readonly base: string;
  readonly seen: SeenRequest[];
  /** Connections that are open now. */
  open(): Promise<number>;
}

/** Serves until the test ends. `answer` is called when a request has come whole. */
export const serve = async (answer: (response: ServerResponse, request: SeenRequest) => void): Promise<TestServer> => {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const each = { url: request.url ?? '', headers: request.headers, body: Buffer.concat(parts).toString() };
      seen.push(each);
      answer(response, each);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const host = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : ''}`;
  const open = (): Promise<number> => new Promise((done) => server.getConnections((_error, count) => done(count)));
  return { host, base: `http://${host}/v1`, seen, open };
};

/** Answers at once. */
export const reply =
  (status: number, body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}) =>
  (response: ServerResponse): void => {
    response.writeHead(status, headers);
    response.end(body);
  };
