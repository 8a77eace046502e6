/** The types of a pipeline, end to end. `tsc` is the judge; the one run says that the same pipeline works. */
import {
  Action,
  agent,
  Agent,
  ChatResponseEvent,
  collection,
  defineSink,
  Event,
  InputEvent,
  jsonLines,
  listState,
  mapState,
  OutputEvent,
  outputTag,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  type,
  valueState,
  WatermarkStrategy,
  type RunnerContext,
  type CheckpointStats,
  type DataStream,
  type DataStreamSink,
  type DeadLetter,
  type Job,
  type Key,
  type KeyedStream,
  type ListState,
  type MapState,
  type MalformedLine,
  type ValueState,
} from 'millrace';
import type { Observable } from 'rxjs';
import { map, of } from 'rxjs';
import * as z from 'zod';
import { expect, expectTypeOf, test } from 'vitest';
import { once } from './stories/story.ts';

interface Review {
  readonly id: string;
  readonly text: string;
  readonly ts: number;
}

interface Analysis {
  readonly id: string;
  readonly score: number;
}

const reviews: readonly Review[] = [
  { id: 'a', text: 'good', ts: 1 },
  { id: 'b', text: 'bad', ts: 2 },
  { id: 'a', text: 'fine', ts: 3 },
];

const byTime = WatermarkStrategy.boundedOutOfOrderness('5s').withTimestamps((review: Review) => review.ts * 1000);

const analyst = agent<Review, Analysis>('analyst').on(InputEvent, (event, ctx) => {
  expectTypeOf(event.input).toEqualTypeOf<Review>();
  ctx.sendEvent(new OutputEvent({ id: event.input.id, score: event.input.text.length }));
});

class AnalystClass extends Agent<Review, Analysis> {
  @Action(InputEvent)
  analyse({ input }: InputEvent<Review>, ctx: RunnerContext<Analysis>): void {
    ctx.output({ id: input.id, score: input.text.length });
    // @ts-expect-error it gives analyses
    ctx.output(input.text);
  }

  // @ts-expect-error the class gives analyses, and its actions say the same
  @Action(InputEvent)
  tells(_event: InputEvent<Review>, ctx: RunnerContext<string>): void {
    ctx.output('good');
  }

  /** Who does not say what it gives may give anything. */
  @Action(InputEvent)
  free({ input }: InputEvent<Review>, ctx: RunnerContext): void {
    ctx.sendEvent(new OutputEvent(input));
  }
}

export const builtAgent = agent<Review, Analysis>('typed')
  .on(InputEvent, ({ input }, ctx) => {
    ctx.output({ id: input.id, score: 1 });
    // @ts-expect-error it gives analyses
    ctx.output(input.text);
  })
  .on([InputEvent, ChatResponseEvent], (event) => {
    if (event instanceof ChatResponseEvent) expectTypeOf(event.requestId).toEqualTypeOf<string>();
    else expectTypeOf(event.input).toEqualTypeOf<Review>();
  })
  .on([InputEvent, 'any'], 'either', (event) => {
    expectTypeOf(event.attributes).toEqualTypeOf<Event['attributes']>();
    // @ts-expect-error it may be an event of any class
    void event.input;
  })
  .on('any', async (_event, ctx) => {
    // @ts-expect-error a score is missing
    ctx.output({ id: 'a' });
  });

const create = (): StreamExecutionEnvironment => StreamExecutionEnvironment.create(once);

