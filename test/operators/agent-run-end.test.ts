/**
 * A run that has failed keeps its key until the last of its actions has ended (I1): what those have begun may be paid
 * for and change what is outside, so nothing of the next input may come in between.
 */
import {
  agent,
  callbackSink,
  Event,
  InputEvent,
  MemoryStorage,
  outputTag,
  StreamExecutionEnvironment,
  type AgentBuilder,
  type RunnerContext,
} from 'millrace';
import { expect, test } from 'vitest';

const letters = outputTag<{ readonly input: number }>('letters');

/** Calls begin and end here, one after the other of a run that is not over. */
class Till {
  readonly log: string[] = [];
  readonly aborted: boolean[] = [];
  #failures = 0;
  #waiting: (() => void)[] = [];

  /** Two calls; the first one waits until the run has failed, where it does. */
  readonly pays = async ({ input }: InputEvent<number>, ctx: RunnerContext): Promise<void> => {
    const { signal } = ctx;
    for (const call of [1, 2]) {
      await ctx.durableExecute(`call ${call}`, async () => {
        this.log.push(`${input}.${call} begins`);
        if (input === 1 && call === 1 && this.#failures === 0)
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
        await new Promise((resolve) => setTimeout(resolve, 20));
        this.log.push(`${input}.${call} ends`);
      });
      this.aborted.push(signal.aborted);
    }
    ctx.output(input);
  };

  /** The run has failed, and its letter has arrived. */
  failed(): void {
    this.#failures += 1;
    for (const go of this.#waiting.splice(0)) go();
  }
}

const fails = async ({ input }: InputEvent<number>): Promise<void> => {
  if (input === 1) throw new Error('bad');
};

type Made = (till: Till) => AgentBuilder<number, number>;

/** Each with what the run's other action had begun by then. */
const failing: readonly (readonly [what: string, begun: readonly string[], make: Made])[] = [
  [
    'an asynchronous action that throws',
    ['1.1 begins', '1.1 ends'],
    (till) => agent<number, number>('a').on(InputEvent, 'pays', till.pays).on(InputEvent, 'fails', fails),
  ],
  [
    'a synchronous action that throws',
    [],
    (till) =>
      agent<number, number>('a')
        .on(InputEvent, 'pays', till.pays)
        .on(InputEvent, 'fails', ({ input }) => {
          if (input === 1) throw new Error('bad');
        }),
  ],
  [
    'a run of too many events',
    [],
    (till) =>
      agent<number, number>('a')
        .on(InputEvent, 'pays', till.pays)
        .on(InputEvent, 'begins', ({ input }, ctx) => void (input === 1 && ctx.sendEvent(new Event('again'))))
        .on('again', 'goes on', (_event, ctx) => void ctx.sendEvent(new Event('again'))),
  ],
];

const run = (till: Till, made: AgentBuilder<number, number>, inputs: readonly number[], storage?: MemoryStorage) => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent', ...(storage && { storage }) });
  const out: number[] = [];
  const lost: number[] = [];
  const results = env
    .fromCollection(inputs)
    .keyBy(() => 'k')
    .applyAgent(made, { deadLetters: letters, eventsMax: 50 })
    .uid('a');
  results.sinkTo(
    callbackSink((value) => void out.push(value)),
    'out',
  );
  results.sideOutput(letters).sinkTo(
    callbackSink(({ input }) => {
      lost.push(input);
      till.failed();
    }),
    'lost',
  );
  return { env, out, lost };
};

const second = ['2.1 begins', '2.1 ends', '2.2 begins', '2.2 ends'];

test.each(failing)('I1: %s', async (_what, begun, make) => {
  const till = new Till();
  const { env, out, lost } = run(till, make(till), [1, 2]);
  await env.execute();
  expect(till.log).toEqual([...begun, ...second]);
  expect(till.aborted).toEqual([...(begun.length > 0 ? [true] : []), false, false]);
  expect(out).toEqual([2]);
  expect(lost).toEqual([1]);
});

test('I1: after a crash behind the failure the action that was open begins no call again, and the key goes on', async () => {
  const storage = new MemoryStorage();
  const till = new Till();
  const stuck = agent<number, number>('a')
    .on(InputEvent, 'pays', async (event, ctx) => {
      if (event.input !== 1) return till.pays(event, ctx);
      till.log.push('1 waits');
      await new Promise(() => {});
    })
    .on(InputEvent, 'fails', fails);
  const first = run(till, stuck, [1, 2], storage);
  const job = await first.env.executeAsync();
  await expect.poll(() => first.lost, { timeout: 30_000 }).toEqual([1]);
  await job.cancel();
  expect(till.log).toEqual(['1 waits']);
  const { env, out } = run(till, stuck, [1, 2], storage);
  await env.execute();
  expect(till.log).toEqual(['1 waits', ...second]);
  expect(out).toEqual([2]);
});
