/**
 * Runs recorded vectors of two inputs (family 07). Kind `connect`: a function of two inputs that stores what comes,
 * sets a timer, and tells on it what it has seen.
 */
import { MIN_TIMESTAMP } from '../core/element.ts';
import type { OutputTag } from '../core/output-tag.ts';
import { listState } from '../core/state-descriptor.ts';
import { coProcess } from '../../operators/co-process.ts';
import { intervalJoin, intervalOf } from '../../operators/interval-join.ts';
import { type, type ProcessContext } from '../../operators/process.ts';
import { vectorTime, type VectorConfig, type VectorRunner } from './vector-form.ts';
import { twoInputRunner, type Fields, type Keyed } from './vector-harness.ts';
import { windowJoinVectorRunner } from './vector-window-joins.ts';

export const twoInputVectorRunner = (config: VectorConfig): Promise<VectorRunner> => {
  switch (config['kind']) {
    case 'connect':
      return twoInputRunner(connect(Number(config['delay'])));
    case 'intervalJoin':
      return intervalJoinRunner(config);
    case 'windowJoin':
    case 'windowCoGroup':
      return windowJoinVectorRunner(config);
    default:
      throw new TypeError(
        `Expected \`config.kind\` to be connect, intervalJoin, windowJoin or windowCoGroup, got \`${String(config['kind'])}\``,
      );
  }
};

/** As the recording names them. */
const leftLateTag: OutputTag<Keyed> = { id: 'leftLate' };
const rightLateTag: OutputTag<Keyed> = { id: 'rightLate' };

const connect = (delay: number) => {
  const state = { seen: listState<string>('seen') };
  type Context = ProcessContext<Fields, typeof state>;
  const take = (input: number, { key, value }: Keyed, ctx: Context): void => {
    ctx.state.seen.add(`${input}:${String(value)}`);
    ctx.timers.register(ctx.timestamp + delay);
    ctx.emit({ key, input, value, wm: vectorTime(ctx.timers.watermark) });
  };
  return coProcess({
    emits: type<Fields>(),
    state,
    process1: (value: Keyed, ctx: Context) => take(1, value, ctx),
    process2: (value: Keyed, ctx: Context) => take(2, value, ctx),
    onTimer({ timestamp }, ctx: Context) {
      ctx.emit({ timer: 'event', key: ctx.key, at: vectorTime(timestamp), seen: [...ctx.state.seen.values()] });
      ctx.state.seen.clear();
    },
  });
};

const intervalJoinRunner = (config: VectorConfig): Promise<VectorRunner> => {
  // The family's file says what is in a config.
  const { lower, upper, sideOutputLate, lowerExclusive, upperExclusive } = config as {
    readonly lower: number;
    readonly upper: number;
    readonly sideOutputLate?: boolean;
    readonly lowerExclusive?: boolean;
    readonly upperExclusive?: boolean;
  };
  const tags = sideOutputLate === true ? { leftLateTag, rightLateTag } : {};
  const options = { interval: intervalOf(lower, upper, { lowerExclusive, upperExclusive }), ...tags };
  const operator = intervalJoin<Keyed, Keyed, Fields>(options, (left, right, { leftTimestamp, rightTimestamp }) => ({
    key: left.key,
    value: [left.value, right.value],
    leftTs: vectorTime(leftTimestamp ?? MIN_TIMESTAMP),
    rightTs: vectorTime(rightTimestamp ?? MIN_TIMESTAMP),
  }));
  return twoInputRunner(operator, [leftLateTag, rightLateTag]);
};
