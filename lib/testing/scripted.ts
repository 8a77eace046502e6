/**
 * Outsides that follow a script: a source whose records, crash and end are written down, and a chat model whose answers
 * are. A crash test then reads as a story: `scriptedSource([0, 1, ABORT, 2])`.
 */
import { sleep, systemClock, type Clock } from '../core/clock.ts';
import type { Source, SourceBatch } from '../core/connector.ts';
import { StreamError } from '../core/errors.ts';
import type { ChatMessage, ChatModelConnection, ChatOptions, ChatRequest } from '../core/model.ts';
import { durationMs, integer, knownOptions, type Duration } from '../core/options.ts';

/**
 * Marks a crash in a script: the reader that comes to it fails, once. The job dies there, and a restart goes on behind
 * it.
 *
 * @example
 * const env = StreamExecutionEnvironment.create({ restart: noRestart() });
 * const numbers = env.fromSource(scriptedSource([1, ABORT, 2]));
 * await numbers.executeAndCollect().catch(({ code }: StreamError) => console.log(code)); // prints SOURCE_FAILED
 */
export const ABORT: unique symbol = Symbol('ABORT');

/**
 * Marks the end of the input in a script, once, for the reader that comes to it: who is opened later finds what stands
 * behind it.
 *
 * @example
 * const source = scriptedSource([1, EOF, 2]);
 * console.log(await env.fromSource(source).executeAndCollect()); // prints [ 1 ]
 */
export const EOF: unique symbol = Symbol('EOF');

export interface ScriptedSourceOptions {
  /** @defaultValue 'scripted' */
  readonly name?: string | undefined;
  /** @defaultValue true */
  readonly replayable?: boolean | undefined;
  /** Records of one batch at most. @defaultValue 1 */
  readonly batchSize?: number | undefined;
  /**
   * What happens at an `ABORT`: kill the process that hosts the job, say. @defaultValue the read rejects with a
   * retryable error
   */
  readonly onAbort?: (() => unknown) | undefined;
}

/**
 * A source of one split that follows a script. The marks are spent for all readers of this source, so keep the source
 * over restarts.
 *
 * @example
 * const env = StreamExecutionEnvironment.create({ restart: fixedDelay({ attempts: 1, delay: 0 }), logger: 'fatal' });
 * const source = scriptedSource([0, 1, ABORT, 2]); // reads 0 and 1, fails, starts again and ends behind 2
 * console.log(await env.fromSource(source).executeAndCollect()); // prints [ 0, 1, 2 ]
 */
export const scriptedSource = <T>(
  script: readonly (T | typeof ABORT | typeof EOF)[],
  options: ScriptedSourceOptions = {},
): Source<T, number> => {
  knownOptions('scriptedSource', options, { name: true, replayable: true, batchSize: true, onAbort: true });
  const { name = 'scripted', replayable = true, batchSize = 1, onAbort } = options;
  integer('batchSize', batchSize, { min: 1 });
  const spent = new Set<number>();
  const batchFrom = (from: number): { readonly values: T[]; readonly positions: number[] } => {
    const values: T[] = [];
    const positions = [from];
    for (let at = from; at < script.length && values.length < batchSize; at += 1) {
      const item = script[at] as T | typeof ABORT | typeof EOF; // inside the bounds
      if (item === ABORT || item === EOF) {
        if (spent.has(at)) continue;
        break;
      }
      values.push(item);
      positions.push(at + 1);
    }
    return { values, positions };
  };
  return {
    name,
    replayable,
    splits: async () => [name],
    async open(_split, position, signal) {
      signal.throwIfAborted();
      let next = position ?? 0;
      return {
        async read(readSignal): Promise<SourceBatch<T, number> | undefined> {
          readSignal.throwIfAborted();
          const { values, positions } = batchFrom(next);
          if (values.length > 0) {
            next = positions.at(-1) as number; // never empty
            return { values, position: (count) => positions[count] as number };
          }
          const mark = script.findIndex((item, at) => at >= next && !spent.has(at) && (item === ABORT || item === EOF));
          if (mark < 0) return undefined;
          spent.add(mark);
          if (script[mark] === EOF) return undefined;
          await onAbort?.();
          throw new StreamError('SOURCE_FAILED', `the script of source "${name}" aborts at ${mark}`, {
            retryable: true,
          });
        },
        async close() {},
      };
    },
  };
};

/** An answer, an error, or either after a while. */
export type ScriptedAnswer =
  string | ChatMessage | Error | { readonly after: Duration; readonly answer: string | ChatMessage | Error };

export interface ScriptedChatModelOptions {
  /** Brings the delays. @defaultValue the system's clock */
  readonly clock?: Clock | undefined;
}

/** What the model was asked. */
export interface ScriptedRequest extends ChatRequest {
  readonly callId: string;
  readonly key: unknown;
  readonly idempotencyKey: string;
}

export interface ScriptedChatModel extends ChatModelConnection {
  /** All requests so far, in the order in which they came. */
  readonly requests: readonly ScriptedRequest[];
  /** Throws when answers are left, or when more was asked than is written. */
  assertComplete(): void;
}

/**
 * A chat model that gives the answers of a list, in the order of the requests. Asked for more it fails for good.
 *
 * @example
 * const overloaded = new StreamError('MODEL_UNAVAILABLE', 'overloaded');
 * const model = scriptedChatModel(['4', overloaded, { after: '10ms', answer: '5' }]);
 * const scorer = agent<string, string>('scorer')
 *   .prompt('ask', 'Score this review from 1 to 5: {text}')
 *   .chatModel('model', { connection: 'default', prompt: 'ask' })
 *   .onError('retry', { retryWaitInterval: '1ms' })
 *   .on(InputEvent, ({ input: text }, ctx) => {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text } }));
 *   })
 *   .on(ChatResponseEvent, ({ response }, ctx) => ctx.output(response.content));
 * env.addResource('chat_model_connection', 'default', model);
 * const scores = env.fromCollection(['Works well.', 'Perfect.']).keyBy(() => 'all').applyAgent(scorer);
 * console.log(await scores.executeAndCollect()); // prints [ '4', '5' ]
 * model.assertComplete();
 */
export const scriptedChatModel = (
  script: readonly ScriptedAnswer[],
  options: ScriptedChatModelOptions = {},
): ScriptedChatModel => {
  knownOptions('scriptedChatModel', options, { clock: true });
  const { clock = systemClock } = options;
  const requests: ScriptedRequest[] = [];
  return {
    requests,
    async chat(request: ChatRequest, { signal, callId, key, idempotencyKey }: ChatOptions): Promise<ChatMessage> {
      signal.throwIfAborted();
      const next = script[requests.length];
      requests.push({ ...request, callId, key, idempotencyKey });
      if (next === undefined) {
        throw new StreamError(
          'MODEL_REQUEST',
          `the script has ${script.length} answers, this is request ${requests.length}`,
          { hint: 'write down an answer for each request, in the order in which they come' },
        );
      }
      const delayed = typeof next === 'object' && 'after' in next ? next : { after: 0, answer: next };
      const delayMs = durationMs('after', delayed.after);
      if (delayMs > 0) await sleep(clock, delayMs, signal);
      const { answer } = delayed;
      if (answer instanceof Error) throw answer;
      return typeof answer === 'string' ? { role: 'assistant', content: answer } : answer;
    },
    assertComplete() {
      if (requests.length === script.length) return;
      throw new Error(`Expected ${script.length} requests, got ${requests.length}`);
    },
  };
};
