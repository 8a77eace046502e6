/**
 * Hosts one operator: brings it records, watermarks and timers, and keeps the order among them: timers fire before the
 * watermark that makes them due is forwarded, and the watermark waits for holds. Keeps I2, I3 and I13.
 */
import type { Timestamp } from '../../core/element.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../core/element.ts';
import { refuseThenable, StreamError } from '../../core/errors.ts';
import type { MultiInputOperator, Operator, Processor, Step } from '../../core/operator.ts';
import { refusedResult, resultWith } from '../../core/options.ts';
import type { TimeDomain } from '../../core/timer.ts';
import type { OperatorState } from '../../state/keyed-state.ts';
import { keyOfOperator } from '../../state/operator-handle.ts';
import type { TimerService } from '../../state/timers.ts';
import type { HoldsSnapshot } from '../edges/hold-segment.ts';
import type { Partitioning } from '../edges/graph.ts';
import type { HoldQueue } from '../edges/holds.ts';
import { fuse, fusedStep, recordCounter, type FusedStep, type RecordCounter } from '../edges/fusion.ts';
import { named, namedAsync } from '../../core/failures.ts';
import { failingOperator, operatorFailure } from '../edges/operator-failure.ts';
import type { Unfinished } from '../edges/later.ts';
import { nowhere, openGate, type Gate, type Receiver } from '../edges/receiver.ts';
import { WatermarkCombiner, type ValveSnapshot } from '../edges/watermark-merge.ts';
import { mergedInput } from '../edges/wire.ts';
import type { WorkQueue } from '../work/work.ts';
import { Advances, type Advance, type AdvancesSnapshot, type FiringTimers } from './advances.ts';
import { Asked, behindHolds, HostContext, type ContextOptions } from './operator-context.ts';
import type { SequenceSnapshot } from './sequence.ts';
import { waitFor } from './waited-code.ts';

export interface HostOptions<I, O> extends ContextOptions<O> {
  readonly operator: Operator<I, O> | Step<I, O> | MultiInputOperator<readonly never[], O>;
  /** See `WatermarkMergeOptions`. @defaultValue true */
  readonly finalEndsInput?: boolean | undefined;
}

/** The part of a host that is in the checkpoint header. */
export interface HostSnapshot {
  readonly watermark: Timestamp;
  readonly sequence: SequenceSnapshot;
  readonly workSequence: SequenceSnapshot;
  readonly holds?: HoldsSnapshot | undefined;
  /** Watermarks whose timers have not all fired. */
  readonly advances?: AdvancesSnapshot | undefined;
  /** What its timers depend on, if they are derived ones. */
  readonly timersDependOn?: string | undefined;
  /** The final watermark has come, and waits for processing-time timers. */
  readonly finalWaits?: true | undefined;
  /** How far each of several inputs is. */
  readonly merge?: ValveSnapshot | undefined;
}

/** Steps that become one function. */
interface Fused {
  readonly steps: readonly FusedStep[];
  readonly emit: (value: unknown, timestamp: Timestamp) => void;
}

/** What of an operator belongs to no input of it. */
type Whole = Pick<Processor<never>, 'onWatermark' | 'open' | 'close'>;

/** What of an operator belongs to one input of it. */
type Input = Pick<Processor<never>, 'process' | 'direct'>;

type Take = (value: never, timestamp: Timestamp) => void;

/** Key of everything that an operator without a keyed edge keeps. */
const unkeyed = keyOfOperator;

