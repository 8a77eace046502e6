/** Stages with windows: of each kind, each trigger and each evictor, and of what is taken together at the end. */
import {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  CountEvictor,
  CountTrigger,
  CumulativeEventTimeWindows,
  DeltaTrigger,
  EventTimeSessionWindows,
  EventTimeTrigger,
  GlobalWindows,
  ProcessingTimeoutTrigger,
  ProcessingTimeSessionWindows,
  PurgingTrigger,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TimeEvictor,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  outputTag,
} from 'millrace';
import type { WindowAssigner, WindowedStream } from 'millrace';
import { counted, merged, upTo, type Element, type Stage } from './simulated-stage.ts';

const late = outputTag<Element>('late');

/** The windows of an assigner, listed, with the late records of its side output beside the results. */
const listed =
  (
    assign: (random: () => number) => WindowAssigner<Element>,
    change: (windows: WindowedStream<Element, string>) => WindowedStream<Element, string> = (windows) => windows,
  ): Stage['build'] =>
  (input, random) => {
    const windows = change(input.window(assign(random)).sideOutputLateData(late));
    const results = windows.process((elements: readonly Element[], { key, window }) => ({
      ...merged(elements, Number.isFinite(window.end) ? window.end - 1 : 0),
      key,
    }));
    return results.union(results.sideOutput(late));
  };

const { merge: _, ...unmerged } = counted;

const tumbling = (random: () => number): WindowAssigner<unknown> => TumblingEventTimeWindows.of(upTo(random, 30));
const sliding = (random: () => number): WindowAssigner<unknown> => {
  const slide = upTo(random, 12);
  return SlidingEventTimeWindows.of(slide * upTo(random, 4), slide);
};

export const windowStages: Readonly<Record<string, Stage>> = {
  tumbling: { fixed: true, build: listed(tumbling) },
  'tumbling-reduced': {
    fixed: true,
    build: (input, random) =>
      input.window(tumbling(random)).reduce(
        (a, b) => merged([a, b], b.ts),
        (result, { window }) => ({ ...result, ts: window.end - 1 }),
      ),
  },
  'tumbling-late': { fixed: false, build: listed(tumbling, (each) => each.allowedLateness(20)) },
  sliding: { fixed: true, build: listed(sliding) },
  'sliding-aggregated': { fixed: true, build: (input, random) => input.window(sliding(random)).aggregate(unmerged) },
  'sliding-sliced': {
    fixed: true,
    build: (input, random) => input.window(sliding(random)).allowedLateness(upTo(random, 10)).aggregate(counted),
  },
  cumulative: {
    fixed: true,
    build: (input, random) => {
      const step = upTo(random, 10);
      return input.window(CumulativeEventTimeWindows.of(step * 3, step)).aggregate(counted);
    },
  },
  session: { fixed: true, build: listed((random) => EventTimeSessionWindows.withGap(upTo(random, 15))) },
  'session-dynamic': {
    fixed: true,
    build: listed(() => EventTimeSessionWindows.withDynamicGap(({ n }: Element) => 1 + (n % 9))),
  },
  'session-aggregated': {
    fixed: true,
    build: (input, random) => input.window(EventTimeSessionWindows.withGap(upTo(random, 15))).aggregate(counted),
  },
  'count-window': {
    fixed: true,
    build: (input, random) =>
      input
        .countWindow(upTo(random, 4), { tail: random() < 0.5 })
        .process((elements: readonly Element[]) => merged(elements, elements.at(-1)?.ts ?? 0)),
  },
  'count-window-sliding': {
    fixed: true,
    build: (input, random) =>
      input
        .countWindow(upTo(random, 4), { slide: upTo(random, 4), tail: random() < 0.5 })
        .process((elements: readonly Element[]) => merged(elements, elements.at(-1)?.ts ?? 0)),
  },
  'early-results': {
    fixed: false,
    build: listed(tumbling, (each) => each.trigger(EventTimeTrigger.create({ early: CountTrigger.of(2) }))),
  },
  continuous: {
    fixed: false,
    build: listed(tumbling, (each) => each.trigger(PurgingTrigger.of(ContinuousEventTimeTrigger.of(7)))),
  },
  'continuous-sessions': {
    fixed: false,
    build: listed(
      () => EventTimeSessionWindows.withGap(12),
      (each) => each.trigger(ContinuousEventTimeTrigger.of(5)),
    ),
  },
  delta: {
    fixed: true,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(PurgingTrigger.of(DeltaTrigger.of(3, (a: Element, b: Element) => Math.abs(b.ts - a.ts)))),
    ),
  },
  evicting: {
    fixed: true,
    build: listed(tumbling, (each) => each.evictor(TimeEvictor.of(5)).allowedLateness(0)),
  },
  'evicting-after': {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(CountTrigger.of(2)).evictor(CountEvictor.of(3, { after: true })),
    ),
  },
  'tumbling-by-clock': { fixed: false, build: listed((random) => TumblingProcessingTimeWindows.of(upTo(random, 80))) },
  'sliding-by-clock': { fixed: false, build: listed(() => SlidingProcessingTimeWindows.of(60, 20)) },
  'session-by-clock': {
    fixed: false,
    build: listed((random) => ProcessingTimeSessionWindows.withGap(upTo(random, 60))),
  },
  'continuous-by-clock': {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => each.trigger(ContinuousProcessingTimeTrigger.of(40)),
    ),
  },
  timeout: {
    fixed: false,
    build: listed(
      () => GlobalWindows.create(),
      (each) => {
        const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(3), 50, { shouldClearOnTimeout: true });
        return each.trigger(PurgingTrigger.of(trigger));
      },
    ),
  },
  'window-all': {
    fixed: true,
    build: (input, random) =>
      input
        .windowAll(tumbling(random))
        .process((elements: readonly Element[], { window }) => merged(elements, window.end - 1)),
  },
};

/** Whether a key's newest record is behind the watermark at the end is not fixed. */
export const partitionStages: Readonly<Record<string, Stage>> = {
  'map-partition': {
    fixed: false,
    build: (input, random) => {
      const size = upTo(random, 4);
      return input.fullWindowPartition().mapPartition(function* (elements, { key }) {
        for (let at = 0; at < elements.length; at += size) {
          const some = elements.slice(at, at + size);
          yield { ...merged(some, Math.max(...some.map(({ ts }) => ts))), key };
        }
      });
    },
  },
  'sort-partition': {
    fixed: false,
    build: (input, random) =>
      input
        .map((element) => element)
        .fullWindowPartition()
        .sortPartition(({ n }) => n % 7, random() < 0.5 ? 'ascending' : 'descending'),
  },
  'reduce-partition': {
    fixed: false,
    build: (input) => input.fullWindowPartition().reduce((a, b) => ({ ...merged([a, b], b.ts), key: b.key })),
  },
  'aggregate-partition': { fixed: false, build: (input) => input.fullWindowPartition().aggregate(counted) },
};
