import { pino } from 'pino';
import { expect, it } from 'vitest';
import {
  agent,
  callbackSink,
  InputEvent,
  outputTag,
  StreamExecutionEnvironment,
  type ApplyAgentOptions,
  type DeadLetter,
} from 'millrace';
import { Warnings } from '../../../lib/agents/warnings.ts';

const letters = outputTag<DeadLetter>('letters');

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly operator?: string;
}

/** What a job logs whose agent sends an event that nobody handles. */
const logOf = async (options: ApplyAgentOptions, isRead: boolean): Promise<readonly Line[]> => {
  const lines: Line[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });
  const env = StreamExecutionEnvironment.create({ logger });
  const answers = env
    .fromCollection([1, 2, 3])
    .keyBy((n) => n)
    .applyAgent(
      agent<number, number>('clerk').on(InputEvent, ({ input }, ctx) => ctx.output(input)),
      options,
    );
  answers.sinkTo(callbackSink(() => {}));
  if (isRead) answers.sideOutput(letters).sinkTo(callbackSink(() => {}));
  await env.execute();
  return lines;
};

it('a job says when nobody reads the dead letters of an agent, which is what it says of every side output', async () => {
  const lines = await logOf({ deadLetters: letters }, false);
  expect(lines).toMatchObject([
    {
      level: 40,
      operator: 'clerk',
      msg: expect.stringContaining("nobody reads side output 'letters' of operator 'clerk'"),
    },
  ]);
  expect(await logOf({ deadLetters: letters }, true)).toEqual([]);
  expect(await logOf({}, false)).toEqual([]);
});

it('each topic is told once, and only so many topics', () => {
  const told: string[] = [];
  const warnings = new Warnings((_facts, message) => told.push(message));
  for (let n = 0; n < 3000; n += 1) warnings.once(`topic ${n % 1500}`, {}, `message ${n}`);
  expect([told.length, told.at(-1)]).toEqual([1000, 'message 999']);
  new Warnings().once('topic', {}, 'nobody listens');
});
