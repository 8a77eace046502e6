/** Tools: functions that a model may ask for. Arguments are checked against the schema before the function sees them. */
import * as z from 'zod';
import type { ToolMetadata } from '../core/model.ts';
import type { CallContext, RetryOptions } from '../core/operator.ts';
import { durationMs, knownOptions, refusal, type Duration, type OptionNames } from '../core/options.ts';
import { isPlainObject } from '../core/plain-object.ts';
import { checkRetry } from '../core/retry-options.ts';
import { jsonSchemaOf, type JsonSchema } from './json-schema.ts';

export interface ToolOptions<P extends z.ZodType | JsonSchema = z.ZodType | JsonSchema> {
  /** Tells the model what the tool does. */
  readonly description: string;
  /** Arguments, one object: a zod schema or a JSON Schema. */
  readonly parameters: P;
  /** Limit of one attempt. A tool that takes longer has failed, and the model is told so. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /** Attempts before the model is told that the tool failed. Arguments that do not fit are not tried again. @defaultValue one attempt */
  readonly retry?: RetryOptions | undefined;
}

export type ToolArguments<P> = P extends z.ZodType ? z.output<P> : Readonly<Record<string, unknown>>;

export interface ToolDefinition<P extends z.ZodType | JsonSchema = z.ZodType | JsonSchema> extends ToolOptions<P> {
  /** Runs once per journaled call. `call` brings the signal and an idempotency key that is stable across crashes. */
  execute(args: ToolArguments<P>, call: CallContext): unknown;
}

const optionNames = {
  description: true,
  parameters: true,
  timeout: true,
  retry: true,
} as const satisfies OptionNames<ToolOptions>;

/** Throws a `TypeError` that names the option, the rule and the value. */
export const checkToolOptions = (options: ToolOptions): ToolOptions => {
  knownOptions('tool', options, optionNames);
  checkValues(options);
  return options;
};

const checkValues = ({ description, timeout, retry }: ToolOptions): void => {
  if (typeof description !== 'string' || description === '') throw refusal('description', 'a non-empty string', description);
  if (timeout !== undefined) durationMs('timeout', timeout, { min: 1 });
  if (retry !== undefined) checkRetry('retry', retry);
};

/** A tool as the built-in tool action uses it. */
export class FunctionTool {
  readonly metadata: ToolMetadata;
  /** Limit of one attempt, in milliseconds. */
  readonly timeoutMs: number | undefined;
  readonly retry: RetryOptions | undefined;
  readonly #schema: z.ZodType;
  readonly #execute: (args: never, call: CallContext) => unknown;

  constructor(name: string, definition: ToolDefinition) {
    if (typeof definition !== 'object' || definition === null) throw refusal('tool', 'an object with `description`, `parameters` and `execute`', definition);
    // An instance of a class of tools may have what it likes beside.
    if (isPlainObject(definition)) knownOptions('tool', definition, { ...optionNames, execute: true });
    checkValues(definition);
    const { description, parameters, execute, timeout, retry } = definition;
    if (typeof execute !== 'function') throw refusal('execute', 'a function', execute);
    this.metadata = { name, description, inputSchema: jsonSchemaOf(parameters, 'parameters') };
    this.timeoutMs = timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 });
    this.retry = retry;
    this.#schema =
      '_zod' in parameters ? (parameters as z.ZodType) : z.fromJSONSchema(parameters as Parameters<typeof z.fromJSONSchema>[0]);
    this.#execute = execute.bind(definition);
  }

  /** Throws what the function throws, or a `TypeError` when the arguments do not fit. */
  async call(args: unknown, call: CallContext): Promise<unknown> {
    const checked = this.#schema.safeParse(args);
    if (!checked.success) {
      const error = new TypeError(`Arguments of tool \`${this.metadata.name}\` do not fit: ${z.prettifyError(checked.error)}`);
      throw Object.assign(error, { retryable: false }); // They will not fit better the next time.
    }
    return await this.#execute(checked.data as never, call); // the schema is the one that the function was typed with
  }
}
