/**
 * Which classes of errors come back as what they were (I8: an outcome that is read back equals the one that was
 * journaled), and what of an error is kept.
 */
import { types } from 'node:util';
import { CallNotExecuted, InvariantError, StreamError } from './errors.ts';

/** An error class that `registerErrorType` takes. */
export type ErrorType = abstract new (...parameters: never[]) => Error;

const builtInErrors = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError];

const errorTypes = new Map<string, ErrorType>(
  [...builtInErrors, StreamError, CallNotExecuted, InvariantError].map((type) => [type.name, type]),
);

/**
 * Makes errors of a class come back as that class. Its constructor is not called: message, cause and own properties are
 * put on an object of the class, so private fields are missing. The class is known by its name, which must be unique.
 *
 * @example
 * class CardDeclined extends Error { override readonly name = 'CardDeclined'; }
 * registerErrorType(CardDeclined);
 */
export const registerErrorType = (type: ErrorType): void => {
  const known = errorTypes.get(type.name);
  if (type.name === '' || !(type.prototype instanceof Error))
    throw new TypeError('Expected a class with a name that extends Error');
  if (known !== undefined && known !== type)
    throw new TypeError(`An error class called \`${type.name}\` is registered already`);
  errorTypes.set(type.name, type);
};

/** @internal */
export const isError = (value: object): value is Error => value instanceof Error || types.isNativeError(value);

/**
 * @internal The name of the nearest registered class of an error; one from another realm, or made by hand, is known by
 * its name.
 */
export const errorTypeName = (error: Error): string => {
  for (
    let prototype: unknown = Object.getPrototypeOf(error);
    prototype instanceof Error;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    const type = prototype.constructor as ErrorType; // the constructor of a prototype that inherits from Error
    if (errorTypes.get(type.name) === type) return type.name;
  }
  return errorTypes.has(error.name) ? error.name : 'Error';
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
export const errorTypeOf = (name: string): ErrorType | undefined => errorTypes.get(name);
