/**
 * A pipeline that is written differently than it was goes on where it was, or says why it can not; it never takes one
 * thing for another.
 */
import {
  MemoryStorage,
  StreamExecutionEnvironment,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
  type DataStream,
  type Storage,
  type ValueState,
} from 'millrace';
import { expect, test } from 'vitest';
import { failure, Ledger, once, Sluice, until } from './story.ts';

const strategy = WatermarkStrategy.monotonous<number>()
  .withTimestamps((value: number) => value)
  .withEmitEvery(1);

interface Union {
  readonly storage: Storage;
  readonly slow: Sluice<number>;
  readonly fast: Sluice<number>;
  readonly ledger: Ledger<unknown>;
  /** How this life of the pipeline writes its two sources. */
  readonly write: (
    env: StreamExecutionEnvironment,
    parts: Union,
  ) => readonly [slow: DataStream<number>, fast: DataStream<number>];
}

const slowOf = (env: StreamExecutionEnvironment, { slow }: Union): DataStream<number> =>
  env.fromSource(slow.source, strategy).uid('slow');
const fastOf = (env: StreamExecutionEnvironment, { fast }: Union): DataStream<number> =>
  env.fromSource(fast.source, strategy).uid('fast');

const windowsOf = (parts: Union): StreamExecutionEnvironment => {
  const env = StreamExecutionEnvironment.create({ ...once, storage: parts.storage });
  const [slow, fast] = parts.write(env, parts);
  slow
    .union(fast)
    .uid('both')
    .keyBy(() => 'k')
    .window(TumblingEventTimeWindows.of(100))
    .process((values, { window }) => [window.start, ...values])
    .uid('windows')
    .sinkTo(parts.ledger.sink(), 'ledger');
  return env;
};

test.each<readonly [string, Union['write']]>([
  [
    'with its sources in another order',
    (env, parts) => {
      const fast = fastOf(env, parts);
      return [slowOf(env, parts), fast];
    },
  ],
  [
    'with a stateless operator more in front of the union',
    (env, parts) => {
      const mapped = slowOf(env, parts).map((value) => value);
      return [mapped, fastOf(env, parts)];
    },
  ],
])('a union goes on %s', async (_how, write) => {
  const slow = new Sluice([10, 20, 30, 40, 1000, 2000], 2, 1);
  const fast = new Sluice([5000, 6000], 2, 1);
  const parts = { storage: new MemoryStorage(), slow, fast, ledger: new Ledger<unknown>() };
  const first = await windowsOf({ ...parts, write: (env, all) => [slowOf(env, all), fastOf(env, all)] }).executeAsync();
  await until(() => slow.given === 2 && fast.given === 2);
  await first.checkpoint();
  await first.stop();
  slow.raise();
  await windowsOf({ ...parts, write }).execute();
  expect(parts.ledger.values).toEqual([
    [0, 10, 20, 30, 40],
    [1000, 1000],
    [2000, 2000],
    [5000, 5000],
    [6000, 6000],
  ]);
});

interface Named {
  readonly storage: Storage;
  readonly sluice: Sluice<number>;
  readonly ledger: Ledger<string>;
  readonly states: readonly string[];
  readonly allowUnclaimedState?: boolean;
}

/** Emits what each of its states holds, then writes to all of them. */
const namedStates = ({
  storage,
  sluice,
  ledger,
  states,
  allowUnclaimedState = false,
}: Named): StreamExecutionEnvironment => {
  const env = StreamExecutionEnvironment.create({ ...once, storage, allowUnclaimedState });
  env
    .fromSource(sluice.source)
    .keyBy(() => 'k')
    .process<string>({
      state: Object.fromEntries(states.map((name) => [name, valueState<string>(name)])),
      process(value, ctx) {
        const handles = ctx.state as Readonly<Record<string, ValueState<string>>>;
        ctx.emit(states.map((name) => handles[name]?.value() ?? 'nothing').join());
        for (const name of states) handles[name]?.update(`${name} at ${value}`);
      },
    })
    .uid('named')
    .sinkTo(ledger.sink(), 'ledger');
  return env;
};

type Life = (named: Pick<Named, 'states' | 'allowUnclaimedState'>, upTo: number) => Promise<void>;

/** Runs the pipeline until it has read a number of values, one life after the other. */
const livesOf =
  (parts: Pick<Named, 'storage' | 'sluice' | 'ledger'>): Life =>
  async (named, upTo) => {
    parts.sluice.raise(upTo);
    const job = await namedStates({ ...parts, ...named }).executeAsync();
    await Promise.race([job.done, until(() => parts.sluice.given === upTo)]);
    await job.stop();
  };

test('a state that is no longer declared is refused, and with permission leaves its rows to nobody (I12)', async () => {
  const parts = { storage: new MemoryStorage(), sluice: new Sluice([1, 2, 3], 1), ledger: new Ledger<string>() };
  const life = livesOf(parts);
  await life({ states: ['a', 'balance'] }, 1);
  const error = await failure(life({ states: ['a'] }, 2), 'STATE_UNCLAIMED');
  expect(error.message).toContain('"balance" of "named"');
  await life({ states: ['a'], allowUnclaimedState: true }, 2);
  await life({ states: ['a', 'email'], allowUnclaimedState: true }, 3);
  expect(parts.ledger.values).toEqual(['nothing,nothing', 'a at 1', 'a at 2,nothing']);
});

test('a state that was dropped needs no permission again, and begins anew when its name comes back (I12)', async () => {
  const parts = {
    storage: new MemoryStorage(),
    sluice: new Sluice([1, 2, 3, 4, 5, 6], 1),
    ledger: new Ledger<string>(),
  };
  const life = livesOf(parts);
  await life({ states: ['a', 'balance'] }, 1);
  await life({ states: ['a'], allowUnclaimedState: true }, 2);
  await life({ states: ['a'] }, 3);
  await life({ states: ['a', 'balance', 'email'] }, 4);
  await failure(life({ states: ['a', 'email'] }, 5), 'STATE_UNCLAIMED');
  await life({ states: ['email'], allowUnclaimedState: true }, 5);
  await life({ states: ['balance', 'email', 'a'] }, 6);
  expect(parts.ledger.values).toEqual([
    'nothing,nothing',
    'a at 1',
    'a at 2',
    'a at 3,nothing,nothing',
    'email at 4',
    'nothing,email at 5,nothing',
  ]);
});
