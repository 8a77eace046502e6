/**
 * Runs recorded vectors of operators (families 01 and 06) in the operator harness. Three differences of the recorded
 * runtime are made up for here: it starts at the watermark MIN after a restore, it handles a watermark again that
 * equals the last one, and it attaches the key to each output.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { messageOf } from '../core/errors.ts';
import type { Operator } from '../core/operator.ts';
import type { OutputTag } from '../core/output-tag.ts';
import { valueState } from '../core/state-descriptor.ts';
import type { Timers } from '../core/timer.ts';
import { OperatorHarness } from './harness.ts';
import type { HarnessOutput } from './harness-outputs.ts';
import { process, type, type ProcessContext } from '../../operators/process.ts';
import { TumblingEventTimeWindows } from '../../operators/window-assigners.ts';
import type { WindowContext } from '../../operators/window-function.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../../operators/window.ts';
import {
  timeOf,
  vectorTime,
  type VectorConfig,
  type VectorOutput,
  type VectorRunner,
  type VectorStep,
  type VectorTime,
} from './vector-form.ts';

/** A record's value together with its key. */
export interface Keyed {
  readonly key: string;
  readonly value: unknown;
}

/** A recorded output without its type and timestamp. */
export type Fields = Readonly<Record<string, unknown>>;

// ---------- 01: tumbling windows

interface NumberOf extends Keyed {
  readonly value: number;
}

export const windowVectorRunner = (config: VectorConfig): Promise<VectorRunner> =>
  harnessRunner(windowOperator(config));

const windowOperator = (config: VectorConfig): Operator<NumberOf, Fields> => {
  // The families' files say what is in a config; these are the properties of 01.
  const { assigner, fn, allowedLateness, sideOutputLateData } = config as {
    readonly assigner: { readonly size: number; readonly offset: number };
    readonly fn: string;
    readonly allowedLateness?: number;
    readonly sideOutputLateData?: boolean;
  };
  const options: WindowOptions<NumberOf> = {
    assigner: TumblingEventTimeWindows.of(assigner.size, assigner.offset),
    allowedLateness,
    lateTag: sideOutputLateData === true ? lateTag : undefined,
  };
  const describe = (value: unknown, { key, window, watermark, now }: WindowContext): Fields => ({
    key,
    window,
    value,
    wm: vectorTime(watermark),
    pt: now(),
  });
  const reduceTo = (combine: (a: number, b: number) => number) => (a: NumberOf, b: NumberOf) => ({
    key: a.key,
    value: combine(a.value, b.value),
  });
  switch (fn) {
    case 'list':
      return listWindow(options);
    case 'sum':
      return reduceWindow(options, reduceTo(add), ({ value }, ctx) => describe(value, ctx));
    case 'hash':
      return reduceWindow(options, reduceTo(hash), ({ value }, ctx) => describe(value, ctx));
    case 'reduceOnly':
      // An object of named fields is both.
      return reduceWindow(options, reduceTo(add)) as Operator<NumberOf, NumberOf & Fields>;
    case 'aggregate':
      return aggregateWindow(options, countSumMax, (result, ctx) => describe(result, ctx));
    default:
      throw new TypeError(`Expected \`config.fn\` to be list, sum, hash, reduceOnly or aggregate, got \`${fn}\``);
  }
};

const lateTag: OutputTag<NumberOf> = { id: 'late' };
const add = (a: number, b: number): number => a + b;
const hash = (a: number, b: number): number => (a * 31 + b) % 1_000_003;

const countSumMax = {
  createAccumulator: (): readonly number[] => [0, 0, -Infinity],
  add: ({ value }: NumberOf, [count = 0, sum = 0, max = 0]: readonly number[]): readonly number[] => [
    count + 1,
    sum + value,
    Math.max(max, value),
  ],
  getResult: (accumulator: readonly number[]): readonly number[] => accumulator,
};

/** All values, and how often the window has fired. */
const listWindow = (options: WindowOptions<NumberOf>): Operator<NumberOf, Fields> =>
  processWindow(options, {
    windowState: () => ({ fires: 0 }),
    process(elements, { key, window, windowState }) {
      windowState.fires += 1;
      return { key, window, value: elements.map(({ value }) => value), fire: windowState.fires };
    },
  });

// ---------- 06: timers

interface Command {
  readonly cmd: string;
  readonly t?: VectorTime;
  readonly dt?: number;
  readonly until?: number;
  readonly v?: unknown;
}

export const timerVectorRunner = (config: VectorConfig): Promise<VectorRunner> =>
  harnessRunner(commandInterpreter(config));

