/**
 * One job with an agent dies with calls journaled and runs open. Then something is wrong when it is started again. Each
 * time: an error with code and hint, nothing is written; and when the cause is mended, the whole output, with no call
 * made twice.
 */
import { fork } from 'node:child_process';
import { once as event } from 'node:events';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  agent,
  InputEvent,
  jsonLines,
  jsonLinesSink,
  LevelStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type ApplyAgentOptions,
  type EnvironmentBaseOptions,
  type ErrorCode,
  type Key,
} from 'millrace';
import { expect, test } from 'vitest';
import { failure, freshDirectory, later, once, until } from './story.ts';

interface Ask {
  readonly key: string;
  readonly n: number;
}

const asks: readonly Ask[] = Array.from({ length: 40 }, (_, n) => ({ key: `k${n % 5}`, n: 100 + n }));
const lines = asks.map((ask) => `${JSON.stringify(ask)}\n`);
const expected = asks.map(({ key, n }) => `${JSON.stringify(`${key}:${n}`)}\n`).join('');

/** What is not as it should be in one life. */
interface Fault {
  readonly environment?: EnvironmentBaseOptions;
  readonly options?: ApplyAgentOptions;
  readonly uid?: string;
  readonly second?: string;
  readonly version?: string;
  readonly keyOf?: (ask: Ask) => Key;
  readonly act?: (ask: Ask) => unknown;
}

class Office {
  readonly input: string;
  readonly output: string;
  readonly state: string;
  readonly calls = new Map<number, number>();
  #seconds = 0;

  constructor(directory: string) {
    this.input = join(directory, 'asks.jsonl');
    this.output = join(directory, 'answers.jsonl');
    this.state = join(directory, 'state');
  }

