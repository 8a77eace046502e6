/**
 * Random pipelines whose code changes from life to life: what a map gives for some keys, an argument of a call, the
 * calls that an agent makes. The keys of one split are its own, so that their order is fixed; some never change. Judged
 * is what must hold whatever changes: nothing accepted is lost or doubled, no name stands for two calls, and what was
 * journaled for a key that never changes is not paid again.
 */
import { agent, CallNotExecuted, Event, InputEvent, OutputEvent } from 'millrace';
import type { CallContext, DataStream, RunnerContext, StreamExecutionEnvironment } from 'millrace';
import { seededRandom, type SimulatedProcess, type SimulationResult } from 'millrace/testing';

interface Element {
  readonly id: string;
  readonly key: string;
  readonly group: string;
  /** What the map makes of it. */
  readonly mapped: number;
}

/** What the code of one life does with a key that is not stable; the same number is the same code. */
interface Version {
  readonly mapped: number;
  readonly argument: number;
  readonly calls: number;
}

type Kind = 'async-map' | 'single' | 'fan' | 'steps' | 'reconciled';

export interface ChangedSpec {
  readonly sources: readonly {
    readonly name: string;
    readonly replayable: boolean;
    readonly splits: Readonly<Record<string, readonly Element[]>>;
  }[];
  readonly kind: Kind;
  readonly second: boolean;
  readonly callLatencyMax: number;
  readonly asyncConcurrency: number;
  readonly pendingMax: number;
  /** By life and key. */
  readonly versions: readonly Readonly<Record<string, Version>>[];
}

const same: Version = { mapped: 0, argument: 0, calls: 0 };
const isStable = (key: string): boolean => key.endsWith('0');

export const changedPipelineOf = (seed: number): ChangedSpec => {
  const random = seededRandom((seed * 2_654_435_761 + 29) % 2 ** 32);
  const upTo = (max: number): number => 1 + Math.floor(random() * max);
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T; // never empty
  const splitOf = (split: string): readonly Element[] => {
    const keys = upTo(3);
    return Array.from({ length: upTo(9) }, (_, n) => {
      const key = `${split}.k${Math.floor(random() * keys)}`;
      return { id: `${split}:${n}`, key, group: `g${Math.floor(random() * 2)}`, mapped: 0 };
    });
  };
  const sources = one([['a'], ['a', 'b'], ['a', 'b']]).map((name, index) => {
    const splits = Array.from({ length: upTo(2) }, (_, number) => `${name}${number}`);
    return {
      name,
      replayable: index === 0 ? random() < 0.9 : random() < 0.4,
      splits: Object.fromEntries(splits.map((split) => [split, splitOf(split)])),
    };
  });
  const keys = [
    ...new Set(
      sources.flatMap(({ splits }) =>
        Object.values(splits)
          .flat()
          .map(({ key }) => key),
      ),
    ),
  ];
  let version: Readonly<Record<string, Version>> = {};
  const changed = (before: Version): Version => ({
    mapped: random() < 0.4 ? upTo(3) : before.mapped,
    argument: random() < 0.3 ? upTo(3) : before.argument,
    calls: random() < 0.3 ? upTo(3) : before.calls,
  });
  const versions = Array.from({ length: 10 }, (_, life) => {
    if (life > 0 && random() < 0.6) {
      version = Object.fromEntries(
        keys
          .filter((key) => !isStable(key))
          .map((key) => [key, random() < 0.6 ? changed(version[key] ?? same) : (version[key] ?? same)]),
      );
    }
    return version;
  });
  const kind = one(['async-map', 'single', 'fan', 'fan', 'steps', 'steps', 'reconciled', 'reconciled'] as const);
  const bounds = { callLatencyMax: one([0, 20, 60, 300]), asyncConcurrency: upTo(8), pendingMax: upTo(16) };
  return { sources, kind, second: random() < 0.4, ...bounds, versions };
};

/** What left the processes of one simulation. */
class Outside {
  /** What each name stands for. */
  readonly #contents = new Map<string, string>();
  /** Names under which a content was asked for. */
  readonly #names = new Map<string, Set<string>>();
  readonly receipts = new Map<string, string>();

  /** An idempotency key leaves a process. */
  names(process: SimulatedProcess, name: string, content: string): void {
    const known = this.#contents.get(name) ?? content;
    if (known !== content) process.fail(`${name} was ${known} and is now ${content}`);
    this.#contents.set(name, content);
  }

  /** A call is made. */
  asks(process: SimulatedProcess, call: CallContext, content: string, stable: boolean): void {
    this.names(process, call.idempotencyKey, content);
    const names = this.#names.get(content) ?? new Set();
    this.#names.set(content, names);
    for (const name of names)
      if (stable && process.isJournaled(name))
        process.fail(`${content} is paid again as ${call.id}: as ${name} it was journaled`);
    names.add(call.id);
  }
}

export const buildChanged = (spec: ChangedSpec) => {
  const outside = new Outside();
  return (env: StreamExecutionEnvironment, process: SimulatedProcess): void =>
    new Builder(spec, process, outside).build(env);
};

class Builder {
  readonly #spec: ChangedSpec;
  readonly #process: SimulatedProcess;
  readonly #outside: Outside;

  constructor(spec: ChangedSpec, process: SimulatedProcess, outside: Outside) {
    this.#spec = spec;
    this.#process = process;
    this.#outside = outside;
  }

