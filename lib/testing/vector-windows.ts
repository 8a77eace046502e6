/**
 * Runs recorded vectors of windows (families 01 to 05). A result of a window without end has the timestamp of its
 * newest element with us, and the greatest there is in the recording: that is made up for here.
 */
import { MAX_TIMESTAMP } from '../core/element.ts';
import type { Operator } from '../core/operator.ts';
import type { Evictor, Trigger, WindowAssigner } from '../../operators/windows/contract.ts';
import { countWindowOptions } from '../../operators/windows/count-windows.ts';
import { CountEvictor, DeltaEvictor, TimeEvictor } from '../../operators/windows/evictors.ts';
import {
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../../operators/windows/fixed-windows.ts';
import { GlobalWindows } from '../../operators/windows/global-windows.ts';
import { EventTimeSessionWindows, ProcessingTimeSessionWindows } from '../../operators/windows/session-windows.ts';
import {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  EventTimeTrigger,
  NeverTrigger,
  ProcessingTimeTrigger,
} from '../../operators/windows/time-triggers.ts';
import {
  CountTrigger,
  DeltaTrigger,
  ProcessingTimeoutTrigger,
  PurgingTrigger,
} from '../../operators/windows/triggers.ts';
import type { WindowContext } from '../../operators/windows/window-function.ts';
import { aggregateWindow, processWindow, reduceWindow, type WindowOptions } from '../../operators/windows/window.ts';
import { vectorTime, type VectorConfig, type VectorOutput, type VectorRunner } from './vector-form.ts';
import { harnessRunner, lateTag, type Fields, type Keyed } from './vector-harness.ts';

export interface NumberOf extends Keyed {
  readonly value: number;
}

/** The properties of a config of these families; the files say what they mean. */
interface WindowConfig {
  readonly assigner?: AssignerConfig;
  readonly countWindow?: { readonly size: number; readonly slide?: number };
  readonly trigger?: TriggerConfig;
  readonly evictor?: {
    readonly type: string;
    readonly after?: boolean;
    readonly n?: number;
    readonly ms?: number;
    readonly threshold?: number;
  };
  readonly fn: string;
  readonly allowedLateness?: number;
  readonly sideOutputLateData?: boolean;
}

export interface AssignerConfig {
  readonly type: string;
  readonly size?: number;
  readonly slide?: number;
  readonly offset?: number;
  readonly gap?: number;
}

interface TriggerConfig {
  readonly type: string;
  readonly n?: number;
  readonly of?: TriggerConfig;
  readonly interval?: number;
  readonly threshold?: number;
  readonly timeout?: number;
  readonly resetTimerOnNewRecord?: boolean;
  readonly shouldClearOnTimeout?: boolean;
}

export const windowVectorRunner = async (config: VectorConfig): Promise<VectorRunner> => {
  // The families' files say what is in a config.
  const runner = await harnessRunner(windowOperator(config as unknown as WindowConfig));
  return {
    ...runner,
    run: async (step) => (await runner.run(step)).map(recorded),
  };
};

/** Results of a window without end, in the recorded form. */
const recorded = (output: VectorOutput): VectorOutput =>
  output['window'] === 'global' ? { ...output, ts: vectorTime(MAX_TIMESTAMP) } : output;

const windowOperator = (config: WindowConfig): Operator<NumberOf, Fields> => {
  const options = optionsOf(config);
  const describe = (value: unknown, { key, window, watermark, now }: WindowContext): Fields => ({
    key,
    window: windowForm(window),
    value,
    wm: vectorTime(watermark),
    pt: now(),
  });
  const reduceTo = (combine: (a: number, b: number) => number) => (a: NumberOf, b: NumberOf) => ({
    key: a.key,
    value: combine(a.value, b.value),
  });
  switch (config.fn) {
    case 'list':
      return listWindow(options);
    case 'sum':
      return reduceWindow(options, reduceTo(add), ({ value }, ctx) => describe(value, ctx));
    case 'hash':
      return reduceWindow(options, reduceTo(hash), ({ value }, ctx) => describe(value, ctx));
    case 'reduceOnly':
      // An object of named fields is both.
      return reduceWindow(options, reduceTo(add)) as Operator<NumberOf, NumberOf & Fields>;
    case 'aggregate': {
      // Without `merge` sliding windows are kept one by one, as the recorded ones are: what a slice holds of a window
      // that has fired would come again where the watermark goes back, as it does in the recording at a restore.
      const { merge, ...unmerged } = countSumMax;
      const fn = options.assigner.merging === true ? { ...unmerged, merge } : unmerged;
      return aggregateWindow(options, fn, (result, ctx) => describe(result, ctx));
    }
    default:
      throw new TypeError(
        `Expected \`config.fn\` to be list, sum, hash, reduceOnly or aggregate, got \`${config.fn}\``,
      );
  }
};

const windowForm = (window: { readonly start: number; readonly end: number }): unknown =>
  window.end === MAX_TIMESTAMP ? 'global' : window;

const optionsOf = (config: WindowConfig): WindowOptions<NumberOf> => {
  const { assigner, countWindow, trigger, evictor, allowedLateness, sideOutputLateData } = config;
  return {
    ...(countWindow === undefined
      ? { assigner: assignerOf(assigner) }
      : countWindowOptions<NumberOf>(countWindow.size, { slide: countWindow.slide })),
    ...(trigger && { trigger: triggerOf(trigger) }),
    ...(evictor && { evictor: evictorOf(evictor) }),
    allowedLateness,
    lateTag: sideOutputLateData === true ? lateTag : undefined,
  };
};

const dynamicGap = ({ value }: NumberOf): number => (value % 10) + 1;
const difference = (older: NumberOf, newer: NumberOf): number => newer.value - older.value;

export const assignerOf = (config: AssignerConfig | undefined): WindowAssigner<NumberOf> => {
  const { type, size = 1, slide = 1, offset = 0, gap = 1 } = config ?? { type: 'none' };
  switch (type) {
    case 'tumblingEvent':
      return TumblingEventTimeWindows.of(size, offset);
    case 'slidingEvent':
      return SlidingEventTimeWindows.of(size, slide, offset);
    case 'sessionEvent':
      return EventTimeSessionWindows.withGap(gap);
    case 'dynamicSessionEvent':
      return EventTimeSessionWindows.withDynamicGap(dynamicGap);
    case 'tumblingProc':
      return TumblingProcessingTimeWindows.of(size, offset);
    case 'slidingProc':
      return SlidingProcessingTimeWindows.of(size, slide, offset);
    case 'sessionProc':
      return ProcessingTimeSessionWindows.withGap(gap);
    case 'dynamicSessionProc':
      return ProcessingTimeSessionWindows.withDynamicGap(dynamicGap);
    case 'global':
      return GlobalWindows.create();
    case 'globalEndOfStream':
      return GlobalWindows.createWithEndOfStreamTrigger();
    default:
      throw unknownWord('assigner', type);
  }
};

const triggerOf = (config: TriggerConfig): Trigger<NumberOf> => {
  const { type, n = 1, of, interval = 1, threshold = 0, timeout = 1 } = config;
  const inner = (): Trigger<NumberOf> => triggerOf(of ?? { type: 'none' });
  const { resetTimerOnNewRecord = false, shouldClearOnTimeout = false } = config;
  switch (type) {
    case 'eventTime':
      return EventTimeTrigger.create();
    case 'processingTime':
      return ProcessingTimeTrigger.create();
    case 'count':
      return CountTrigger.of(n);
    case 'purging':
      return PurgingTrigger.of(inner());
    case 'continuousEventTime':
      return ContinuousEventTimeTrigger.of(interval);
    case 'continuousProcessingTime':
      return ContinuousProcessingTimeTrigger.of(interval);
    case 'delta':
      return DeltaTrigger.of(threshold, difference);
    case 'processingTimeout':
      return ProcessingTimeoutTrigger.of(inner(), timeout, { resetTimerOnNewRecord, shouldClearOnTimeout });
    case 'never':
      return NeverTrigger.create();
    default:
      throw unknownWord('trigger', type);
  }
};

const evictorOf = (config: NonNullable<WindowConfig['evictor']>): Evictor<NumberOf> => {
  const { type, n = 0, ms = 0, threshold = 0, after = false } = config;
  switch (type) {
    case 'count':
      return CountEvictor.of(n, { after });
    case 'time':
      return TimeEvictor.of(ms, { after });
    case 'delta':
      return DeltaEvictor.of(threshold, difference, { after });
    default:
      throw unknownWord('evictor', type);
  }
};

const unknownWord = (what: string, type: string): TypeError =>
  new TypeError(`Expected the type of \`config.${what}\` to be one that was recorded, got \`${type}\``);

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
  merge: (
    [count = 0, sum = 0, max = 0]: readonly number[],
    [otherCount = 0, otherSum = 0, otherMax = 0]: readonly number[],
  ): readonly number[] => [count + otherCount, sum + otherSum, Math.max(max, otherMax)],
};

/** All values, and how often the window has fired, where windows have state of their own. */
const listWindow = (options: WindowOptions<NumberOf>): Operator<NumberOf, Fields> => {
  const valuesOf = (elements: readonly NumberOf[]): readonly number[] => elements.map(({ value }) => value);
  if (options.assigner.merging === true)
    return processWindow(options, (elements: readonly NumberOf[], { key, window }) => ({
      key,
      window: windowForm(window),
      value: valuesOf(elements),
    }));
  return processWindow(options, {
    windowState: () => ({ fires: 0 }),
    process(elements: readonly NumberOf[], { key, window, windowState }) {
      windowState.fires += 1;
      return { key, window: windowForm(window), value: valuesOf(elements), fire: windowState.fires };
    },
  });
};
