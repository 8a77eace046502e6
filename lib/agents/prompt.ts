/**
 * Prompts: text, or messages, with placeholders in braces. Formatting is one pass: what is put in is never expanded
 * again, a placeholder that nobody fills stays as it is, null becomes nothing, and there is no way to escape a brace
 * (as in Flink Agents).
 */
import type { ChatMessage, MessageRole } from '../core/model.ts';
import { refusal } from '../core/options.ts';
import { plainText } from '../core/plain-json.ts';

export type PromptArgs = Readonly<Record<string, unknown>>;

/** A prompt as plain data. */
export type PromptJson = { readonly text: string } | { readonly messages: readonly ChatMessage[] };

/** What may be given where a prompt is wanted. */
export type PromptLike = string | readonly ChatMessage[] | Prompt;

const placeholder = /\{([^{}]+)\}/g;

/**
 * @example
 * console.log(Prompt.fromText('Score this: {text}').formatString({ text: 'fine' })); // prints Score this: fine
 */
export class Prompt {
  readonly #content: string | readonly ChatMessage[];

  private constructor(content: string | readonly ChatMessage[]) {
    this.#content = content;
  }

  /** Makes a prompt of a text, not empty. */
  static fromText(text: string): Prompt {
    if (typeof text !== 'string' || text === '') throw refusal('text', 'a non-empty string', text);
    return new Prompt(text);
  }

  /**
   * Makes a prompt of messages, at least one.
   *
   * @example
   * const prompt = Prompt.fromMessages([{ role: 'system', content: 'Be strict with {product}.' }]);
   * console.log(prompt.formatMessages('user', { product: 'mugs' }));
   * // prints [ { role: 'system', content: 'Be strict with mugs.' } ]
   */
  static fromMessages(messages: readonly ChatMessage[]): Prompt {
    if (!Array.isArray(messages) || messages.length === 0)
      throw refusal('messages', 'a non-empty list of messages', messages);
    return new Prompt([...messages]);
  }

  /**
   * Makes a prompt of text or of messages; a prompt is given back as it is.
   *
   * @example
   * console.log(Prompt.from('Hello {name}').formatString({ name: 'ann' })); // prints Hello ann
   */
  static from(content: PromptLike): Prompt {
    if (content instanceof Prompt) return content;
    return typeof content === 'string' ? Prompt.fromText(content) : Prompt.fromMessages(content);
  }

  /** The whole prompt as one text; messages are joined by line ends, each after its role. */
  formatString(args: PromptArgs = {}): string {
    if (typeof this.#content === 'string') return format(this.#content, args);
    return this.#content.map(({ role, content }) => `${role}: ${format(content, args)}`).join('\n');
  }

  /** The messages; text becomes one message of `defaultRole`. */
  formatMessages(defaultRole: MessageRole = 'user', args: PromptArgs = {}): ChatMessage[] {
    if (typeof this.#content === 'string') return [{ role: defaultRole, content: format(this.#content, args) }];
    return this.#content.map((message) => ({ ...message, content: format(message.content, args) }));
  }

  toJSON(): PromptJson {
    return typeof this.#content === 'string' ? { text: this.#content } : { messages: this.#content };
  }
}

/**
 * Text stands for itself, null and undefined for nothing, a bare bigint or number for its digits, anything else for its
 * plain JSON.
 */
export const promptText = (value: unknown): string => {
  if (value === null || value === undefined) return '';
  return typeof value === 'bigint' || typeof value === 'number' ? String(value) : plainText(value);
};

const format = (text: string, args: PromptArgs): string =>
  text.replace(placeholder, (whole, name: string) => (Object.hasOwn(args, name) ? promptText(args[name]) : whole));
