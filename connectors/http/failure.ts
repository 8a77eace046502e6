/**
 * What a server says went wrong, read from an error in any of the shapes that are sent, and whether to ask again can
 * help. The same for an error with a status and for one that stands in the body of a 200.
 */

export interface Failure {
  /** One line; `nothing` when the server says nothing. Not yet without secrets. */
  readonly message: string;
  /** The server's own word or number for it. */
  readonly code?: string | number | undefined;
  /** The server's own kind. */
  readonly type?: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a body of a failed answer says. It may be JSON of several shapes, a page, or nothing. */
export const failureIn = (text: string): Failure => {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { message: line(text) }; // No JSON: the text itself is the message.
  }
  return failureOf(body);
};

/**
 * What a parsed error says: `{ error: { message } }`, `{ error: 'text' }`, `{ detail }`, `[{ error }]`, `{ object:
 * 'error', message }`.
 */
export const failureOf = (body: unknown): Failure => {
  const first: unknown = Array.isArray(body) ? body[0] : body;
  const inner = isObject(first) ? (first['error'] ?? first['errors'] ?? first['detail'] ?? first) : first;
  const said: unknown = Array.isArray(inner) ? inner[0] : inner;
  if (!isObject(said)) return { message: line(said ?? '') };
  const around = isObject(first) ? first : {};
  const code = said['code'] ?? said['status'] ?? around['code'];
  const type = said['type'] ?? said['status'] ?? around['type'];
  // A gateway's own message may say no more than that the server behind it failed.
  const behind = isObject(said['metadata']) ? said['metadata']['raw'] : undefined;
  const message = line(said['message'] ?? said['msg'] ?? said['detail'] ?? said);
  return {
    message: typeof behind === 'string' ? `${message}: ${behind}` : message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof type === 'string' ? { type } : {}),
  };
};

/** The error that stands in the body of a good status, or undefined. */
export const failureIn200 = (body: unknown): Failure | undefined => {
  const first: unknown = Array.isArray(body) ? body[0] : body;
  if (!isObject(first)) return undefined;
  const error = first['error'];
  const isError =
    (error !== undefined && error !== null && error !== false && error !== '') || first['object'] === 'error';
  return isError ? failureOf(first) : undefined;
};

const line = (said: unknown): string => {
  const text = typeof said === 'string' ? said : (JSON.stringify(said) ?? '');
  return text.trim() === '' ? 'nothing' : text.trim();
};

/** Refusals that may be granted later: a timeout of the server, a conflict, too early, a rate limit. */
const laterStatus: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** What no waiting mends, though it is sent with the status of a rate limit. */
const noMoney = /insufficient_quota|billing/i;

/** What no waiting mends, in the words of servers that send no status with it. */
const refused = /invalid|authentication|permission|unsupported|not_found|context_length/i;

/** Whether to send the same again can help. Where a failure has no status of its own, its code may be one. */
export const canHelp = ({ code, type = '' }: Failure, ownStatus?: number): boolean => {
  const status = ownStatus ?? (/^[1-5]\d\d$/.test(String(code)) ? Number(code) : undefined);
  const words = `${code} ${type}`;
  if (status === undefined) return !noMoney.test(words) && !refused.test(words);
  return status >= 500 || (laterStatus.has(status) && !noMoney.test(words));
};