/** A process function that does what its values say, and on each timer what the config says. */
const commandInterpreter = ({ onTimer = [] }: VectorConfig): Operator<Keyed, Fields> => {
  const state = { count: valueState<number>('count') };
  type Context = ProcessContext<Fields, typeof state>;
  return process({
    emits: type<Fields>(),
    state,
    process({ value }: Keyed, ctx) {
      // The vectors' inputs are lists of commands.
      for (const command of value as readonly Command[]) run(command, ctx);
    },
    onTimer({ timestamp, domain }, ctx: Context) {
      ctx.emit({
        timer: domain,
        key: ctx.key,
        at: vectorTime(timestamp),
        wm: vectorTime(ctx.timers.watermark),
        pt: ctx.now(),
      });
      // The vectors' timers run lists of commands.
      for (const command of onTimer as readonly Command[]) run(command, ctx, timestamp);
    },
  });
};

const run = (command: Command, ctx: ProcessContext<Fields, CountState>, at: Timestamp = MIN_TIMESTAMP): void => {
  const { key, timers } = ctx;
  switch (command.cmd) {
    case 'now':
      return ctx.emit({ key, wm: vectorTime(timers.watermark), pt: ctx.now(), elementTs: recordTime(ctx.timestamp) });
    case 'inc': {
      const count = (ctx.state.count.value() ?? 0) + 1;
      ctx.state.count.update(count);
      return ctx.emit({ key, count });
    }
    case 'emit':
      return ctx.emit({ key, value: command.v });
    default:
      return setTimer(command, timers, at);
  }
};

interface CountState {
  readonly count: ReturnType<typeof valueState<number>>;
}

const setTimer = ({ cmd, t, dt = 0, until = 0 }: Command, timers: Timers, at: Timestamp): void => {
  const domain = cmd.includes('Proc') ? 'processing' : 'event';
  if (cmd.endsWith('Rel')) {
    if (at + dt <= until) timers.register(at + dt, { domain });
  } else if (cmd.startsWith('reg')) timers.register(timeOf(t), { domain });
  else timers.delete(timeOf(t), { domain });
};

// ---------- the harness in the recorded form

/** Runs an operator of records with a key; `made` makes one of a step. */
export const harnessRunner = async <V extends Keyed>(
  operator: Operator<V, Fields>,
  // The file's values are what the operator's functions expect.
  made: (step: VectorStep) => V = ({ key = '', value }) => ({ key, value }) as V,
): Promise<VectorRunner> => {
  const harness = await OperatorHarness.open<V, Fields>(operator, { keyOf: ({ key }) => key, sides: [lateTag] });
  /** The recorded runtime does not keep the watermark in a checkpoint. */
  const restore = async (): Promise<void> => {
    const snapshot = await harness.snapshot();
    await harness.restore({ ...snapshot, host: { ...snapshot.host, watermark: MIN_TIMESTAMP } });
  };
  const outputsOf = async (step: VectorStep): Promise<readonly HarnessOutput<Fields>[]> => {
    const { op, ts } = step;
    switch (op) {
      case 'element':
        return harness.element(made(step), timeOf(ts));
      case 'watermark':
        // It also handles a watermark again that equals the last one; ours would drop it.
        if (timeOf(ts) === harness.host.currentWatermark) await restore();
        return harness.watermark(timeOf(ts));
      case 'processingTime':
        // The recorded timers fire at the time that is reached; ours when it has passed.
        harness.clock.jumpTo(timeOf(ts));
        return harness.turn(() => harness.host.processingTime(timeOf(ts)));
      case 'restore':
        await restore();
        return [];
      default:
        return [];
    }
  };
  return {
    async run(step) {
      try {
        return (await outputsOf(step)).map(recorded);
      } catch (error) {
        return [{ type: 'error', class: 'RuntimeException', message: messageOf(error) }];
      }
    },
    timers: () => harness.timers,
  };
};

const recorded = (output: HarnessOutput<Fields>): VectorOutput => {
  switch (output.kind) {
    case 'record':
      return { type: 'record', ...output.value, ts: recordTime(output.timestamp) };
    case 'side': // Only late records go there, as they came.
      return { type: 'side', tag: output.tag, ...(output.value as Keyed), ts: recordTime(output.timestamp) };
    case 'watermark':
      return { type: 'watermark', ts: vectorTime(output.timestamp) };
    case 'status':
      return { type: 'status', status: output.idle ? 'idle' : 'active' };
  }
};

/** A record without a timestamp has null. */
const recordTime = (timestamp: Timestamp): VectorTime => (timestamp === MIN_TIMESTAMP ? null : vectorTime(timestamp));
