/**
 * Random pipelines for the simulation: a seed decides what stands between sources and sinks, and `judge` says whether
 * what came out can be right. Each element carries the ids of the inputs it is made of, so that losses, doubles and
 * changed orders show.
 */
import {
  agent,
  CallNotExecuted,
  Event,
  InputEvent,
  listState,
  mapState,
  OutputEvent,
  TumblingEventTimeWindows,
  type,
  valueState,
  WatermarkStrategy,
} from 'millrace';
import type { DataStream, DeadLetter, Operator, OutputTag, RunnerContext, StreamExecutionEnvironment } from 'millrace';
import { seededRandom, type SimulatedProcess, type SimulationResult } from 'millrace/testing';

export interface Element {
  readonly key: string;
  /** What the second half of the pipeline is keyed by. */
  readonly group: string;
  readonly ts: number;
  /** Inputs it is made of, `split:number`. */
  readonly ids: readonly string[];
  /** What models answered on the way. */
  readonly said: readonly string[];
}

type AgentKind = 'sync' | 'single' | 'fan' | 'steps' | 'siblings' | 'caught' | 'reconciled' | 'letters';

interface AgentSpec {
  readonly kind: AgentKind;
  readonly outputOrder: 'completion' | 'arrival';
  readonly asyncConcurrency: number;
  readonly pendingMax: number;
}

export interface PipelineSpec {
  readonly sources: readonly {
    readonly name: string;
    readonly replayable: boolean;
    readonly splits: Readonly<Record<string, readonly Element[]>>;
  }[];
  readonly emitEvery: number;
  readonly idle: boolean;
  readonly batchMax: number;
  readonly sourceLatencyMax: number;
  readonly callLatencyMax: number;
  readonly failing: number;
  readonly first: AgentSpec | 'async-map' | undefined;
  readonly middle: 'tumbling' | 'count' | 'timer' | undefined;
  readonly second: AgentSpec | 'async-map' | undefined;
  readonly sent: boolean;
  readonly maxParallelism: number;
  readonly stateCacheMax: number;
  readonly dirtyMax: number;
  readonly timersPerTurn: number;
  readonly serialiseEdges: boolean;
  /** The first stage is counted by group, and what is distinct of it told. */
  readonly counted: boolean;
  /** Answers depend on the question alone. */
  readonly deterministic: boolean;
  /**
   * The order of all that leaves is fixed by design, so nothing in it goes by who was first: no race, no id of a run.
   */
  readonly fixed: boolean;
}

const groupSize = 3;
const windowMs = 20;

/** What a seed stands for. `fixed`: a pipeline whose order is fixed by design. */
export const pipelineOf = (seed: number, options: { readonly fixed?: boolean } = {}): PipelineSpec => {
  const random = seededRandom((seed * 2_654_435_761 + 17) % 2 ** 32);
  const { fixed = false } = options;
  const chance = (probability: number): boolean => random() < probability;
  const upTo = (max: number): number => 1 + Math.floor(random() * max);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // never empty
  const anyAgent = (): AgentSpec => ({
    kind: one(['sync', 'single', 'single', 'fan', 'steps', 'siblings', 'caught', 'reconciled', 'letters']),
    outputOrder: fixed ? 'arrival' : one(['completion', 'arrival']),
    asyncConcurrency: upTo(chance(0.5) ? 2 : 8),
    pendingMax: upTo(chance(0.5) ? 3 : 16),
  });
  const keys = upTo(4);
  const elements = (split: string): Element[] => {
    let ts = upTo(10);
    return Array.from({ length: Math.floor(random() * 10) }, (_, n) => {
      ts += upTo(12);
      return {
        key: `k${Math.floor(random() * keys)}`,
        group: `g${Math.floor(random() * 2)}`,
        ts,
        ids: [`${split}:${n}`],
        said: [],
      };
    });
  };
  const sources = (fixed || chance(0.4) ? ['a'] : ['a', 'b']).map((name) => {
    const names = Array.from({ length: fixed ? 1 : upTo(3) }, (_, index) => `${name}${index}`);
    return {
      name,
      replayable: fixed || chance(0.75),
      splits: Object.fromEntries(names.map((split) => [split, elements(split)])),
    };
  });
  return {
    sources,
    emitEvery: upTo(4),
    idle: !fixed && chance(0.2),
    batchMax: upTo(6),
    sourceLatencyMax: one([0, 10, 60, 400]),
    callLatencyMax: one([0, 20, 60, 300]),
    failing: chance(0.4) ? 0.3 : 0,
    first: one([anyAgent(), anyAgent(), anyAgent(), 'async-map', undefined]),
    middle: one(
      fixed
        ? (['tumbling', 'count', undefined] as const)
        : (['tumbling', 'tumbling', 'count', 'count', 'timer', undefined] as const),
    ),
    second: one([anyAgent(), anyAgent(), 'async-map', undefined]),
    sent: chance(0.4),
    maxParallelism: one([1, 4, 128]),
    stateCacheMax: one([1, 8, 1_000_000]),
    dirtyMax: one([8, 50_000, 50_000, 50_000]),
    timersPerTurn: [1, 1, 2, 3, 128][seed % 5] ?? 128, // Not drawn, so that all else of a seed stays as it was.
    serialiseEdges: chance(0.2),
    counted: seed % 3 === 0, // Not drawn either.
    deterministic: fixed || chance(0.3),
    fixed,
  };
};

