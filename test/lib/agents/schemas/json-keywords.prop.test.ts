import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { faultOf } from '../../../../lib/agents/schemas/json-keywords.ts';
import type { JsonSchema } from '../../../../lib/agents/schemas/json-schema.ts';
import { validatorOf } from '../../../../lib/agents/schemas/json-validator.ts';

const words = ['object', 'string', 'objct', 'a', '(', '[a-z]+', '#', '#/properties/a', '#/$defs/b', 'date'];
const plain = fc.oneof(fc.constantFrom<unknown>(...words, true, false, null, -1, 0, 0.5, 3), fc.constant([]));

const keywords = [
  ...['type', 'enum', 'const', 'required', 'minimum', 'exclusiveMaximum', 'multipleOf', 'minLength', 'maxItems'],
  ...['pattern', 'format', 'uniqueItems', 'properties', 'patternProperties', '$defs', 'dependentSchemas', '$ref'],
  ...['additionalProperties', 'items', 'prefixItems', 'contains', 'not', 'if', 'then', 'anyOf', 'allOf', 'oneOf'],
  ...['propertyNames', 'unevaluatedProperties', 'minContains', 'title', 'default', 'typ', 'x-note'],
];

const { schema } = fc.letrec<{ schema: unknown; value: unknown }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 1, arbitrary: plain },
    { weight: 4, arbitrary: fc.dictionary(fc.constantFrom(...keywords), tie('value'), { maxKeys: 3 }) },
  ),
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    plain,
    fc.array(fc.oneof(fc.constantFrom('a', 'string', 'null'), tie('schema')), { maxLength: 2 }),
    tie('schema'),
    fc.dictionary(fc.constantFrom('a', 'b'), tie('schema'), { maxKeys: 2 }),
  ),
}));

test('what is taken for a schema is one to the validator, so nothing is found wrong at the first answer', async () => {
  let taken = 0;
  await fc.assert(
    fc.asyncProperty(schema, async (each) => {
      if (typeof each === 'boolean' || faultOf(each) !== undefined) return;
      taken += 1;
      await validatorOf(each as JsonSchema); // a plain object, or it would have a fault
    }),
    { numRuns: 3000 },
  );
  expect(taken).toBeGreaterThan(300);
});
