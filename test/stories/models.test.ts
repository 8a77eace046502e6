import {
  agent,
  ChatRequestEvent,
  ChatResponseEvent,
  exponentialDelay,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  outputTag,
  StreamError,
  StreamExecutionEnvironment,
  type Agent,
  type AgentOptions,
  type ApplyAgentOptions,
  type ChatMessage,
  type ChatModelConnectionContract,
  type DeadLetter,
  type EnvironmentBaseOptions,
} from 'millrace';
import * as z from 'zod';
import { describe, expect, test } from 'vitest';
import { failure, Ledger, later, once } from './story.ts';

interface Review {
  readonly id: string;
  readonly n: number;
}

const reviews: readonly Review[] = Array.from({ length: 9 }, (_, n) => ({ id: `p${n % 3}`, n }));
const scored = reviews.map(({ id, n }) => `${id}:${n}:${n % 5}`);
const bad = 4;
const letters = outputTag<DeadLetter>('letters');

/** What the model does with the bad review, as long as it is broken. */
type Fault = (options: { readonly signal: AbortSignal }) => Promise<ChatMessage>;

/** A model that scores, counts its requests, and has a fault until it is restored. */
class Model implements ChatModelConnectionContract {
  broken = true;
  readonly requests = new Map<number, number>();
  readonly #fault: Fault;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  async chat(
    request: { readonly messages: readonly ChatMessage[] },
    options: { readonly signal: AbortSignal },
  ): Promise<ChatMessage> {
    const n = Number(/review (\d+)/.exec(request.messages[0]?.content ?? '')?.[1]);
    this.requests.set(n, (this.requests.get(n) ?? 0) + 1);
    if (this.broken && n === bad) return this.#fault(options);
    return { role: 'assistant', content: JSON.stringify({ score: n % 5 }) };
  }
}

const Score = z.object({ score: z.number() });

const scorer = (options: AgentOptions & { readonly timeout?: number } = {}): Agent<Review, string> => {
  const { timeout, ...settings } = options;
  return agent<Review, string>('scorer')
    .chatModel('model', {
      connection: 'default',
      prompt: 'ask',
      outputSchema: Score,
      ...(timeout === undefined ? {} : { timeout }),
    })
    .prompt('ask', 'Score review {n}')
    .options(settings)
    .on(InputEvent, 'ask', (event: InputEvent<Review>, ctx) => {
      ctx.sensoryMemory.set('review', event.input);
      ctx.sendEvent(new ChatRequestEvent({ model: 'model', promptArgs: { n: event.input.n } }));
    })
    .on(ChatResponseEvent, 'answer', (event, ctx) => {
      const { id, n } = ctx.sensoryMemory.get<Review>('review') as Review; // set by `ask`
      ctx.sendEvent(new OutputEvent(`${id}:${n}:${event.output?.score}`));
    });
};

interface Parts {
  readonly model: Model;
  readonly storage?: MemoryStorage;
  readonly ledger?: Ledger<string>;
  readonly dead?: Ledger<DeadLetter>;
  readonly agent?: AgentOptions & { readonly timeout?: number };
  readonly options?: ApplyAgentOptions;
  readonly environment?: EnvironmentBaseOptions;
}

const run = ({ model, storage = new MemoryStorage(), ledger = new Ledger(), dead, ...parts }: Parts): Promise<void> => {
  const env = StreamExecutionEnvironment.create({ ...once, storage, ...parts.environment });
  env.addResource('chat_model_connection', 'default', { chat: model.chat.bind(model) });
  const answered = env
    .fromCollection(reviews)
    .keyBy(({ id }) => id)
    .applyAgent(scorer(parts.agent), { outputOrder: 'arrival', ...parts.options });
  answered.sinkTo(ledger.sink(), 'ledger');
  if (dead !== undefined) answered.sideOutput(letters).sinkTo(dead.sink(), 'dead');
  return env.execute();
};

const faults: readonly (readonly [what: string, fault: Fault, code: RegExp])[] = [
  [
    'an answer 500',
    () => Promise.reject(new StreamError('MODEL_UNAVAILABLE', 'the model answered 500', { details: { status: 500 } })),
    /MODEL_UNAVAILABLE/,
  ],
  ['a refusal', () => Promise.reject(new StreamError('MODEL_REQUEST', 'the model answered 400')), /MODEL_REQUEST/],
  [
    'a timeout',
    ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    /WORK_TIMEOUT/,
  ],
  ['malformed JSON', async () => ({ role: 'assistant', content: '{"score": 4' }), /MODEL_RESPONSE/],
  ['JSON of another shape', async () => ({ role: 'assistant', content: '{"score": "four"}' }), /MODEL_RESPONSE/],
  ['an empty answer', async () => ({ role: 'assistant', content: '' }), /MODEL_RESPONSE/],
];

