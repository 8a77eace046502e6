import {
  collection,
  outputTag,
  valueState,
  type Operator,
  type OperatorContext,
  type ValueState,
  type Worker,
} from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { nowhere } from '../../../../lib/runtime/edges/receiver.ts';
import { Asked, HostContext, type HostServices } from '../../../../lib/runtime/hosts/operator-context.ts';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';
import { WorkingSet } from '../../../../lib/state/keyed-state.ts';
import { emptyStore } from '../../../../lib/state/store.ts';
import { Life } from '../life.ts';

type Context = OperatorContext<string>;

const worker = (name = 'worker'): Worker<string, string> => ({
  name,
  run: async (item) => item,
  apply: () => {},
});

/** An operator that asks in this way when it is made. */
const asking = (ask: (context: Context) => unknown) =>
  OperatorHarness.open<string, string>(
    (context) => {
      ask(context);
      return { process: () => {} };
    },
    { keyOf: (value) => value },
  );

/** An operator of a user's own, in a life: what it does with each value. */
const foreign = async (operator: Operator<string, string>, values: readonly string[] = ['a']) => {
  const life = await Life.begun((env) => {
    env
      .fromSource(collection(values))
      .keyBy((value) => value)
      .transform('op', operator)
      .print({ write: () => {} });
  });
  return life;
};

const asks: Readonly<Record<string, (context: Context) => unknown>> = {
  state: (context) => context.state(valueState('late')),
  timers: (context) => context.timers(() => {}),
  derivedTimers: (context) => context.derivedTimers(() => {}),
  work: (context) => context.work(worker('late')),
  holds: (context) => context.holds(),
  place: (context) => context.place({ name: 'late', max: 1 }),
};

describe('a capability', () => {
  test.each(Object.entries(asks))('%s is asked for when the operator is made', async (_what, ask) => {
    await asking(ask);
  });

  test.each(Object.entries(asks))('%s is refused later: nobody would restore it', async (what, ask) => {
    const harness = await OperatorHarness.open<string, string>((context) => ({ process: () => void ask(context) }), {
      keyOf: (value) => value,
    });
    const word = what === 'derivedTimers' ? 'timers' : what;
    expect(() => harness.element('a')).toThrow(
      `Expected operator \`operator\` to ask for \`${word}\` when it is made, and not later`,
    );
  });

  test('is refused in `open` too', async () => {
    const opening = OperatorHarness.open<string, string>((context) => ({
      process: () => {},
      open: async () => void context.timers(() => {}),
    }));
    await expect(opening).rejects.toMatchObject({ cause: { message: expect.stringContaining('`timers`') } });
  });
});

describe('what makes no sense is refused by name', () => {
  test.each([
    ['inFlightMax', { inFlightMax: 0 }],
    ['inFlightMax', { inFlightMax: Number.NaN }],
    ['pendingMax', { pendingMax: 0 }],
    ['pendingMax', { pendingMax: 1.5 }],
    ['timeout', { timeout: 0 }],
    ['work', { concurrency: 3 }],
  ])('`%s` of work: %j', async (name, options) => {
    const cause = { message: expect.stringContaining(`\`${name}\``) };
    await expect(asking((context) => context.work(worker(), options as never))).rejects.toMatchObject({ cause });
  });

  test.each([
    ['order', { order: 'random' }],
    ['overtakeWatermarks', { overtakeWatermarks: 'yes' }],
    ['overtakeWatermarks', { order: 'arrival', overtakeWatermarks: true }],
    ['keyOrder', { keyOrder: 1 }],
    ['holds', { sorted: true }],
  ])('`%s` of holds: %j', async (name, options) => {
    const cause = { message: expect.stringContaining(`\`${name}\``) };
    await expect(asking((context) => context.holds(options as never))).rejects.toMatchObject({ cause });
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, undefined])('`max` of a place: %s', async (max) => {
    const cause = { message: expect.stringContaining('`max`') };
    const opening = asking((context) => context.place({ name: 'p', max: max as number }));
    await expect(opening).rejects.toMatchObject({ cause });
  });

  test('bounds of work that a second worker gives, which would be nothing', async () => {
    const two =
      (options: object) =>
      (context: Context): void => {
        context.work(worker('one'), { inFlightMax: 3 });
        context.work(worker('two'), options);
      };
    await asking(two({ timeout: '1s' }));
    for (const options of [{ inFlightMax: 3 }, { pendingMax: 9 }]) {
      await expect(asking(two(options))).rejects.toMatchObject({
        cause: { message: 'Expected operator `operator` to bound its work once, with its first worker' },
      });
    }
  });
});

