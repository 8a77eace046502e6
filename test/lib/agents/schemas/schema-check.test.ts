import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { outputSchemaOf, type JsonSchema } from '../../../../lib/agents/schemas/json-schema.ts';
import { checkOf } from '../../../../lib/agents/schemas/schema-check.ts';
import { sendable } from '../../../../lib/agents/schemas/sent-schema.ts';

/** CPU milliseconds of a check. */
const cost = (check: () => unknown): number => {
  const start = process.cpuUsage();
  check();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
};

describe('the time of a check grows with the size of the value and not with its depth', () => {
  const text = { t: z.literal('text') };
  const Union: z.ZodType = z.union([
    z.object({
      ...text,
      get n() {
        return Union.optional();
      },
    }),
    z.object({
      t: z.literal('list'),
      get n() {
        return Union.optional();
      },
    }),
  ]);
  const Both: z.ZodType = z.intersection(
    z.looseObject({
      get n() {
        return Both.optional();
      },
    }),
    z.looseObject({
      get n() {
        return Both.optional();
      },
    }),
  );
  const form = (t: string): JsonSchema => ({
    type: 'object',
    properties: { n: { $ref: '#' }, t: { const: t } },
    additionalProperties: t === 'list',
  });
  const schemas: readonly (readonly [string, z.ZodType | JsonSchema])[] = [
    ['a zod union', Union],
    ['an intersection', Both],
    ['a union of unions', z.object({ n: z.union([Union, z.union([Union, z.string()])]) })],
    ['anyOf', { anyOf: [form('text'), form('list')] }],
    [
      'oneOf of definitions',
      { $defs: { A: form('text'), B: form('list') }, oneOf: [{ $ref: '#/$defs/A' }, { $ref: '#/$defs/B' }] },
    ],
    ['allOf', { allOf: [{ properties: { n: { $ref: '#' } } }, { properties: { n: { $ref: '#' } } }] }],
    ['anyOf of draft-07', { $schema: 'http://json-schema.org/draft-07/schema#', anyOf: [form('text'), form('list')] }],
  ];
  it.each(schemas)('%s', async (_what, schema) => {
    const check = await checkOf(schema);
    for (const end of [{ t: 'list', extra: 1 }, { t: 7 }]) {
      let value: unknown = end;
      for (let depth = 0; depth < 60; depth += 1) value = { t: 'list', extra: 1, n: value };
      expect(cost(() => check(value))).toBeLessThan(2000); // By the depth it would take longer than anybody lives.
    }
  });
});

describe('what is sent is never stronger than what is checked', () => {
  const leaf = fc.oneof(
    fc
      .record(
        { type: fc.constant('string'), pattern: fc.constantFrom('^a', '^(?=a)', '\\bb', '^\\p{L}$', 'b$', '(') },
        { requiredKeys: [] },
      )
      .filter(({ pattern }) => pattern !== '('),
    fc.record({ format: fc.constantFrom('email', 'uri', 'hostname', 'date', 'time') }),
    fc.record({ type: fc.constantFrom('number', 'string', 'object', 'null') }),
    fc.constant({}),
  );
  const { schema } = fc.letrec<{ schema: JsonSchema }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small' },
      leaf,
      ...(['not', 'items', 'contains', 'additionalProperties'] as const).map((name) =>
        fc.record({ [name]: tie('schema') }),
      ),
      ...(['oneOf', 'anyOf', 'allOf'] as const).map((name) =>
        fc.record({ [name]: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      ),
      fc.record({ if: tie('schema'), then: tie('schema'), else: tie('schema') }),
      fc.record({ properties: fc.record({ a: tie('schema') }), additionalProperties: tie('schema') }),
      fc.record({
        patternProperties: fc.record({ '^(?=a)': tie('schema') }),
        additionalProperties: fc.constant(false),
      }),
    ),
  }));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('a', 'ab', 'b', '', 'x@y.zz', 1, null),
      fc.array(tie('value'), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom('a', 'b'), tie('value')),
    ),
  }));

  it('whatever keyword a part stands under', async () => {
    await fc.assert(
      fc.asyncProperty(schema, fc.array(value, { minLength: 8, maxLength: 8 }), async (whole, values) => {
        const [checks, sends] = [await checkOf(whole), await checkOf(sendable(whole))];
        for (const each of values) if (checks(each).ok) expect(sends(each).ok).toBe(true);
      }),
      { numRuns: 80 }, // To compile a schema takes some time.
    );
  });

  it.each([
    ['a flag', z.string().regex(/^a$/i), 'A'],
    ['text that is changed first', z.string().toLowerCase().regex(/^a$/), 'A'],
    ['a time without an offset', z.iso.time(), '10:00:00'],
    ['a local date', z.iso.datetime({ local: true }), '2020-01-01T00:00:00'],
    ['lookarounds', z.string().regex(/^(?!b)/), 'a'],
  ])('%s', async (_what, of, good) => {
    expect((await checkOf(of))(good).ok).toBe(true);
    const { $comment: _note, ...sent } = outputSchemaOf(of);
    expect((await checkOf(sent))(good).ok).toBe(true);
    expect(JSON.stringify(sent)).not.toMatch(/\(\?[=!<]/);
  });
});

describe('a JSON Schema that is none', () => {
  it.each([[{ type: 'strin' }], [{ $ref: '#/$defs/Nothing' }], [{ properties: 7 }]])(
    '%j is refused',
    async (schema) => {
      await expect(checkOf(schema)).rejects.toThrow(TypeError);
    },
  );
});
