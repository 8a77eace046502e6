/**
 * The events by which an agent asks a chat model and hears of it: the request, the answer, and that there is none.
 * Attribute names are those of Flink Agents.
 */
import type * as z from 'zod';
import type { ChatMessage } from '../../core/model.ts';
import { refusal } from '../../core/options.ts';
import { noteSchema } from '../schemas/asked-schemas.ts';
import { attributeOf, Event, EventType } from './event.ts';
import { isZod, outputSchemaOf, type JsonSchema } from '../schemas/json-schema.ts';
import { reasonOf } from '../schemas/schema-check.ts';
import { checkZod } from '../schemas/zod-schema.ts';

export interface ChatRequestOptions {
  /** Name of a chat model of the agent or the environment. */
  readonly model: string;
  /** @defaultValue none: the model's prompt speaks alone */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Fill the placeholders of the model's prompt. @defaultValue none: placeholders stay as they are */
  readonly promptArgs?: Readonly<Record<string, unknown>> | undefined;
  /**
   * What the answer must look like: a zod schema, which checks it with its refinements and transforms, or a JSON Schema
   * (draft 2020-12). Keys that a zod schema does not have are dropped from the answer, by `z.strictObject` refused, by
   * `z.looseObject` kept; a JSON Schema says so itself by `additionalProperties`. The event keeps the schema as JSON;
   * declared with the chat model a zod schema is known again after a restart, and `event.output` has its type.
   * @defaultValue the `outputSchema` of the chat model
   */
  readonly outputSchema?: z.ZodType | JsonSchema | undefined;
}

/**
 * Asks a chat model; the built-in chat action answers with a `ChatResponseEvent`. Throws a `TypeError` for a model
 * without a name, or a schema that can not be told to a model.
 *
 * @example
 * import * as z from 'zod';
 * const outputSchema = z.object({ score: z.int() });
 * const request = new ChatRequestEvent({ model: 'model', promptArgs: { text: 'Works well.' }, outputSchema });
 * console.log(request.model, request.promptArgs); // prints model { text: 'Works well.' }
 */
export class ChatRequestEvent extends Event {
  static override readonly type = EventType.ChatRequestEvent;

  constructor(options: ChatRequestOptions) {
    const { model, messages = [], promptArgs = {}, outputSchema } = options;
    if (typeof model !== 'string' || model === '') throw refusal('model', 'the name of a chat model', model);
    const schema = outputSchema === undefined ? {} : { output_schema: outputSchemaOf(outputSchema) };
    super(ChatRequestEvent.type, { model, messages, prompt_args: promptArgs, ...schema });
    if (outputSchema !== undefined && isZod(outputSchema)) noteSchema(this, outputSchema);
  }

  get model(): string {
    return attributeOf(this, 'model');
  }

  get messages(): readonly ChatMessage[] {
    return attributeOf<readonly ChatMessage[] | undefined>(this, 'messages') ?? [];
  }

  get promptArgs(): Readonly<Record<string, unknown>> {
    return attributeOf<Readonly<Record<string, unknown>> | undefined>(this, 'prompt_args') ?? {};
  }

  get outputSchema(): JsonSchema | undefined {
    return attributeOf(this, 'output_schema');
  }
}

export interface ChatResponseOptions {
  /** Id of the `ChatRequestEvent` this answers. */
  readonly requestId: string;
  /** The message of the model; tools that it asked for have been called. */
  readonly response: ChatMessage;
  /** Attempts behind the first one. @defaultValue 0 */
  readonly retryCount?: number | undefined;
  /** Time between the attempts, in seconds. @defaultValue 0 */
  readonly totalRetryWaitSec?: number | undefined;
}

/**
 * The answer of a chat model. `T` is the type that the output schemas of the agent's chat models give; unknown where
 * none declares one.
 *
 * @example
 * import * as z from 'zod';
 * const scorer = agent<string, number>('scorer')
 *   .prompt('ask', 'Score this review from 1 to 5: {text}')
 *   .chatModel('model', { connection: 'default', prompt: 'ask', outputSchema: z.object({ score: z.int() }) })
 *   .on(InputEvent, ({ input: text }, ctx) => {
 *     ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { text } }));
 *   })
 *   .on(ChatResponseEvent, ({ output }, ctx) => ctx.output(output.score));
 * const harness = await AgentHarness.open(scorer, { models: { default: scriptedChatModel(['{"score":4}']) } });
 * console.log((await harness.run('Works well.')).outputs); // prints [ 4 ]
 */
export class ChatResponseEvent<T = unknown> extends Event {
  static override readonly type = EventType.ChatResponseEvent;

  constructor(options: ChatResponseOptions) {
    const { requestId, response, retryCount = 0, totalRetryWaitSec = 0 } = options;
    super(ChatResponseEvent.type, {
      request_id: requestId,
      response,
      retry_count: retryCount,
      total_retry_wait_sec: totalRetryWaitSec,
    });
  }