describe('bounds', () => {
  test.each([
    ['a place has the name of its operator', {}, 2000],
    ['twice as much work may wait as is in flight', { inFlightMax: 7 }, 14],
    ['or as much as was said', { inFlightMax: 7, pendingMax: 3 }, 3],
  ])('%s', async (_what, options, max) => {
    const life = await foreign((context) => {
      context.place({ name: 'mine', max: 5 });
      context.work(worker(), options);
      return { process: () => {} };
    });
    expect(life.parts.places.depths()).toEqual(
      expect.arrayContaining([
        { name: 'op.mine', count: 0, max: 5 },
        { name: 'op.work', count: 0, max },
      ]),
    );
    await life.die();
  });
});

describe('timers', () => {
  const kinds: Readonly<Record<string, (context: Context, fired: unknown[]) => (timestamp: number) => void>> = {
    timers: (context, fired) => {
      const timers = context.timers(({ timestamp }) => fired.push([context.currentKey(), timestamp, timers.watermark]));
      return (timestamp) => timers.register(timestamp);
    },
    derivedTimers: (context, fired) => {
      const timers = context.derivedTimers(({ timestamp }) =>
        fired.push([context.currentKey(), timestamp, timers.watermark]),
      );
      return (timestamp) => timers.register(timestamp, 0);
    },
  };

  const registering = (kind: string, timestamp: number, fired: unknown[] = []) =>
    foreign((context) => {
      const register = kinds[kind]?.(context, fired);
      return { process: () => register?.(timestamp) };
    });

  describe.each(Object.keys(kinds))('%s', (kind) => {
    test.each([Number.NaN, -Infinity, Number.MAX_SAFE_INTEGER + 1, '7'])(
      'of an operator of a user’s own have a timestamp, and not %s (I16)',
      async (timestamp) => {
        const life = await registering(kind, timestamp as number);
        await expect(life.records(1)).rejects.toMatchObject({
          code: 'TIMESTAMP_INVALID',
          message: expect.stringContaining('operator `op`: a timer that it registers has the timestamp'),
        });
      },
    );

    test('fire under their key, and those of the end of the input with its watermark', async () => {
      const fired: unknown[] = [];
      const life = await registering(kind, MAX_TIMESTAMP, fired);
      await life.records(1);
      expect(fired).toEqual([]);
      life.end();
      expect(fired).toEqual([['a', MAX_TIMESTAMP, MAX_TIMESTAMP]]);
      await life.die();
    });

    test('what they throw says whose it was', async () => {
      const life = await foreign((context) => {
        const boom = (): never => {
          throw new RangeError('late');
        };
        const timers = kind === 'timers' ? context.timers(boom) : context.derivedTimers(boom);
        return { process: () => timers.register(1, 0 as never) };
      });
      await life.records(1);
      expect(() => life.end()).toThrow(
        expect.objectContaining({ code: 'OPERATOR_FAILED', message: 'operator `op` threw: late' }),
      );
    });
  });

  test('give away nothing of what fires them', async () => {
    const given: object[] = [];
    for (const ask of [
      (context: Context) => context.timers(() => {}),
      (context: Context) => context.derivedTimers(() => {}),
    ]) {
      const life = await foreign((context) => (given.push(ask(context)), { process: () => {} }));
      await life.die();
    }
    for (const timers of given)
      expect([...Object.keys(timers), ...Object.getOwnPropertyNames(Object.getPrototypeOf(timers))]).not.toContain(
        'advanceWatermark',
      );
  });
});

describe('what it hands on', () => {
  const late = outputTag<string>('late');

  test.each([
    ['emit', (context: Context) => context.output.emit('x', Number.NaN)],
    ['side', (context: Context) => context.output.side(late, 'x', Number.NaN)],
  ])('is looked at in an operator of a user’s own: %s', async (_what, give) => {
    const life = await foreign((context) => ({ process: () => give(context) }));
    await expect(life.records(1)).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
  });

  test('is looked at when it is given in a hold, before anything is stored', async () => {
    const life = await foreign((context) => {
      const holds = context.holds();
      return { process: () => holds.emit(holds.take(), 'x', Number.NaN) };
    });
    await expect(life.records(1)).rejects.toMatchObject({ code: 'TIMESTAMP_INVALID' });
  });

  test('to a side output that nobody reads is counted under its name (I22)', async () => {
    const life = await foreign((context) => ({
      process: (value) => {
        if (!context.output.isRead(late)) context.output.side(late, value, MIN_TIMESTAMP);
      },
    }));
    await life.records(1);
    const group = life.metrics.root.getSubGroup('operator', 'op');
    expect(group.getCounter('numSideRecordsDropped').value).toBe(1);
    await life.die();
  });
});

