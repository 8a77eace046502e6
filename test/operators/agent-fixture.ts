/** Agents in a harness of work: inputs per key, gates that hold an action, and what has come out. */
import { vi } from 'vitest';
import { agent, type AgentBuilder } from '../../lib/agents/definition/agent.ts';
import type { RunnerContext } from '../../lib/agents/contract.ts';
import { InputEvent } from '../../lib/agents/events/event.ts';
import { JobResources } from '../../lib/agents/plan/resources.ts';
import { Warnings } from '../../lib/agents/warnings.ts';
import { outputTag } from '../../lib/core/output-tag.ts';
import type { AgentOperatorOptions } from '../../operators/agent-options.ts';
import type { DeadLetter } from '../../operators/dead-letter.ts';
import { applyAgent } from '../../operators/apply-agent.ts';
import { WorkHarness } from './work-fixture.ts';

export interface Ask {
  readonly key: string;
  readonly n: number;
}

export const ask = (key: string, n: number): Ask => ({ key, n });

/** Calls that end when the test says so. */
export class Gate {
  readonly asked: string[] = [];
  readonly #open = new Map<string, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>();

  pass(what: string): Promise<void> {
    this.asked.push(what);
    return new Promise((resolve, reject) => this.#open.set(what, { resolve, reject }));
  }

  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  resolve(what: string): void {
    this.#open.get(what)?.resolve();
    this.#open.delete(what);
  }

  reject(what: string, error: unknown): void {
    this.#open.get(what)?.reject(error);
    this.#open.delete(what);
  }
}

export const letters = outputTag<DeadLetter>('letters');

export interface Opened {
  readonly harness: WorkHarness<Ask, unknown>;
  readonly warnings: readonly string[];
}

export const open = async (
  builder: AgentBuilder<Ask, unknown>,
  options: AgentOperatorOptions = {},
): Promise<Opened> => {
  const compiled = await new JobResources().open(builder);
  const told: string[] = [];
  const warnings = new Warnings((_facts, message) => told.push(message));
  const operator = applyAgent<Ask, unknown>({ agent: compiled, resources: compiled.open, warnings }, options);
  return { harness: await WorkHarness.open(operator, ({ key }) => key, [letters]), warnings: told };
};

/** Answers when the gate lets it. */
export const waiting = (gate: Gate): AgentBuilder<Ask, unknown> =>
  agent<Ask, unknown>('clerk').on(InputEvent, 'answer', async ({ input: { key, n } }, ctx) => {
    await ctx.durableExecute('ask', () => gate.pass(`${key}${n}`));
    ctx.output(`${key}${n}`);
  });

export const clerk = (answer: (input: Ask, ctx: RunnerContext) => void): AgentBuilder<Ask, unknown> =>
  agent<Ask, unknown>('clerk').on(InputEvent, 'answer', ({ input }, ctx) => answer(input, ctx));

export const shown = ({ outputs }: WorkHarness<Ask, unknown>): unknown[] =>
  outputs.map((output) => {
    if (output.kind === 'record') return output.value;
    if (output.kind === 'watermark') return `w${output.timestamp}`;
    return output.kind === 'side' ? { [output.tag]: output.value } : output;
  });

export const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 60_000, interval: 1 });

/** Lets everything happen that needs nothing from outside. */
export const quiet = async (): Promise<void> => {
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