  get requestId(): string {
    return attributeOf(this, 'request_id');
  }

  get response(): ChatMessage {
    return attributeOf(this, 'response');
  }

  /** The structured output, as the schema gave it. Throws a `TypeError` when there was no output schema. */
  get output(): T {
    const structured = this.response.extra_args?.['structured_output'];
    if (structured === undefined)
      throw new TypeError(
        'Expected a structured output: give the ChatRequestEvent an `outputSchema`, or read `response`',
      );
    return structured as T; // the chat action checked it against the schema
  }

  /**
   * The answer as a schema reads it: for requests that name their schema themselves, which no type can follow. Throws a
   * `TypeError` when it does not fit.
   *
   * @example
   * import * as z from 'zod';
   * const scorer = agent<string, number>('scorer')
   *   .on(ChatResponseEvent, (event, ctx) => ctx.output(event.outputAs(z.object({ score: z.int() })).score));
   */
  outputAs<S extends z.ZodType>(schema: S): z.output<S> {
    const checked = checkZod(schema, jsonOf(this.response.content));
    if (checked.success) return checked.data as z.output<S>; // it is the schema's own answer
    throw new TypeError(`Expected the answer to fit the schema, got: ${reasonOf(checked.error.issues)}`);
  }

  get retryCount(): number {
    return attributeOf<number | undefined>(this, 'retry_count') ?? 0;
  }

  get totalRetryWaitSec(): number {
    return attributeOf<number | undefined>(this, 'total_retry_wait_sec') ?? 0;
  }
}

export interface ChatErrorOptions {
  /** Id of the `ChatRequestEvent` that is not answered. */
  readonly requestId: string;
  /** Name of the chat model that was asked. */
  readonly model: string;
  /** Whether the model could not be asked, or gave what can not be read. */
  readonly problemCategory: ProblemCategory;
  /** The error's code, or the name of its class. */
  readonly errorType: string;
  /** The error's own message. */
  readonly errorMessage: string;
  /** Whether trying again without a change can help. @defaultValue nobody knows */
  readonly retryable?: boolean | undefined;
  /** The HTTP status that the provider answered with. @defaultValue none */
  readonly status?: number | undefined;
  /** The code of what caused the error. @defaultValue none */
  readonly causeCode?: string | undefined;
}

/** In the words of Flink Agents. */
export type ProblemCategory = 'model_call_failed' | 'model_output_parse_error';

/**
 * Says that a chat request gets no answer, since its model failed and `errorHandling` is `'ignore'`. Flink Agents,
 * which has no such event, ends the run in silence there; the attributes have the names that it gives them in its log.
 *
 * @example
 * const messages = [{ role: 'user', content: 'Score this: works well.' }] as const;
 * const scorer = agent<string, string>('scorer')
 *   .chatModel('model', { connection: 'default' })
 *   .onError('ignore')
 *   .on(InputEvent, (_event, ctx) => ctx.sendEvent(new ChatRequestEvent({ model: 'model', messages })))
 *   .on(ChatErrorEvent, ({ errorType, retryable }, ctx) => ctx.output(`${errorType} ${String(retryable)}`));
 * const model = scriptedChatModel([new StreamError('MODEL_REFUSED', 'I do not score reviews')]);
 * const harness = await AgentHarness.open(scorer, { models: { default: model } });
 * console.log((await harness.run('review 7')).outputs); // prints [ 'MODEL_REFUSED false' ]
 */
export class ChatErrorEvent extends Event {
  static override readonly type = '_chat_error_event';

  constructor(options: ChatErrorOptions) {
    const { requestId, model, problemCategory, errorType, errorMessage, retryable, status, causeCode } = options;
    const facts = {
      ...(retryable === undefined ? {} : { retryable }),
      ...(status === undefined ? {} : { status }),
      ...(causeCode === undefined ? {} : { causeCode }),
    };
    super(ChatErrorEvent.type, { request_id: requestId, model, problemCategory, errorType, errorMessage, ...facts });
  }

  get requestId(): string {
    return attributeOf(this, 'request_id');
  }

  get model(): string {
    return attributeOf(this, 'model');
  }

  get problemCategory(): ProblemCategory {
    return attributeOf(this, 'problemCategory');
  }

  get errorType(): string {
    return attributeOf(this, 'errorType');
  }

  get errorMessage(): string {
    return attributeOf(this, 'errorMessage');
  }

  get retryable(): boolean | undefined {
    return attributeOf(this, 'retryable');
  }

  get status(): number | undefined {
    return attributeOf(this, 'status');
  }

  get causeCode(): string | undefined {
    return attributeOf(this, 'causeCode');
  }
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text; // An answer that was no JSON is text.
  }
};
