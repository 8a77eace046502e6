import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { Agent } from '../../../../lib/agents/definition/agent.ts';
import type { AgentDefinition, AgentOptions, RunnerContext } from '../../../../lib/agents/contract.ts';
import {
  Action,
  ChatModel,
  ChatModelConnection,
  definitionOf,
  Prompt,
  Resource,
  Tool,
} from '../../../../lib/agents/definition/decorators.ts';
import { ChatResponseEvent } from '../../../../lib/agents/events/chat-events.ts';
import { Event, InputEvent } from '../../../../lib/agents/events/event.ts';
import { Prompt as PromptResource } from '../../../../lib/agents/prompt.ts';
import type { FunctionTool } from '../../../../lib/agents/definition/tool.ts';
import { AgentPlan } from '../../../../lib/agents/plan/plan.ts';

const connection = { chat: () => Promise.reject(new Error('not called')) };

const shape = ({ name, actions, resources, options }: AgentDefinition): unknown => ({
  name,
  actions: actions.map(({ name, triggers, async, config }) => ({ name, triggers, async, config })),
  resources: resources.map(({ type, name }) => `${type}:${name}`),
  options,
});

class Legacy extends Agent<{ text: string }, number> {
  static override readonly options: AgentOptions = { version: '3' };
  @ChatModel() model = { connection: 'default', prompt: 'review' };
  @ChatModelConnection() link = connection;
  @Prompt() review = 'Score {text}';
  @Prompt() strict = Prompt.fromText('Be strict');
  @Resource('vector_store') store = { size: 3 };
  greeting = 'hello';

  @Tool({ description: 'Greets', parameters: z.object({ name: z.string() }) })
  greet({ name }: { name: string }): string {
    return `${this.greeting} ${name}`;
  }

  @Action(InputEvent)
  ask(event: InputEvent<{ text: string }>, ctx: RunnerContext): void {
    ctx.sendEvent(new Event('x', { text: event.input.text }));
  }

  @Action(ChatResponseEvent, 'x', { config: { n: 1 } })
  async answer(_event: ChatResponseEvent<number> | Event, _ctx: RunnerContext): Promise<void> {}
}

/**
 * The same class as TC39 decorators would make it: each is called with the value and a context that carries the class's
 * metadata.
 */
const modern = (): new () => Agent<{ text: string }, number> => {
  class Modern extends Agent<{ text: string }, number> {
    static override readonly options: AgentOptions = { version: '3' };
    model = { connection: 'default', prompt: 'review' };
    link = connection;
    review = 'Score {text}';
    strict = Prompt.fromText('Be strict');
    store = { size: 3 };
    greeting = 'hello';
    greet({ name }: { name: string }): string {
      return `${this.greeting} ${name}`;
    }
    ask(event: InputEvent<{ text: string }>, ctx: RunnerContext): void {
      ctx.sendEvent(new Event('x', { text: event.input.text }));
    }
    async answer(): Promise<void> {}
  }
  const metadata = Object.create(null) as DecoratorMetadataObject;
  const at = (kind: 'method' | 'field', name: string) =>
    ({ kind, name, static: false, private: false, metadata }) as never;
  // Methods are decorated before fields.
  Tool({ description: 'Greets', parameters: z.object({ name: z.string() }) })(
    Modern.prototype.greet,
    at('method', 'greet'),
  );
  Action(InputEvent)(Modern.prototype.ask, at('method', 'ask') as ClassMethodDecoratorContext<Modern>);
  Action(ChatResponseEvent, 'x', { config: { n: 1 } })(Modern.prototype.answer, at('method', 'answer'));
  ChatModel()(undefined, at('field', 'model'));
  ChatModelConnection()(undefined, at('field', 'link'));
  Prompt()(undefined, at('field', 'review'));
  Prompt()(undefined, at('field', 'strict'));
  Resource('vector_store')(undefined, at('field', 'store'));
  Object.defineProperty(Modern, (Symbol as { metadata?: symbol }).metadata as symbol, { value: metadata });
  return Modern;
};

