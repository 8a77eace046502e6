/**
 * The outside of a simulated job: what models and tools were asked, what sinks received, and what one simulated process
 * may do to it. The world outlives the processes and judges them: a journaled outcome is never computed again (I8),
 * effects of an epoch become visible behind its checkpoint (I7), and one number always means one value.
 */
import type { Sink, Source, SourceBatch } from '../core/connector.ts';
import { callable, integer, knownOptions, numberFrom, refusal } from '../core/options.ts';
import { ownCopy } from '../core/own-copy.ts';
import { encodeText } from '../core/serde.ts';
import type { CallContext } from '../core/call.ts';
import { sleep, type Clock } from '../core/clock.ts';
import { defineSink } from '../../connectors/define-sink.ts';
import type { SimulatedDisk } from './history.ts';
import type { ProcessClock } from './clock.ts';

/**
 * A rule that the job has broken, in a simulation.
 *
 * @example
 * const failing = simulate({
 *   seed: 7,
 *   pipeline: (env, process) =>
 *     env
 *       .fromSource(process.source({ name: 'numbers', splits: { a: [1, -1] } }))
 *       .map((value) => void (value < 0 && process.fail('a number below 0')))
 *       .sinkTo(process.collect('numbers')),
 * });
 * await failing.catch((error: unknown) => console.log(error instanceof SimulationFailure)); // prints true
 */
export class SimulationFailure extends Error {
  override readonly name = 'SimulationFailure';
}

/** How often and when the outside answers. */
export interface CallScript<R> {
  /** Longest time until the answer, in milliseconds. @defaultValue 50 */
  readonly latencyMax?: number | undefined;
  /** How many of all attempts fail, from 0 to 1. @defaultValue 0 */
  readonly failing?: number | undefined;
  /** Makes the answer; `execution` counts all executions of this world, so an answer that uses it never comes twice. */
  readonly answer: (execution: number) => R;
}

export interface SimulatedSinkOptions {
  /** Values that may wait before sources stop. @defaultValue 10_000 */
  readonly pendingMax?: number | undefined;
  /** Longest time that a write or commit takes, in milliseconds. @defaultValue 20 */
  readonly latencyMax?: number | undefined;
}

export interface SimulatedSplits<T> {
  readonly name: string;
  readonly splits: Readonly<Record<string, readonly T[]>>;
  /** False: what a durable journal or checkpoint has acknowledged is never given again. @defaultValue true */
  readonly replayable?: boolean | undefined;
  /** Records of one batch at most. @defaultValue 4 */
  readonly batchMax?: number | undefined;
  /** Longest wait for a batch, in milliseconds. @defaultValue 40 */
  readonly latencyMax?: number | undefined;
}

const callNames = { latencyMax: true, failing: true, answer: true } as const;
const splitsNames = { name: true, splits: true, replayable: true, batchMax: true, latencyMax: true } as const;

export class SimulatedWorld {
  readonly received = new Map<string, unknown[]>();
  /** Up to where splits that can not be read again were acknowledged. */
  readonly acknowledged = new Map<string, number>();
  executions = 0;
  readonly #disk: SimulatedDisk;
  readonly #trace: (line: string) => void;

  constructor(disk: SimulatedDisk, trace: (line: string) => void) {
    this.#disk = disk;
    this.#trace = trace;
  }

