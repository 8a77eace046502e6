/**
 * Agents: inputs through two synchronous actions, durable calls at several numbers in flight, and many calls that wait.
 * What a durable call is compared with is a hand-written loop that does group commit on LevelDB: one small record per
 * call, synced before the call counts.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { agent } from '../../lib/agents/definition/agent.ts';
import { Event, InputEvent, OutputEvent } from '../../lib/agents/events/event.ts';
import { callbackSink } from '../../connectors/callback-sink.ts';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { WatermarkStrategy } from '../../lib/runtime/edges/watermark-strategy.ts';
import {
  alternate,
  atLeast,
  atMost,
  cpuOf,
  median,
  quantile,
  short,
  timed,
  type BenchCase,
  type Row,
  type Scale,
} from './case.ts';
import { laps, meteredStorage, voidSink, withDirectory } from './places.ts';

interface Input {
  readonly key: string;
  readonly value: number;
}

const inputsOf = (count: number, keyCount: number): readonly Input[] =>
  Array.from({ length: count }, (_, i) => ({ key: `key-${i % keyCount}`, value: i }));

// ---------- synchronous actions

const makeSyncAgent = () =>
  agent<Input, number>('sync')
    .on(InputEvent, 'score', (event, ctx) => void ctx.sendEvent(new Event('scored', { score: event.input.value * 2 })))
    .on('scored', 'answer', (event, ctx) => void ctx.sendEvent(new OutputEvent(event.attributes['score'] as number)));

const engineSync = async (inputs: readonly Input[], directory?: string): Promise<number> => {
  let sum = 0;
  const env = StreamExecutionEnvironment.create(
    directory === undefined ? {} : { checkpoint: { directory, interval: '1s' } },
  );
  env
    .fromSource(laps(inputs))
    .keyBy(({ key }) => key)
    .applyAgent(makeSyncAgent())
    .sinkTo(voidSink((output) => void (sum += output)));
  await env.execute();
  return sum;
};

/** The two actions as functions that pass events as plain objects through a queue. */
const loopSync = (inputs: readonly Input[]): number => {
  let sum = 0;
  const handlers = new Map<
    string,
    (event: { type: string; value: unknown }) => { type: string; value: unknown } | undefined
  >([
    ['input', ({ value }) => ({ type: 'scored', value: { score: (value as Input).value * 2 } })],
    ['scored', ({ value }) => ({ type: 'output', value: (value as { score: number }).score })],
    ['output', ({ value }) => void (sum += value as number)],
  ]);
  for (const input of inputs) {
    const queue: { type: string; value: unknown }[] = [{ type: 'input', value: input }];
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      const next = handlers.get(event.type)?.(event);
      if (next !== undefined) queue.push(next);
    }
  }
  return sum;
};

const syncCase: BenchCase = {
  name: 'sync-agent',
  async run(scale) {
    const inputs = inputsOf(scale.size(200_000, 500), scale.size(10_000, 50));
    assert.equal(await engineSync(inputs), loopSync(inputs));
    const ms = await alternate(scale, {
      loop: () => loopSync(inputs),
      memory: () => engineSync(inputs),
      store: () => withDirectory((directory) => engineSync(inputs, directory)),
    });
    return (['memory', 'store'] as const).map((how): Row => {
      const rate = (inputs.length * 1000) / ms[how];
      return {
        name: `two synchronous actions, ${how === 'memory' ? 'no store' : 'checkpoint 1 s'}`,
        perSecond: rate,
        ratio: ms[how] / ms.loop,
        figures: [`${((ms[how] * 1000) / inputs.length).toFixed(2)} us`],
      };
    });
  },
};

// ---------- durable calls

const makeCallAgent = (call: (value: number) => Promise<number>) =>
  agent<Input, number>('calls').on(InputEvent, 'ask', async (event, ctx) => {
    const { value } = event.input;
    const answer = await ctx.durableExecute('call', () => call(value), { args: value });
    ctx.sendEvent(new OutputEvent(answer));
  });

interface CallRun {
  readonly inputs: readonly Input[];
  readonly inFlight: number;
  readonly directory: string;
  readonly call: (value: number) => Promise<number>;
}

interface CallUse {
  readonly sum: number;
  readonly cpuUs: number;
  readonly journalBytes: number;
  readonly journalRecords: number;
}

