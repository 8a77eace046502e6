/**
 * The logger of a job: pino to standard error, so that standard output belongs to the program. What is logged under
 * `error` or `err` keeps what makes an error useful: code, hint, details and the chain of causes.
 */
import { pino, stdSerializers, symbols } from 'pino';
import { harmless } from '../../core/listener.ts';
import type { LogFunction, Logger } from '../../core/logger.ts';
import { oneOf, refusal, resultWith } from '../../core/options.ts';

const levelNames = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type LogLevel = (typeof levelNames)[number];

const standardError = 2;

/** Deeper chains of causes, and more errors of an AggregateError, are left out. */
const causesMax = 8;

/**
 * Takes a user's logger, or makes one of a level. @defaultValue level 'warn'
 *
 * @example
 * const logger = makeLogger('info');
 */
export const makeLogger = (option: Logger | LogLevel | undefined): Logger => {
  if (option === undefined || typeof option === 'string') {
    const level = oneOf('logger', option ?? 'warn', levelNames);
    // Synchronous: what is logged right before a crash must be seen.
    return harmlessLogger(
      pino({ name: 'millrace', level, serializers }, pino.destination({ fd: standardError, sync: true })),
    );
  }
  if (typeof option !== 'object' || option === null || typeof option.child !== 'function') {
    throw refusal('logger', 'a pino logger or the name of a level', option);
  }
  return harmlessLogger(childOf(option, {}, { serializers: missingSerializers(option) }));
};

/**
 * A logger whose destination throws says so once, and fails nobody: what is logged is about the job and no part of it.
 */
const harmlessLogger = (logger: Logger): Logger => {
  type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  const log = harmless('the logger of a job', (level: Level, ...[facts, message]: Parameters<LogFunction>): unknown =>
    logger[level](facts, message),
  );
  const guarded =
    (level: Level): LogFunction =>
    (facts, message) =>
      log(level, facts, message);
  return {
    trace: guarded('trace'),
    debug: guarded('debug'),
    info: guarded('info'),
    warn: guarded('warn'),
    error: guarded('error'),
    fatal: guarded('fatal'),
    child: (bindings, options) => harmlessLogger(childOf(logger, bindings, options)),
  };
};

/** In the place of one that can not be made the logger itself logs; that is told too. */
const childOf = (logger: Logger, ...how: Parameters<Logger['child']>): Logger => {
  let child = logger;
  harmless('`child` of the logger of a job', () => {
    child = resultWith('child', logger.child(...how), ['debug', 'info', 'warn', 'error']);
  })();
  return child;
};

/** Plain data that says all of an error. Anything else that was thrown stays as it is. */
export const serialiseError = (error: unknown): unknown => describe(error, new Set());

const describe = (error: unknown, seen: Set<unknown>): unknown => {
  if (!(error instanceof Error)) return error;
  if (seen.size >= causesMax || seen.has(error)) return { type: error.name, message: error.message };
  seen.add(error);
  const { name, message, stack, cause } = error;
  const facts: Record<string, unknown> = { type: name, message };
  for (const fact of ['code', 'hint', 'retryable', 'details'] as const) {
    const value: unknown = Reflect.get(error, fact);
    if (value !== undefined && !isEmpty(value)) facts[fact] = value;
  }
  if (stack !== undefined) facts['stack'] = stack;
  if (cause !== undefined) facts['cause'] = describe(cause, seen);
  if (error instanceof AggregateError)
    facts['errors'] = error.errors.slice(0, causesMax).map((each) => describe(each, seen));
  return facts;
};

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

const serializers = { error: serialiseError, err: serialiseError };

/** A user's own serialisers stay; pino's default for `err` gives way. */
const missingSerializers = (logger: Logger): Record<string, (value: unknown) => unknown> => {
  const own: unknown = Reflect.get(logger, symbols.serializersSym);
  const ownOf = (name: string): unknown =>
    typeof own === 'object' && own !== null ? Reflect.get(own, name) : undefined;
  const missing = (name: string): boolean => ownOf(name) === undefined || ownOf(name) === stdSerializers.err;
  return Object.fromEntries(Object.entries(serializers).filter(([name]) => missing(name)));
};
