import { inject } from 'inversify';
import { describe, expect, it } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import { agent, Agent } from '../../../../lib/agents/definition/agent.ts';
import type { RunnerContext } from '../../../../lib/agents/contract.ts';
import { Action, ChatModel, Prompt } from '../../../../lib/agents/definition/decorators.ts';
import { InputEvent, OutputEvent } from '../../../../lib/agents/events/event.ts';
import { Prompt as PromptResource } from '../../../../lib/agents/prompt.ts';
import { checkAgent, JobResources, resourceToken } from '../../../../lib/agents/plan/resources.ts';
import { FunctionTool } from '../../../../lib/agents/definition/tool.ts';
import { drive } from '../drive.ts';

const link = (name: string, log: string[] = []) => ({
  name,
  chat: () => Promise.reject(new Error('not called')),
  close: async () => void log.push(`close ${name}`),
});

const bare = (name = 'bare') => agent<number, number>(name).on(InputEvent, () => {});

const errorOf = async (promise: Promise<unknown>): Promise<StreamError> => {
  try {
    await promise;
  } catch (error) {
    return error as StreamError;
  }
  throw new Error('nothing was thrown');
};

describe('look-up', () => {
  it.each([
    ['chat_model_conection', 'default', 'chat_model_connection', 'default'],
    ['promt', 'review', 'prompt', 'review'],
    ['bank', 'home', 'banks', 'home'],
  ])(
    'where the type is mistyped as %s the message names what is known of others, the nearest first',
    async (typed, name, type, asked) => {
      const jobs = new JobResources().add('zebra', 'far', 1).add(typed, name, 'x').add('other', 'far', 1);
      const { open } = await jobs.open(bare());
      expect(() => open.get(type, asked)).toThrow(`none of that type is known; of other types: ${typed} '${name}', `);
      expect(() => open.get(type, asked)).not.toThrow('limits');
    },
  );

  it("lets the agent's own name win over the environment's", async () => {
    const job = new JobResources().add('store', 's', { from: 'job' }).add('store', 't', { from: 'job' });
    const one = await job.open(bare().resource('store', 's', { from: 'agent' }));
    const two = await job.open(bare('other'));
    expect([one.open.get('store', 's'), one.open.get('store', 't'), two.open.get('store', 's')]).toEqual([
      { from: 'agent' },
      { from: 'job' },
      { from: 'job' },
    ]);
    expect(one.open.names('store')).toEqual(['s', 't']);
  });

  it('names agent, type, name and what is known', async () => {
    const { open } = await new JobResources().add('prompt', 'review', 'x').open(bare());
    let error: unknown;
    try {
      open.get('prompt', 'reviews');
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({
      code: 'RESOURCE_NOT_FOUND',
      message: "agent 'bare' asks for prompt 'reviews'; known: 'review'",
      details: { agent: 'bare', type: 'prompt', name: 'reviews', known: ['review'] },
    });
    expect(() => open.get('tool', 'x')).toThrow(/none of that type/);
  });

  it('makes prompts and tools of their short forms', async () => {
    const tool = { description: 'd', parameters: { type: 'object' }, execute: () => 1 };
    const { open } = await new JobResources().add('prompt', 'p', 'say {x}').add('tool', 't', tool).open(bare());
    expect(open.get('prompt', 'p')).toBeInstanceOf(PromptResource);
    expect(open.get('tool', 't')).toBeInstanceOf(FunctionTool);
  });

  it('keeps a function as it is, and asks only what is given as a factory', async () => {
    const slug = (text: string): string => text.toLowerCase();
    const job = new JobResources().add('fn', 'slug', slug).add('fn', 'made', { factory: () => slug });
    const { open } = await job.open(bare());
    expect([open.get('fn', 'slug'), open.get('fn', 'made')]).toEqual([slug, slug]);
    const error = await errorOf(new JobResources().add('chat_model_connection', 'a', () => link('a')).open(bare()));
    expect(error.message).toMatch(/chat_model_connection 'a'.*`\{ factory: /);
  });

  it('tells who has the order the other way round', async () => {
    expect(() => new JobResources().add('search', 'tool', {})).toThrow(/`type`.*the type comes first, got `search`/);
    const { open } = await new JobResources()
      .add('tool', 'search', { description: 'd', parameters: {}, execute: () => 1 })
      .open(bare());
    expect(() => open.get('search', 'tool')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("getResource('tool', 'search')") }),
    );
  });

  it('finds what users bind under a token', async () => {
    const job = new JobResources().services(
      (container) => void container.bind(resourceToken('store', 'bound')).toConstantValue(7),
    );
    expect((await job.open(bare())).open.get('store', 'bound')).toBe(7);
  });

  it.each([
    [{ connection: 'nope' }, 'chat_model_connection', 'nope'],
    [{ connection: 'link', prompt: 'nope' }, 'prompt', 'nope'],
    [{ connection: 'link', tools: ['nope'] }, 'tool', 'nope'],
  ])('refuses a model with a missing part when the job starts: %j', async (setup, type, name) => {
    const log: string[] = [];
    const job = new JobResources().add('chat_model_connection', 'link', { factory: () => link('link', log) });
    expect(await errorOf(job.open(bare().chatModel('m', setup)))).toMatchObject({
      code: 'RESOURCE_NOT_FOUND',
      details: { type, name },
    });
    expect(log).toEqual(['close link']);
  });
});

describe('life', () => {
  it('asks factories at each start and closes with the last agent, newest first, once', async () => {
    const log: string[] = [];
    let made = 0;
    const job = new JobResources().add('chat_model_connection', 'a', {
      factory: async () => {
        made += 1;
        return link(`a${made}`, log);
      },
    });
    const own = () =>
      bare()
        .resource('chat_model_connection', 'b', { factory: () => link('b', log) })
        .resource('chat_model_connection', 'c', { factory: () => link('c', log) });
    const [one, two] = await Promise.all([job.open(own()), job.open(bare('two'))]);
    expect(made).toBe(1);
    await one.close();
    await one.close();
    expect(log).toEqual(['close c', 'close b']);
    await two.close();
    expect(log).toEqual(['close c', 'close b', 'close a1']);
    await (await job.open(bare())).close();
    expect(log.at(-1)).toBe('close a2');
  });

  it('closes what was opened before a failure, and may be opened again', async () => {
    const log: string[] = [];
    let fails = true;
    const job = new JobResources()
      .add('chat_model_connection', 'a', { factory: () => link('a', log) })
      .add('store', 's', {
        factory: () => {
          if (fails) throw new Error('no disk');
          return {};
        },
      });
    const error = await errorOf(job.open(bare()));
    expect(error).toMatchObject({
      code: 'AGENT_INVALID',
      message: expect.stringContaining('no disk'),
      details: { type: 'store', name: 's' },
    });
    expect(log).toEqual(['close a']);
    fails = false;
    expect((await job.open(bare())).open.get('store', 's')).toEqual({});
  });

  it('closes the rest when one close fails, and tells of it', async () => {
    const log: string[] = [];
    const broken = { close: () => Promise.reject(new Error('stuck')) };
    const opened = await new JobResources().add('store', 'a', link('a', log)).add('store', 'b', broken).open(bare());
    await expect(opened.close()).rejects.toThrow('stuck');
    expect(log).toEqual(['close a']);
  });

  it("lets the container deactivate users' services", async () => {
    const log: string[] = [];
    class Pool {
      readonly size = 1;
    }
    const job = new JobResources().services((container) => {
      container
        .bind(Pool)
        .toSelf()
        .inSingletonScope()
        .onDeactivation(() => void log.push('pool'));
      container.get(Pool);
    });
    await (await job.open(bare())).close();
    expect(log).toEqual(['pool']);
  });
});

describe('agents with services', () => {
  class Bank {
    readonly name: string = 'bank';
  }

  class Charging extends Agent<number, string> {
    readonly #bank: Bank;
    readonly prefix: string;

    constructor(@inject(Bank) bank: Bank, @inject('prefix') prefix: string) {
      super();
      this.#bank = bank;
      this.prefix = prefix;
    }

    @Prompt() text = 'x';

    @Action(InputEvent)
    act(event: InputEvent<number>, ctx: RunnerContext): void {
      ctx.sendEvent(new OutputEvent(`${this.prefix} ${this.#bank.name} ${event.input}`));
    }
  }

  const bound = (): JobResources =>
    new JobResources().services((container) => {
      container.bind(Bank).toSelf().inSingletonScope();
      container.bind('prefix').toConstantValue('via');
    });

  it('are made by the container', async () => {
    const { run, agent } = await drive(Charging, { resources: bound() });
    expect((await run(3)).outputs).toEqual(['via bank 3']);
    expect(agent.plan.agentName).toBe('Charging');
    expect(checkAgent(Charging)).toBeUndefined();
  });

  it('are made by the container when a field alone is injected', async () => {
    class Paying extends Agent<number, string> {
      @inject('prefix') readonly prefix: string = 'none';

      @Action(InputEvent)
      act(_event: InputEvent<number>, ctx: RunnerContext): void {
        ctx.sendEvent(new OutputEvent(this.prefix));
      }
    }
    expect(checkAgent(Paying)).toBeUndefined();
    const { run } = await drive(Paying, { resources: bound() });
    expect((await run(3)).outputs).toEqual(['via']);
  });

  it('say what is missing', async () => {
    const error = await errorOf(new JobResources().open(Charging));
    expect(error).toMatchObject({
      code: 'AGENT_INVALID',
      message: expect.stringContaining("agent 'Charging'"),
      hint: expect.stringContaining('env.services'),
    });
  });

  it('are frozen, instances of users too, and not in production', async () => {
    class Plain extends Agent<number, number> {
      count = 0;
      @Action(InputEvent) act(): void {}
    }
    const mine = new Plain();
    await new JobResources().open(mine);
    expect(Object.isFrozen(mine)).toBe(true);
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      const other = new Plain();
      await new JobResources().open(other);
      expect(Object.isFrozen(other)).toBe(false);
    } finally {
      process.env['NODE_ENV'] = before;
    }
  });

  it('are checked at build time when they need no services', () => {
    expect(checkAgent(bare())?.agentName).toBe('bare');
    class Bad extends Agent<number, number> {
      @Action('a > 1') act(): void {}
    }
    expect(() => checkAgent(Bad)).toThrow(/conditions come later/);
    class Deaf extends Agent<number, number> {}
    expect(() => checkAgent(Deaf)).toThrow(/agent 'Deaf': an agent needs an action for InputEvent/);
    class Misspelt extends Agent<number, number> {
      static override readonly options = { maxRetry: 5 } as never;
      @Action(InputEvent) act(): void {}
    }
    expect(() => checkAgent(Misspelt)).toThrow(/`agent`.*`maxRetry`/);
    class BadModel extends Agent<number, number> {
      @ChatModel() model = { connection: 'default', promt: 'nope' };
      @Action(InputEvent) act(): void {}
    }
    expect(() => checkAgent(BadModel)).toThrow(/agent 'BadModel': chat_model 'model':.*`promt`/);
  });
});
