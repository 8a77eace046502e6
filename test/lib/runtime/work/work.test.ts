import { valueState } from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import type { Operator } from '../../../../lib/core/operator.ts';
import type { Worker } from '../../../../lib/core/work.ts';
import { Gates, HeldStorage, tasks, Working, type Task } from './working.ts';

describe('an item of work', () => {
  test('starts when the turn that has submitted it is durable, and not before (I14)', async () => {
    const [storage, gates] = [new HeldStorage(), new Gates()];
    const { life } = await Working.begun({ storage, run: ({ name }) => gates.wait(name) });
    storage.hold();
    await life.records(2);
    await life.macrotasks(20);
    expect([gates.started, life.openItems().size]).toEqual([[], 2]);
    storage.release();
    await life.quiet();
    expect(gates.started).toEqual(['a', 'b']);
  });

  test('takes effect in a turn of its own, under its key, when its outcome is durable (I8, I13)', async () => {
    const [storage, gates] = [new HeldStorage(), new Gates()];
    const working = await Working.begun({ storage, run: ({ name }) => gates.wait(name) });
    const { life } = working;
    await life.records(2);
    await life.quiet();
    storage.hold();
    gates.open('b', 7);
    await life.macrotasks(20);
    expect([working.told, life.openItems().size]).toEqual([[], 2]);
    storage.release();
    await life.quiet();
    expect(working.applied).toEqual([{ key: 'b', item: tasks('b')[0], outcome: { ok: true, value: 7 } }]);
    expect(life.seen.at(-1)).toMatchObject({ kind: 'work' });
    expect(life.items.map(({ key }) => key)).toEqual(['a']);
  });

  test('is what it was when it was submitted, whatever is done to it later (I21)', async () => {
    const seen: unknown[] = [];
    const working = await Working.begun({
      tasks: [{ key: 'k', name: 'a', list: [1] }],
      after: ({ list }) => list?.push(2),
      run: async ({ list }) => {
        list?.push(3);
        seen.push(list);
      },
    });
    await working.life.records(1);
    await working.life.quiet();
    expect([seen, working.applied[0]?.item.list]).toEqual([[[1, 3]], [1]]);
  });

  test('that nobody else holds is not copied', async () => {
    const items: unknown[] = [];
    const task: Task = { key: 'k', name: 'a', list: [1] };
    const { life, applied } = await Working.begun({
      tasks: [task],
      worker: { owned: true },
      run: async (item) => void items.push(item),
    });
    await life.records(1);
    await life.quiet();
    expect(items[0]).toBe(applied[0]?.item);
  });

  test('that can not be stored fails the turn that submits it', async () => {
    const { life } = await Working.begun({ tasks: [{ key: 'k', name: 'a', list: [() => 1] }], run: async () => {} });
    await expect(life.records(1)).rejects.toMatchObject({ code: 'NOT_SERIALISABLE' });
    expect(life.seen.some(({ kind }) => kind === 'records')).toBe(false);
  });

  test('whose outcome the operator can not take fails the job, and says which operator', async () => {
    const apply = (): never => {
      throw new RangeError('too much');
    };
    const { life } = await Working.begun({ worker: { apply }, run: async () => {} });
    await life.records(1);
    await expect(life.quiet()).rejects.toMatchObject({
      code: 'OPERATOR_FAILED',
      message: expect.stringContaining('`op`'),
      cause: { message: 'too much' },
    });
  });

  test('has a number of its own in its key group, and is found by its whole name', async () => {
    const { life } = await Working.begun({ tasks: tasks('a1', 'a2', 'b1'), run: () => new Promise(() => {}) });
    await life.records(3);
    expect(life.items.map(({ key, id }) => [key, id.number, id.branch])).toEqual([
      ['a', 0, 0],
      ['a', 1, 0],
      ['b', 0, 0],
    ]);
    const [queue] = life.queues();
    for (const item of life.items) {
      expect(queue?.find(item.id)).toBe(item);
      expect(queue?.find({ ...item.id, branch: 1 })).toBeUndefined();
      expect(queue?.find({ ...item.id, number: item.id.number + 2 })).toBeUndefined();
    }
  });
});

