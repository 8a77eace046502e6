/**
 * Drives an agent by hand, one run at a time: a small stand-in for the operator, with a journal that a second run can
 * replay.
 */
import type { Counter, Gauge, Histogram, Meter, MetricGroup } from '../../../lib/core/metric.ts';
import type { CallContext, CallOptions } from '../../../lib/core/call.ts';
import type { Outcome, WorkContext } from '../../../lib/core/work.ts';
import { encodeText } from '../../../lib/core/serde.ts';
import type { Agent, AgentClass } from '../../../lib/agents/definition/agent.ts';
import type { ActionEffects, ActionHost, ActionResult, PlannedAction } from '../../../lib/agents/contract.ts';
import { eventFromJson } from '../../../lib/agents/events/event-classes.ts';
import { InputEvent, stampEvent, type Event, type EventJson } from '../../../lib/agents/events/event.ts';
import { applyChanges, type MemoryChange } from '../../../lib/agents/memory/memory.ts';
import { JobResources, type OpenAgent } from '../../../lib/agents/plan/resources.ts';
import { Warnings } from '../../../lib/agents/warnings.ts';
import { AsyncAction, runSyncAction } from '../../../lib/agents/plan/run-action.ts';

/** Runs an asynchronous action to its end. */
export const runAsyncAction = async (...args: ConstructorParameters<typeof AsyncAction>): Promise<ActionResult> => {
  const action = new AsyncAction(...args);
  const outcome = await action.code.then(
    (value) => action.ended({ ok: true, value }),
    (error: unknown) => action.ended({ ok: false, error }),
  );
  if (!outcome.ok) throw outcome.error;
  return outcome.value;
};

/** Metrics that can be read back by a path such as `action=chat_model_action.retryCount`. */
export class TestMetrics implements MetricGroup {
  readonly values: Map<string, number>;
  readonly #prefix: string;

  constructor(values = new Map<string, number>(), prefix = '') {
    this.values = values;
    this.#prefix = prefix;
  }

  getSubGroup(name: string, value?: string): MetricGroup {
    return new TestMetrics(this.values, `${this.#prefix}${name}${value === undefined ? '' : `=${value}`}.`);
  }

  getCounter(name: string): Counter {
    const { values } = this;
    const path = `${this.#prefix}${name}`;
    return {
      inc: (count = 1) => void values.set(path, (values.get(path) ?? 0) + count),
      get value() {
        return values.get(path) ?? 0;
      },
    };
  }

  getMeter(name: string): Meter {
    return { ...this.getCounter(name), rate: 0 };
  }

  getHistogram(): Histogram {
    return { update: () => {}, quantile: () => 0, count: 0 };
  }

  getGauge(): Gauge {
    return { set: () => {}, value: 0 };
  }
}

/** Journaled outcomes by call name, with what was asked. */
export type TestJournal = Map<
  string,
  { readonly id: string; readonly args: string; readonly outcome: Outcome<unknown> }
>;

/** Durable calls over a journal in memory. Retries at once. */
export class TestWork implements WorkContext {
  readonly id: string;
  readonly key = 'k';
  readonly submittedAt = 1_000;
  readonly signal: AbortSignal = new AbortController().signal;
  readonly journal: TestJournal;
  readonly asked: CallOptions<unknown>[] = [];
  readonly read = <T>(fn: () => T): T => fn();
  signalsMade = 0;
  #next = 0;

  constructor(id: string, journal: TestJournal = new Map()) {
    this.id = id;
    this.journal = journal;
  }

  async call<R>(id: string, fn: (call: CallContext) => R | Promise<R>, options: CallOptions<R> = {}): Promise<R> {
    const name = `${this.id}.${this.#next++}`;
    this.asked.push(options as CallOptions<unknown>);
    let outcome = this.journal.get(name)?.outcome;
    if (outcome === undefined) {
      outcome = await this.#run(name, fn, options);
      this.journal.set(name, { id, args: options.args === undefined ? '' : encodeText(options.args), outcome });
    }
    if (!outcome.ok) throw outcome.error;
    return outcome.value as R;
  }

