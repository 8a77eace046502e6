/**
 * Random graphs of streams for the simulation: a seed decides which sources there are and which stages stand behind
 * them (`simulated-stages.ts`). What must hold of all is I6, I7 and I8, which `simulate` judges, and I3.
 */
import { WatermarkStrategy, type DataStream, type Operator, type StreamExecutionEnvironment } from 'millrace';
import { seededRandom, type CrashPoint, type SimulatedProcess } from 'millrace/testing';
import type { Element } from './simulated-stage.ts';
import { stages } from './simulated-stages.ts';

/** Of each kind; none makes a record late that is no further behind than `disorder`. */
const strategies = {
  bounded: ({ disorder, emitEvery }) =>
    WatermarkStrategy.boundedOutOfOrderness<Element>(disorder).withEmitEvery(emitEvery),
  /** Of the third greatest timestamp so far. */
  generator: ({ disorder, emitEvery }) =>
    WatermarkStrategy.forGenerator<Element, readonly number[]>({
      initial: () => [],
      onRecord: (newest, { ts }) => [...newest, ts].toSorted((a, b) => b - a).slice(0, 3),
      watermark: (newest) => (newest[2] === undefined ? undefined : newest[2] - disorder - 1),
    }).withEmitEvery(emitEvery),
  /** Some records bring one. */
  punctuated: ({ disorder }) =>
    WatermarkStrategy.punctuated<Element>(({ n }, timestamp) => (n % 3 === 0 ? timestamp - disorder - 1 : undefined)),
} satisfies Readonly<Record<string, (spec: Pick<GraphSpec, 'disorder' | 'emitEvery'>) => WatermarkStrategy<Element>>>;

export interface GraphSpec {
  readonly seed: number;
  readonly sources: readonly {
    readonly name: string;
    readonly splits: Readonly<Record<string, readonly Element[]>>;
  }[];
  /** By name, in their order. */
  readonly stages: readonly string[];
  /** How far records may be out of order, and how far they are: some are late. */
  readonly disorder: number;
  /** What makes the watermarks of the sources. */
  readonly watermarks: keyof typeof strategies;
  readonly emitEvery: number;
  readonly batchMax: number;
  readonly latencyMax: number;
  /** Where processes die: early, since a graph without calls has few turns. */
  readonly crashes: readonly CrashPoint[];
  readonly checkpointIntervalMs: number;
  readonly environment: {
    readonly maxParallelism: number;
    readonly stateCacheMax: number;
    readonly dirtyMax: number;
    readonly timersPerTurn: number;
    readonly serialiseEdges: boolean;
  };
}

/** What a seed stands for. `fixed`: what comes out depends on the input alone. */
export const graphOf = (seed: number, options: { readonly fixed?: boolean } = {}): GraphSpec => {
  const { fixed = false } = options;
  const random = seededRandom((seed * 2_246_822_519 + 41) % 2 ** 32);
  const upTo = (max: number): number => 1 + Math.floor(random() * max);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // Never empty.
  const disorder = fixed ? 0 : one([0, 5, 15]);
  const keys = upTo(4);
  const elements = (split: string): Element[] => {
    let ts = upTo(10);
    return Array.from({ length: Math.floor(random() * 14) }, (_, n) => {
      ts += Math.floor(random() * 9);
      const own = Math.max(0, ts - Math.floor(random() * disorder * 1.3));
      return { key: `k${Math.floor(random() * keys)}`, n: upTo(50), ts: own, ids: [`${split}:${n}`] };
    });
  };
  const sources = (fixed ? ['a'] : one([['a'], ['a', 'b']])).map((name) => {
    const names = Array.from({ length: fixed ? 1 : upTo(2) }, (_, index) => `${name}${index}`);
    return { name, splits: Object.fromEntries(names.map((split) => [split, elements(split)])) };
  });
  const names = Object.keys(stages).filter((name) => !fixed || stages[name]?.fixed === true);
  return {
    seed,
    sources,
    stages: Array.from({ length: upTo(3) }, () => one(names)),
    disorder,
    emitEvery: upTo(4),
    batchMax: upTo(6),
    latencyMax: one([5, 20, 60]),
    crashes: Array.from({ length: upTo(4) }, (): CrashPoint => {
      const [at, far] = one([
        ['turn', 12],
        ['turn', 30],
        ['before-write', 5],
        ['after-write', 5],
        ['event', 40],
        ['stop', 40],
      ] as const);
      return { at, number: upTo(far), landed: Math.floor(random() * 3) };
    }),
    checkpointIntervalMs: upTo(one([10, 60, 200])),
    environment: {
      maxParallelism: one([1, 4, 128]),
      stateCacheMax: one([1, 8, 1_000_000]),
      dirtyMax: one([8, 50_000, 50_000]),
      timersPerTurn: one([1, 2, 3, 128]),
      serialiseEdges: random() < 0.2,
    },
    watermarks: one(['bounded', 'generator', 'punctuated'] as const),
  };
};

/** Builds the graph of a spec for each process of one simulation. */
export const buildGraph =
  (spec: GraphSpec) =>
  (env: StreamExecutionEnvironment, process: SimulatedProcess): void => {
    const random = seededRandom(spec.seed);
    const strategy = strategies[spec.watermarks](spec).withTimestamps(({ ts }: Element) => ts);
    const { batchMax, latencyMax } = spec;
    const inputs = spec.sources.map((source) =>
      env.fromSource(process.source<Element>({ ...source, replayable: true, batchMax, latencyMax }), strategy),
    );
    const [first, ...others] = inputs as [DataStream<Element>, ...DataStream<Element>[]]; // At least one.
    let stream = others.length === 0 ? first : first.union(...others);
    for (const [at, name] of spec.stages.entries()) {
      const stage = stages[name];
      if (stage === undefined) throw new TypeError(`Expected \`${name}\` to be a stage`);
      stream = stage.build(
        stream.keyBy(({ key }) => key),
        random,
      );
      stream = stream.transform<Element>('probe', probe(process, `stage ${at} (${name})`));
    }
    stream.sinkTo(process.collect<Element>('out', { pendingMax: 5 }));
  };

/** Watches that watermarks do not go back (I3). */
const probe =
  (process: SimulatedProcess, where: string): Operator<Element, Element> =>
  (context) => {
    let watermark = -Infinity;
    return {
      process: (element, timestamp) => context.output.emit(element, timestamp),
      onWatermark(timestamp) {
        if (timestamp < watermark)
          process.fail(`I3: behind ${where} the watermark goes back from ${watermark} to ${timestamp}`);
        watermark = timestamp;
      },
    };
  };
