/** A call that is asked for wrongly is refused by its promise, as whatever else becomes of a call. */
import {
  agent,
  callbackSink,
  InputEvent,
  noRestart,
  StreamExecutionEnvironment,
  type DurableOptions,
  type RunnerContext,
} from 'millrace';
import { expect, test } from 'vitest';

type Body = (ctx: RunnerContext, options: DurableOptions<number>) => Promise<void>;

const outputsOf = async (body: Body, options: DurableOptions<number>): Promise<readonly unknown[]> => {
  const outputs: unknown[] = [];
  const env = StreamExecutionEnvironment.create({ logger: 'silent', restart: noRestart() });
  const clerk = agent<number, unknown>('clerk').on(InputEvent, (_event, ctx) => body(ctx, options), { async: true });
  const answers = env
    .fromCollection([1])
    .keyBy((n) => n)
    .applyAgent(clerk);
  answers.sinkTo(callbackSink((value) => void outputs.push(value)));
  await env.execute('calls');
  return outputs;
};

/** What the types refuse too. */
const wrong: Readonly<Record<string, { readonly options: DurableOptions<number>; readonly says: string }>> = {
  'arguments that can not be stored': { options: { args: () => 1 }, says: '`args` of durable call `call`' },
  'a limit that is no duration': { options: { timeout: 'soon' as never }, says: 'Expected `timeout`' },
  'an option that does not exist': { options: { tiemout: '1s' } as never, says: 'got `tiemout`' },
  'a retry that is none': { options: { retry: { attempts: 0 } }, says: 'Expected `retry.attempts`' },
};

const fallback: Body = async (ctx, options) => {
  ctx.output(await ctx.durableExecute('call', () => 1, options).catch((error: Error) => error.message));
};

const forgetful: Body = async (ctx, options) => {
  void ctx.durableExecute('call', () => 1, options);
};

test.each(Object.entries(wrong))('%s: the promise says so', async (_name, { options, says }) => {
  expect(await outputsOf(fallback, options)).toEqual([expect.stringContaining(says)]);
});

test.each(Object.entries(wrong))('%s: an action that does not await the call fails', async (_name, { options }) => {
  await expect(outputsOf(forgetful, options)).rejects.toMatchObject({
    code: 'ACTION_FAILED',
    message: expect.stringContaining("ended without awaiting durable call 'call'"),
  });
});