test('from source to sink, with an agent and a window between', async () => {
  const env = create();
  const source = env.fromSource(collection(reviews), byTime);
  expectTypeOf(source).toEqualTypeOf<DataStream<Review>>();
  const keyed = source.keyBy((review) => review.id);
  expectTypeOf(keyed).toEqualTypeOf<KeyedStream<Review, string>>();
  const analysed = keyed.applyAgent(analyst);
  expectTypeOf(analysed).toEqualTypeOf<DataStream<Analysis>>();
  const means = analysed
    .keyBy(({ id }) => id)
    .window(TumblingEventTimeWindows.of('1d'))
    .aggregate({
      createAccumulator: () => ({ sum: 0, count: 0 }),
      add: (analysis, { sum, count }) => {
        expectTypeOf(analysis).toEqualTypeOf<Analysis>();
        return { sum: sum + analysis.score, count: count + 1 };
      },
      getResult: ({ sum, count }) => sum / count,
    });
  expectTypeOf(means).toEqualTypeOf<DataStream<number>>();
  const texts = means.map((mean) => mean.toFixed(1));
  expectTypeOf(texts).toEqualTypeOf<DataStream<string>>();
  const out = env.executeAndCollect(texts);
  expectTypeOf(out).toEqualTypeOf<Promise<string[]>>();
  expect((await out).toSorted()).toEqual(['3.0', '4.0']);
});

// What follows is compiled and not run.
export const stateless = (stream: DataStream<Review>): void => {
  expectTypeOf(stream.map(({ ts }) => ts)).toEqualTypeOf<DataStream<number>>();
  expectTypeOf(stream.flatMap(({ text }) => text.split(' '))).toEqualTypeOf<DataStream<string>>();
  expectTypeOf(stream.filter(({ ts }) => ts > 0)).toEqualTypeOf<DataStream<Review>>();
  const mixed = stream.map((review): Review | undefined => (review.ts > 0 ? review : undefined));
  expectTypeOf(mixed.filter((review) => review !== undefined)).toEqualTypeOf<DataStream<Review>>();
  expectTypeOf(stream.asyncMap(async ({ id }) => ({ id }))).toEqualTypeOf<DataStream<{ id: string }>>();
  expectTypeOf(stream.asyncMap(({ id }) => id)).toEqualTypeOf<DataStream<string>>();
  expectTypeOf(stream.pipe(map(({ ts }) => ts))).toEqualTypeOf<DataStream<number>>();
  expectTypeOf(
    stream.pipe(
      map(({ ts }) => ts),
      map(String),
      { stateless: true },
    ),
  ).toEqualTypeOf<DataStream<string>>();
  expectTypeOf(stream.asObservable()).toEqualTypeOf<Observable<Review>>();
  expectTypeOf(stream.uid('x').name('y')).toEqualTypeOf<DataStream<Review>>();
  expectTypeOf(stream.map(({ ts }) => ts).union(stream.map(({ id }) => id))).toEqualTypeOf<
    DataStream<number | string>
  >();
  expectTypeOf(stream.union(stream)).toEqualTypeOf<DataStream<Review>>();
  const [ids, times, flags] = [
    stream.map(({ id }) => id),
    stream.map(({ ts }) => ts),
    stream.map(() => true as boolean),
  ];
  expectTypeOf(ids.union(times, flags)).toEqualTypeOf<DataStream<string | number | boolean>>();
  expectTypeOf(ids.union(...[times, times])).toEqualTypeOf<DataStream<string | number>>();
  expectTypeOf(ids.union()).toEqualTypeOf<DataStream<string>>();
  // @ts-expect-error an array is no stream
  ids.union([times]);
  // A stream of a type is one of a wider type, and not the other way about.
  expectTypeOf<DataStream<Review>>().toExtend<DataStream<{ readonly id: string }>>();
  expectTypeOf<DataStream<{ readonly id: string }>>().not.toExtend<DataStream<Review>>();
};

export const keyed = (stream: DataStream<Review>): void => {
  expectTypeOf(stream.keyBy(({ id, ts }) => [id, ts])).toExtend<KeyedStream<Review>>();
  expectTypeOf(stream.keyBy(({ id }) => id).reduce((a, b) => ({ ...a, ts: a.ts + b.ts }))).toEqualTypeOf<
    DataStream<Review>
  >();
  // @ts-expect-error a key is no object
  stream.keyBy((review) => review);
  // @ts-expect-error a key may not be missing
  stream.keyBy((review): string | undefined => review.id);
  // @ts-expect-error a stream without keys has no windows
  stream.window(TumblingEventTimeWindows.of('1d'));
  // @ts-expect-error nor agents
  stream.applyAgent(analyst);
};

