/**
 * The contract of a logger: the part of pino's that a job uses, so that a pino of any version fits and nobody has to
 * install it.
 */

/** Takes facts and a message, as pino does: `logger.warn({ key }, 'late')`. */
export type LogFunction = (facts: object, message?: string) => void;

/** A pino logger fits, and so does whatever takes lines as pino does. */
export interface Logger {
  readonly trace: LogFunction;
  readonly debug: LogFunction;
  readonly info: LogFunction;
  readonly warn: LogFunction;
  readonly error: LogFunction;
  readonly fatal: LogFunction;
  /** A logger that puts the bindings into every line, and writes facts of these names by these functions. */
  child(bindings: object, options?: { readonly serializers?: Record<string, (value: unknown) => unknown> }): Logger;
}
