/** What a hint says to do is true of the case in hand, and not only of most errors with that code. */
import {
  agent,
  defineSource,
  StreamExecutionEnvironment,
  valueState,
  listState,
  MemoryStorage,
  type StreamError,
} from 'millrace';
import { AgentHarness, scriptedChatModel } from 'millrace/testing';
import { offlineChatModel } from 'millrace/connectors/offline-chat-model';
import { expect, test } from 'vitest';
import { once } from './story.ts';

const create = (options: Parameters<typeof StreamExecutionEnvironment.create>[0] = {}): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ ...once, ...options });

interface Kept {
  readonly state: 'value' | 'list';
  readonly maxParallelism?: number;
}

/** A job with a state of this kind, until its first checkpoint. */
const keep = async (storage: MemoryStorage, { state, ...options }: Kept): Promise<void> => {
  const env = create({ storage, ...options });
  const numbers = env.generate({ generate: (index) => index, perSecond: 100 }).keyBy((index) => index % 2);
  const kept =
    state === 'value'
      ? numbers.process({
          state: { kept: valueState<number>('kept') },
          process: (value, ctx) => ctx.state.kept.update(value),
        })
      : numbers.process({
          state: { kept: listState<number>('kept') },
          process: (value, ctx) => ctx.state.kept.add(value),
        });
  kept.uid('keeping').print({ write: () => {} });
  const job = await env.executeAsync('kept');
  await job.checkpoint().catch(() => {}); // Why the job failed is told by the stop.
  await job.stop();
};

const changed = async (second: Kept): Promise<void> => {
  const storage = new MemoryStorage();
  await keep(storage, { state: 'value' });
  await keep(storage, second);
};

const cases: readonly (readonly [name: string, attempt: () => Promise<unknown>, error: object])[] = [
  [
    'a uid that was given and is the default of another operator',
    () => {
      const env = create();
      const mapped = env.fromCollection([1]).map((value) => value);
      mapped.uid('map-2');
      mapped.map((value) => value).print({ write: () => {} });
      return env.execute();
    },
    {
      code: 'UID_CLASH',
      message:
        'the uid "map-2" is that of the operator "map" behind "collection" (by `.uid`) and of the operator "map" behind "map" (by default)',
      hint: 'give one of the two another uid by `.uid(...)`',
    },
  ],
  [
    'a script that has run out',
    () => scriptedChatModel([]).chat({ messages: [] } as never, { signal: new AbortController().signal } as never),
    { code: 'MODEL_REQUEST', hint: 'write down an answer for each request, in the order in which they come' },
  ],
  [
    'a request without messages',
    () => offlineChatModel({}).chat({ messages: [] } as never, { signal: new AbortController().signal } as never),
    { code: 'MODEL_REQUEST', hint: 'give the chat model a `prompt`, or the ChatRequestEvent `messages`' },
  ],
  [
    'an agent without actions',
    () => AgentHarness.open(agent<string, string>('idle').on('never', () => {})),
    { code: 'AGENT_INVALID', message: expect.stringContaining('got `["on_never"]`') as string },
  ],
  [
    'a result that is returned and not emitted',
    () =>
      create()
        .fromCollection([1])
        .process<number>((value) => value * 2)
        .executeAndCollect(),
    { code: 'OPERATOR_FAILED', retryable: false, hint: expect.stringContaining('`ctx.emit(value)`') as string },
  ],
  [
    'another kind of state',
    () => changed({ state: 'list' }),
    { code: 'STATE_INCOMPATIBLE', hint: expect.stringContaining('declare it as it was') as string },
  ],
  [
    'another number of key groups',
    () => changed({ state: 'value', maxParallelism: 64 }),
    { code: 'STATE_INCOMPATIBLE', hint: 'set `maxParallelism` to 128: it is fixed for the life of the state' },
  ],
  [
    'a promise of a position',
    async () => {
      const source = defineSource<number, unknown>({
        start: 0,
        read: () => ({ values: [1], position: () => Promise.resolve(1) }),
      });
      await create().fromSource(source).executeAndCollect();
    },
    { code: 'ASYNC_IN_TURN', hint: 'give the position itself' },
  ],
];

test.each(cases)('%s', async (_name, attempt, error) => {
  const thrown = await Promise.resolve()
    .then(attempt)
    .then(
      () => undefined,
      (reason: unknown) => reason as StreamError, // looked at below
    );
  expect(thrown).toMatchObject(error);
});