export class OperatorHost<I, O> implements Receiver<I> {
  readonly uid: string;
  readonly number: number;
  /**
   * The steps from this operator on that become one function, and what they emit to; undefined for an operator with
   * capabilities.
   */
  readonly fused: Fused | undefined;
  /** Records that it was given in this life. Fused steps count for themselves, and so does a keyed edge. */
  readonly counter: RecordCounter;
  readonly #options: HostOptions<I, O>;
  readonly #state: OperatorState;
  readonly #asked = new Asked<O>();
  readonly #processor: Whole | undefined;
  /** What takes the records of each input, of an operator with capabilities. */
  readonly #inputs: readonly Take[];
  /**
   * Where the watermarks of several inputs meet. They have different meanings, so one that comes back holds the output.
   */
  readonly #merge: WatermarkCombiner | undefined;
  readonly #advances: Advances | undefined;
  #record: ((value: I, timestamp: Timestamp) => void) | undefined;
  /** Where watermarks go on: to the holds, or past them. */
  #behind: { watermark(timestamp: Timestamp): void; status(idle: boolean): void } | undefined;
  #watermark = MIN_TIMESTAMP;
  /** The final watermark waits for processing-time timers. */
  #finalWaits = false;

  constructor(options: HostOptions<I, O>) {
    const { uid, number, operator, inputs: kinds, keys, output, services } = options;
    this.uid = uid;
    this.number = number;
    this.#options = options;
    this.#state = services.workingSet.operator(number, keys);
    this.counter = recordCounter();
    this.#merge = kinds.length > 1 ? new WatermarkCombiner({ finalEndsChannel: options.finalEndsInput }) : undefined;
    if (typeof operator === 'function') {
      const context = new HostContext(options, this.#state, this.#asked);
      const { whole, inputs } = named(failingOperator(uid), () => {
        const made: unknown = refuseThenable(operator(context), 'the function', uid);
        return kinds.length > 1 ? severalInputs(made, kinds.length) : oneInput(made);
      });
      this.#processor = whole;
      context.complete();
      const { timers } = this.#asked;
      this.#advances = timers && this.#makeAdvances(timers);
      this.#inputs = inputs.map((input, port) => this.#makeRecord(input, kinds[port]));
      this.#record = this.#inputs[0] as typeof this.record; // The graph ties its type to that of the edge.
    } else {
      this.#inputs = [];
      const next = output instanceof OperatorHost ? output.fused : undefined;
      const step = fusedStep(uid, operator, next?.steps[0]);
      // The graph ties the types of the steps and of what they emit to.
      this.fused = { steps: [step, ...(next?.steps ?? [])], emit: next?.emit ?? (output.record as Fused['emit']) };
    }
  }

  // ---------- what the chain calls

  /** Of an operator in the middle of fused steps nobody asks for it, so it is made when asked for. */
  get record(): (value: I, timestamp: Timestamp) => void {
    this.#record ??= fuse(this.fused?.steps ?? [], this.fused?.emit ?? nowhere.record);
    return this.#record;
  }

  /** One of its inputs. Asked for once each, when the graph is compiled; the only input is the host itself. */
  input(port: number): Receiver<never> {
    if (this.#merge === undefined) return this;
    return mergedInput<never>(`input ${port + 1}`, this.#merge, {
      record: this.#inputs[port] ?? nowhere.record,
      watermark: (timestamp) => this.watermark(timestamp),
      status: (idle) => this.status(idle),
    });
  }

  watermark(timestamp: Timestamp): void {
    if (timestamp <= this.#watermark) return; // I3: it never goes back.
    this.#watermark = timestamp;
    if (this.#advances === undefined) this.#passWatermark(timestamp);
    else this.#advances.add({ kind: 'event', to: timestamp });
  }

  status(idle: boolean): void {
    if (this.#advances?.gate.isClosed === true) this.#advances.add({ kind: 'status', idle });
    else this.#downstream.status(idle);
  }

  /** Processing-time timers up to this time fire. */
  processingTime(to: Timestamp): void {
    if (this.#asked.timers !== undefined) this.#advances?.add({ kind: 'processing', to });
    this.#endIfNoneIsLeft();
  }

  /** Closed while timers are left that fire before the next record. */
  get gate(): Gate {
    return this.#advances?.gate ?? openGate;
  }

  // ---------- what the job calls

  /** What is left for slices: first what has left the timers. */
  get unfinished(): Unfinished | undefined {
    const { holds } = this.#asked;
    if (holds?.isStopped === true) return holds;
    return this.#advances?.gate.isClosed === true ? this.#advances : undefined;
  }

  get timerService(): TimerService | undefined {
    return this.#asked.timers;
  }

  /** Whether its end waits for timers of the clock. */
  get waitsForClock(): boolean {
    return this.#finalWaits;
  }

  /** When it has to be told the time next. */
  get nextProcessingTime(): Timestamp | undefined {
    if (this.#finalWaits && this.timerCount?.processing === 0) return MIN_TIMESTAMP;
    return this.#asked.timers?.nextProcessingTime;
  }

  /** Records that it was given in this life of the job. */
  get recordsIn(): number {
    return (this.fused?.steps[0]?.counter ?? this.counter)[0] ?? 0;
  }

  /** Registered timers by time domain; undefined for an operator without any. */
  get timerCount(): Readonly<Record<TimeDomain, number>> | undefined {
    return this.#asked.timers?.count;
  }

  get workQueue(): WorkQueue | undefined {
    return this.#asked.work;
  }

  get holdQueue(): HoldQueue<O> | undefined {
    return this.#asked.holds;
  }

  /** Handles of the operator's states by name. */
  get states(): ReadonlyMap<string, unknown> {
    return this.#asked.states;
  }

  /** The input that holds the watermark back, of an operator that has several. */
  get slowestInput(): string | undefined {
    return this.#merge?.slowest;
  }

  get currentWatermark(): Timestamp {
    return this.#watermark;
  }

  snapshot(): HostSnapshot {
    const { sequence, workSequence, holds, timersDependOn } = this.#asked;
    const sequences = { sequence: sequence.snapshot(), workSequence: workSequence.snapshot() };
    const advances = this.#advances?.snapshot();
    return {
      watermark: this.#watermark,
      ...sequences,
      ...(holds && { holds: holds.snapshot() }),
      ...(advances && { advances }),
      ...(timersDependOn !== undefined && { timersDependOn }),
      ...(this.#finalWaits && { finalWaits: true }),
      ...(this.#merge && { merge: this.#merge.snapshot() }),
    };
  }

  /** Restores from the header's part and the stored rows, then lets the operator look at its state. */
  async restore(snapshot: HostSnapshot): Promise<void> {
    const { sequence, workSequence, timers, timersDependOn, holds, work } = this.#asked;
    this.#watermark = snapshot.watermark;
    this.#finalWaits = snapshot.finalWaits === true;
    if (snapshot.merge !== undefined) this.#merge?.restore(snapshot.merge);
    sequence.restore(snapshot.sequence);
    workSequence.restore(snapshot.workSequence);
    this.#setOpenPhase(true);
    const { advances, watermark } = snapshot;
    if (timers !== undefined) timers.watermark = advances?.watermark ?? watermark;
    if (timersDependOn === snapshot.timersDependOn) await timers?.restore();
    else await timers?.forget();
    if (advances !== undefined) this.#advances?.restore(advances);
    if (snapshot.holds !== undefined) await holds?.restore(snapshot.holds);
    await work?.restore();
    this.#setOpenPhase(false);
  }

  /** Runs before the first turn, after a restore if there was one. */
  async open(): Promise<void> {
    this.#setOpenPhase(true);
    const { uid } = this;
    const { jobId } = this.#options.services;
    const open = (): unknown => this.#processor?.open?.();
    await namedAsync(failingOperator(uid), () => waitFor({ jobId, what: `operator \`${uid}\``, uid }, open));
    this.#setOpenPhase(false);
  }

  async close(): Promise<void> {
    await this.#processor?.close?.();
  }

  #makeAdvances(timers: FiringTimers): Advances {
    const { later } = this.#options.services;
    const passOn = (advance: Advance): void => {
      if (advance.kind === 'status') this.#downstream.status(advance.idle);
      else if (advance.kind === 'processing') this.#endIfNoneIsLeft();
      else if (advance.to !== MAX_TIMESTAMP || !this.#holdsFinal()) this.#passWatermark(advance.to);
    };
    return new Advances({ timers, passOn, later });
  }

  /** Timers of the clock are left behind those of the final watermark: does what the policy says of them. */
  #holdsFinal(): boolean {
    const { timersAtEnd = 'drop' } = this.#options.services;
    if (timersAtEnd === 'drop' || this.timerCount?.processing === 0) return false;
    if (timersAtEnd === 'wait') this.#finalWaits = true;
    else {
      this.#advances?.add({ kind: 'processing', to: MAX_TIMESTAMP });
      this.#advances?.add({ kind: 'event', to: MAX_TIMESTAMP });
    }
    return true;
  }

  /** The last timer that the final watermark waits for is gone. */
  #endIfNoneIsLeft(): void {
    if (!this.#finalWaits || this.timerCount?.processing !== 0) return;
    this.#finalWaits = false;
    this.#advances?.add({ kind: 'event', to: MAX_TIMESTAMP });
  }

  #passWatermark(timestamp: Timestamp): void {
    const processor = this.#processor;
    if (processor?.onWatermark !== undefined) {
      const returned: unknown = named(failingOperator(this.uid), () => processor.onWatermark?.(timestamp));
      refuseThenable(returned, '`onWatermark`', this.uid);
    }
    this.#downstream.watermark(timestamp);
  }

  get #downstream(): { watermark(timestamp: Timestamp): void; status(idle: boolean): void } {
    return (this.#behind ??= this.#asked.holds ?? behindHolds(this.#options));
  }

  #setOpenPhase(isOpening: boolean): void {
    this.#state.openPhase = isOpening;
    if (this.#asked.ofOperator !== undefined) this.#asked.ofOperator.openPhase = isOpening;
  }

  #makeRecord(input: Input, kind: Partitioning['kind'] | undefined): Take {
    const { uid, keys, inputs: kinds } = this.#options;
    const { counter } = this;
    const looked: Take = (value, timestamp) => {
      const returned: unknown = input.process(value, timestamp);
      if (returned !== undefined) this.#refuseResult(returned);
    };
    const process: Take = input.direct === true ? input.process : looked;
    // The keyed edge counts, and says which operator failed.
    if (kind === 'hash') return process;
    // What an unkeyed input keeps has a key of its own; beside a keyed one it has none.
    const enters = this.#asked.usesKey && !kinds.includes('hash');
    const changes = kind === 'broadcast' || kinds.every((each) => each === 'forward');
    const ofOperator = changes ? this.#asked.ofOperator?.keys : undefined;
    const { gate } = this;
    return (value, timestamp) => {
      if (gate.isClosed) gate.finish();
      counter[0] = (counter[0] ?? 0) + 1;
      if (enters) keys.enter(unkeyed);
      ofOperator?.enter(keyOfOperator);
      try {
        process(value, timestamp);
      } catch (error) {
        throw operatorFailure(uid, error);
      }
      ofOperator?.leave();
      if (enters) keys.leave();
    };
  }

  /** What `value > 0 && ctx.emit(value)` gives is nothing; a result that goes nowhere is a mistake. */
  #refuseResult(returned: unknown): void {
    refuseThenable(returned, '`process`', this.uid);
    if (!Boolean(returned) || returned === true) return;
    throw new StreamError('OPERATOR_FAILED', `\`process\` of operator \`${this.uid}\` returned a value`, {
      hint: 'put it out by `ctx.emit(value)`, or return nothing: what is returned goes nowhere',
      retryable: false,
      details: { uid: this.uid },
    });
  }
}

const oneInput = (made: unknown): { readonly whole: Whole; readonly inputs: readonly Input[] } => {
  const whole = resultWith('operator', made as Processor<never>, ['process']); // That is what is looked at.
  return { whole, inputs: [whole] };
};

const severalInputs = (made: unknown, count: number): { readonly whole: Whole; readonly inputs: readonly Input[] } => {
  const { inputs } = (made ?? {}) as { readonly inputs?: unknown }; // only looked at
  if (!Array.isArray(inputs) || inputs.length !== count)
    throw refusedResult('operator', `an object with ${count} \`inputs\``, made);
  // as above
  return { whole: made as Whole, inputs: inputs.map((each) => resultWith('operator', each as Input, ['process'])) };
};