export const environmentOf = ({
  maxParallelism,
  stateCacheMax,
  dirtyMax,
  timersPerTurn,
  serialiseEdges,
}: PipelineSpec) => ({
  maxParallelism,
  stateCacheMax,
  dirtyMax,
  timersPerTurn,
  serialiseEdges,
});

/** Builds the pipeline of a spec for each process of one simulation. */
export const build = (spec: PipelineSpec) => {
  const receipts = new Map<string, string>();
  return (env: StreamExecutionEnvironment, process: SimulatedProcess): void =>
    connect(spec, env, new PipelineBuilder(spec, process, receipts), process);
};

const connect = (
  spec: PipelineSpec,
  env: StreamExecutionEnvironment,
  builder: PipelineBuilder,
  process: SimulatedProcess,
): void => {
  const base = WatermarkStrategy.monotonous<Element>().withEmitEvery(spec.emitEvery);
  const strategy = (spec.idle ? base.withIdleness(300) : base).withTimestamps((element: Element) => element.ts);
  const { batchMax, sourceLatencyMax: latencyMax } = spec;
  const inputs = spec.sources.map((source) =>
    env.fromSource(process.source<Element>({ ...source, batchMax, latencyMax }), strategy).uid(`source-${source.name}`),
  );
  const [input, ...others] = inputs as [DataStream<Element>, ...DataStream<Element>[]];
  const union = others.length === 0 ? input : input.union(...others);
  const first = builder.stage(union, 'first', spec.first, (element) => element.key);
  const probed = first.transform<Element>('probe', builder.probe('the first stage', !spec.idle));
  probed.sinkTo(process.collect<Element>('first'));
  if (spec.counted) {
    const groups = probed.keyBy((element) => element.group);
    groups.count().sinkTo(process.collect<number>('counts'));
    groups.distinct({ by: ({ ids }) => ids.join(), within: 5 }).sinkTo(process.collect<Element>('distinct'));
  }
  const middle = builder.middle(probed);
  const timed = !spec.idle && spec.middle !== 'timer';
  const second = builder
    .stage(middle, 'second', spec.second, (element) => element.group)
    .transform<Element>('probe', builder.probe('the second stage', timed));
  second.sinkTo(process.collect<Element>('second', { pendingMax: 5 }));
  if (spec.sent) second.sinkTo(process.send<Element>('sent', { pendingMax: 3 }));
};

class PipelineBuilder {
  readonly #spec: PipelineSpec;
  readonly #process: SimulatedProcess;
  readonly #receipts: Map<string, string>;

  constructor(spec: PipelineSpec, process: SimulatedProcess, receipts: Map<string, string>) {
    this.#spec = spec;
    this.#process = process;
    this.#receipts = receipts;
  }