const timed = { timeout: 30 };

describe.each(faults)('a model with %s', (_what, fault, code) => {
  test("'fail': the job fails with the model's error; restored, it goes on, and no answer that came is asked for again", async () => {
    const [model, storage, ledger] = [new Model(fault), new MemoryStorage(), new Ledger<string>()];
    const error = await failure(run({ model, storage, ledger, agent: timed }), 'ACTION_FAILED');
    expect((error.cause as { code: string }).code).toMatch(code);
    expect(error.retryable).toBe((error.cause as { retryable: boolean }).retryable);
    let before = new Map(model.requests);
    model.broken = false;
    if (code.source === 'MODEL_RESPONSE') {
      // The answer was paid and journaled: it fails again and nobody is asked, until the model may be asked again.
      await failure(run({ model, storage, ledger, agent: timed }), 'ACTION_FAILED');
      expect(model.requests.get(bad)).toBe(before.get(bad));
      before = new Map(model.requests);
      await run({ model, storage, ledger, agent: { ...timed, errorHandling: 'retry' } });
    } else await run({ model, storage, ledger, agent: timed });
    expect(ledger.values).toEqual(scored);
    // Requests whose answers were on their way when the job failed are asked again; the failed one is; no other.
    for (const [n, count] of model.requests) expect(count).toBeLessThanOrEqual(1 + (before.get(n) ?? 0));
    expect(model.requests.get(bad)).toBe((before.get(bad) ?? 0) + 1);
  });

  test("'retry': asked again until it answers, without starting anything else again", async () => {
    const model = new Model(async (options) => {
      if ((model.requests.get(bad) ?? 0) >= 3) model.broken = false;
      return fault(options);
    });
    const ledger = new Ledger<string>();
    const settings = { ...timed, errorHandling: 'retry', maxRetries: 5, retryWaitInterval: 1 } as const;
    if (code.source === 'MODEL_REQUEST') {
      await failure(run({ model, ledger, agent: settings }), 'ACTION_FAILED');
      expect(model.requests.get(bad)).toBe(1); // A refusal is not asked again.
      return;
    }
    await run({ model, ledger, agent: settings });
    expect(ledger.values).toEqual(scored);
    expect([...model.requests.values()].toSorted()).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 4]);
  });

  test("'ignore': that review gives nothing, all others do", async () => {
    const [model, ledger] = [new Model(fault), new Ledger<string>()];
    await run({ model, ledger, agent: { ...timed, errorHandling: 'ignore' } });
    expect(ledger.values).toEqual(scored.filter((_, n) => n !== bad));
  });

  test('with dead letters: that review is there with its error', async () => {
    const [model, ledger, dead] = [new Model(fault), new Ledger<string>(), new Ledger<DeadLetter>()];
    await run({ model, ledger, dead, agent: timed, options: { deadLetters: letters } });
    expect(ledger.values).toEqual(scored.filter((_, n) => n !== bad));
    expect(dead.values).toMatchObject([{ key: `p${bad % 3}`, input: reviews[bad], action: 'chat_model_action' }]);
    expect(dead.values[0]?.error.message.length).toBeGreaterThan(10);
  });

  test('the restart strategy starts the job again until the model is restored', async () => {
    const [model, storage, ledger] = [new Model(fault), new MemoryStorage(), new Ledger<string>()];
    const job = run({
      model,
      storage,
      ledger,
      agent: timed,
      environment: { restart: exponentialDelay({ initial: 5, max: 5 }) },
    });
    if (code.source !== 'MODEL_UNAVAILABLE' && code.source !== 'WORK_TIMEOUT') {
      await failure(job, 'ACTION_FAILED'); // No restart can help, so none is tried.
      expect(model.requests.get(bad)).toBe(1);
      return;
    }
    await later(timed.timeout + 30);
    model.broken = false;
    await job;
    expect(ledger.values).toEqual(scored);
  });
});

test('a resource that nobody has is refused before anything runs', async () => {
  const env = StreamExecutionEnvironment.create(once);
  env
    .fromCollection(reviews)
    .keyBy(({ id }) => id)
    .applyAgent(scorer())
    .print();
  const error = await failure(env.execute(), 'RESOURCE_NOT_FOUND');
  expect(error.message).toMatch(/'default'/);
});
