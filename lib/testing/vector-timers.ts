/** Runs recorded vectors of timers (family 06) on a process function that does what its values say. */
import { timestampLimit } from '../core/timestamp.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';
import type { Operator } from '../core/operator.ts';
import { valueState } from '../core/state-descriptor.ts';
import type { Timer, Timers } from '../core/timer.ts';
import { process, type, type ProcessContext } from '../../operators/process.ts';
import { timeOf, vectorTime, type VectorConfig, type VectorRunner, type VectorTime } from './vector-form.ts';
import { harnessRunner, recordTime, type Fields, type Keyed } from './vector-harness.ts';

interface Command {
  readonly cmd: string;
  readonly t?: VectorTime;
  readonly dt?: number;
  readonly until?: number;
  readonly from?: number;
  readonly v?: unknown;
}

export const timerVectorRunner = (config: VectorConfig): Promise<VectorRunner> =>
  harnessRunner<Keyed>(commandInterpreter(config), undefined, (_, timestamp) =>
    timestamp === least ? 'MIN' : recordTime(timestamp),
  );

/** A timer has a time, so the recorded MIN is the least one. */
const least: Timestamp = -timestampLimit;

const dueOf = (t: VectorTime | undefined): Timestamp => (t === 'MIN' ? least : timeOf(t));

const timerTime = (timestamp: Timestamp): VectorTime => (timestamp === least ? 'MIN' : vectorTime(timestamp));

/** A process function that does what its values say, and on each timer what the config says. */
const commandInterpreter = ({ onTimer = [] }: VectorConfig): Operator<Keyed, Fields> => {
  const state = { count: valueState<number>('count') };
  type Context = ProcessContext<Fields, typeof state>;
  return process({
    emits: type<Fields>(),
    state,
    process({ value }: Keyed, ctx) {
      // The vectors' inputs are lists of commands.
      for (const command of value as readonly Command[]) run(command, ctx);
    },
    onTimer({ timestamp, domain }, ctx: Context) {
      ctx.emit({
        timer: domain,
        key: ctx.key,
        at: timerTime(timestamp),
        wm: vectorTime(ctx.timers.watermark),
        pt: ctx.now(),
      });
      // The vectors' timers run lists of commands.
      for (const command of onTimer as readonly Command[]) run(command, ctx, { timestamp });
    },
  });
};

/** `timer`: the one in hand; none for a record. */
const run = (
  command: Command,
  ctx: ProcessContext<Fields, CountState>,
  timer?: Pick<Timer, 'timestamp'>,
): void => {
  const { key, timers } = ctx;
  const { from = MIN_TIMESTAMP } = command;
  if (timer !== undefined && timer.timestamp < from) return;
  switch (command.cmd) {
    case 'now':
      return ctx.emit({
        key,
        wm: vectorTime(timers.watermark),
        pt: ctx.now(),
        elementTs: timer === undefined ? recordTime(ctx.timestamp) : timerTime(timer.timestamp),
      });
    case 'inc': {
      const count = (ctx.state.count.value() ?? 0) + 1;
      ctx.state.count.update(count);
      return ctx.emit({ key, count });
    }
    case 'emit':
      return ctx.emit({ key, value: command.v });
    case 'clear':
      return ctx.state.count.clear();
    default:
      return setTimer(command, timers, timer?.timestamp ?? MIN_TIMESTAMP);
  }
};

interface CountState {
  readonly count: ReturnType<typeof valueState<number>>;
}

const setTimer = ({ cmd, t, dt = 0, until = 0 }: Command, timers: Timers, at: Timestamp): void => {
  const domain = cmd.includes('Proc') ? 'processing' : 'event';
  if (cmd.endsWith('Rel')) {
    if (at + dt <= until) timers.register(at + dt, { domain });
  } else if (cmd.startsWith('reg')) timers.register(dueOf(t), { domain });
  else timers.delete(dueOf(t), { domain });
};
