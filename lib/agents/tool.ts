/** Tools: functions that a model may ask for. Arguments are checked against the schema before the function sees them. */
import * as z from 'zod';
import type { ToolMetadata } from '../core/model.ts';
import type { CallContext } from '../core/operator.ts';
import { refusal } from '../core/options.ts';
import { jsonSchemaOf, type JsonSchema } from './event.ts';

export interface ToolOptions<P extends z.ZodType | JsonSchema = z.ZodType | JsonSchema> {
  /** Tells the model what the tool does. */
  readonly description: string;
  /** Arguments, one object: a zod schema or a JSON Schema. */
  readonly parameters: P;
}

export type ToolArguments<P> = P extends z.ZodType ? z.output<P> : Readonly<Record<string, unknown>>;

export interface ToolDefinition<P extends z.ZodType | JsonSchema = z.ZodType | JsonSchema> extends ToolOptions<P> {
  /** Runs once per journaled call. `call` brings the signal and an idempotency key that is stable across crashes. */
  execute(args: ToolArguments<P>, call: CallContext): unknown;
}

/** A tool as the built-in tool action uses it. */
export class FunctionTool {
  readonly metadata: ToolMetadata;
  readonly #schema: z.ZodType;
  readonly #execute: (args: never, call: CallContext) => unknown;

  constructor(name: string, definition: ToolDefinition) {
    const { description, parameters, execute } = definition;
    if (typeof description !== 'string' || description === '') throw refusal('description', 'a non-empty string', description);
    if (typeof execute !== 'function') throw refusal('execute', 'a function', execute);
    this.metadata = { name, description, inputSchema: jsonSchemaOf(parameters) };
    this.#schema =
      '_zod' in parameters ? (parameters as z.ZodType) : z.fromJSONSchema(parameters as Parameters<typeof z.fromJSONSchema>[0]);
    this.#execute = execute.bind(definition);
  }

  /** Throws what the function throws, or a `TypeError` when the arguments do not fit. */
  async call(args: unknown, call: CallContext): Promise<unknown> {
    const checked = this.#schema.safeParse(args);
    if (!checked.success) throw new TypeError(`Arguments of tool \`${this.metadata.name}\` do not fit: ${z.prettifyError(checked.error)}`);
    return await this.#execute(checked.data as never, call); // the schema is the one that the function was typed with
  }
}
