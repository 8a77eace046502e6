/**
 * Runs recorded vectors of state with a time to live (family 08) on a process function that does what its values say.
 * The recorded runtime clears what has expired when it is read, and with `cleanupFullSnapshot` when a snapshot is
 * taken; ours does so by itself too, which the recording would not see: here it is left to who reads.
 */
import { listState, mapState, valueState } from '../core/state-descriptor.ts';
import type { StateTtl } from '../core/state-ttl.ts';
import type { Expiring } from '../state/ttl-handles.ts';
import { process, type, type ProcessContext } from '../../operators/process.ts';
import type { VectorConfig, VectorRunner } from './vector-form.ts';
import { harnessRunner, type Fields, type Keyed } from './vector-harness.ts';

interface Command {
  readonly cmd: string;
  readonly k?: string;
  readonly v?: number;
}

const statesOf = (ttl: StateTtl) => ({
  value: valueState<number>('value', { ttl }),
  list: listState<number>('list', { ttl }),
  map: mapState<string, number>('map', { ttl }),
});

type Context = ProcessContext<Fields, ReturnType<typeof statesOf>>;

export const stateVectorRunner = async (config: VectorConfig): Promise<VectorRunner> => {
  // The family's file says what is in a config.
  const { ttl, update, visibility, cleanupFullSnapshot } = config as {
    readonly ttl: number;
    readonly update: string;
    readonly visibility: string;
    readonly cleanupFullSnapshot?: boolean;
  };
  const operator = process({
    emits: type<Fields>(),
    state: statesOf({
      duration: ttl,
      update: update === 'OnReadAndWrite' ? 'read-and-write' : 'create-and-write',
      visibility: visibility === 'NeverReturnExpired' ? 'never-return-expired' : 'return-expired-if-not-cleaned-up',
      cleanup: 'on-access',
    }),
    process({ value }: Keyed, ctx: Context) {
      // The vectors' inputs are lists of commands.
      for (const command of value as readonly Command[]) run(command, ctx);
    },
  });
  const runner = await harnessRunner(operator);
  const keys = new Set<string>();
  return {
    ...runner,
    async run(step) {
      if (step.op === 'element' && step.key !== undefined) keys.add(step.key);
      if (step.op === 'restore' && cleanupFullSnapshot === true)
        for (const key of keys) await runner.run({ op: 'element', key, value: [{ cmd: 'expire' }], ts: null });
      return runner.run(step);
    },
  };
};

const run = (command: Command, ctx: Context): void => {
  const { cmd } = command;
  if (cmd === 'expire') {
    const { value, list, map } = ctx.state;
    // Handles of state with a time to live are told when to look.
    for (const handle of [value, list, map] as unknown as readonly Expiring[]) handle.expire(ctx.now());
  } else if (!write(command, ctx)) ctx.emit({ key: ctx.key, cmd, result: read(command, ctx) ?? null });
};

/** True when the command has changed something, and gives nothing. */
const write = ({ cmd, k = '', v = 0 }: Command, { state: { value, list, map } }: Context): boolean => {
  switch (cmd) {
    case 'value.set':
      value.update(v);
      return true;
    case 'value.clear':
      value.clear();
      return true;
    case 'list.add':
      list.add(v);
      return true;
    case 'list.update':
      list.clear();
      for (const each of [v, v + 1]) list.add(each);
      return true;
    case 'list.clear':
      list.clear();
      return true;
    case 'map.put':
      map.set(k, v);
      return true;
    case 'map.remove':
      map.delete(k);
      return true;
    case 'map.clear':
      map.clear();
      return true;
    default:
      return false;
  }
};

const read = ({ cmd, k = '' }: Command, { state: { value, list, map } }: Context): unknown => {
  switch (cmd) {
    case 'value.get':
      return value.value();
    case 'list.get':
      return [...list.values()];
    case 'map.get':
      return map.get(k);
    case 'map.contains':
      return map.get(k) !== undefined;
    case 'map.entries':
      return Object.fromEntries([...map.entries()].toSorted());
    case 'map.isEmpty':
      return map.isEmpty();
    default:
      throw new TypeError(`Expected a command of the vectors, got \`${cmd}\``);
  }
};
