/** Requests through the door, and how they fail. */
import { expect } from 'vitest';
import { HttpDoor, type HttpOptions } from '../../../connectors/http/door.ts';
import { StreamError } from '../../../lib/core/errors.ts';

export const codes = {
  refused: 'MODEL_REQUEST',
  unavailable: 'MODEL_UNAVAILABLE',
  response: 'MODEL_RESPONSE',
} as const;
export const never: AbortSignal = new AbortController().signal;

export const post = (
  baseUrl: string,
  options: Partial<HttpOptions> = {},
  signal: AbortSignal = never,
): Promise<string> =>
  new HttpDoor({ baseUrl, ...options }, codes).post({
    path: '/ask',
    body: '{}',
    headers: { 'x-own': 'ours' },
    place: 'it',
    signal,
  });

export const failure = async (answer: Promise<unknown>): Promise<StreamError> => {
  const error: unknown = await answer.then(
    (value) => value,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StreamError);
  expect((error as StreamError).cause).toBeUndefined();
  return error as StreamError;
};
