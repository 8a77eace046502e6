/** The settings of the built-in chat action, by our names and by those of Flink Agents. */
import { durationMs, integer, oneOf, type Duration } from '../../core/options.ts';
import type { AccessError } from '../../core/own-failure.ts';
import type { ErrorHandling, UnfitAnswer } from '../contract.ts';

export interface ChatConfig {
  readonly errorHandling: ErrorHandling;
  readonly maxRetries: number;
  readonly retryWaitMs: number;
  readonly maxToolRounds: number;
  /** Whether the model is asked again for an answer that does not fit, where it may be tried again at all. */
  readonly onUnfitAnswer: UnfitAnswer;
  readonly onAccessError: AccessError;
}

/**
 * Reads the settings by our names or by those of Flink Agents (`retry-wait-interval` in seconds). Throws a `TypeError`
 * that names the setting.
 */
export const chatConfigOf = (config: Readonly<Record<string, unknown>>): ChatConfig => {
  const strategy = config['errorHandling'] ?? config['error-handling-strategy'] ?? 'fail';
  // checked by `oneOf`
  const word = (typeof strategy === 'string' ? strategy.toLowerCase() : strategy) as ErrorHandling;
  const waitSec = config['retry-wait-interval'];
  const wait = config['retryWaitInterval'] ?? (typeof waitSec === 'number' ? waitSec * 1000 : (waitSec ?? 1000));
  return {
    errorHandling: oneOf('errorHandling', word, ['fail', 'retry', 'ignore']),
    // checked by `integer`
    maxRetries: integer('maxRetries', (config['maxRetries'] ?? config['max-retries'] ?? 3) as number),
    retryWaitMs: durationMs('retryWaitInterval', wait as Duration), // checked there
    // likewise
    maxToolRounds: integer('maxToolRounds', (config['maxToolRounds'] ?? config['max-tool-rounds'] ?? 10) as number),
    // likewise
    onUnfitAnswer: oneOf('onUnfitAnswer', (config['onUnfitAnswer'] ?? 'retry') as UnfitAnswer, ['retry', 'fail']),
    onAccessError: accessErrorOf(config),
  };
};

/**
 * What becomes of an error of a model that would meet every input alike. Throws a `TypeError` that names the setting.
 */
export const accessErrorOf = (config: Readonly<Record<string, unknown>>): AccessError =>
  // checked by `oneOf`
  oneOf('onAccessError', (config['onAccessError'] ?? 'fail-job') as AccessError, ['fail-job', 'as-input']);