  /** A model or tool is asked. */
  execute(id: string): number {
    if (this.#disk.journaled.has(id))
      throw new SimulationFailure(`I8: durable call ${id} is executed again, although its outcome is journaled`);
    this.executions += 1;
    this.#trace(`call ${id} starts`);
    return this.executions;
  }

  /** Whether a start has found the outcome of a call in the journal. */
  isJournaled(id: string): boolean {
    return this.#disk.journaled.has(id);
  }

  /** A sink receives what it may have received before. */
  receive(sink: string, values: readonly unknown[], firstNumber: number): void {
    const known = this.received.get(sink) ?? [];
    this.received.set(sink, known);
    for (const [index, value] of values.entries()) {
      const number = firstNumber + index;
      if (number > known.length)
        throw new SimulationFailure(`sink ${sink} is given number ${number} before number ${known.length}`);
      if (number === known.length) known.push(value);
      else if (encodeText(known[number]) !== encodeText(value)) {
        throw new SimulationFailure(
          `sink ${sink}: number ${number} was ${encodeText(known[number])} and is now ${encodeText(value)}`,
        );
      }
    }
    this.#trace(`sink ${sink} receives ${values.length} from number ${firstNumber}`);
  }

  /** An epoch becomes visible. */
  commit(sink: string, epoch: number): void {
    if (epoch > this.#disk.durable)
      throw new SimulationFailure(
        `I7: sink ${sink} commits epoch ${epoch}, the durable checkpoint is ${this.#disk.durable}`,
      );
  }
}

/**
 * One simulated process, as the pipeline that it runs sees it. After its death nothing it does has an effect.
 *
 * @example
 * const { received } = await simulate({
 *   seed: 7,
 *   pipeline: (env, process) =>
 *     env
 *       .fromSource(process.source({ name: 'numbers', splits: { a: [1, 2] } }))
 *       .asyncMap((value, call) => process.call(call, { latencyMax: 20, failing: 0.1, answer: () => value * 2 }), {
 *         order: 'arrival',
 *         retry: { attempts: 5 },
 *       })
 *       .sinkTo(process.send('doubles')),
 * });
 * console.log(received.get('doubles')); // prints [ 2, 4 ]
 */
export class SimulatedProcess {
  readonly clock: ProcessClock;
  readonly #world: SimulatedWorld;
  /** Counts starts of the job, from 0. */
  readonly life: number;
  readonly #fail: (error: unknown) => void;

  /** @internal */
  constructor(options: { clock: ProcessClock; world: SimulatedWorld; life: number; fail: (error: unknown) => void }) {
    this.clock = options.clock;
    this.#world = options.world;
    this.life = options.life;
    this.#fail = options.fail;
  }

  /**
   * Gives a number from 0 (included) to 1 (excluded), by the seed of the simulation. Not for pipelines to decide by:
   * only what is outside may be random.
   *
   * @example
   * const { received } = await simulate({
   *   seed: 7,
   *   pipeline: (env, process) =>
   *     env
   *       .fromSource(process.source({ name: 'numbers', splits: { a: [1, 2] } }))
   *       .asyncMap((_value, call) => process.call(call, { answer: () => process.random() < 1 }))
   *       .sinkTo(process.collect('answers')),
   * });
   * console.log(received.get('answers')); // prints [ true, true ]
   */
  random(): number {
    return this.clock.random();
  }

  /**
   * Ends the simulation with a `SimulationFailure`: a rule that the pipeline has found broken.
   */
  fail(what: string): void {
    if (this.clock.alive) this.#fail(new SimulationFailure(what));
  }

  /**
   * Whether this start or an earlier one has found the outcome of a call in the journal.
   *
   * @example
   * await simulate({
   *   seed: 7,
   *   pipeline: (env, process) =>
   *     env
   *       .fromSource(process.source({ name: 'numbers', splits: { a: [1, 2] } }))
   *       .asyncMap((value, call) => {
   *         if (process.isJournaled(call.id)) process.fail(`call ${call.id} is made again`);
   *         return process.call(call, { answer: () => value });
   *       })
   *       .sinkTo(process.collect('numbers')),
   * });
   */
  isJournaled(callId: string): boolean {
    return this.#world.isJournaled(callId);
  }

  /** The body of a durable call: waits, then answers or throws. */
  async call<R>(call: CallContext, script: CallScript<R>): Promise<R> {
    knownOptions('call', script, callNames);
    const { latencyMax = 50, failing = 0, answer } = script;
    integer('latencyMax', latencyMax);
    numberFrom('failing', failing, { min: 0, max: 1 });
    callable('answer', answer);
    if (!this.clock.alive) return never();
    const execution = this.#guarded(() => this.#world.execute(call.id)) ?? 0;
    const fails = this.random() < failing;
    await this.#wait(latencyMax);
    if (fails) throw new Error(`attempt ${call.attempt} of call ${call.id} failed`);
    return answer(execution);
  }

  /** A source whose splits are known lists. */
  source<T>(options: SimulatedSplits<T>): Source<T, number> {
    knownOptions('source', options, splitsNames);
    const { name, splits, replayable = true, batchMax = 4, latencyMax = 40 } = options;
    if (typeof splits !== 'object' || !Object.values(splits).every(Array.isArray))
      throw refusal('splits', 'lists of values, by the name of their split', splits);
    integer('batchMax', batchMax, { min: 1 });
    integer('latencyMax', latencyMax);
    return {
      name,
      replayable,
      splits: async () => Object.keys(splits),
      open: async (split, position = 0) => {
        const values = splits[split] ?? [];
        const { acknowledged } = this.#world;
        const where = `${name} ${split}`;
        let next = replayable ? position : Math.max(position, acknowledged.get(where) ?? 0);
        return {
          committed: async (durable) => {
            if (this.clock.alive) acknowledged.set(where, Math.max(durable ?? 0, acknowledged.get(where) ?? 0));
          },
          read: async (signal): Promise<SourceBatch<T, number> | undefined> => {
            const delayMs = this.#latency(latencyMax);
            if (delayMs > 0) await sleep(this.clock, delayMs, signal);
            if (next >= values.length) return undefined;
            const from = next;
            next = Math.min(values.length, from + 1 + Math.floor(this.random() * batchMax));
            return { values: values.slice(from, next).map(ownCopy), position: (count) => from + count };
          },
          close: async () => {},
        };
      },
    };
  }

  /** An exactly-once sink: values arrive by the commit of their epoch. */
  collect<T>(name: string, options: SimulatedSinkOptions = {}): Sink<T> {
    return this.#sink(name, 'exactly-once', options);
  }

  /** An at-least-once sink: values arrive as soon as the log is durable. */
  send<T>(name: string, options: SimulatedSinkOptions = {}): Sink<T> {
    return this.#sink(name, 'at-least-once', options);
  }

  #sink<T>(name: string, guarantee: 'exactly-once' | 'at-least-once', options: SimulatedSinkOptions): Sink<T> {
    knownOptions(guarantee === 'exactly-once' ? 'collect' : 'send', options, { pendingMax: true, latencyMax: true });
    const { pendingMax, latencyMax = 20 } = options;
    integer('latencyMax', latencyMax);
    return defineSink<T>({
      name,
      guarantee,
      ...(pendingMax === undefined ? {} : { pendingMax }),
      write: async (values, { epoch, firstNumber }) => {
        const late = this.random() < 0.5;
        if (late) await this.#wait(latencyMax);
        if (this.clock.alive) {
          this.#guarded(() => {
            if (guarantee === 'exactly-once') this.#world.commit(name, epoch);
            this.#world.receive(name, values, firstNumber);
          });
        }
        if (!late) await this.#wait(latencyMax);
      },
    });
  }

  #guarded<R>(body: () => R): R | undefined {
    try {
      return body();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #latency(max: number): number {
    return this.random() < 0.3 ? 0 : Math.floor(this.random() * max);
  }

  /** At times it does not wait at all: an answer may be there before anything else happens. */
  async #wait(max: number): Promise<void> {
    const delayMs = this.#latency(max);
    if (delayMs === 0) return;
    const clock: Clock = this.clock;
    await new Promise<void>((resolve) => {
      clock.setTimer(delayMs, resolve);
    });
  }
}

const never = (): Promise<never> => new Promise(() => undefined);
