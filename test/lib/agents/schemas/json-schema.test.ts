/** What is no schema, or says nothing of what its author meant, is refused where it is given, at every door alike. */
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import * as z3 from 'zod/v3';
import { jsonLines } from '../../../../connectors/json-lines/json-lines-source.ts';
import { Agent, agent } from '../../../../lib/agents/definition/agent.ts';
import { ChatRequestEvent } from '../../../../lib/agents/events/chat-events.ts';
import { Action, ChatModel, Tool } from '../../../../lib/agents/definition/decorators.ts';
import { InputEvent } from '../../../../lib/agents/events/event.ts';
import type { JsonSchema } from '../../../../lib/agents/schemas/json-schema.ts';
import { StreamError } from '../../../../lib/core/errors.ts';
import { StreamExecutionEnvironment } from '../../../../lib/environment.ts';

class Doing extends Agent<string, string> {
  @Action(InputEvent)
  begin(): void {}
}

/** Takes a schema in as users do; throws where it is refused. */
const doors: Readonly<Record<string, (schema: JsonSchema) => unknown>> = {
  'a chat model of a builder': (outputSchema) => agent('a').chatModel('model', { connection: 'c', outputSchema }),
  'a chat model of a class': (outputSchema) => {
    class A extends Doing {
      @ChatModel() model = { connection: 'c', outputSchema };
    }
    compose(A);
  },
  'a request': (outputSchema) => new ChatRequestEvent({ model: 'model', messages: [], outputSchema }),
  'a tool of a builder': (parameters) => agent('a').tool('t', { description: 'd', parameters, execute: () => 1 }),
  'a tool of a class': (parameters) => {
    class A extends Doing {
      @Tool({ description: 'd', parameters })
      t(): number {
        return 1;
      }
    }
    compose(A);
  },
};

const compose = (type: new () => Agent<string, string>): unknown =>
  StreamExecutionEnvironment.create()
    .fromCollection(['x'])
    .keyBy((key) => key)
    .applyAgent(type);

const object = (properties: JsonSchema): JsonSchema => ({ type: 'object', properties });
// a schema of another library is no plain data
const foreign = (schema: object): JsonSchema => schema as JsonSchema;

const draft07 = 'http://json-schema.org/draft-07/schema#';

const refused: readonly (readonly [schema: JsonSchema, said: string])[] = [
  [{ typ: 'object' }, '`#`: `typ` is no keyword; `type` is'],
  [{ type: 'object', propertis: {} }, '`#`: `propertis` is no keyword; `properties` is'],
  [object({ a: { type: 'array', item: { type: 'string' } } }), '`#/properties/a`: `item` is no keyword; `items` is'],
  [{ name: 'string' }, '`#`: no keyword of JSON Schema is there, only `name`'],
  [object({ a: { kind: 'string' } }), '`#/properties/a`: no keyword of JSON Schema is there, only `kind`'],
  [{ type: 'objct' }, '`#/type`: expected one of object, array'],
  [object({ a: 'string' }), '`#/properties/a`: a schema is an object, and this is `"string"`'],
  [object({ a: z.string() }), '`#/properties/a`: a schema is an object, and this is a schema of a library'],
  [{ type: 'object', required: true }, '`#/required`: expected a list of names'],
  [{ anyOf: { type: 'string' } }, '`#/anyOf`: expected a list of schemas'],
  [{ type: 'string', minLength: '3' }, '`#/minLength`: expected a whole number from 0'],
  [{ type: 'string', pattern: '(' }, '`#/pattern`: expected a regular expression'],
  [{ $ref: '#/$defs/node', $defs: {} }, '`#/$ref`: expected a reference to a part of it'],
  [{ a: z.string() }, 'got an object of zod schemas: make one of it by `z.object({ ... })`'],
  [{ a: z3.string() }, 'got an object of zod schemas'],
  [foreign(z3.object({ a: z3.string() })), 'got one of zod 3: take that of zod 4'],
  [
    foreign(
      new (class Valibot {
        '~standard' = { vendor: 'valibot', version: 1 };
      })(),
    ),
    'got one of valibot',
  ],
];

describe.each(Object.entries(doors))('%s', (_name, take) => {
  it.each(refused)('refuses %j', (schema, said) => {
    let thrown: unknown;
    try {
      take(schema);
    } catch (error) {
      thrown = error;
    }
    expect(thrown instanceof TypeError || (thrown instanceof StreamError && thrown.code === 'AGENT_INVALID')).toBe(
      true,
    );
    expect(String(thrown)).toMatch(/Expected `(outputSchema|parameters)` to be a schema of zod 4 or a JSON Schema/);
    expect(String(thrown)).toContain(said);
  });

  it.each<[string, JsonSchema]>([
    [
      'notes and keywords of other standards',
      { type: 'object', title: 'T', nullable: true, example: {}, 'x-order': 1 },
    ],
    ['a keyword that nobody knows beside others', { type: 'object', enumDescriptions: ['a'] }],
    ['parts that say nothing', { type: 'object', properties: { a: {}, b: true }, additionalProperties: false }],
    ['references', { $defs: { 'a/b': { type: 'object' } }, $ref: '#/$defs/a~1b' }],
    [
      'an older draft',
      { $schema: draft07, type: 'object', definitions: { a: { items: [{}] } }, dependencies: { a: ['b'], c: {} } },
    ],
    ['a schema of zod 4', foreign(z.object({ a: z.string() }))],
  ])('takes %s', (_what, schema) => {
    expect(() => take(schema)).not.toThrow();
  });
});

it('JSON Lines takes whatever parses, of zod 3 too, and refuses what does not', () => {
  expect(() => jsonLines('x', { schema: z3.object({ a: z3.string() }) })).not.toThrow();
  expect(() => jsonLines('x', { schema: { type: 'object' } as never })).toThrow(
    'Expected `schema` to be an object with `parse`, such as a zod schema, got `{"type":"object"}`',
  );
});
