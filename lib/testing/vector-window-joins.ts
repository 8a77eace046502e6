/**
 * Runs recorded vectors of joins in windows (family 07, kinds `windowJoin` and `windowCoGroup`). They stand behind the
 * union of both inputs, so there is one watermark.
 */
import type { Operator } from '../core/operator.ts';
import { coGroupWindow, joinWindow, type CoGroupOptions, type Sided } from '../../operators/windows/co-group.ts';
import type { VectorConfig, VectorRunner, VectorStep } from './vector-form.ts';
import { harnessRunner, type Fields, type Keyed } from './vector-harness.ts';
import { assignerOf, type AssignerConfig, type NumberOf } from './vector-windows.ts';

type SidedNumber = Sided<NumberOf, NumberOf> & Keyed;

export const windowJoinVectorRunner = (config: VectorConfig): Promise<VectorRunner> => {
  // The family's file says what is in a config.
  const { kind, assigner, allowedLateness } = config as {
    readonly kind: string;
    readonly assigner: AssignerConfig;
    readonly allowedLateness?: number;
  };
  const options = { assigner: assignerOf(assigner), allowedLateness };
  return harnessRunner<SidedNumber>(kind === 'windowJoin' ? join(options) : coGroup(options), sided);
};

const sided = ({ op, key = '', value }: VectorStep): SidedNumber => ({
  key,
  side: op === 'element2' ? 'right' : 'left',
  value: { key, value: Number(value) },
});

const join = (options: CoGroupOptions<NumberOf, NumberOf>): Operator<SidedNumber, Fields> =>
  joinWindow(options, (left: NumberOf, right: NumberOf, { key }) => ({ key, value: [left.value, right.value] }));

const coGroup = (options: CoGroupOptions<NumberOf, NumberOf>): Operator<SidedNumber, Fields> =>
  coGroupWindow(options, (left: readonly NumberOf[], right: readonly NumberOf[], { key }) => ({
    key,
    left: left.map(({ value }) => value),
    right: right.map(({ value }) => value),
  }));
