/**
 * Runs the recorded vectors of Apache Flink's operators (`test/golden`) on Millrace's: one case in, what came out after
 * each step back, in the recording's own form. Where Millrace differs on purpose from the recorded runtime, the adapter
 * here makes up for it and says so.
 */
import { MAX_TIMESTAMP, type Timestamp } from '../core/element.ts';
import type { WatermarkChange } from '../runtime/edges/watermark-change.ts';
import { WatermarkGenerator } from '../runtime/edges/watermark-generator.ts';
import { WatermarkCombiner, WatermarkValve } from '../runtime/edges/watermark-merge.ts';
import { WatermarkStrategy } from '../runtime/edges/watermark-strategy.ts';
import { forward } from '../runtime/edges/wire.ts';
import { asyncVectorRunner } from './vector-async.ts';
import { keyGroupVectorRunner } from './vector-key-groups.ts';
import { restartVectorRunner } from './vector-restart.ts';
import { rollingVectorRunner } from './vector-rolling.ts';
import { stateVectorRunner } from './vector-state.ts';
import { timerVectorRunner } from './vector-timers.ts';
import { twoInputVectorRunner } from './vector-two-inputs.ts';
import { windowVectorRunner } from './vector-windows.ts';
import {
  timeOf,
  vectorTime,
  type VectorCase,
  type VectorConfig,
  type VectorOutput,
  type VectorRunner,
  type VectorStep,
} from './vector-form.ts';

/** Writes down what comes, in the recorded form. */
class Recorder {
  #outputs: VectorOutput[] = [];

  push(output: VectorOutput): void {
    this.#outputs.push(output);
  }

  watermark(timestamp: Timestamp): void {
    this.push({ type: 'watermark', ts: vectorTime(timestamp) });
  }

  status(idle: boolean): void {
    this.push({ type: 'status', status: idle ? 'idle' : 'active' });
  }

  take(): VectorOutput[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }
}

type StepRunner = (step: VectorStep) => VectorOutput[];

const numberOf = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise);

/**
 * A periodic emission at each `interval` of the clock, as the recorded operator had it; a jump of the clock makes one
 * tick.
 */
const strategyRunner = (config: VectorConfig): StepRunner => {
  const { generator: kind, idleness } = config;
  const interval = numberOf(config['interval'], 200);
  const bounded = kind === 'boundedOutOfOrderness' ? numberOf(config['bound'], 0) : 0;
  const base =
    kind === 'none'
      ? WatermarkStrategy.none()
      : kind === 'punctuated'
        ? WatermarkStrategy.punctuated((value, ts) => (Number(value) % 3 === 0 ? ts : undefined))
        : WatermarkStrategy.boundedOutOfOrderness(bounded);
  const generator = new WatermarkGenerator(typeof idleness === 'number' ? base.withIdleness(idleness) : base);
  const out = new Recorder();
  const splits = new WatermarkCombiner();
  splits.add('split');
  let now = 0;
  // No interval: nothing is emitted periodically.
  const tickAfter = (time: Timestamp): Timestamp => (interval > 0 ? time + interval : MAX_TIMESTAMP);
  let nextTick = tickAfter(0);
  const emit = (watermark: Timestamp | undefined): void => {
    if (watermark !== undefined) forward(splits.watermark('split', watermark), out);
  };
  const element = ({ key, value, ts }: VectorStep): void => {
    out.push({ type: 'record', key, value, ts });
    generator.onRecords(timeOf(ts));
    generator.look(value, timeOf(ts), (watermark) => new TypeError(`no watermark: ${String(watermark)}`));
    if (kind === 'punctuated') emit(generator.emit());
  };
  const tick = (): void => {
    nextTick = tickAfter(now);
    emit(generator.onTick(now).watermark);
    if (generator.idle) forward(splits.status('split', true), out);
    // The recorded operator emits at every tick; a tick of ours leaves that to the record count while records flow.
    else emit(generator.emit());
  };
  return (step) => {
    const { op, ts } = step;
    if (op === 'processingTime') now = timeOf(ts);
    if (op === 'element') element(step);
    else if (op === 'watermark' && ts === 'MAX') emit(MAX_TIMESTAMP);
    else if (op === 'endOfInput' || (op === 'processingTime' && now >= nextTick)) tick();
    return out.take();
  };
};

