/** Reads a model's answer as JSON that fits a schema. The schema is kept as JSON Schema, so a request read back after a crash is checked alike. */
import * as z from 'zod';
import { StreamError } from '../core/errors.ts';
import type { ChatMessage } from '../core/model.ts';
import type { JsonSchema } from './event.ts';

/** Schemas compiled so far, by their JSON; past the bound the oldest is forgotten. */
const compiled = new Map<string, z.ZodType>();
const compiledMax = 200;

/**
 * The message with its object in `extra_args.structured_output` and the bare JSON as content. Throws `MODEL_RESPONSE` when the content is
 * not JSON or does not fit.
 */
export const parseStructured = (message: ChatMessage, schema: JsonSchema): ChatMessage => {
  const content = withoutFence(message.content);
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (cause) {
    throw new StreamError('MODEL_RESPONSE', `the model answered something that is not JSON: ${excerpt(content)}`, {
      cause,
      details: { content: excerpt(content) },
    });
  }
  const checked = schemaOf(schema).safeParse(value);
  if (!checked.success) {
    const message = `the model's answer does not fit the output schema: ${z.prettifyError(checked.error)}`;
    throw new StreamError('MODEL_RESPONSE', message, { details: { content: excerpt(content) } });
  }
  return { ...message, content, extra_args: { ...message.extra_args, structured_output: checked.data } };
};

/** Without the code fence that models like to put around JSON. */
export const withoutFence = (content: string): string => {
  const text = content.trim();
  if (!text.startsWith('```')) return text;
  return text
    .replace(/^```[A-Za-z]*\s*/, '')
    .replace(/\s*```$/, '')
    .trim();
};

const schemaOf = (schema: JsonSchema): z.ZodType => {
  const id = JSON.stringify(schema);
  const known = compiled.get(id);
  if (known !== undefined) return known;
  let made: z.ZodType;
  try {
    made = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
  } catch (cause) {
    throw new StreamError('AGENT_INVALID', 'the output schema is not a JSON Schema that can be checked', {
      cause,
      details: { schema: excerpt(id) },
    });
  }
  if (compiled.size >= compiledMax) compiled.delete(compiled.keys().next().value ?? '');
  compiled.set(id, made);
  return made;
};

const excerpt = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}...` : text);
