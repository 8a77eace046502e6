/**
 * Keeps what opens a door out of what is told about it: a server may repeat a key in its message, and messages end in
 * logs, journals and dead letters.
 */

/** Shorter values are no secrets (`blue`, `2`), and to hide them would garble messages. Characters. */
const secretMin = 6;

/** Query parameters that name a version and are told, since messages are about them. */
const versionName = /^(api[-_]?)?version$/i;

export interface SecretPlaces {
  readonly apiKey?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export interface Hider {
  /** The text with `***` in place of each secret. */
  hide(text: string): string;
  /** Length of the longest secret in any of its spellings, in characters. */
  readonly longest: number;
}

/** Hides the key, the values of headers and those of the query, in each way in which a server may spell them. */
export const hider = ({ apiKey, headers, query }: SecretPlaces): Hider => {
  const values = Object.values(headers).flatMap(partsOf);
  const queried = [...query].filter(([name]) => !versionName.test(name)).map(([, value]) => value);
  const secrets = [...values, ...queried].filter(({ length }) => length >= secretMin);
  // What is called a key is one, however short; but one letter is in every word.
  if (apiKey !== undefined && apiKey.length > 2) secrets.push(apiKey);
  const spelt = [...new Set(secrets.flatMap(spellings))].toSorted((a, b) => b.length - a.length);
  return {
    hide: (text) => spelt.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text),
    longest: spelt[0]?.length ?? 0,
  };
};

/**
 * A header's value and what it consists of: `Basic dTpw` holds a user's name and a password, a cookie the values of its
 * pairs.
 */
const partsOf = (value: string): readonly string[] => {
  const whole = value.trim();
  const basic = /^basic\s+(\S+)$/i.exec(whole)?.[1];
  const decoded = basic === undefined ? '' : Buffer.from(basic, 'base64').toString();
  // What follows the name of a scheme (`Token x`) may hold the marks that part the pairs of others.
  const spaced = whole.split(/\s+/);
  const behindScheme = whole.slice((spaced[0] ?? '').length).trim();
  const words = whole.split(/[\s,;]+/);
  const named = words.flatMap((word) => /^[\w.-]+="?([^"]+)"?$/.exec(word)?.[1] ?? []);
  return [whole, behindScheme, ...spaced, ...words, ...named, decoded, decoded.slice(decoded.indexOf(':') + 1)];
};

/** As it is, in a URL, in JSON, and on a page. */
const spellings = (secret: string): readonly string[] => {
  const page = secret
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  return [secret, encodeURIComponent(secret), form, JSON.stringify(secret).slice(1, -1), page];
};