  async #run<R>(
    id: string,
    fn: (call: CallContext) => R | Promise<R>,
    { retry }: CallOptions<R>,
  ): Promise<Outcome<unknown>> {
    for (let attempt = 1; ; attempt += 1) {
      const call = this.#callContext(id, attempt);
      try {
        return { ok: true, value: await fn(call) };
      } catch (error) {
        const isFinal = (error as { retryable?: boolean }).retryable === false;
        if (isFinal || attempt >= (retry?.attempts ?? 1)) return { ok: false, error };
      } finally {
        call.isOpen = false;
      }
    }
  }

  #callContext(id: string, attempt: number): CallContext & { isOpen: boolean } {
    const made = (): AbortSignal => {
      this.signalsMade += 1;
      return this.signal;
    };
    return {
      id,
      idempotencyKey: `job.${id}`,
      attempt,
      isOpen: true,
      get signal() {
        return made();
      },
    };
  }
}

export interface DrivenRun {
  readonly events: readonly EventJson[];
  readonly outputs: readonly unknown[];
  readonly shortTerm: ReadonlyMap<string, unknown>;
}

export const host = (
  over: Partial<ActionHost> & { readonly action: PlannedAction; readonly event: Event },
): ActionHost => ({
  id: '1.0.7.3.0',
  key: 'k',
  now: () => 42,
  shortTermMemory: { base: new Map(), changes: [] },
  sensoryMemory: { base: new Map(), changes: [] },
  resources: {
    get: () => {
      throw new Error('no resources here');
    },
  },
  metrics: new TestMetrics(),
  ...over,
});

export interface Driver {
  readonly agent: OpenAgent;
  readonly metrics: TestMetrics;
  readonly journal: TestJournal;
  /** Messages of what was logged. */
  readonly warnings: readonly string[];
  run(input: unknown): Promise<DrivenRun>;
}

export interface DriveOptions {
  readonly resources?: JobResources | undefined;
  readonly journal?: TestJournal | undefined;
  /** Hears of the options of each durable call. */
  readonly onCall?: ((options: CallOptions<unknown>) => void) | undefined;
}

/** Opens an agent; each `run` is one input of one key. */
export const drive = async <I, O>(
  source: Agent<I, O> | AgentClass<I, O>,
  options: DriveOptions = {},
): Promise<Driver> => {
  const { resources = new JobResources(), journal = new Map() as TestJournal, onCall } = options;
  const told: string[] = [];
  const warnings = new Warnings((_facts, message) => told.push(message));
  const agent = await resources.open(source);
  const metrics = new TestMetrics();
  const memory = new Map<string, unknown>();
  let runs = 0;
  const run = async (input: unknown): Promise<DrivenRun> => {
    const name = `1.0.7.${runs++}`;
    const changes = { shortTerm: [] as MemoryChange[], sensory: [] as MemoryChange[] };
    const events: EventJson[] = [];
    const queue: Event[] = [stampEvent(new InputEvent(input), { id: `${name}.in` })];
    for (let step = 0; queue.length > 0;) {
      const event = queue.shift() as Event;
      for (const action of agent.plan.actionsFor(event)) {
        const id = `${name}.${step++}`;
        const memories = {
          shortTermMemory: { base: memory, changes: [...changes.shortTerm] },
          sensoryMemory: { base: new Map(), changes: [...changes.sensory] },
        };
        const each = host({ action, event, id, resources: agent.open, metrics, warnings, ...memories });
        const work = new TestWork(id, journal);
        const result: ActionResult =
          action.kind === 'sync' ? plain(runSyncAction(agent, each)) : await runAsyncAction(agent, { ...each, work });
        work.asked.forEach((asked) => onCall?.(asked));
        changes.shortTerm.push(...result.shortTermChanges);
        changes.sensory.push(...result.sensoryChanges);
        // Through JSON, as a restart would bring them back.
        for (const json of result.events) {
          events.push(json);
          queue.push(eventFromJson(JSON.parse(JSON.stringify(json)) as EventJson, agent.eventClasses));
        }
      }
    }
    applyChanges(memory, changes.shortTerm);
    const outputs = events.filter(({ type }) => type === '_output_event').map(({ attributes }) => attributes['output']);
    return { events, outputs, shortTerm: memory };
  };
  return { agent, metrics, journal, warnings: told, run };
};

/** A synchronous action's effects as plain data. */
const plain = (effects: ActionEffects): ActionResult => ({
  ...effects,
  events: effects.events.map((event) => event.toJSON()),
});
