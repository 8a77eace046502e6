/**
 * Reads a model's answer as what fits a schema. Of all that may be the answer the last that fits wins, so a draft is
 * not taken for it; when nothing fits, what is told is why the last that is JSON does not.
 */
import { StreamError } from '../../core/errors.ts';
import type { ChatMessage } from '../../core/model.ts';
import { candidates, nestingMax, nestingOf } from './answer-text.ts';
import type { Check } from './schema-check.ts';

export type ReadAnswer =
  | { readonly ok: true; readonly message: ChatMessage }
  /** Words for the model. */
  | { readonly ok: false; readonly reason: string; readonly content: string };

/** The message with its value in `extra_args.structured_output` and the bare JSON as content, or why there is none. */
export const readAnswer = (message: ChatMessage, check: Check): ReadAnswer => {
  let refused: { readonly reason: string; readonly content: string } | undefined;
  for (const content of candidates(message.content)) {
    const json = parsed(content);
    if (json === undefined) continue;
    const checked = check(json.value);
    if (checked.ok)
      return {
        ok: true,
        message: { ...message, content, extra_args: { ...message.extra_args, structured_output: checked.value } },
      };
    refused ??= { reason: checked.reason, content };
  }
  const content = message.content.trim();
  return {
    ok: false,
    ...(refused ?? { reason: content === '' ? 'the answer is empty' : 'the answer is not JSON', content }),
  };
};

/**
 * The refusal of an answer that does not fit, for people. Trying again asks the model; the same answer will not fit
 * better.
 */
export const unfitAnswer = (
  model: string,
  { reason, content }: { readonly reason: string; readonly content: string },
): StreamError =>
  new StreamError('MODEL_RESPONSE', `the answer of model '${model}' does not fit the output schema: ${reason}`, {
    retryable: false,
    hint: "the answer is journaled: with `errorHandling: 'retry'` the model is asked again, told what was wrong, at most `maxRetries` times; raise that, or change what is asked",
    details: { model, reason, content: excerpt(content) },
  });

/** Undefined when a text is no JSON, or is nested too deep to be read. */
const parsed = (text: string): { readonly value: unknown } | undefined => {
  if (nestingOf(text) > nestingMax) return undefined;
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
};

const excerpt = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}...` : text);
