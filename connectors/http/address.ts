/**
 * Checks where requests go and what goes with them, when a connector is made: what `fetch` would refuse at each request
 * is refused once, by a message that quotes nothing that may be a secret.
 */

/** Reads `baseUrl`. Throws a `TypeError` when it is no http or https address, or holds what must not stand there. */
export const addressOf = (baseUrl: string): URL => {
  const isWeb = typeof baseUrl === 'string' && /^\s*https?:\/\/[^/?#]/i.test(baseUrl) && URL.canParse(baseUrl);
  if (!isWeb) throw new TypeError('Expected `baseUrl` to be an http or https URL like `http://localhost:11434/v1`');
  const url = new URL(baseUrl);
  // An empty name with its `@` is none that the parsed address would show.
  if (url.username !== '' || url.password !== '' || /^\s*https?:[/\\]*[^/\\?#]*@/i.test(baseUrl)) {
    throw new TypeError(
      'Expected `baseUrl` to be without a user name and password: give `apiKey`, or `headers` with `authorization`',
    );
  }
  if (baseUrl.includes('#')) throw new TypeError('Expected `baseUrl` to be without a fragment (`#`)');
  return url;
};

/** Headers that belong to the transport. */
const transport = /^(connection|content-length|expect|keep-alive|te|trailer|transfer-encoding|upgrade)$/;
const token = /^[\w!#$%&'*+.^`|~-]+$/;

/** The headers by their names in lower case, so that a header of the user replaces one of ours however it is spelt. */
export const headersOf = (
  own: Readonly<Record<string, string>>,
  apiKey: string | undefined,
): Readonly<Record<string, string>> => {
  if (apiKey !== undefined && (typeof apiKey !== 'string' || !/^[\x21-\x7e]+$/.test(apiKey))) {
    throw new TypeError('Expected `apiKey` to be a text that a header can hold, not empty and without white space');
  }
  if (typeof own !== 'object' || own === null) throw new TypeError('Expected `headers` to be an object of texts');
  const headers = new Map(apiKey === undefined ? [] : [['authorization', `Bearer ${apiKey}`]]);
  const named = new Set<string>();
  for (const [name, value] of Object.entries(own)) {
    const lower = name.toLowerCase();
    if (!token.test(name)) throw new TypeError('Expected the names in `headers` to be such as a header can have');
    if (transport.test(lower))
      throw new TypeError(`Expected \`headers\` to be without \`${name}\`, which belongs to the transport`);
    if (named.has(lower)) throw new TypeError(`Expected \`headers\` to name \`${lower}\` once`);
    if (typeof value !== 'string' || /[^\t\x20-\x7e]/.test(value)) {
      throw new TypeError(`Expected \`${name}\` to be a text that a header can hold`);
    }
    named.add(lower);
    headers.set(lower, value);
  }
  return Object.fromEntries(headers);
};

/** Whether an answer sends one elsewhere, or comes from elsewhere because somebody's `fetch` went there. */
export const isRedirect = ({ status, headers, type, redirected }: Response): boolean =>
  redirected || type === 'opaqueredirect' || (status >= 300 && status < 400 && headers.has('location'));

/** Where a redirect leads, without what may be a secret. */
export const originOf = (location: string | null, base: URL): string =>
  location !== null && URL.canParse(location, base.href) ? new URL(location, base).origin : 'another address';