describe('bodies in flight are bounded (I10)', () => {
  test('the next one starts when one has ended, in the order in which they came', async () => {
    const gates = new Gates();
    const { life } = await Working.begun({ run: ({ name }) => gates.wait(name), work: { inFlightMax: 2 } });
    const [queue] = life.queues();
    await life.records(5);
    await life.quiet();
    expect([gates.started, queue?.inFlight, queue?.open]).toEqual([['a', 'b'], 2, 5]);
    gates.open('b');
    await life.quiet();
    expect([gates.started, queue?.inFlight, queue?.open]).toEqual([['a', 'b', 'c'], 2, 4]);
    gates.open('a');
    gates.open('c');
    await life.quiet();
    expect([gates.started, queue?.inFlight, queue?.open]).toEqual([['a', 'b', 'c', 'd', 'e'], 2, 2]);
  });

  test('what waits for nothing needs no place among them', async () => {
    const gates = new Gates();
    const { life } = await Working.begun({
      run: ({ name }) => gates.wait(name),
      worker: { placeless: true },
      work: { inFlightMax: 1 },
    });
    await life.records(3);
    await life.quiet();
    expect([gates.started, life.queues()[0]?.inFlight]).toEqual([['a', 'b', 'c'], 0]);
  });

  test('sources are not pulled while as many are open as may be', async () => {
    const gates = new Gates();
    const { life } = await Working.begun({
      run: ({ name }) => gates.wait(name),
      work: { inFlightMax: 2, pendingMax: 3 },
    });
    await life.records(2);
    expect(life.parts.places.full).toBe(false);
    await life.records(1);
    expect(life.parts.places.full).toBe(true);
    await life.quiet();
    gates.open('a');
    await life.quiet();
    expect(life.parts.places.full).toBe(false);
  });

  test('none starts while the job stops: it is state, and goes on when the job does', async () => {
    const gates = new Gates();
    const { life } = await Working.begun({ run: ({ name }) => gates.wait(name) });
    await life.records(1);
    await life.quiet();
    await life.parts.work.quiesce(60_000);
    await life.records(1);
    await life.quiet();
    expect([gates.started, life.openItems().size]).toEqual([['a'], 2]);
  });
});

describe('open work is state', () => {
  const calls: string[] = [];
  const remembering =
    (name: string): Operator<string, string> =>
    (context) => {
      const last = context.state(valueState<string>('last'));
      const worker: Worker<string, string> = {
        name,
        run: (item, body) => body.call('look', async () => (calls.push(item), `${item}!`)),
        apply: (item, outcome) => {
          last.update(item);
          if (outcome.ok) context.output.emit(outcome.value, 0);
        },
      };
      const work = context.work(worker);
      return { process: (value) => work.submit(value) };
    };

  test('it is there after a restart and runs', async () => {
    const harness = await OperatorHarness.open(remembering('asks'), { keyOf: (value: string) => value });
    for (const value of ['a', 'b']) harness.element(value);
    await harness.restore(await harness.snapshot());
    expect((await harness.settled()).map((each) => each.kind === 'record' && each.value).toSorted()).toEqual([
      'a!',
      'b!',
    ]);
    expect(calls.toSorted()).toEqual(['a', 'b']);
    expect(harness.host.workQueue?.open).toBe(0);
  });

  test('of a worker that the operator does not have any more it is refused', async () => {
    const harness = await OperatorHarness.open(remembering('asks'), { keyOf: (value: string) => value });
    harness.element('a');
    const snapshot = await harness.snapshot();
    const other = OperatorHarness.open(remembering('renamed'), { keyOf: (value: string) => value }, snapshot);
    await expect(other).rejects.toMatchObject({
      code: 'STATE_INCOMPATIBLE',
      message: expect.stringContaining('worker `asks`'),
    });
  });

  test('two workers of one operator have different names', async () => {
    const twice: Operator<string, string> = (context) => {
      for (const _ of [1, 2]) context.work({ name: 'asks', run: async () => {}, apply: () => {} });
      return { process: () => {} };
    };
    await expect(OperatorHarness.open(twice)).rejects.toThrow(/different names, got `asks` twice/);
  });
});