  start(fault: Fault = {}, openFrom = Number.POSITIVE_INFINITY): StreamExecutionEnvironment {
    const {
      uid = 'clerk',
      second = 'upper',
      version = '1',
      keyOf = ({ key }) => key,
      act = ({ key, n }) => `${key}:${n}`,
    } = fault;
    const env = StreamExecutionEnvironment.create({
      ...once,
      storage: new LevelStorage(this.state),
      ...fault.environment,
    });
    const clerk = agent<Ask, string>('clerk')
      .options({ version })
      .on(
        InputEvent,
        'answer',
        async (asked: InputEvent<Ask>, ctx) => {
          const { n } = asked.input;
          await ctx.durableExecute('look-up', () => void this.calls.set(n, (this.calls.get(n) ?? 0) + 1));
          // It leaves when the outcome above is journaled.
          await ctx.durableExecute('note', () => void (this.#seconds += 1));
          if (n >= openFrom) await new Promise(() => {});
          ctx.sendEvent(new OutputEvent(act(asked.input) as string));
        },
        { async: true },
      );
    env
      .fromSource(jsonLines<Ask>(this.input, { batchSize: 5 }))
      .uid('asks')
      .keyBy(keyOf)
      .applyAgent(clerk, { outputOrder: 'arrival', pendingMax: 20, ...fault.options })
      .uid(uid)
      .map((text) => text)
      .uid(second)
      .sinkTo(jsonLinesSink(this.output));
    return env;
  }

  /**
   * A checkpoint, more turns and outcomes, and the end of the process; five runs are open, and fifteen inputs wait
   * behind them.
   */
  async dies(): Promise<void> {
    await writeFile(this.input, lines.join(''));
    const job = await this.start({}, 110).executeAsync();
    await until(() => this.#seconds >= 5);
    do await job.checkpoint();
    while ((await readFile(this.output, 'utf8')) === '');
    await until(() => this.#seconds === 15);
    await later(5);
    await job.cancel();
    expect(expected.startsWith(await readFile(this.output, 'utf8'))).toBe(true);
  }
}

interface Story {
  readonly code: ErrorCode;
  readonly says: RegExp;
  readonly fault?: Fault;
  /** Breaks something outside, and gives what mends it. */
  readonly breaks?: (office: Office) => Promise<() => Promise<unknown>>;
}

const bad = 130;
const wrong = (value: unknown): never => value as never;

/** Replaces the input, and puts the right one back. */
const otherInput = (text: string) => async (office: Office) => {
  await writeFile(office.input, text);
  return () => writeFile(office.input, lines.join(''));
};

const stories: Readonly<Record<string, Story>> = {
  'a malformed line behind what was read': {
    code: 'INPUT_MALFORMED',
    says: /asks\.jsonl.*31/,
    breaks: otherInput(lines.map((line, index) => (index === 30 ? line.replace('}', ']') : line)).join('')),
  },
  'the input is gone': {
    code: 'INPUT_NOT_FOUND',
    says: /asks\.jsonl/,
    breaks: async (office) => (await rm(office.input), () => writeFile(office.input, lines.join(''))),
  },
  'the input is shorter than what was read': {
    code: 'INPUT_CHANGED',
    says: /asks\.jsonl/,
    breaks: otherInput(lines.slice(0, 2).join('')),
  },
  'the output was cut': {
    code: 'OUTPUT_CHANGED',
    says: /answers\.jsonl/,
    breaks: async ({ output }) => {
      const text = await readFile(output);
      await truncate(output, 4);
      return () => writeFile(output, text);
    },
  },
  'two operators with one uid': { code: 'UID_CLASH', says: /"clerk"/, fault: { second: 'clerk' } },
  'another maxParallelism': {
    code: 'STATE_INCOMPATIBLE',
    says: /maxParallelism 128.*64/,
    fault: { environment: { maxParallelism: 64 } },
  },
  'the agent has another uid': { code: 'STATE_UNCLAIMED', says: /"clerk"/, fault: { uid: 'office' } },
  'the plan changed, and open runs are not to go on': {
    code: 'PLAN_CHANGED',
    says: /clerk/,
    fault: { version: '2', options: { onPlanChange: 'fail' } },
  },
  'a key that is none': {
    code: 'KEY_INVALID',
    says: /can not be a key/,
    fault: { keyOf: ({ key, n }) => (n === bad ? wrong(undefined) : key) },
  },
  'an output that can not be stored': {
    code: 'ACTION_FAILED',
    says: /function/,
    fault: { act: ({ key, n }) => (n === bad ? () => 1 : `${key}:${n}`) },
  },
  'an action that throws behind its calls': {
    code: 'ACTION_FAILED',
    says: /no such ask/,
    fault: {
      act: ({ key, n }) => {
        if (n === bad) throw new RangeError('no such ask');
        return `${key}:${n}`;
      },
    },
  },
  'the directory is of a newer version': {
    code: 'STORE_FORMAT',
    says: /format 2/,
    breaks: async ({ state }) => {
      const marker = await readFile(join(state, 'millrace.json'), 'utf8');
      const { jobId } = JSON.parse(marker) as { readonly jobId: string };
      await writeFile(join(state, 'millrace.json'), JSON.stringify({ format: 2, jobId, crc: crc32(`2 ${jobId}`) }));
      return () => writeFile(join(state, 'millrace.json'), marker);
    },
  },
  'another process has the state open': {
    code: 'STORE_LOCKED',
    says: /another process/,
    breaks: async ({ state }) => {
      const holder = fork(new URL('hold-directory.mjs', import.meta.url), [join(state, 'journal')], {
        execArgv: [],
        stdio: 'inherit',
      });
      await event(holder, 'message');
      return async () => {
        holder.kill();
        await event(holder, 'exit');
      };
    },
  },
};

test.each(Object.entries(stories))('%s', async (_what, { code, says, fault, breaks }) => {
  const office = new Office(await freshDirectory());
  await office.dies();
  const journaled = new Map(office.calls);
  const mend = await breaks?.(office);
  try {
    const error = await failure(office.start(fault).execute(), code);
    expect(error.message).toMatch(says);
  } finally {
    await mend?.();
  }
  expect(expected.startsWith(await readFile(office.output, 'utf8'))).toBe(true);
  for (const [n, count] of journaled) expect([n, office.calls.get(n)]).toEqual([n, count]);
  const before = new Map(office.calls);
  await office.start().execute();
  expect(await readFile(office.output, 'utf8')).toBe(expected);
  // Calls that were on their way when the job failed may be made again: at most one of each key, and none that was
  // journaled before.
  const again = [...before.keys()].filter((n) => office.calls.get(n) !== before.get(n));
  expect(again.length).toBeLessThanOrEqual(5);
  for (const n of journaled.keys()) expect([n, office.calls.get(n)]).toEqual([n, 1]);
  expect(office.calls.size).toBe(asks.length);
});