describe.each([
  ['legacy', () => Legacy],
  ['TC39', modern],
])('%s decorators', (_mode, made) => {
  it('note actions, resources and options', async () => {
    const definition = definitionOf(new (made())());
    expect(definition.name).toMatch(/^(Legacy|Modern)$/);
    expect(definition.options).toEqual({ version: '3' });
    expect(definition.actions.map(({ name, triggers, async, config }) => [name, triggers, async, config])).toEqual([
      ['ask', [InputEvent], false, undefined],
      ['answer', [ChatResponseEvent, 'x'], true, { n: 1 }],
    ]);
    const resources = new Map(definition.resources.map(({ type, name, value }) => [`${type}:${name}`, value]));
    expect([...resources.keys()].sort()).toEqual([
      'chat_model:model',
      'chat_model_connection:link',
      'prompt:review',
      'prompt:strict',
      'tool:greet',
      'vector_store:store',
    ]);
    expect((resources.get('prompt:review') as PromptResource).formatString({ text: 'it' })).toBe('Score it');
    expect((resources.get('prompt:strict') as PromptResource).formatString()).toBe('Be strict');
    expect(await (resources.get('tool:greet') as FunctionTool).call({ name: 'Ada' }, {} as never)).toBe('hello Ada');
  });

  it('make the same plan', () => {
    const plan = AgentPlan.compile(new (made())()).plan;
    expect(plan.hash).toBe(AgentPlan.compile(new Legacy()).plan.hash);
    expect(plan.actionsFor({ type: 'x' }).map(({ name, kind }) => [name, kind])).toEqual([['answer', 'async']]);
  });
});

describe('inheritance', () => {
  class Base extends Agent<number, number> {
    @Prompt() text = 'base';
    @Action(InputEvent) first(): void {}
    @Action('x') second(): void {}
  }
  class Derived extends Base {
    override text = 'derived';
    @Action('y') override second(): void {}
    @Action('z') third(): void {}
  }

  it('a subclass has the members of its parents and may replace them; the parent stays as it was', () => {
    const derived = definitionOf(new Derived());
    expect(derived.actions.map(({ name, triggers }) => [name, ...triggers])).toEqual([
      ['first', InputEvent],
      ['second', 'y'],
      ['third', 'z'],
    ]);
    const [text] = derived.resources;
    expect((text?.value as PromptResource | undefined)?.formatString()).toBe('derived');
    expect(shape(definitionOf(new Base()))).toMatchObject({
      actions: [{ name: 'first' }, { name: 'second', triggers: ['x'] }],
    });
  });
});

describe('misuse', () => {
  it('is refused when the class is defined', () => {
    expect(() => Action()).toThrow(/`triggers`/);
    expect(() => Action({ async: true })).toThrow(/`triggers`/);
    expect(() => Action(Date as never)).toThrow(/`trigger`/);
    const place = { kind: 'method', name: 'm', static: true, private: false, metadata: {} } as never;
    expect(() => Action('x')(() => {}, place)).toThrow(/public instance member/);
    const bare = { kind: 'method', name: 'm', static: false, private: false, metadata: undefined } as never;
    expect(() => Action('x')(() => {}, bare)).toThrow(/metadata/);
    expect(() => Action('x')({} as never, Symbol('s') as never, {} as never)).toThrow(/symbol/);
  });

  it('is refused when the plan is compiled', () => {
    class NoValue extends Agent<number, number> {
      @Prompt() text: string | undefined = undefined;
    }
    class Empty extends Agent<number, number> {
      @Prompt() text = '';
    }
    expect(() => definitionOf(new NoValue())).toThrow(/prompt 'text': the field has no value/);
    expect(() => definitionOf(new Empty())).toThrow(/agent 'Empty': prompt 'text'/);
  });
});