const valveRunner = (config: VectorConfig): StepRunner => {
  const out = new Recorder();
  // The recorded valve ends the stream when one channel has ended and all others are idle; ours waits for the others.
  const valve = new WatermarkValve({ finalEndsChannel: false });
  for (let index = 0; index < numberOf(config['channels'], 1); index += 1) valve.add(`channel ${index}`);
  return ({ op, channel, ts }) => {
    const name = `channel ${channel}`;
    forward(op === 'watermark' ? valve.watermark(name, timeOf(ts)) : valve.status(name, op === 'idle'), out);
    return out.take();
  };
};

/**
 * The recorded multiplexer says `idle` at each update and leaves `active` to its output; ours says either once, when it
 * changes.
 */
const multiplexerRunner = (): StepRunner => {
  const splits = new WatermarkCombiner();
  /** What an update changes; undefined when the step makes none. */
  const run = ({ op, output = '', deferred = false, ts }: VectorStep): WatermarkChange | undefined => {
    if (op === 'register') splits.add(output);
    else if (op === 'unregister') splits.remove(output);
    else if (op === 'periodic') return splits.emit();
    else if (op !== 'watermark') {
      if (!deferred) return splits.status(output, op === 'idle');
      splits.noteStatus(output, op === 'idle');
    } else if (splits.note(output, timeOf(ts)) && !deferred) return splits.emit();
    return undefined;
  };
  return (step) => {
    const change = run(step);
    if (change === undefined) return [];
    const out = new Recorder();
    forward({ watermark: change.watermark, idle: splits.idle ? true : undefined }, out);
    return out.take();
  };
};

const watermarkRunner = (config: VectorConfig): StepRunner => {
  switch (config['kind']) {
    case 'strategy':
      return strategyRunner(config);
    case 'valve':
      return valveRunner(config);
    case 'multiplexer':
      return multiplexerRunner();
    default:
      throw new TypeError(
        `Expected \`config.kind\` to be strategy, valve or multiplexer, got \`${String(config['kind'])}\``,
      );
  }
};

const runners: Readonly<Record<string, (config: VectorConfig) => VectorRunner | Promise<VectorRunner>>> = {
  '01': windowVectorRunner,
  '02': windowVectorRunner,
  '03': windowVectorRunner,
  '04': windowVectorRunner,
  '05': windowVectorRunner,
  '06': timerVectorRunner,
  '07': twoInputVectorRunner,
  '08': stateVectorRunner,
  '09': (config) => ({ run: watermarkRunner(config) }),
  '10': keyGroupVectorRunner,
  '11': asyncVectorRunner,
  '12': rollingVectorRunner,
  '13': restartVectorRunner,
};

/**
 * Makes what runs the steps of one case of a family (`'01-tumbling-event'`). `config` is that of the family; the case's
 * own goes over it.
 */
export const openVector = async (
  family: string,
  config: VectorConfig,
  { config: ownConfig }: VectorCase,
): Promise<VectorRunner> => {
  const makeRunner = runners[family.slice(0, 2)];
  if (makeRunner === undefined)
    throw new TypeError(
      `Expected \`family\` to be one of ${Object.keys(runners).sort().join(', ')}, got \`${family}\``,
    );
  return makeRunner({ ...config, ...ownConfig });
};

/**
 * Runs one recorded case of an operator and gives what came out after each step. A case ends at its error. `family`
 * begins with the number of a kind of cases: `01` tumbling windows, `06` timers, `09` watermarks, `10` key groups, `11`
 * asynchronous I/O, `12` rolling aggregates, `13` restarts.
 *
 * @example
 * const vector = { name: 'one channel', config: {}, steps: [{ op: 'watermark', ts: 5, channel: 0 }] };
 * console.log(await runVector('09-watermarks', { kind: 'valve', channels: 1 }, vector));
 * // prints [ [ { type: 'watermark', ts: 5 } ] ]
 */
export const runVector = async (
  family: string,
  config: VectorConfig,
  vector: VectorCase,
): Promise<(readonly VectorOutput[])[]> => {
  const runner = await openVector(family, config, vector);
  const outputs: (readonly VectorOutput[])[] = [];
  for (const step of vector.steps) {
    const output = await runner.run(step);
    outputs.push(output);
    if (output.at(-1)?.type === 'error') break;
  }
  return outputs;
};