describe('keys and numbers', () => {
  test('are those of the record in hand, and nobody’s between two turns (I2)', async () => {
    const seen: unknown[] = [];
    let context: Context | undefined;
    const life = await foreign(
      (given) => {
        context = given;
        const count: ValueState<number> = given.state(valueState<number>('count'));
        return {
          process: () => {
            count.update((count.value() ?? 0) + 1);
            seen.push([given.currentKey(), count.value(), given.keyGroup() === given.keyGroup()]);
          },
        };
      },
      ['a', 'b', 'a'],
    );
    await life.records(3);
    expect(seen).toEqual([
      ['a', 1, true],
      ['b', 1, true],
      ['a', 2, true],
    ]);
    for (const ask of ['currentKey', 'keyGroup', 'sequence'] as const) expect(() => context?.[ask]()).toThrow();
    await life.die();
  });

  test('in a stream without keys there is one key, for a state alone too', async () => {
    const seen: unknown[] = [];
    const harness = await OperatorHarness.open<string, string>((context) => {
      const last = context.state(valueState<string>('last'));
      return {
        process: (value) => {
          seen.push([context.currentKey(), last.value()]);
          last.update(value);
        },
      };
    });
    harness.element('a');
    harness.element('b');
    expect([seen, [...harness.host.states.keys()]]).toEqual([
      [
        ['', undefined],
        ['', 'a'],
      ],
      ['last'],
    ]);
  });

  test('its work does not show in its own numbers', async () => {
    const numbers: number[] = [];
    const life = await foreign(
      (context) => {
        const work = context.work(worker());
        return {
          process: (value) => {
            work.submit(value);
            numbers.push(context.sequence());
          },
        };
      },
      ['a', 'a', 'a'],
    );
    await life.records(3);
    expect(numbers).toEqual([0, 1, 2]);
    await life.die();
  });

  test('the time is that of the turn, and the branch and the job are those it runs in', async () => {
    const seen: unknown[] = [];
    const life = await foreign((context) => ({
      process: () => void seen.push([context.now() === context.now(), context.branch, context.uid]),
    }));
    await life.records(1);
    life.branch = 4;
    await life.die();
    expect([seen, life.seen.at(-1)]).toEqual([
      [[true, 0, 'op']],
      expect.objectContaining({ kind: 'records', now: expect.any(Number) }),
    ]);
  });
});

/** The context of a job in which no work can run. */
const contextOf = (freeze: boolean): Context => {
  const keys = new KeyContext();
  const workingSet = new WorkingSet({ store: emptyStore, maxParallelism: 128, restored: false });
  const { root } = new MetricTree({ job: 'job', clock: systemClock });
  const services: HostServices = {
    ...{ workingSet, places: new Places(), maxParallelism: 128, jobId: 'job', work: undefined, freeze },
    branch: () => 0,
    metrics: () => root,
    now: () => 7,
  };
  const place = { uid: 'op', number: 1, stateNumbers: new Map(), nextState: 0, inputs: ['forward'] as const, keys };
  const options = { ...place, output: nowhere, sides: new Map(), services };
  return new HostContext<string>(options, workingSet.operator(1, keys), new Asked());
};

test('what is handed over is a copy, frozen in the test mode, and what can not be stored is refused', () => {
  const given = { list: [1] };
  for (const freeze of [false, true]) {
    const context = contextOf(freeze);
    const copy = context.handOver(given);
    expect([copy, copy === given, copy.list === given.list]).toEqual([given, false, false]);
    expect([copy, copy.list, given].map((each) => Object.isFrozen(each))).toEqual([freeze, freeze, false]);
    expect(() => context.handOver({ call: () => 1 })).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
  }
});

test('work is refused where none can run', () => {
  expect(() => contextOf(false).work(worker())).toThrow('Expected operator `op` to run where work can run');
});
