/**
 * The JSON of a plan, in the form of Flink Agents, and how it is read: what is wrong with it is told with the path to
 * it.
 */
import * as z from 'zod';
import type { Config } from '../contract.ts';
import { invalidAgent } from '../definition/option-checks.ts';
import { reasonOf } from '../schemas/schema-check.ts';

/** The JSON of a plan. */
export interface PlanJson {
  readonly agent_name: string;
  readonly actions: Readonly<Record<string, PlannedActionJson>>;
  readonly resource_providers: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly config: { readonly conf_data: Config };
  readonly version?: string | undefined;
}

export interface PlannedActionJson {
  readonly name: string;
  readonly exec: { readonly func_type: 'TypeScriptFunction'; readonly qualname: string; readonly async: boolean };
  readonly trigger_conditions: readonly string[];
  readonly config: Config | null;
}

const config = z.record(z.string(), z.unknown());

const action = z
  .object({
    name: z.string().min(1),
    exec: z.object({
      func_type: z.enum(['TypeScriptFunction', 'PythonFunction', 'JavaFunction']),
      qualname: z.string().min(1),
      async: z.boolean().optional(),
    }),
    listen_event_types: z.undefined('is called `trigger_conditions`').optional(),
    trigger_conditions: z.array(z.string().min(1)).min(1),
    config: config.nullish(),
  })
  .loose();

const plan = z
  .object({
    agent_name: z.string(),
    actions: z.record(z.string(), action),
    resource_providers: z.record(z.string(), config).optional(),
    config: z.object({ conf_data: config.optional() }).loose().nullish(),
    version: z.string().min(1).optional(),
  })
  .superRefine(({ actions }, { addIssue }) => {
    for (const [name, { name: own }] of Object.entries(actions)) {
      if (own !== name)
        addIssue({
          code: 'custom',
          path: ['actions', name, 'name'],
          message: `expected '${name}', the name that it goes by`,
        });
    }
  });

/** A plan as far as its form goes. Throws `AGENT_INVALID`, with each place where it is not as it should be. */
export const readPlan = (json: unknown): z.output<typeof plan> => {
  const read = plan.safeParse(json);
  if (read.success) return read.data;
  const name = typeof json === 'object' && json !== null && 'agent_name' in json ? json.agent_name : undefined;
  throw invalidAgent({
    agent: typeof name === 'string' ? name : '',
    rule: `this is not the JSON of a plan: ${reasonOf(read.error.issues)}`,
    value: Object.keys(json ?? {}),
  });
};
