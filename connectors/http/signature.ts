/** Checks that a request was signed by who knows a secret: a code over its body stands in one of its headers. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { knownOptions, oneOf, refusal } from '../../lib/core/options.ts';

export interface HmacOptions {
  /** What both sides know. More than one while it is changed: any of them will do. */
  readonly secret: string | readonly string[];
  /** The header that holds the code: `x-hub-signature-256`. */
  readonly header: string;
  /** @defaultValue 'sha256' */
  readonly algorithm?: 'sha1' | 'sha256' | 'sha512' | undefined;
  /** @defaultValue 'hex' */
  readonly encoding?: 'hex' | 'base64' | undefined;
  /** What stands in front of the code: `sha256=`. @defaultValue nothing */
  readonly prefix?: string | undefined;
}

/** What is signed. */
export interface SignedRequest {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * Whether a header of a request holds the HMAC of its body. How much of a wrong one is right does not show in the time
 * that this takes.
 *
 * @example
 * const verify = hmacSignature({ secret: 'sesame', header: 'x-signature', prefix: 'sha256=' });
 * const body = new TextEncoder().encode('{}');
 * console.log(verify({ headers: { 'x-signature': 'sha256=abcd' }, body })); // prints false
 */
export const hmacSignature = (options: HmacOptions): ((request: SignedRequest) => boolean) => {
  const names = { secret: true, header: true, algorithm: true, encoding: true, prefix: true } as const;
  knownOptions('hmacSignature', options, names);
  const { secret, header, algorithm = 'sha256', encoding = 'hex', prefix = '' } = options;
  oneOf('algorithm', algorithm, ['sha1', 'sha256', 'sha512']);
  oneOf('encoding', encoding, ['hex', 'base64']);
  if (typeof header !== 'string' || header === '') throw refusal('header', 'the name of a header', header);
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (
    !Array.isArray(secrets) ||
    secrets.length === 0 ||
    secrets.some((each) => typeof each !== 'string' || each === '')
  )
    throw new TypeError('Expected `secret` to be a text that is not empty, or a list of them'); // It is not shown.
  const name = header.toLowerCase();
  return ({ headers, body }) => {
    const said = headers[name];
    if (said === undefined || !said.startsWith(prefix)) return false;
    const code = Buffer.from(said.slice(prefix.length), encoding);
    return secrets.some((each) => {
      const right = createHmac(algorithm, each).update(body).digest();
      return code.length === right.length && timingSafeEqual(code, right);
    });
  };
};