  build(env: StreamExecutionEnvironment): void {
    const { kind, second } = this.#spec;
    const inputs = this.#spec.sources.map((source) =>
      env.fromSource(this.#process.source<Element>({ ...source, latencyMax: 60 })).uid(source.name),
    );
    const [input, ...others] = inputs as [DataStream<Element>, ...DataStream<Element>[]];
    const union = others.length === 0 ? input : input.union(...others);
    const mapped = union.map((element) => ({ ...element, mapped: this.#version(element.key).mapped }));
    const first = this.#first(mapped, kind);
    first.sinkTo(this.#process.collect<Element>('first'));
    if (second) {
      first
        .keyBy(({ group }) => group)
        .applyAgent(this.#agent('second', 'single'))
        .uid('second-work')
        .sinkTo(this.#process.collect<Element>('second'));
    }
  }

  #first(input: DataStream<Element>, kind: Kind): DataStream<Element> {
    const { asyncConcurrency, pendingMax } = this.#spec;
    if (kind === 'async-map') {
      const asked = async (element: Element, call: CallContext): Promise<Element> =>
        this.#ask(call, `first ${shown(element)}`, isStable(element.key)).then(() => element);
      return input
        .keyBy(({ key }) => key)
        .asyncMap(asked, { inFlightMax: asyncConcurrency })
        .uid('first-work');
    }
    return input
      .keyBy(({ key }) => key)
      .applyAgent(this.#agent('first', kind), { asyncConcurrency, pendingMax, onPlanChange: 'continue' })
      .uid('first-work');
  }

  #version(key: string): Version {
    return this.#spec.versions[Math.min(this.#process.life, this.#spec.versions.length - 1)]?.[key] ?? same;
  }

  /** `stable`: what it is asked for never changes, nor does the order. */
  #ask(call: CallContext, content: string, stable: boolean): Promise<string> {
    this.#outside.asks(this.#process, call, content, stable);
    return this.#process.call(call, { latencyMax: this.#spec.callLatencyMax, answer: () => `to ${content}` });
  }

  #agent(name: string, kind: Exclude<Kind, 'async-map'>) {
    const durable = (ctx: RunnerContext, what: string, element: Element): Promise<string> => {
      const { argument } = this.#version(element.key);
      const content = `${name} ${what} ${shown(element)} ${argument}`;
      const stable = name === 'first' && isStable(element.key);
      const reconciler = (_signal: AbortSignal, { idempotencyKey }: CallContext): string => {
        this.#outside.names(this.#process, idempotencyKey, content);
        const receipt = this.#outside.receipts.get(idempotencyKey);
        if (receipt === undefined) throw new CallNotExecuted();
        return receipt;
      };
      return ctx.durableExecute(
        what,
        async (_signal, call) => {
          const answer = await this.#ask(call, content, stable);
          if (kind === 'reconciled') {
            if (this.#outside.receipts.has(call.idempotencyKey)) this.#process.fail(`${content} is paid twice`);
            this.#outside.receipts.set(call.idempotencyKey, answer);
          }
          return answer;
        },
        { args: [element.id, element.mapped, argument], ...(kind === 'reconciled' ? { reconciler } : {}) },
      );
    };
    /** Calls that come and go with the code. */
    const more = async (ctx: RunnerContext, element: Element): Promise<void> => {
      for (let n = 0; n < this.#version(element.key).calls; n += 1) await durable(ctx, `more-${n}`, element);
    };
    const builder = agent<Element, Element>(name);
    if (kind === 'steps') {
      return builder
        .on(InputEvent, 'begin', async (event, ctx) => {
          await durable(ctx, 'begin', event.input);
          ctx.sendEvent(new Event('middle', { element: event.input }));
        })
        .on('middle', 'middle', async (event, ctx) => {
          const { element } = event.attributes as { readonly element: Element };
          await more(ctx, element);
          ctx.sendEvent(new Event('last', { element, trigger: event.id }));
        })
        .on('last', 'end', async (event, ctx) => {
          const { element } = event.attributes as { readonly element: Element };
          await durable(ctx, 'end', element);
          ctx.sendEvent(new OutputEvent(element));
        });
    }
    return builder.on(InputEvent, async (event, ctx) => {
      if (kind === 'fan')
        await Promise.all([
          durable(ctx, 'x', event.input).then(() => more(ctx, event.input)),
          durable(ctx, 'y', event.input),
        ]);
      else await more(ctx, event.input);
      await durable(ctx, 'model', event.input);
      ctx.sendEvent(new OutputEvent(event.input));
    });
  }
}

const shown = ({ id, key, mapped }: Element): string => `${key} ${id} ${mapped}`;

/** What is lost or doubled. */
export const judgeChanged = ({ sources, second }: ChangedSpec, { received }: SimulationResult): string[] => {
  const inputs = sources
    .flatMap(({ splits }) =>
      Object.values(splits)
        .flat()
        .map(({ id }) => id),
    )
    .toSorted();
  return (second ? ['first', 'second'] : ['first']).flatMap((sink) => {
    const came = ((received.get(sink) ?? []) as readonly Element[]).map(({ id }) => id).toSorted();
    return came.join() === inputs.join() ? [] : [`sink ${sink} was given ${came.join()} of ${inputs.join()}`];
  });
};
