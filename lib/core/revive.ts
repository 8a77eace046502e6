/**
 * Values back from tagged JSON: replaces the objects with the property `$`, as `serde.ts` writes them, by what they
 * stand for.
 */
import { StreamError } from './errors.ts';
import { errorTypeOf } from './error-types.ts';

/** @internal Replaces tagged objects by what they stand for, in place. */
export const revive = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) value[index] = revive(value[index]);
    return value;
  }
  const record = value as Record<string, unknown>; // It comes from `JSON.parse`: an object of names.
  return Object.hasOwn(record, '$') ? reviveTagged(record) : reviveMembers(record);
};

const revivedList = <T>(list: T[]): T[] => revive(list) as T[]; // A list is revived in place.

const reviveMembers = (record: Record<string, unknown>): Record<string, unknown> => {
  for (const name of Object.keys(record)) record[name] = revive(record[name]);
  return record;
};

/** What `serde.ts` writes under each tag. */
type Tagged =
  | { readonly $: 'undefined'; readonly v?: undefined }
  | { readonly $: 'number' | 'bigint' | 'bytes' | 'buffer'; readonly v: string }
  | { readonly $: 'date'; readonly v: number | null }
  | { readonly $: 'map'; readonly v: [unknown, unknown][] }
  | { readonly $: 'set'; readonly v: unknown[] }
  | { readonly $: 'error'; readonly v: ErrorBody }
  | { readonly $: 'escaped'; readonly v: Record<string, unknown> };

const reviveTagged = (record: Record<string, unknown>): unknown => {
  const { $: tag, v: body } = record as Tagged; // Nobody else writes tags; one that is not known ends below.
  switch (tag) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(body);
    case 'bigint':
      return BigInt(body);
    case 'date':
      return new Date(body ?? Number.NaN);
    case 'map':
      return new Map(revivedList(body));
    case 'set':
      return new Set(revivedList(body));
    case 'bytes':
      return new Uint8Array(Buffer.from(body, 'base64'));
    case 'buffer':
      return Buffer.from(body, 'base64');
    case 'error':
      return reviveError(body);
    case 'escaped':
      return reviveMembers(body);
    default:
      throw new StreamError('STORE_FORMAT', `a stored value has the unknown tag '${String(record['$'])}'`);
  }
};

/** What is written for an error. */
interface ErrorBody {
  readonly type: string;
  readonly name: string;
  readonly message: string;
  readonly cause?: unknown;
  readonly properties: readonly (readonly [name: string, value: unknown])[];
}

const reviveError = (body: ErrorBody): Error => {
  const error = new Error(body.message, body.cause === undefined ? undefined : { cause: revive(body.cause) });
  // Where it was read is no trace of where it was thrown.
  hidden(error, 'stack', `${body.name}: ${body.message}\n    at (read from the store)`);
  const type = errorTypeOf(body.type);
  // The prototype of a class is an object.
  if (type !== undefined) Object.setPrototypeOf(error, type.prototype as object);
  for (const [name, value] of body.properties) {
    const enumerable = !(name === 'errors' && type === AggregateError);
    Object.defineProperty(error, name, { value: revive(value), enumerable, writable: true, configurable: true });
  }
  if (error instanceof StreamError && error.details === undefined) hidden(error, 'details', {});
  if (error.name !== body.name) hidden(error, 'name', body.name);
  return error;
};

const hidden = (target: object, name: string, value: unknown): void => {
  Object.defineProperty(target, name, { value, enumerable: false, writable: true, configurable: true });
};