export const agents = (stream: KeyedStream<Review>, others: KeyedStream<{ readonly other: number }>): void => {
  expectTypeOf(stream.applyAgent(AnalystClass)).toEqualTypeOf<DataStream<Analysis>>();
  expectTypeOf(stream.applyAgent(new AnalystClass())).toEqualTypeOf<DataStream<Analysis>>();
  const letters = outputTag<DeadLetter>('letters');
  expectTypeOf(
    stream.applyAgent(analyst, { deadLetters: letters, actionTimeout: '10s' }).sideOutput(letters),
  ).toEqualTypeOf<DataStream<DeadLetter>>();
  // @ts-expect-error this agent takes reviews
  others.applyAgent(analyst);
  // @ts-expect-error this agent takes reviews
  others.applyAgent(AnalystClass);
  // @ts-expect-error there is no such order
  stream.applyAgent(analyst, { outputOrder: 'random' });
  // An agent that asks for less of its inputs fits, and one that asks for more does not.
  const ofIds = agent<{ readonly id: string }, string>('ids').on(InputEvent, ({ input }, ctx) => ctx.output(input.id));
  expectTypeOf(stream.applyAgent(ofIds)).toEqualTypeOf<DataStream<string>>();
  const scored = agent<Review & { readonly score: number }, number>('scored');
  // @ts-expect-error it asks for a score
  stream.applyAgent(scored);
};

const total = valueState<number>('total');
const seen = listState<Review>('seen');
const byText = mapState<string, Review>('by-text');
const lateTag = outputTag<Review>('late');

export const processing = (stream: KeyedStream<Review>): void => {
  const made = stream.process({
    emits: type<string>(),
    state: { total, seen, byText },
    process(review, ctx) {
      expectTypeOf(review).toEqualTypeOf<Review>();
      expectTypeOf(ctx.state.total).toEqualTypeOf<ValueState<number>>();
      expectTypeOf(ctx.state.seen).toEqualTypeOf<ListState<Review>>();
      expectTypeOf(ctx.state.byText).toEqualTypeOf<MapState<string, Review>>();
      expectTypeOf(ctx.state.total.value()).toEqualTypeOf<number | undefined>();
      expectTypeOf(ctx.key).toEqualTypeOf<Key>();
      ctx.emit(review.id);
      ctx.side(lateTag, review);
      // @ts-expect-error it emits strings
      ctx.emit(1);
      // @ts-expect-error the tag carries reviews
      ctx.side(lateTag, 1);
      // @ts-expect-error there is no such state
      void ctx.state.other;
    },
    onTimer: (timer, ctx) => ctx.emit(`${timer.timestamp}`),
  });
  expectTypeOf(made).toEqualTypeOf<DataStream<string>>();
  expectTypeOf(made.sideOutput(lateTag)).toEqualTypeOf<DataStream<Review>>();
  expectTypeOf(stream.process<number>((review, ctx) => ctx.emit(review.ts))).toEqualTypeOf<DataStream<number>>();
  const annotated: DataStream<number> = stream.process((review, ctx) => ctx.emit(review.ts));
  expectTypeOf(annotated.process((ts, ctx) => ctx.side(outputTag<number>('times'), ts))).toEqualTypeOf<
    DataStream<never>
  >();
  // @ts-expect-error what it emits can't be inferred, so it must be said
  stream.process((review, ctx) => ctx.emit({ n: review.ts }));
  stream.process({
    state: { total },
    process(review, ctx) {
      // @ts-expect-error nor here
      ctx.emit({ n: review.ts });
    },
  });
};

