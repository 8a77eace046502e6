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
  const record = value as Record<string, unknown>;
  return Object.hasOwn(record, '$') ? reviveTagged(record) : reviveMembers(record);
};

const reviveMembers = (record: Record<string, unknown>): Record<string, unknown> => {
  for (const name of Object.keys(record)) record[name] = revive(record[name]);
  return record;
};

const reviveTagged = (record: Record<string, unknown>): unknown => {
  const body = record['v'];
  switch (record['$']) {
    case 'undefined':
      return undefined;
    case 'number':
      return Number(body);
    case 'bigint':
      return BigInt(body as string);
    case 'date':
      return new Date(body === null ? Number.NaN : (body as number));
    case 'map':
      return new Map(revive(body) as [unknown, unknown][]);
    case 'set':
      return new Set(revive(body) as unknown[]);
    case 'bytes':
      return new Uint8Array(Buffer.from(body as string, 'base64'));
    case 'buffer':
      return Buffer.from(body as string, 'base64');
    case 'error':
      return reviveError(body as ErrorBody);
    case 'escaped':
      return reviveMembers(body as Record<string, unknown>);
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
