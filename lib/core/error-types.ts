/**
 * Which classes of errors come back as what they were (I8: an outcome that is read back equals the one that was
 * journaled), and what of an error is kept.
 */
import { types } from 'node:util';
import { CallNotExecuted, InvariantError, StreamError } from './errors.ts';
import { refusal } from './options.ts';

/** An error class that `registerErrorType` takes. */
export type ErrorType = abstract new (...parameters: never[]) => Error;

/** Those that are always known. The names are written out: a minifier changes those of our own classes (I19). */
const builtIn: ReadonlyMap<string, ErrorType> = new Map<string, ErrorType>(
  Object.entries({
    Error,
    TypeError,
    RangeError,
    SyntaxError,
    ReferenceError,
    EvalError,
    URIError,
    AggregateError,
    StreamError,
    CallNotExecuted,
    InvariantError,
  }),
);

const typesByName = new Map(builtIn);

/** By prototype, which the errors of a class inherit from. Of several names the first is stored. */
const namesByPrototype = new Map<unknown, string>([...builtIn].map(([name, { prototype }]) => [prototype, name]));

/**
 * Makes errors of a class come back as that class where an outcome is read from the journal. They are stored under
 * `name`, which stays the same when the class is renamed or the program is minified. Its constructor is not called:
 * message, cause and own properties are put on an object of the class, so private fields are missing. A class that was
 * stored under another name before may be registered under that one too, after the new one. Throws a `TypeError` when
 * the name stands for another class.
 *
 * @example
 * class CardDeclined extends Error { override readonly name = 'CardDeclined'; }
 * registerErrorType('CardDeclined', CardDeclined);
 */
export const registerErrorType = (name: string, type: ErrorType): void => {
  if (typeof name !== 'string' || name === '') throw refusal('name', nameRule, name);
  const prototype: unknown = typeof type === 'function' ? type.prototype : undefined;
  if (!(prototype instanceof Error)) throw refusal('type', 'a class that extends Error', type);
  const known = typesByName.get(name);
  if (known !== undefined && known !== type)
    throw new TypeError(
      `Expected \`name\` to stand for one class of errors, got \`${name}\`, which stands for another`,
    );
  typesByName.set(name, type);
  if (!namesByPrototype.has(prototype)) namesByPrototype.set(prototype, name);
};

const nameRule =
  "a name that errors of the class are stored by, as in `registerErrorType('CardDeclined', CardDeclined)`: that of the class is changed by minifiers, and two classes may share it";

/** @internal */
export const isError = (value: object): value is Error => value instanceof Error || types.isNativeError(value);

/**
 * @internal The name of the nearest class of an error that is known. One that has none, since it comes from another
 * realm or another copy of this package, is one of the built-in classes by its name; those that were registered are
 * known by the class alone, as two libraries may call theirs the same.
 */
export const errorTypeName = (error: Error): string => {
  let nearest = 'Error';
  for (let each: unknown = error; each !== null && nearest === 'Error'; each = Object.getPrototypeOf(each))
    nearest = namesByPrototype.get(each) ?? 'Error';
  return nearest === 'Error' && builtIn.has(error.name) ? error.name : nearest;
};

/** @internal Own properties that are kept as they are; the rest of an error is handled one by one. */
export const errorProperties = (error: Error): Record<string, unknown> => {
  // An error may have any property.
  const { stack: _stack, message: _message, cause: _cause, ...properties } = error as Error & Record<string, unknown>;
  const code = 'code' in error ? error.code : undefined;
  if (typeof code === 'string' || typeof code === 'number') properties['code'] = code;
  if (error instanceof AggregateError) properties['errors'] = error.errors;
  return properties;
};

/** @internal The class that was registered with this name. */
export const errorTypeOf = (name: string): ErrorType | undefined => typesByName.get(name);
