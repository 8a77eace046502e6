/**
 * The agents of a pipeline: what they share, the operator that runs each, and that they are open while a job runs.
 * What an agent is called is what somebody declared, never what a minifier made of a class (I19).
 */
import type { Logger } from './core/logger.ts';
import type { Operator } from './core/operator.ts';
import type { StreamGraph } from './runtime/edges/graph.ts';
import { AgentBuilder, type Agent, type AgentClass } from './agents/definition/agent.ts';
import { checkAgent, JobResources, type OpenAgent } from './agents/plan/resources.ts';
import { Warnings } from './agents/warnings.ts';
import { checkAgentOptions, type AgentOperatorOptions } from '../operators/agent-options.ts';
import { applyAgent } from '../operators/apply-agent.ts';

/** The operator that runs an agent: the name that its uid is made of, and the one that people read. */
export interface AgentNode {
  readonly name: string;
  readonly label: string;
  readonly operator: Operator<never, unknown>;
}

/** An agent of the pipeline; open while a job runs. */
interface AgentSlot {
  readonly make: () => Promise<OpenAgent>;
  open: OpenAgent | undefined;
}

export class PipelineAgents {
  /** What all agents share. */
  readonly resources = new JobResources();
  readonly #graph: StreamGraph;
  readonly #logger: Logger;
  readonly #agents: AgentSlot[] = [];
  /** How often the agents were closed. */
  #closed = 0;

  constructor(graph: StreamGraph, logger: Logger) {
    this.#graph = graph;
    this.#logger = logger;
  }

  /** The operator that runs an agent. Its resources are resolved when the job starts. */
  operatorOf<I, O>(agent: Agent<I, O> | AgentClass<I, O>, options: AgentOperatorOptions): AgentNode {
    checkAgentOptions(options);
    this.#graph.refuseWhileRunning(); // Else the agent would be opened, though nothing runs it.
    const name = checkAgent(agent)?.agentName ?? labelOf(agent);
    const slot: AgentSlot = { make: () => this.resources.open(agent), open: undefined };
    this.#agents.push(slot);
    const warnings = new Warnings((facts, message) => this.#logger.warn(facts, message));
    const operator: Operator<I, O> = (context) => {
      if (slot.open === undefined) throw new TypeError(`Expected agent "${name}" to be open`);
      return applyAgent<I, O>({ agent: slot.open, resources: slot.open.open, warnings }, options)(context);
    };
    // The keyed stream ties the agent's types to those of its input and output.
    return { name: kebab(declaredNameOf(agent) ?? 'agent'), label: kebab(name), operator };
  }

  async open(): Promise<void> {
    const closings = this.#closed;
    for (const slot of this.#agents) {
      const open = await slot.make();
      // One that took longer than the job would wait for it.
      if (closings !== this.#closed) return open.close();
      slot.open = open;
    }
  }

  async close(): Promise<void> {
    this.#closed += 1;
    const closing = this.#agents.map(async (slot) => slot.open?.close());
    for (const slot of this.#agents) slot.open = undefined;
    await Promise.all(closing);
  }
}

/** The name of an agent as far as somebody has declared it. That of a class is code, which a minifier changes (I19). */
const declaredNameOf = <I, O>(agent: Agent<I, O> | AgentClass<I, O>): string | undefined => {
  if (agent instanceof AgentBuilder) return agent.name;
  // the class of an agent is one of agents
  return (typeof agent === 'function' ? agent : (agent.constructor as AgentClass<I, O>)).agentName;
};

const labelOf = <I, O>(agent: Agent<I, O> | AgentClass<I, O>): string =>
  declaredNameOf(agent) ?? (typeof agent === 'function' ? agent : agent.constructor).name;

const kebab = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase();
