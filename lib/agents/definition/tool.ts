/**
 * Tools: functions that a model may ask for. Arguments are checked against the schema before the function sees them.
 */
import * as z from 'zod';
import type { ToolMetadata } from '../../core/model.ts';
import type { CallContext, RetryOptions } from '../../core/call.ts';
import { durationMs, knownOptions, refusal, type Duration, type OptionNames } from '../../core/options.ts';
import { isPlainObject } from '../../core/plain-object.ts';
import { checkRetry } from '../../core/retry-options.ts';
import { messageOf } from '../../core/errors.ts';
import { jsonSchemaOf, sentSchema, type JsonSchema } from '../schemas/json-schema.ts';
import { checkOf, reasonOf, type Check, type Checked } from '../schemas/schema-check.ts';

export interface ToolOptions<P extends z.ZodType | JsonSchema = z.ZodType | JsonSchema> {
  /** Tells the model what the tool does. */
  readonly description: string;
  /** Arguments, one object: a zod schema or a JSON Schema. */
  readonly parameters: P;
  /** Limit of one attempt. A tool that takes longer has failed, and the model is told so. @defaultValue none */
  readonly timeout?: Duration | undefined;
  /**
   * Attempts before the model is told that the tool failed. Arguments that do not fit are not tried again.
   * @defaultValue one attempt
   */
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
  if (typeof description !== 'string' || description === '')
    throw refusal('description', 'a non-empty string', description);
  if (timeout !== undefined) durationMs('timeout', timeout, { min: 1 });
  if (retry !== undefined) checkRetry('retry', retry);
};

/** A tool as the built-in tool action uses it. */
export class FunctionTool {
  readonly metadata: ToolMetadata;
  /** Limit of one attempt, in milliseconds. */
  readonly timeoutMs: number | undefined;
  readonly retry: RetryOptions | undefined;
  readonly #parameters: z.ZodType | JsonSchema;
  #check: Promise<Check> | undefined;
  readonly #execute: (args: never, call: CallContext) => unknown;

  /** Throws a `TypeError` that names the option and, of a schema that a model can not be told, the field. */
  constructor(name: string, definition: ToolDefinition) {
    if (typeof definition !== 'object' || definition === null)
      throw refusal('tool', 'an object with `description`, `parameters` and `execute`', definition);
    // An instance of a class of tools may have what it likes beside.
    if (isPlainObject(definition)) knownOptions('tool', definition, { ...optionNames, execute: true });
    checkValues(definition);
    const { description, parameters, execute, timeout, retry } = definition;
    if (typeof execute !== 'function') throw refusal('execute', 'a function', execute);
    this.metadata = { name, description, inputSchema: toldParameters(parameters) };
    this.timeoutMs = timeout === undefined ? undefined : durationMs('timeout', timeout, { min: 1 });
    this.retry = retry;
    this.#parameters = parameters;
    this.#execute = execute.bind(definition);
  }

  /** Makes ready what checks the arguments. Rejects with a `TypeError` when the schema can not be checked. */
  async prepare(): Promise<void> {
    await this.#checkOfArguments();
  }

  /** Throws what the function throws, or a `TypeError` that says why the arguments do not fit. */
  async call(args: unknown, call: CallContext): Promise<unknown> {
    const checked = await this.#checked(args);
    if (!checked.ok) {
      const error = new TypeError(`Arguments of tool \`${this.metadata.name}\` do not fit: ${checked.reason}`);
      throw Object.assign(error, { retryable: false }); // They will not fit better the next time.
    }
    return await this.#execute(checked.value as never, call); // the schema is the one that the function was typed with
  }

  async #checked(args: unknown): Promise<Checked> {
    const check = await this.#checkOfArguments();
    try {
      return check(args);
    } catch (error) {
      if (!(error instanceof z.core.$ZodAsyncError)) throw error;
      // A tool waits anyway, and what it gives is journaled as a whole: its arguments may be checked asynchronously.
      const checked = await (this.#parameters as z.ZodType).safeParseAsync(args); // only zod throws that
      return checked.success
        ? { ok: true, value: checked.data }
        : { ok: false, reason: reasonOf(checked.error.issues) };
    }
  }

  #checkOfArguments(): Promise<Check> {
    return (this.#check ??= checkOf(this.#parameters).catch((cause: unknown) => {
      throw new TypeError(`Expected \`parameters\` to be a schema, but ${messageOf(cause)}`, { cause });
    }));
  }
}

/** The parameters as a model is told them: one object. */
const toldParameters = (parameters: z.ZodType | JsonSchema): JsonSchema => {
  const told = sentSchema(jsonSchemaOf(parameters, 'parameters'));
  if (told['type'] !== undefined && told['type'] !== 'object')
    throw refusal('parameters', 'the schema of one object', told);
  return told;
};