export const keys = (stream: DataStream<Review>): void => {
  stream
    .keyBy(({ id }) => id)
    .process<string>((_, ctx) => {
      expectTypeOf(ctx.key).toEqualTypeOf<string>();
      ctx.emit(ctx.key);
    });
  stream
    .keyBy(({ id, ts }) => [id, ts] as const)
    .process({
      emits: type<number>(),
      process: (_, ctx) => ctx.emit(ctx.key[1]),
      onTimer: (_, ctx) => expectTypeOf(ctx.key).toEqualTypeOf<readonly [string, number]>(),
    });
  stream.process((_, ctx) => expectTypeOf(ctx.key).toEqualTypeOf<Key>());
  expectTypeOf<KeyedStream<Review, string>>().toExtend<KeyedStream<Review>>();
  expectTypeOf<KeyedStream<Review, string>>().toExtend<DataStream<Review>>();
};

export const windows = (stream: KeyedStream<Review, string>): void => {
  const windowed = stream.window(TumblingEventTimeWindows.of('1d')).allowedLateness('1h').sideOutputLateData(lateTag);
  expectTypeOf(windowed.reduce((a) => a)).toEqualTypeOf<DataStream<Review>>();
  const processed = windowed.process((values, ctx) => {
    expectTypeOf(values).toEqualTypeOf<readonly Review[]>();
    expectTypeOf(ctx.window.start).toEqualTypeOf<number>();
    return { key: ctx.key, count: values.length };
  });
  expectTypeOf(processed).toEqualTypeOf<DataStream<{ key: string; count: number }>>();
  const cleared = windowed.process({
    process: (values) => values.length,
    clear: (ctx) => expectTypeOf(ctx.key).toEqualTypeOf<string>(),
  });
  expectTypeOf(cleared).toEqualTypeOf<DataStream<number>>();
  windowed.reduce(
    (a) => a,
    (_, ctx) => expectTypeOf(ctx.key).toEqualTypeOf<string>(),
  );
  const count = { createAccumulator: () => 0, add: (_review: Review, n: number) => n + 1, getResult: (n: number) => n };
  expectTypeOf(windowed.aggregate(count, (n, ctx) => `${ctx.key}: ${n.toFixed()}`)).toEqualTypeOf<DataStream<string>>();
  expectTypeOf(
    windowed.reduce(
      (a) => a,
      (review) => review.ts,
    ),
  ).toEqualTypeOf<DataStream<number>>();
  const daily = stream.window(TumblingEventTimeWindows.of('1d'));
  // @ts-expect-error the tag carries numbers, the late records are reviews
  daily.sideOutputLateData(outputTag<number>('numbers')).reduce((a) => a);
};

