/**
 * Runs one action: the handler of the plan with a context of its own. A synchronous action returns its result at once
 * and may not return a promise (I13); an asynchronous one promises it. What an action throws becomes `ACTION_FAILED`,
 * with operator, agent, action and key.
 */
import {
  invariant,
  isMistake,
  isThenable,
  messageOf,
  refusedPromise,
  StreamError,
  type ErrorCode,
} from '../../core/errors.ts';
import { isOfTheEngine } from '../../core/own-failure.ts';
import type { Outcome, Running } from '../../core/work.ts';
import type { ActionEffects, ActionHandler, ActionHost, ActionResult } from '../contract.ts';
import type { CompiledAgent } from './plan.ts';
import { actionFacts } from '../runs/action-facts.ts';
import { ActionContext } from '../runs/runner-context.ts';

/** Runs a synchronous action in the turn in hand. */
export const runSyncAction = (agent: CompiledAgent, host: ActionHost): ActionEffects => {
  invariant(host.work === undefined, 'I13: a synchronous action has no work context');
  const context = new ActionContext(host, agent);
  try {
    // routed by type, so the event is of the handler's class
    const returned: unknown = handlerOf(agent, host)(host.event as never, context);
    if (isThenable(returned)) {
      throw refusedPromise(`synchronous action '${host.action.name}'`, returned, {
        hint: 'make the action an async function, or set `async: true`',
        details: actionFacts(host, agent.plan.agentName),
      });
    }
    return context.effects();
  } catch (error) {
    throw actionFailed(agent, host, error);
  } finally {
    context.end();
  }
};

/** What an action brings whose run has ended without it. */
export const noEffects: ActionResult = { events: [], shortTermChanges: [], sensoryChanges: [] };

/**
 * An asynchronous action that runs as the body of work. One object and no async function: thousands may wait at once,
 * and each would keep a frame and a promise of its own beside the action's.
 */
export class AsyncAction implements Running<ActionResult> {
  readonly code: Promise<unknown>;
  readonly #agent: CompiledAgent;
  readonly #host: ActionHost;
  readonly #context: ActionContext;

  constructor(agent: CompiledAgent, host: ActionHost) {
    invariant(host.work !== undefined, 'I13: an asynchronous action runs as work');
    this.#agent = agent;
    this.#host = host;
    this.#context = new ActionContext(host, agent);
    try {
      // routed by type, so the event is of the handler's class
      this.code = Promise.resolve(handlerOf(agent, host)(host.event as never, this.#context));
    } catch (error) {
      this.code = Promise.reject(error);
    }
  }

  ended(code: Outcome<unknown>): Outcome<ActionResult> {
    const context = this.#context;
    if (!code.ok) {
      context.letGoOfCalls();
      return this.#failed(code.error);
    }
    try {
      context.checkCalls();
      return { ok: true, value: context.result() };
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Outcome<ActionResult> {
    this.#context.end();
    // Nobody waits for it: what it was refused since is no failure of anybody.
    if (this.#host.isOver === true) return { ok: true, value: noEffects };
    return { ok: false, error: actionFailed(this.#agent, this.#host, error) };
  }
}

const handlerOf = (agent: CompiledAgent, host: ActionHost): ActionHandler<never> => {
  const handler = agent.handlers.get(host.action.name);
  if (handler !== undefined) return handler;
  const { agentName } = agent.plan;
  throw new StreamError('PLAN_CHANGED', `agent '${agentName}' has no action '${host.action.name}' any more`, {
    hint: "put the action back, or set `onPlanChange` to 'restart-run'",
    details: actionFacts(host, agentName),
  });
};

/** Their messages say agent and action already. */
const namesAction: ReadonlySet<ErrorCode> = new Set(['ACTION_FAILED', 'RUN_EVENTS_EXCEEDED']);

const actionFailed = (agent: CompiledAgent, host: ActionHost, error: unknown): unknown => {
  if (isOfTheEngine(error) || (error instanceof StreamError && namesAction.has(error.code))) return error;
  const { agentName } = agent.plan;
  const message = messageOf(error);
  // Refusals of a frozen object, in the words of V8.
  const frozen = error instanceof TypeError && /read only property|not extensible|Cannot delete property/.test(message);
  return new StreamError('ACTION_FAILED', `action '${host.action.name}' of agent '${agentName}' failed: ${message}`, {
    cause: error,
    details: { ...actionFacts(host, agentName), eventId: host.event.id ?? '' },
    ...(error instanceof StreamError
      ? { retryable: error.retryable, hint: error.hint }
      : isMistake(error)
        ? { retryable: false }
        : {}),
    ...(frozen
      ? {
          hint: 'an agent holds no mutable fields, because actions of many keys run at once: use `shortTermMemory` or `sensoryMemory`',
        }
      : {}),
  });
};
