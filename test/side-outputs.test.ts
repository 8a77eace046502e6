/**
 * What goes to a side output that nobody reads is counted and told once; so is a side output read where nobody writes
 * it (I22).
 */
import {
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  WatermarkStrategy,
  type DataStream,
  type DeadLetter,
} from 'millrace';
import { pino } from 'pino';
import { expect, test } from 'vitest';

interface Told {
  readonly operator: string;
  readonly sideOutput: string;
  readonly msg: string;
}

const tag = outputTag<number>('aside');
const letters = outputTag<DeadLetter<number>>('letters');

/** Runs a pipeline over 1, 50, 2, 3 as values and timestamps; gives what it said and the counters of one operator. */
const run = async (build: (numbers: DataStream<number>) => DataStream<unknown>, uid: string) => {
  const told: Told[] = [];
  // as it was written
  const logger = pino({ level: 'warn' }, { write: (line: string) => void told.push(JSON.parse(line) as Told) });
  const env = StreamExecutionEnvironment.create({ logger });
  const strategy = WatermarkStrategy.monotonous()
    .withTimestamps((n: number) => n)
    .withEmitEvery(1);
  const values: unknown[] = [];
  build(env.fromCollection([1, 50, 2, 3], strategy)).map((value) => values.push(value));
  const job = await env.executeAsync();
  await job.done;
  const counted = await job.metrics.snapshot();
  const count = (name: string): unknown => counted[`operator.${uid}.${name}`];
  return { told, values, late: count('numLateRecordsDropped'), dropped: count('numSideRecordsDropped') };
};

const windows = (numbers: DataStream<number>) =>
  numbers
    .keyBy(() => 'all')
    .window(TumblingEventTimeWindows.of(10))
    .sideOutputLateData(tag)
    .process((all) => all.length);

test('late records whose tag is read behind a map are counted, and the job says where to read them', async () => {
  const { told, values, late } = await run(
    (numbers) =>
      windows(numbers)
        .map((n) => n)
        .sideOutput(tag),
    'window',
  );
  expect([values, late]).toEqual([[], 2]);
  expect(told.map(({ operator }) => operator)).toEqual(['window', 'map']);
  expect(told[1]?.msg).toContain("call `sideOutput` on the stream that 'window' gives");
});

test('late records that somebody reads are not counted as lost', async () => {
  expect(await run((numbers) => windows(numbers).sideOutput(tag), 'window')).toMatchObject({
    told: [],
    values: [2, 3],
    late: 0,
  });
});

test.each<[string, number, (numbers: DataStream<number>) => DataStream<unknown>]>([
  ['process', 4, (numbers) => numbers.process<number>((n, ctx) => ctx.side(tag, n))],
  [
    'twice',
    4,
    (numbers) => numbers.transform('twice', ({ output }) => ({ process: (n, at) => output.side(tag, n, at) })),
  ],
  ['window', 2, (numbers) => windows(numbers)],
  [
    'async-map',
    4,
    // prettier-ignore
    (numbers) => numbers.asyncMap((): number => { throw new TypeError('no'); }, { deadLetters: letters }),
  ],
])('what %s sends to a side output that nobody reads is counted and told once', async (uid, count, build) => {
  const { told, values, dropped } = await run(build, uid);
  expect([dropped, values.length]).toEqual([count, uid === 'window' ? 2 : 0]);
  expect(told).toMatchObject([{ operator: uid, msg: expect.stringMatching(/nobody reads/) }]);
});

test.each<[string, (numbers: DataStream<number>) => DataStream<unknown>]>([
  ['filter', (numbers) => numbers.filter(() => true)],
  ['union', (numbers) => numbers.union(numbers.map((n) => n))],
  ['reduce', (numbers) => numbers.keyBy(() => 0).reduce((a) => a)],
  ['async-map', (numbers) => numbers.asyncMap((n) => n)],
])('a side output read of %s, which writes none, is told', async (uid, build) => {
  const { told } = await run((numbers) => build(numbers).sideOutput(tag), uid);
  expect(told).toMatchObject([
    { operator: uid, sideOutput: 'aside', msg: expect.stringContaining('sends nothing there') },
  ]);
});