const engineCalls = async ({ inputs, inFlight, directory, call }: CallRun): Promise<CallUse> => {
  let sum = 0;
  const { storage, journal } = meteredStorage(directory);
  const env = StreamExecutionEnvironment.create({ storage });
  env
    .fromSource(laps(inputs))
    .keyBy(({ key }) => key)
    .applyAgent(makeCallAgent(call), { asyncConcurrency: inFlight })
    .sinkTo(voidSink((output) => void (sum += output)));
  const cpuUs = await cpuOf(() => env.execute());
  return { sum, cpuUs, journalBytes: journal.bytes, journalRecords: journal.records };
};

/** Group commit by hand: what is ready goes into one synced batch, with one write in flight. */
const loopCalls = async ({ inputs, inFlight, directory, call }: CallRun): Promise<number> => {
  const level = new ClassicLevel<string, string>(join(directory, 'by-hand'), {
    writeBufferSize: 16 * 2 ** 20,
    compression: false,
  });
  await level.open();
  let [sum, next, writing] = [0, 0, false];
  let group: { key: string; value: string; done: () => void }[] = [];
  const write = async (): Promise<void> => {
    writing = true;
    while (group.length > 0) {
      const written = group;
      group = [];
      const batch = level.batch();
      for (const { key, value } of written) batch.put(key, value);
      await batch.write({ sync: true });
      for (const { done } of written) done();
      await new Promise((resolve) => setImmediate(resolve));
    }
    writing = false;
  };
  const durable = (key: string, value: string): Promise<void> =>
    new Promise((done) => {
      group.push({ key, value, done });
      if (!writing) void write();
    });
  const lane = async (): Promise<void> => {
    while (next < inputs.length) {
      const number = next++;
      const answer = await call(inputs[number]?.value ?? 0);
      await durable(`${number}`.padStart(12, '0'), JSON.stringify([number, answer]));
      sum += answer;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  await level.close();
  return sum;
};

const callGoals = (inFlight: number, rate: number, cpuUs: number): Row['goals'] =>
  inFlight === 1000 ? [atLeast('calls/s', rate, 60_000), atMost('us CPU', cpuUs, 16)] : undefined;

const callCase = (inFlight: number, calls: number): BenchCase => ({
  name: `durable-calls-${short(inFlight)}`,
  async run(scale) {
    const inputs = inputsOf(scale.size(calls, 200), 4 * inFlight);
    const call = async (value: number): Promise<number> => value + 1;
    const uses: CallUse[] = [];
    const ms = await alternate(scale, {
      loop: () => withDirectory((directory) => loopCalls({ inputs, inFlight, directory, call })),
      engine: () =>
        withDirectory(async (directory) => uses.push(await engineCalls({ inputs, inFlight, directory, call }))),
    });
    const expected = inputs.reduce((sum, { value }) => sum + value + 1, 0);
    for (const { sum } of uses) assert.equal(sum, expected);
    const each = (of: (use: CallUse) => number): number => median(uses.map(of)) / inputs.length;
    const cpuUs = each((use) => use.cpuUs);
    const rate = (inputs.length * 1000) / ms.engine;
    return [
      {
        name: `one durable call per input, ${short(inFlight)} in flight`,
        perSecond: rate,
        ratio: ms.engine / ms.loop,
        figures: [
          `${cpuUs.toFixed(1)} us CPU`,
          `${each((use) => use.journalBytes).toFixed(0)} B`,
          `${each((use) => use.journalRecords).toFixed(2)} records`,
        ],
        goals: callGoals(inFlight, rate, cpuUs),
      },
    ];
  },
});

// ---------- waiting

const waitMs = 1000;

const waitingOnce = async (
  count: number,
): Promise<{ readonly waitingUs: number; readonly allUs: number; readonly ms: number }> =>
  withDirectory(async (directory) => {
    let started = 0;
    let cpuAtStart: NodeJS.CpuUsage | undefined;
    let waitingUs = 0;
    const wait = (value: number): Promise<number> =>
      new Promise((resolve) => {
        started += 1;
        if (started === count) cpuAtStart = process.cpuUsage();
        setTimeout(() => {
          if (waitingUs === 0 && cpuAtStart !== undefined) {
            const { user, system } = process.cpuUsage(cpuAtStart);
            waitingUs = user + system;
          }
          resolve(value);
        }, waitMs);
      });
    let allUs = 0;
    const ms = await timed(async () => {
      allUs = (await engineCalls({ inputs: inputsOf(count, count), inFlight: count, directory, call: wait })).cpuUs;
    });
    return { waitingUs, allUs, ms };
  });

const waiting: BenchCase = {
  name: 'waiting-calls',
  async run(scale: Scale) {
    const count = scale.size(10_000, 50);
    const runs = [];
    for (let round = 0; round < scale.rounds; round += 1) runs.push(await waitingOnce(count));
    const allMs = median(runs.map(({ allUs }) => allUs)) / 1000;
    return [
      {
        name: `${short(count)} calls waiting ${waitMs / 1000} s`,
        figures: [
          `CPU while they wait ${(median(runs.map(({ waitingUs }) => waitingUs)) / 1000).toFixed(0)} ms`,
          `in all ${allMs.toFixed(0)} ms (${((allMs * 1000) / count).toFixed(0)} us each)`,
          `took ${(median(runs.map(({ ms }) => ms)) / 1000).toFixed(2)} s`,
        ],
      },
    ];
  },
};

// ---------- one slow key

interface Lags {
  /** Milliseconds from the end of a fast key's call to its result at the sink. */
  readonly fast: readonly number[];
  /** Those whose result came behind the slow key's. */
  readonly behindSlow: number;
}

/**
 * One key whose call takes `slowMs` and others whose call takes 5 ms, with a watermark behind each record or without
 * any.
 */
const besideSlowKey = async (others: number, slowMs: number, watermarks: boolean): Promise<Lags> => {
  const inputs = Array.from({ length: others + 1 }, (_, i): Input => ({
    key: i === 0 ? 'slow' : `key-${i}`,
    value: i,
  }));
  const [ended, fast]: [Map<string, number>, number[]] = [new Map(), []];
  let [slowAt, behindSlow] = [Number.POSITIVE_INFINITY, 0];
  const waiting = agent<Input, string>('waiting').on(InputEvent, async ({ input: { key } }, ctx) => {
    await ctx.durableExecute(
      'call',
      () => new Promise<void>((resolve) => void setTimeout(resolve, key === 'slow' ? slowMs : 5)),
    );
    ended.set(key, performance.now());
    ctx.output(key);
  });
  const came = (key: string): void => {
    const now = performance.now();
    if (key === 'slow') slowAt = now;
    else {
      fast.push(now - (ended.get(key) ?? Number.NaN));
      if (now > slowAt) behindSlow += 1;
    }
  };
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const strategy = WatermarkStrategy.monotonous<Input>()
    .withTimestamps(({ value }) => value * 1000)
    .withEmitEvery(1);
  const source = watermarks ? env.fromCollection(inputs, strategy) : env.fromCollection(inputs);
  source
    .keyBy(({ key }) => key)
    .applyAgent(waiting)
    .sinkTo(callbackSink(came));
  await env.execute();
  return { fast, behindSlow };
};

const slowKey: BenchCase = {
  name: 'slow-key',
  async run(scale) {
    const [others, slowMs] = [scale.size(200, 20), scale.size(3000, 100)];
    await besideSlowKey(others, 50, true); // Loads and compiles.
    const rows: Row[] = [];
    for (const watermarks of [true, false]) {
      const { fast, behindSlow } = await besideSlowKey(others, slowMs, watermarks);
      assert.equal(fast.length, others);
      const [p50, p99] = [quantile(fast, 0.5), quantile(fast, 0.99)];
      rows.push({
        name: `${others} keys beside one of ${short(slowMs / 1000)} s, ${watermarks ? 'a watermark behind each record' : 'no watermarks'}`,
        figures: [
          `from the call's end to the sink p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
          `${behindSlow} behind the slow one`,
        ],
        goals: [atMost('p99 ms', p99, 50)],
      });
    }
    return rows;
  },
};

export const agents: readonly BenchCase[] = [
  syncCase,
  callCase(1, 2000),
  callCase(64, 20_000),
  callCase(1000, 60_000),
  callCase(10_000, 100_000),
  waiting,
  slowKey,
];
