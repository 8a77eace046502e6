/**
 * Runs recorded vectors of operators in the operator harness. Three differences of the recorded runtime are made up for
 * here: it starts at the watermark MIN after a restore, it handles a watermark again that equals the last one, and it
 * attaches the key to each output.
 */
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import { messageOf } from '../core/errors.ts';
import type { MultiInputOperator, Operator } from '../core/operator.ts';
import type { OutputTag } from '../core/output-tag.ts';
import { OperatorHarness } from './harness.ts';
import type { HarnessOutput } from './harness-outputs.ts';
import {
  timeOf,
  vectorTime,
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

/** Where late records go. */
export const lateTag: OutputTag<never> = { id: 'late' };

/**
 * Runs an operator of records with a key; `made` makes one of a step, `timeOfRecord` gives the recorded timestamp of
 * one that leaves.
 */
export const harnessRunner = <V extends Keyed>(
  operator: Operator<V, Fields>,
  // The file's values are what the operator's functions expect.
  made: (step: VectorStep) => V = ({ key = '', value }) => ({ key, value }) as V,
  timeOfRecord: TimeOfRecord = (_, timestamp) => recordTime(timestamp),
): Promise<VectorRunner> => {
  const open = (): Promise<OperatorHarness<V, Fields>> =>
    OperatorHarness.open<V, Fields>(operator, { keyOf: ({ key }) => key, sides: [lateTag] });
  return runnerOf(open, { made, timeOfRecord, second: 1 });
};

/**
 * Runs an operator of two inputs, each of records with a key. Two differences more are made up for: in the recording
 * one input that has ended ends the stream while the other one is idle, and a watermark that makes an idle input active
 * does not say so.
 */
export const twoInputRunner = <V extends Keyed>(
  operator: MultiInputOperator<readonly [V, V], Fields>,
  sides: readonly OutputTag<unknown>[] = [],
): Promise<VectorRunner> => {
  const input = { keyOf: ({ key }: Keyed) => key };
  const open = (): Promise<OperatorHarness<V, Fields>> =>
    OperatorHarness.open(operator, { inputs: [input, input], sides, finalEndsInput: false });
  return runnerOf<V>(open, {
    made: ({ key = '', value }) => ({ key, value }) as V, // The file's values are what the functions expect.
    timeOfRecord: (_, timestamp) => recordTime(timestamp),
    second: 2,
  });
};

interface RunnerParts<V> {
  readonly made: (step: VectorStep) => V;
  readonly timeOfRecord: TimeOfRecord;
  /** The input that the steps of a second one are for. */
  readonly second: 1 | 2;
}

const runnerOf = async <V>(
  open: () => Promise<OperatorHarness<V, Fields>>,
  { made, timeOfRecord, second }: RunnerParts<V>,
): Promise<VectorRunner> => {
  const harness = await open();
  /** The recorded runtime does not keep the watermark in a checkpoint. */
  const restore = async (): Promise<void> => {
    const snapshot = await harness.snapshot();
    await harness.restore({ ...snapshot, host: { ...snapshot.host, watermark: MIN_TIMESTAMP, merge: undefined } });
  };
  const outputsOf = async (step: VectorStep): Promise<readonly HarnessOutput<Fields>[]> => {
    const { op, ts } = step;
    switch (op) {
      case 'element':
        return harness.element(made(step), timeOf(ts));
      case 'element2':
        return harness.input<V>(second).element(made(step), timeOf(ts));
      case 'watermark':
        // It also handles a watermark again that equals the last one; ours would drop it.
        if (second === 1 && timeOf(ts) === harness.host.currentWatermark) await restore();
        return harness.watermark(timeOf(ts));
      case 'watermark2':
        return harness.input(second).watermark(timeOf(ts));
      case 'idle':
      case 'active':
        return harness.status(op === 'idle');
      case 'idle2':
      case 'active2':
        return harness.input(second).status(op === 'idle2');
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
        const outputs = (await outputsOf(step)).map((output) => recorded(output, timeOfRecord));
        return second === 2 && step.op.startsWith('watermark')
          ? outputs.filter(({ type }) => type !== 'status')
          : outputs;
      } catch (error) {
        return [{ type: 'error', class: 'RuntimeException', message: messageOf(error) }];
      }
    },
    timers: () => harness.timers,
  };
};

type TimeOfRecord = (value: Fields, timestamp: Timestamp) => unknown;

const recorded = (output: HarnessOutput<Fields>, timeOfRecord: TimeOfRecord): VectorOutput => {
  switch (output.kind) {
    case 'record':
      return { type: 'record', ...output.value, ts: timeOfRecord(output.value, output.timestamp) };
    case 'side': // Only late records go there, as they came.
      return { type: 'side', tag: output.tag, ...(output.value as Keyed), ts: recordTime(output.timestamp) };
    case 'watermark':
      return { type: 'watermark', ts: vectorTime(output.timestamp) };
    case 'status':
      return { type: 'status', status: output.idle ? 'idle' : 'active' };
  }
};

/** A record without a timestamp has null. */
export const recordTime = (timestamp: Timestamp): VectorTime =>
  timestamp === MIN_TIMESTAMP ? null : vectorTime(timestamp);
