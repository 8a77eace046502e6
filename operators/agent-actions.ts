/**
 * How the actions of an agent are run: synchronous ones at once, as part of the turn in hand (I13); asynchronous ones
 * as work, whose end is journaled and applied in a turn (I8).
 */
import { StreamError } from '../lib/core/errors.ts';
import { keyText, type Key } from '../lib/core/key.ts';
import type { Meter } from '../lib/core/metric.ts';
import type { OperatorContext } from '../lib/core/operator.ts';
import type { Outcome, Running, Work, WorkContext } from '../lib/core/work.ts';
import { durationMs } from '../lib/core/options.ts';
import { takesFailure, type FailureStrategy } from '../lib/core/own-failure.ts';
import { encodeText } from '../lib/core/serde.ts';
import { chatActionName } from '../lib/agents/actions/chat-action.ts';
import { accessErrorOf } from '../lib/agents/actions/chat-config.ts';
import type { ActionEffects, ActionHost, ActionResult, PlannedAction } from '../lib/agents/contract.ts';
import { eventFromJson } from '../lib/agents/events/event-classes.ts';
import type { Event } from '../lib/agents/events/event.ts';
import type { CompiledAgent } from '../lib/agents/plan/plan.ts';
import { AsyncAction, noEffects, runSyncAction } from '../lib/agents/plan/run-action.ts';
import { toolActionName } from '../lib/agents/actions/tool-action.ts';
import { Execution, type ExecutingOperator } from './agent-execution.ts';
import type { AgentOperatorOptions } from './agent-options.ts';
import type { ActionTask, Run } from './agent-run.ts';

export interface AgentActionsOptions<I> {
  readonly context: OperatorContext<never>;
  readonly agent: CompiledAgent;
  readonly resources: ActionHost['resources'];
  readonly warnings: ActionHost['warnings'];
  readonly options: AgentOperatorOptions;
  readonly onError: FailureStrategy;
  readonly eventsMax: number;
  readonly memory: ExecutingOperator<I>['memory'];
  /** The open run of a key. */
  readonly runOf: (key: Key) => Run<I> | undefined;
  /** An asynchronous action of the current key has ended. */
  readonly apply: (task: ActionTask, outcome: Outcome<ActionEffects>) => void;
}

/** Nothing but our own code stands behind their durable calls. */
const builtInActions: ReadonlySet<string> = new Set([chatActionName, toolActionName]);

export class AgentActions<I> {
  readonly #options: AgentActionsOptions<I>;
  readonly #operator: ExecutingOperator<I>;
  readonly #work: Work<ActionTask>;
  /** What the name of every run has in it, and what such a name looks like. */
  readonly #runName: string;
  readonly #runNames: RegExp;
  readonly #executed: Meter;
  readonly #meters = new Map<string, Meter>();

  constructor(options: AgentActionsOptions<I>) {
    const { context, agent, resources, warnings, eventsMax, memory } = options;
    const { uid, jobId, metrics } = context;
    this.#options = options;
    this.#operator = { uid, jobId, metrics, resources, warnings, now: () => context.now(), eventsMax, memory };
    this.#runName = `.${uid}.`;
    this.#runNames = new RegExp(`\\d+\\.${uid.replaceAll(/[^\w-]/g, '\\$&')}\\.\\d+\\.\\d+r*`, 'g');
    this.#executed = metrics.getMeter('numOfActionsExecuted');
    this.#work = this.#makeWork(agent.plan.agentName);
  }

  /** Runs a synchronous action. */
  runNow(run: Run<I>, action: PlannedAction, event: Event): ActionEffects {
    const place = run.nextPlace();
    return runSyncAction(
      this.#options.agent,
      new Execution({ operator: this.#operator, run, place, action, event, work: undefined }),
    );
  }

  /** Submits an asynchronous one. */
  submit(run: Run<I>, action: PlannedAction, event: Event): void {
    run.open += 1;
    const { step, shortTermView, sensoryView } = run.nextPlace();
    this.#work.submit({
      run: run.id,
      step,
      action: action.name,
      event: event.toJSON(),
      shortTermView,
      sensoryView,
    });
  }

  /** Counts an action whose effects are taken. */
  count(action: string): void {
    this.#executed.inc();
    this.#meterOf(action).inc();
  }

  #makeWork(agentName: string): Work<ActionTask> {
    const { context, agent, options, onError, apply } = this.#options;
    const onAccessError = accessErrorOf(agent.plan.config);
    const { asyncConcurrency = 1000, durability = 'call', actionTimeout } = options;
    return context.work<ActionTask, ActionResult>(
      {
        name: 'action',
        run: (task, work) => this.#run(task, work),
        apply: (task, outcome) =>
          apply(task, outcome.ok ? { ok: true, value: this.#effectsOf(outcome.value) } : outcome),
        // An error about the job is no outcome: kept as one, it would fail the job again when its cause is mended.
        onRejection: (error) => (takesFailure(onError, error, onAccessError) ? 'outcome' : 'fail'),
        identity: (task) => this.#identityOf(task),
        describe: ({ action }, key) => `action '${action}' of agent '${agentName}' for key ${keyText(key)}`,
        // Nothing that waits behind a call of a built-in action leaves before its end does.
        durability: ({ action }) => (builtInActions.has(action) ? 'effect' : durability),
        owned: true,
      },
      {
        inFlightMax: asyncConcurrency,
        pendingMax: Number.MAX_SAFE_INTEGER,
        timeout: actionTimeout === undefined ? undefined : durationMs('actionTimeout', actionTimeout, { min: 1 }),
      },
    );
  }

  /** The body of an asynchronous action. */
  #run(task: ActionTask, work: WorkContext): Promise<ActionResult> | Running<ActionResult> {
    const { context, agent, runOf } = this.#options;
    const { plan, eventClasses } = agent;
    const run = runOf(work.key);
    if (run === undefined || run.id !== task.run || run.isOver) return Promise.resolve(noEffects);
    const action = plan.actions.get(task.action);
    if (action === undefined)
      throw new StreamError('PLAN_CHANGED', `agent "${plan.agentName}" has no action "${task.action}" any more`, {
        hint: "put the action back, or set `onPlanChange` to 'restart-run'",
      });
    const event = eventFromJson(task.event, eventClasses, context.handOver(task.event.attributes));
    return new AsyncAction(
      agent,
      new Execution({ operator: this.#operator, run, place: task, action, event, work }),
    );
  }

  /** A journaled result with its events brought back. */
  #effectsOf(result: ActionResult): ActionEffects {
    const { eventClasses } = this.#options.agent;
    const { events, shortTermChanges, sensoryChanges } = result;
    return { events: events.map((json) => eventFromJson(json, eventClasses)), shortTermChanges, sensoryChanges };
  }

  /**
   * What tells an action's task from others of its key, without names of runs: events are named by their run, and
   * attributes may name events, those of a run of an earlier branch too.
   */
  #identityOf({ step, action, event: { type, attributes } }: ActionTask): string {
    const text = encodeText(attributes);
    const named = text.includes(this.#runName) ? text.replaceAll(this.#runNames, '') : text;
    return `${step} ${action} ${type} ${named}`;
  }

  #meterOf(action: string): Meter {
    const known = this.#meters.get(action);
    if (known !== undefined) return known;
    const meter = this.#options.context.metrics.getSubGroup('action', action).getMeter('numOfActionsExecuted');
    this.#meters.set(action, meter);
    return meter;
  }
}
