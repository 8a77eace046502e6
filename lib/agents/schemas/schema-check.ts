/**
 * Checks a value by the schema that the user wrote: a zod schema by itself, so that refinements, transforms and
 * coercions take part, and a JSON Schema by a validator that knows the standard (draft 2020-12, or the older draft that
 * its `$schema` names). The time of a check grows with the size of the value and not with its depth. What does not fit
 * is told in few words that a model can act on (I10).
 */
import type * as z from 'zod';
import { dropsUnknown, isZod, type JsonSchema } from './json-schema.ts';
import { opened, validatorOf, withoutUnknown } from './json-validator.ts';
import { checkZod } from './zod-schema.ts';

export type Checked = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

/** Throws what refinements and transforms throw. */
export type Check = (value: unknown) => Checked;

/** The check of a schema. Rejects with a `TypeError` when it is not a JSON Schema that can be checked. */
export const checkOf = async (schema: z.ZodType | JsonSchema): Promise<Check> => {
  if (isZod(schema)) return (value) => checkedByZod(schema, value);
  const drops = dropsUnknown(schema);
  const root = drops ? opened(schema) : schema;
  const validator = await validatorOf(root);
  return (value) => {
    const reason = validator.refusal(value);
    if (reason !== undefined) return { ok: false, reason };
    return { ok: true, value: drops ? withoutUnknown(value, { schema: root, at: '#', root, validator }) : value };
  };
};

const checkedByZod = (schema: z.ZodType, value: unknown): Checked => {
  const checked = checkZod(schema, value);
  return checked.success ? { ok: true, value: checked.data } : { ok: false, reason: reasonOf(checked.error.issues) };
};

type Issue = z.core.$ZodIssue;

/** Reasons that are told, and how deep unions are followed for them. */
const reasonsMax = 5;
const unionsMax = 20;

/** Why a value does not fit, a line for each place. */
export const reasonOf = (issues: readonly Issue[]): string => {
  const lines = issues.slice(0, reasonsMax).map((issue) => lineOf(issue));
  return [...lines, ...(issues.length > reasonsMax ? [`and ${issues.length - reasonsMax} more`] : [])].join('\n');
};

/** A union says that none of its forms fits; the form that came nearest says why. */
const lineOf = (issue: Issue): string => {
  let nearest = issue;
  let path = issue.path;
  for (let depth = 0; nearest.code === 'invalid_union' && depth < unionsMax; depth += 1) {
    const forms: readonly (readonly Issue[])[] = nearest.errors;
    const form = forms.filter((each) => each.length > 0).toSorted((a, b) => distance(a) - distance(b))[0]?.[0];
    if (form === undefined) break;
    nearest = form;
    path = [...path, ...form.path];
  }
  const where = path.length === 0 ? '' : `${path.map(String).join('.')}: `;
  return `${where}${nearest.message}`;
};

/** A form whose literals fit and that fails far inside is nearer than one that is of another kind. */
const distance = (issues: readonly Issue[]): number =>
  issues.filter(({ code, path }) => code === 'invalid_value' && path.length <= 1).length * 1000 +
  issues.length -
  Math.max(...issues.map(({ path }) => path.length)) / 1000;
