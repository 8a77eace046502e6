import * as z from 'zod';
import { describe, expect, it } from 'vitest';
import { isZod, outputSchemaOf, saysMore, sentSchema, type JsonSchema } from '../../../../lib/agents/schemas/json-schema.ts';
import { checkOf } from '../../../../lib/agents/schemas/schema-check.ts';
import { readAnswer } from '../../../../lib/agents/schemas/structured-output.ts';

const answer = async (schema: z.ZodType | JsonSchema, value: unknown): Promise<unknown> => {
  const read = readAnswer({ role: 'assistant', content: JSON.stringify(value) }, await checkOf(schema));
  return read.ok ? read.message.extra_args?.['structured_output'] : read;
};

/** What is read of an answer, by the schema itself, and by its JSON as after a crash where that says all. */
const read = async (schema: z.ZodType | JsonSchema, value: unknown): Promise<unknown> => {
  const itself = await answer(schema, value);
  const kept = JSON.parse(JSON.stringify(outputSchemaOf(schema))) as JsonSchema;
  if (!saysMore(kept))
    expect(await answer(kept, value)).toEqual(
      isZod(schema) && (itself as { ok?: boolean }).ok === false ? expect.objectContaining({ ok: false }) : itself,
    );
  return itself;
};

const isRefused = async (schema: z.ZodType | JsonSchema, value: unknown): Promise<boolean> =>
  ((await read(schema, value)) as { ok?: boolean }).ok === false;

const Score = z.object({ score: z.int() });
const extra = { score: 3, id: 'HACKED' };

interface Node {
  readonly name: string;
  readonly children: readonly Node[];
}
const Node: z.ZodType<Node> = z.object({
  name: z.string(),
  get children() {
    return z.array(Node);
  },
});

describe('keys that the schema does not have', () => {
  it.each<[string, z.ZodType, unknown, unknown]>([
    ['an object', Score, extra, { score: 3 }],
    ['within', z.object({ of: Score }), { of: extra, more: 1 }, { of: { score: 3 } }],
    ['in a list', z.array(Score), [extra, { score: 1 }], [{ score: 3 }, { score: 1 }]],
    ['in a record', z.record(z.string(), Score), { a: extra }, { a: { score: 3 } }],
    [
      'optional and nullable',
      z.object({ a: Score.optional(), b: Score.nullable() }),
      { a: extra, b: null, c: 1 },
      { a: { score: 3 }, b: null },
    ],
    [
      'an intersection',
      z.intersection(Score, z.object({ why: z.string() })),
      { ...extra, why: 'so' },
      { score: 3, why: 'so' },
    ],
    ['extended', Score.extend({ why: z.string() }), { ...extra, why: 'so' }, { score: 3, why: 'so' }],
    [
      'recursive',
      Node,
      { name: 'a', x: 1, children: [{ name: 'b', children: [], y: 2 }] },
      { name: 'a', children: [{ name: 'b', children: [] }] },
    ],
    [
      'a union, the form that fits',
      z.union([z.object({ a: z.number() }), z.object({ b: z.number() })]),
      { b: 1, x: 1 },
      { b: 1 },
    ],
    [
      'a union, the first form that fits, as zod has it',
      z.union([z.object({ a: z.number() }), z.object({ a: z.number(), b: z.number() })]),
      { a: 1, b: 2 },
      { a: 1 },
    ],
    ['a tuple', z.array(z.tuple([z.string(), Score])), [['a', extra]], [['a', { score: 3 }]]],
    ['a loose record', z.looseRecord(z.string().regex(/^a/), Score), { a: extra }, { a: { score: 3 } }],
    [
      'a discriminated union',
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('x'), n: z.number() }),
        z.object({ kind: z.literal('y') }),
      ]),
      { kind: 'y', n: 7 },
      { kind: 'y' },
    ],
    [
      'defaults stay',
      z.object({ score: z.int(), list: z.array(z.string()).default([]) }),
      extra,
      { score: 3, list: [] },
    ],
    ['a key called like a prototype', Score, JSON.parse('{"score":3,"__proto__":{"id":"HACKED"}}'), { score: 3 }],
    ['with a name', Score.meta({ id: 'Score' }), extra, { score: 3 }],
    ['loose ones are kept', z.looseObject({ score: z.int() }), extra, extra],
    ['a catchall is checked and kept', z.object({ score: z.int() }).catchall(z.string()), extra, extra],
  ])('%s', async (_what, schema, value, expected) => {
    expect(await read(schema, value)).toEqual(expected);
  });

  it('are refused by a strict object, as is what does not fit', async () => {
    expect(await isRefused(z.strictObject({ score: z.int() }), extra)).toBe(true);
    expect(await isRefused(z.object({ of: z.strictObject({ score: z.int() }) }), { of: extra })).toBe(true);
    expect(await isRefused(Score, { ...extra, score: 'three' })).toBe(true);
  });

  it('are up to a JSON Schema itself', async () => {
    const open = { type: 'object', properties: { score: { type: 'number' } } };
    expect(await read(open, extra)).toEqual(extra);
    expect(await isRefused({ ...open, additionalProperties: false }, extra)).toBe(true);
    expect(outputSchemaOf(open)).toBe(open);
  });
});

describe('the schema that is sent', () => {
  it('says that there are no other keys, where the zod schema is not loose', () => {
    const sent = sentSchema(outputSchemaOf(z.object({ a: Score, b: z.looseObject({}), c: z.array(Score) })));
    expect(sent).toMatchObject({
      additionalProperties: false,
      properties: {
        a: { additionalProperties: false },
        b: { additionalProperties: {} },
        c: { items: { additionalProperties: false } },
      },
    });
    expect(JSON.stringify(sent)).not.toContain('$comment');
  });

  it('leaves members of an `allOf` open that would refuse each other', async () => {
    const named = z.object({ a: z.number() }).meta({ id: 'a' });
    const sent = JSON.stringify(
      sentSchema(outputSchemaOf(z.object({ x: z.intersection(named, z.object({ b: z.number() })), y: named }))),
    );
    expect(sent).toContain('allOf');
    expect(
      await read(z.object({ x: z.intersection(named, z.object({ b: z.number() })), y: named }), {
        x: { a: 1, b: 2 },
        y: { a: 1 },
        z: 3,
      }),
    ).toEqual({
      x: { a: 1, b: 2 },
      y: { a: 1 },
    });
  });
});
