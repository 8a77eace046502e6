/** Nothing that opens a door is told, wherever and however it stands in what a server says. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HttpDoor } from '../../../connectors/http/door.ts';
import { StreamError } from '../../../lib/core/errors.ts';

const codes = { refused: 'MODEL_REQUEST', unavailable: 'MODEL_UNAVAILABLE', response: 'MODEL_RESPONSE' } as const;
const visible = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 12,
  maxLength: 60,
});

/** How a server repeats what it was sent. */
const spelt: readonly ((secret: string) => string)[] = [
  (secret) => secret,
  (secret) => `Bearer ${secret}`,
  encodeURIComponent,
  (secret) => JSON.stringify({ error: { message: `bad key ${secret}` } }),
  (secret) => JSON.stringify({ error: { nested: { header: [secret] } } }),
  (secret) => JSON.stringify([{ error: { code: secret, message: 'x' } }]),
  (secret) =>
    `<p>${secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')}</p>`,
];

const place = fc.constantFrom('apiKey', 'header', 'bearer header', 'basic', 'query');

test('an echo of a secret', async () => {
  await fc.assert(
    fc.asyncProperty(
      visible,
      place,
      fc.constantFrom(...spelt),
      fc.nat(400),
      fc.constantFrom(200, 401, 500),
      async (secret, where, spell, before, status) => {
        const base = `http://localhost/v1${where === 'query' ? `?key=${encodeURIComponent(secret)}&api-version=1` : ''}`;
        const headers: Record<string, string> =
          where === 'header'
            ? { 'x-key': secret }
            : where === 'bearer header'
              ? { 'x-auth': `Token ${secret}` }
              : where === 'basic'
                ? { authorization: `Basic ${Buffer.from(`user:${secret}`).toString('base64')}` }
                : {};
        const text = `${'x'.repeat(before)} ${spell(secret)}`;
        const body = status === 200 ? `\u0000${text}` : text;
        const door = new HttpDoor(
          {
            baseUrl: base,
            headers,
            ...(where === 'apiKey' ? { apiKey: secret } : {}),
            fetch: async () => {
              if (status === 200) throw new TypeError('fetch failed', { cause: new Error(body) });
              return new Response(body, { status });
            },
          },
          codes,
        );
        const error: unknown = await door
          .post({ path: '/x', body: '{}', headers: {}, place: 'it', signal: new AbortController().signal })
          .then(
            () => undefined,
            (reason: unknown) => reason,
          );
        expect(error).toBeInstanceOf(StreamError);
        const { message, details, cause, stack } = error as StreamError;
        const told = JSON.stringify([message, details, stack, String(cause)]);
        expect(cause).toBeUndefined();
        // Half of it is too much as well: a message is cut only after what is secret is out of it.
        expect(told).not.toContain(JSON.stringify(secret.slice(0, 10)).slice(1, -1));
        expect(message.length).toBeLessThan(400);
      },
    ),
    { numRuns: 300, examples: [['!!!;!!!!!;!!!!!!!!!!!!', 'bearer header', (secret: string) => secret, 0, 200]] },
  );
});

test('a door shows nothing of what it holds', async () => {
  const { inspect } = await import('node:util');
  const door = new HttpDoor(
    { baseUrl: 'http://localhost/v1?key=query-secret', apiKey: 'sk-secret', headers: { 'x-a': 'header-secret' } },
    codes,
  );
  expect(inspect(door, { depth: 9, showHidden: true }) + JSON.stringify(door)).not.toMatch(/secret/);
});

test('versions and short values are told', () => {
  const door = new HttpDoor(
    { baseUrl: 'http://localhost/v1?api-version=2024-10-21', apiKey: 'x', headers: { 'x-team': 'blue' } },
    codes,
  );
  expect(door.show('blue extra 2024-10-21')).toBe('blue extra 2024-10-21');
});