export const ends = async (env: StreamExecutionEnvironment, stream: DataStream<Review>): Promise<void> => {
  expectTypeOf(env.fromSource(jsonLines<Review>('x'))).toEqualTypeOf<DataStream<Review>>();
  expectTypeOf(env.fromCollection([1, 2])).toEqualTypeOf<DataStream<number>>();
  expectTypeOf(env.generate({ generate: (index) => ({ index }) })).toEqualTypeOf<DataStream<{ index: number }>>();
  expectTypeOf(
    stream
      .sinkTo(defineSink<Review>({ write: () => {} }))
      .uid('x')
      .name('y'),
  ).toEqualTypeOf<DataStreamSink>();
  expectTypeOf(stream.sinkTo(defineSink<{ readonly id: string }>({ write: () => {} }))).toEqualTypeOf<DataStreamSink>();
  expectTypeOf(stream.print()).toEqualTypeOf<DataStreamSink>();
  expectTypeOf(await env.executeAsync()).toEqualTypeOf<Job>();
  expectTypeOf((await env.executeAsync()).checkpoints$).toEqualTypeOf<Observable<CheckpointStats>>();
  expectTypeOf<MalformedLine['line']>().toEqualTypeOf<number>();
  const read = WatermarkStrategy.monotonous();
  expectTypeOf(
    env.fromCollection(
      [{ ts: 1 }],
      WatermarkStrategy.monotonous().withTimestamps((each) => each.ts),
    ),
  ).toEqualTypeOf<DataStream<{ ts: number }>>();
  expectTypeOf(
    env.fromSource(
      collection(reviews),
      read.withTimestamps((each) => each.ts),
    ),
  ).toEqualTypeOf<DataStream<Review>>();
  expectTypeOf(
    env.fromObservable(
      of({ ts: 1 }),
      {},
      read.withTimestamps((each) => each.ts),
    ),
  ).toEqualTypeOf<DataStream<{ ts: number }>>();
  expectTypeOf(
    env.generate(
      { generate: (index: number) => ({ ts: index }) },
      read.withTimestamps((each) => each.ts),
    ),
  ).toEqualTypeOf<DataStream<{ ts: number }>>();
  expectTypeOf(env.fromCollection([{ ts: 1 }], WatermarkStrategy.none())).toEqualTypeOf<DataStream<{ ts: number }>>();
  // @ts-expect-error the strategy reads a field that the records do not have
  env.fromCollection([{ other: 1 }], byTime);
};

// The schema of a chat model reaches the result, and wrong annotations do not compile.
const Verdict = z.object({ n: z.number(), at: z.string().transform(Number) });

export const answering = agent<string, number>('answering')
  .chatModel('m', { connection: 'default', outputSchema: Verdict })
  .on(ChatResponseEvent, ({ output }, ctx) => {
    expectTypeOf(output).toEqualTypeOf<{ n: number; at: number }>();
    ctx.output(output.n + output.at);
  })
  .on(ChatResponseEvent, ({ output }: ChatResponseEvent<{ n: number }>, ctx) => ctx.output(output.n))
  // @ts-expect-error the schema says otherwise
  .on(ChatResponseEvent, ({ output }: ChatResponseEvent<{ wrong: string }>, ctx) => ctx.output(output.wrong.length))
  // @ts-expect-error its outputs are numbers
  .on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new OutputEvent(input)))
  .on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new OutputEvent(input.length)))
  .on(InputEvent, async (_event, ctx) => ctx.sendEvent(new Event('seen')));

export const undeclared = agent<string, number>('undeclared').on(ChatResponseEvent, (event, ctx) => {
  expectTypeOf(event.output).toEqualTypeOf<unknown>();
  ctx.output(event.outputAs(Verdict).n);
  // @ts-expect-error nobody has declared what it is
  ctx.output(event.output.n);
});

export class AnsweringClass extends Agent<string, number> {
  model = { connection: 'default', outputSchema: Verdict };

  @Action(ChatResponseEvent)
  right({ output }: ChatResponseEvent<z.output<typeof Verdict>>, ctx: RunnerContext<number>): void {
    ctx.output(output.at);
  }

  // @ts-expect-error the schema of its model says otherwise
  @Action(ChatResponseEvent)
  wrong({ output }: ChatResponseEvent<{ wrong: string }>, ctx: RunnerContext<number>): void {
    ctx.output(output.wrong.length);
  }
}

export const letters = (stream: KeyedStream<string>): void => {
  stream.applyAgent(answering, { deadLetters: outputTag<DeadLetter<string>>('letters') });
  // @ts-expect-error the inputs are strings
  stream.applyAgent(answering, { deadLetters: outputTag<DeadLetter<number>>('letters') });
  // @ts-expect-error a letter is no text
  stream.asyncMap((text) => text, { deadLetters: outputTag<string>('letters') });
};

test('an agent is added to by methods, not by a second argument', () => {
  // @ts-expect-error it takes a name alone
  expect(() => agent('x', { on: {} })).toThrow(TypeError);
});
