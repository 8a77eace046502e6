/**
 * Reads a model's answer as JSON that fits a schema. The schema is kept as JSON Schema, so a request read back after a crash is checked
 * alike. Keys that a zod schema does not have are dropped, so that a model can not write to fields that nobody asked it for.
 */
import * as z from 'zod';
import { StreamError } from '../core/errors.ts';
import type { ChatMessage } from '../core/model.ts';
import { dropsUnknown, type JsonSchema } from './json-schema.ts';

/** Schemas compiled so far, by their JSON; past the bound the oldest is forgotten. */
const compiled = new Map<string, z.ZodType>();
const compiledMax = 200;

/**
 * The message with its object in `extra_args.structured_output` and the bare JSON as content. Throws `MODEL_RESPONSE` when the content is
 * not JSON or does not fit.
 */
export const parseStructured = (message: ChatMessage, schema: JsonSchema): ChatMessage => {
  const { content, value } = jsonIn(message.content);
  const checked = fitted(value, schema);
  if (!checked.success) {
    const reason = `the model's answer does not fit the output schema: ${z.prettifyError(checked.error)}`;
    throw new StreamError('MODEL_RESPONSE', reason, { details: { content: excerpt(content) } });
  }
  return { ...message, content, extra_args: { ...message.extra_args, structured_output: checked.data } };
};

interface JsonText {
  readonly content: string;
  readonly value: unknown;
}

/** The JSON of an answer: the whole of it, or else what its first code fence holds. Models like to say something around it. */
const jsonIn = (answer: string): JsonText => {
  const text = answer.trim();
  let cause: unknown;
  for (const content of candidates(text)) {
    try {
      return { content, value: JSON.parse(content) as unknown };
    } catch (error) {
      cause ??= error;
    }
  }
  throw new StreamError('MODEL_RESPONSE', `the model answered something that is not JSON: ${excerpt(text)}`, {
    cause,
    details: { content: excerpt(text) },
  });
};

/** Ends of a fence that are tried; more than one because the JSON may hold a fence within a string. */
const fenceEndsMax = 20;

function* candidates(text: string): Iterable<string> {
  yield text;
  const open = /```[A-Za-z]*/.exec(text);
  if (open === null) return;
  const start = open.index + open[0].length;
  let end = text.indexOf('```', start);
  for (let tries = 0; end >= 0 && tries < fenceEndsMax; tries += 1) {
    yield text.slice(start, end).trim();
    end = text.indexOf('```', end + 3);
  }
  yield text.slice(start).trim(); // The answer was cut off before the fence ends, and the JSON was not.
}

/** Checks as it is first, so that of two forms the one wins that has all the keys; then without the keys that no form has. */
const fitted = (value: unknown, schema: JsonSchema): z.ZodSafeParseResult<unknown> => {
  const type = schemaOf(schema);
  const exact = type.safeParse(value);
  return exact.success || !dropsUnknown(schema) ? exact : type.safeParse(withoutUnknown(value, schema, schema));
};

/** The value without the keys that the schema does not have. */
const withoutUnknown = (value: unknown, schema: JsonSchema, root: JsonSchema): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  const { $ref, anyOf, oneOf, items, properties, additionalProperties: others } = schema;
  if (typeof $ref === 'string') return withoutUnknown(value, resolved($ref, root), root);
  const forms = (anyOf ?? oneOf) as readonly JsonSchema[] | undefined;
  if (forms !== undefined) {
    const fitting = forms.map((form) => ({ form, value: withoutUnknown(value, form, root) })).find((each) => fits(each.value, each.form, root));
    return fitting === undefined ? value : fitting.value;
  }
  if (Array.isArray(value)) return isSchema(items) ? value.map((item) => withoutUnknown(item, items, root)) : value;
  const kept: [string, unknown][] = [];
  const names = isSchema(properties) ? properties : {};
  for (const [name, member] of Object.entries(value)) {
    const of = Object.hasOwn(names, name) ? names[name] : others;
    if (of !== false) kept.push([name, isSchema(of) ? withoutUnknown(member, of, root) : member]);
  }
  return Object.fromEntries(kept);
};

const fits = (value: unknown, form: JsonSchema, { $defs }: JsonSchema): boolean =>
  schemaOf($defs === undefined ? form : { ...form, $defs }).safeParse(value).success;

const resolved = ($ref: string, root: JsonSchema): JsonSchema => {
  const name = $ref.replace('#/$defs/', '').replaceAll('~1', '/').replaceAll('~0', '~');
  const found = $ref === '#' ? root : (root['$defs'] as Record<string, unknown> | undefined)?.[name];
  return isSchema(found) ? found : {};
};

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null && !Array.isArray(value);

const schemaOf = (schema: JsonSchema): z.ZodType => {
  const id = JSON.stringify(schema);
  const found = compiled.get(id);
  if (found !== undefined) return found;
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
