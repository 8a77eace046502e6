/** The options of `applyAgent`, and how they are checked. */
import type { OutputOrder } from '../lib/core/hold.ts';
import type { OutputTag } from '../lib/core/output-tag.ts';
import type { Durability } from '../lib/core/work.ts';
import { durationMs, integer, knownOptions, oneOf, type Duration, type OptionNames } from '../lib/core/options.ts';
import { checkErrorOptions, type DeadLetter } from './dead-letter.ts';

/** `D` is the type that the tag of the dead letters carries. */
export interface AgentOperatorOptions<D = DeadLetter> {
  /**
   * `completion`: results leave as runs end. A watermark waits for the runs before it; a result leaves before a
   * watermark that waits, if its timestamp is greater than that watermark or it has none, and no earlier result of its
   * key waits. So a slow key delays the watermark and nobody else's results on time, results of one key leave in the
   * order of their inputs, and a result is late if its input was. `arrival`: in the order of the inputs, and no result
   * crosses a watermark. @defaultValue 'completion'
   */
  readonly outputOrder?: OutputOrder | undefined;
  /** Actions that wait at once. @defaultValue 1000 */
  readonly asyncConcurrency?: number | undefined;
  /** Inputs accepted and not finished; at this bound sources are not pulled. @defaultValue 2 x asyncConcurrency */
  readonly pendingMax?: number | undefined;
  /** Inputs of one key that may wait before sources are not pulled. @defaultValue pendingMax */
  readonly pendingPerKeyMax?: number | undefined;
  /**
   * When an action goes on with the outcome of a durable call. `call`: when it is durable, so that what the action does
   * with it is done with the same outcome after a crash. `effect`: at once, one wait less for each action; for actions
   * that act outside in durable calls only.
   * @defaultValue 'call'
   */
  readonly durability?: Durability | undefined;
  /**
   * Events of one run, outputs left out: an action that sends the event that triggers it would otherwise go on for
   * ever. A run that has more, or an action that sends more, fails with `RUN_EVENTS_EXCEEDED`; with `onError: 'ignore'`
   * it ends without its changes to memory. From 1. @defaultValue 10_000
   */
  readonly eventsMax?: number | undefined;
  /** Limit of one asynchronous action. @defaultValue none */
  readonly actionTimeout?: Duration | undefined;
  /**
   * What happens when an action fails for good. `ignore`: the action has no effect and the run goes on. An error that
   * is about the job (a missing resource, a changed plan, a store that fails) fails the job whatever is said here.
   * @defaultValue 'fail', with `deadLetters` 'dead-letter'
   */
  readonly onError?: 'fail' | 'ignore' | 'dead-letter' | undefined;
  /** Where inputs go whose run failed. @defaultValue none: see `onError` */
  readonly deadLetters?: OutputTag<D> | undefined;
  /**
   * What happens to runs that were open when the plan changed. `restart-run`: such a run begins anew with its input;
   * its changes to memory and its open actions are dropped, what it has emitted stays. @defaultValue 'continue'
   */
  readonly onPlanChange?: 'continue' | 'restart-run' | 'fail' | undefined;
}

const optionNames = {
  outputOrder: true,
  asyncConcurrency: true,
  pendingMax: true,
  pendingPerKeyMax: true,
  durability: true,
  eventsMax: true,
  actionTimeout: true,
  onError: true,
  deadLetters: true,
  onPlanChange: true,
} as const satisfies OptionNames<AgentOperatorOptions>;

/** Throws a `TypeError` that names the option, the rule and the value. */
export const checkAgentOptions = (options: AgentOperatorOptions): void => {
  knownOptions('applyAgent', options, optionNames);
  const {
    outputOrder,
    asyncConcurrency,
    pendingMax,
    pendingPerKeyMax,
    actionTimeout,
    durability,
    eventsMax,
    onPlanChange,
  } = options;
  if (outputOrder !== undefined) oneOf('outputOrder', outputOrder, ['completion', 'arrival']);
  if (asyncConcurrency !== undefined) integer('asyncConcurrency', asyncConcurrency, { min: 1 });
  if (pendingMax !== undefined) integer('pendingMax', pendingMax, { min: 1 });
  if (pendingPerKeyMax !== undefined) integer('pendingPerKeyMax', pendingPerKeyMax, { min: 1 });
  if (durability !== undefined) oneOf('durability', durability, ['call', 'effect']);
  if (eventsMax !== undefined) integer('eventsMax', eventsMax, { min: 1 });
  if (actionTimeout !== undefined) durationMs('actionTimeout', actionTimeout, { min: 1 });
  if (onPlanChange !== undefined) oneOf('onPlanChange', onPlanChange, ['continue', 'restart-run', 'fail']);
  checkErrorOptions(options);
};