  stage(
    input: DataStream<Element>,
    name: string,
    spec: AgentSpec | 'async-map' | undefined,
    keyOf: (element: Element) => string,
  ): DataStream<Element> {
    if (spec === undefined) return input;
    if (spec === 'async-map') {
      const { deterministic } = this.#spec;
      return input
        .asyncMap(
          (element, call) =>
            this.#ask(call, `${name}.${element.ids.join()}`).then((answer): Element => ({
              ...element,
              said: [...element.said, answer],
            })),
          {
            inFlightMax: 3,
            order: deterministic ? 'arrival' : 'completion',
            retry: { attempts: 20, initialIntervalMs: 5, maxIntervalMs: 50 },
          },
        )
        .uid(`${name}-map`);
    }
    const { kind, ...options } = spec;
    const deadLetters: OutputTag<DeadLetter> = { id: 'letters' };
    const output = input
      .keyBy(keyOf)
      .applyAgent(this.#agent(name, kind), kind === 'letters' ? { ...options, deadLetters } : options)
      .uid(`${name}-agent`);
    if (kind === 'letters') {
      output
        .sideOutput(deadLetters)
        .map(({ input: element }) => element as Element)
        .sinkTo(this.#process.collect<Element>(`${name}-letters`));
    }
    return output;
  }

  middle(input: DataStream<Element>): DataStream<Element> {
    const keyed = input.keyBy((element) => element.group);
    switch (this.#spec.middle) {
      case undefined:
        return input;
      case 'tumbling':
        return keyed
          .window(TumblingEventTimeWindows.of(windowMs))
          .process((elements, ctx) => merged(elements, ctx.window.end - 1));
      case 'count':
        return keyed.process({
          emits: type<Element>(),
          state: { waiting: listState<Element>('waiting') },
          process(element, ctx) {
            const { waiting } = ctx.state;
            waiting.add(element);
            if (waiting.size < groupSize) return;
            ctx.emit(merged([...waiting.values()], element.ts));
            waiting.clear();
          },
        });
      case 'timer':
        return keyed.process({
          emits: type<Element>(),
          state: { waiting: mapState<string, Element>('waiting'), due: valueState<number>('due') },
          process(element, ctx) {
            ctx.state.waiting.set(element.ids.join(), element);
            if (ctx.state.due.value() !== undefined) return;
            const due = ctx.now() + 60;
            ctx.state.due.update(due);
            ctx.timers.register(due, { domain: 'processing' });
          },
          onTimer(_timer, ctx) {
            const elements = [...ctx.state.waiting.entries()].map(([, element]) => element);
            if (elements.length > 0) ctx.emit(merged(elements, elements[0]?.ts ?? 0));
            ctx.state.waiting.clear();
            ctx.state.due.clear();
          },
        });
    }
  }

  /** Watches that watermarks do not go back and that no record comes behind the watermark it was in front of (I3). */
  probe(where: string, timed: boolean): Operator<Element, Element> {
    return (context) => {
      let watermark = -Infinity;
      return {
        process: (element, timestamp) => {
          if (timed && timestamp <= watermark)
            this.#process.fail(
              `I3: behind ${where} ${element.ids.join()} (${timestamp}) comes after watermark ${watermark}`,
            );
          context.output.emit(element, timestamp);
        },
        onWatermark: (timestamp) => {
          if (timestamp < watermark)
            this.#process.fail(`I3: behind ${where} the watermark goes back from ${watermark} to ${timestamp}`);
          watermark = timestamp;
        },
      };
    };
  }

  #ask(call: { readonly id: string; readonly attempt: number }, question: string): Promise<string> {
    const { callLatencyMax: latencyMax, failing, deterministic } = this.#spec;
    return this.#process.call(call as never, {
      latencyMax,
      failing,
      answer: (execution) => (deterministic ? `to ${question}` : `${question}#${execution}`),
    });
  }

  /**
   * A payment that must not happen twice: whether it took effect is known outside, also when the process died before it
   * knew.
   */
  #pay(ctx: RunnerContext, question: string): Promise<string> {
    const receipts = this.#receipts;
    const { callLatencyMax: latencyMax } = this.#spec;
    return ctx.durableExecute(
      'pay',
      (_signal, call) =>
        this.#process.call(call, {
          latencyMax,
          answer: () => {
            const { idempotencyKey } = call;
            if (receipts.has(idempotencyKey)) this.#process.fail(`${question} is paid twice`);
            receipts.set(idempotencyKey, `receipt for ${question}`);
            return `receipt for ${question}`;
          },
        }),
      {
        args: question,
        reconciler: (_signal, { idempotencyKey }) => {
          const receipt = receipts.get(idempotencyKey);
          if (receipt === undefined) throw new CallNotExecuted();
          return receipt;
        },
      },
    );
  }

  #agent(name: string, kind: AgentKind) {
    const retry = { attempts: 20, initialIntervalMs: 5, maxIntervalMs: 50 };
    const ask = (ctx: RunnerContext, what: string, args?: unknown): Promise<string> =>
      ctx.durableExecute(what, (_signal, call) => this.#ask(call, `${name}.${what}.${String(args)}`), { args, retry });
    const count = (ctx: RunnerContext): string => {
      const seen = ctx.shortTermMemory.get<number>('seen') ?? 0;
      ctx.shortTermMemory.set('seen', seen + 1);
      return `${name} saw ${seen} ${this.#spec.fixed ? '' : ctx.uuid()}`;
    };
    const answer = (element: Element, ...said: string[]): OutputEvent<Element> =>
      new OutputEvent({ ...element, said: [...element.said, ...said] });
    const builder = agent<Element, Element>(name);
    const idsOf = (event: InputEvent<Element>): string => event.input.ids.join();
    switch (kind) {
      case 'sync':
        return builder.on(InputEvent, (event, ctx) => void ctx.sendEvent(answer(event.input, count(ctx))));
      case 'single':
        return builder.on(InputEvent, async (event, ctx) => {
          ctx.sendEvent(answer(event.input, await ask(ctx, 'model', idsOf(event)), count(ctx)));
        });
      case 'fan':
        return builder.on(InputEvent, async (event, ctx) => {
          const said = await Promise.all(
            ['x', 'y', 'z'].map(async (part, index) => {
              let value = await ask(ctx, `tool-${part}`, idsOf(event));
              if (index > 0) value = await ask(ctx, 'more', value);
              return value;
            }),
          );
          const both = [ask(ctx, 'fast'), ask(ctx, 'slow')];
          ctx.sendEvent(
            answer(
              event.input,
              ...said,
              ...(this.#spec.fixed ? await Promise.all(both) : [await Promise.race(both)]),
              count(ctx),
            ),
          );
        });
      case 'steps':
        return builder
          .on(InputEvent, 'begin', async (event, ctx) => {
            ctx.sensoryMemory.set('first', await ask(ctx, 'first', idsOf(event)));
            ctx.sendEvent(new Event('middle', { element: event.input }));
          })
          .on('middle', 'end', async (event, ctx) => {
            const { element } = event.attributes as { readonly element: Element };
            ctx.sendEvent(
              answer(
                element,
                String(ctx.sensoryMemory.get('first')),
                await ask(ctx, 'second', element.ids.join()),
                count(ctx),
              ),
            );
          });
      case 'siblings':
        return builder
          .on(InputEvent, 'note', (_event, ctx) => void count(ctx))
          .on(InputEvent, 'side', async (event, ctx) => {
            ctx.shortTermMemory.set('side', await ask(ctx, 'side', idsOf(event)));
          })
          .on(InputEvent, 'main', async (event, ctx) => {
            ctx.sendEvent(
              answer(
                event.input,
                await ask(ctx, 'main', idsOf(event)),
                String(ctx.shortTermMemory.get('seen')),
                String(ctx.shortTermMemory.get('side') ?? ''),
              ),
            );
          });
      case 'letters':
        return builder.on(InputEvent, async (event, ctx) => {
          const said = await ask(ctx, 'model', idsOf(event));
          ctx.shortTermMemory.set('seen', -1);
          if (event.input.ts % 3 === 0) throw new RangeError(`no way with ${idsOf(event)}`);
          ctx.sendEvent(answer(event.input, said, count(ctx)));
        });
      case 'reconciled':
        return builder.on(InputEvent, async (event, ctx) => {
          ctx.sendEvent(answer(event.input, await this.#pay(ctx, idsOf(event)), count(ctx)));
        });
      case 'caught':
        return builder.on(InputEvent, async (event, ctx) => {
          const question = `${name}.once.${idsOf(event)}`;
          const said = await ctx
            .durableExecute('once', (_signal, call) => this.#ask(call, question))
            .catch((error: unknown) => `caught ${(error as Error).message.replace(/ of call.*/, '')}`);
          ctx.sendEvent(answer(event.input, said, count(ctx)));
        });
    }
  }
}

const merged = (elements: readonly Element[], ts: number): Element => ({
  key: elements[0]?.key ?? '',
  group: elements[0]?.group ?? '',
  ts,
  ids: elements.flatMap(({ ids }) => ids),
  said: elements.flatMap(({ said }) => said),
});

/** What is wrong with what the sinks received, of all that the inputs fix. */
export const judge = (spec: PipelineSpec, { received }: SimulationResult): string[] => {
  // what `build` sends
  const of = (sink: string): readonly Element[] => (received.get(sink) ?? []) as readonly Element[];
  const inputs = spec.sources.flatMap(({ splits }) => Object.values(splits).flat());
  const problems: string[] = [];
  const idsOf = (elements: readonly Element[]): string[] => elements.flatMap(({ ids }) => ids).toSorted();
  const all = idsOf(inputs);
  const first = idsOf([...of('first'), ...of('first-letters')]);
  if (first.join() !== all.join())
    problems.push(`the first stage gave ${first.length} of ${all.length} inputs: ${difference(all, first)}`);
  if (spec.counted) {
    const groups = ['g0', 'g1'].map((group) => of('first').filter((element) => element.group === group).length);
    const counts = groups.flatMap((size) => Array.from({ length: size }, (_, n) => n + 1));
    if ((received.get('counts') ?? []).toSorted().join() !== counts.toSorted().join())
      problems.push(`the counts of ${groups.join(' and ')} elements are ${received.get('counts')?.join()}`);
    if (idsOf(of('distinct')).join() !== idsOf(of('first')).join())
      problems.push(`of ${of('first').length} distinct elements ${of('distinct').length} were told`);
  }
  const second = idsOf([...of('second'), ...of('second-letters')]);
  if (new Set(second).size !== second.length)
    problems.push(`the second stage gave an input twice: ${difference([...new Set(second)], second)}`);
  for (const group of ['g0', 'g1']) {
    const members = of('first').filter((element) => element.group === group).length;
    const came = idsOf([...of('second'), ...of('second-letters')].filter((element) => element.group === group)).length;
    const expected = spec.middle === 'count' ? members - (members % groupSize) : members;
    // Who comes too late after an idle time is dropped by a window, and a timer of the clock may be left at the end.
    const exact = spec.middle !== 'timer' && !(spec.idle && spec.middle === 'tumbling');
    if (exact ? came !== expected : came > expected)
      problems.push(`group ${group}: ${came} inputs came out, expected ${expected} of ${members}`);
  }
  if (spec.sent && of('sent').length !== of('second').length)
    problems.push(`${of('sent').length} were sent, ${of('second').length} collected`);
  if (spec.first !== 'async-map') problems.push(...disorder(of('first')));
  return problems;
};

/** Elements of one key and one split that changed their order (I1). */
const disorder = (elements: readonly Element[]): string[] => {
  const last = new Map<string, number>();
  return elements.flatMap(({ key, ids: [id = ''] }) => {
    const [split = '', number = ''] = id.split(':');
    const before = last.get(`${key} ${split}`) ?? -1;
    last.set(`${key} ${split}`, Number(number));
    return Number(number) > before ? [] : [`I1: of key ${key} input ${id} comes behind ${split}:${before}`];
  });
};

const difference = (expected: readonly string[], got: readonly string[]): string => {
  const missing = expected.filter((id) => !got.includes(id));
  const extra = got.filter((id, index) => !expected.includes(id) || got.indexOf(id) !== index);
  return `missing ${missing.join() || 'none'}, too many ${extra.join() || 'none'}`;
};
