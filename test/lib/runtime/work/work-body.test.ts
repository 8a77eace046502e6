import { MemoryStorage } from 'millrace';
import { describe, expect, test, vi } from 'vitest';
import type { CallContext } from '../../../../lib/core/call.ts';
import { CallNotExecuted } from '../../../../lib/core/errors.ts';
import type { WorkContext } from '../../../../lib/core/work.ts';
import { callsMax, decodeJournalEntry, type JournalRecord } from '../../../../lib/runtime/journal/journal-format.ts';
import { Macrotasks } from '../../../../lib/runtime/work/macrotasks.ts';
import { systemClock } from '../../../../lib/core/clock.ts';
import { until } from '../../../stories/story.ts';
import { again, Gates, HeldStorage, tasks, Working, type Task, type WorkingOptions } from './working.ts';

/** What the journal holds of work: kind and call of each record, in the order of the log. */
const journaled = async (storage: MemoryStorage): Promise<readonly string[]> => {
  const { journal, close } = await storage.open();
  const records: Exclude<JournalRecord, { kind: 'turns' }>[] = [];
  for await (const entry of journal.rebuildState()) {
    const record = decodeJournalEntry(entry);
    if (record.kind !== 'turns') records.push(record);
  }
  await close();
  return records
    .toSorted((a, b) => a.lsn - b.lsn)
    .map((record) => ('id' in record ? `${record.kind} ${record.id}` : record.kind));
};

const oneTask = tasks('a');

describe('a body goes on with the outcome of a call', () => {
  const running = async (durability: 'call' | 'effect') => {
    const [storage, gates, log]: [HeldStorage, Gates, string[]] = [new HeldStorage(), new Gates(), []];
    const working = await Working.begun({
      storage,
      tasks: oneTask,
      worker: { durability },
      run: async (_item, context) => {
        log.push(`got ${String(await context.call('one', () => gates.wait('one')))}`);
        log.push(`got ${String(await context.call('two', () => gates.wait('two')))}`);
        return 'end';
      },
    });
    await working.life.records(1);
    await working.life.quiet();
    storage.hold();
    gates.open('one');
    await working.life.macrotasks(20);
    return { storage, gates, log, working };
  };

  test("when it is durable, with `durability: 'call'`", async () => {
    const { storage, gates, log, working } = await running('call');
    expect(log).toEqual([]);
    storage.release();
    await working.life.quiet();
    expect([log, gates.started]).toEqual([['got one'], ['one', 'two']]);
  });

  test("at once, with `durability: 'effect'`; but its next call waits until it is durable (I14)", async () => {
    const { storage, gates, log, working } = await running('effect');
    expect([log, gates.started]).toEqual([['got one'], ['one']]);
    storage.release();
    await working.life.quiet();
    expect(gates.started).toEqual(['one', 'two']);
    storage.hold();
    gates.open('two');
    await working.life.macrotasks(20);
    expect([log, working.told]).toEqual([['got one', 'got two'], []]); // Nor does its end take effect before.
    storage.release();
    await working.life.quiet();
    expect(working.told).toEqual([['a', 'end']]);
  });

  test('one per macrotask, in the order in which they have ended', async () => {
    const [gates, log]: [Gates, string[]] = [new Gates(), []];
    const { life } = await Working.begun({
      tasks: oneTask,
      run: (_item, context) =>
        Promise.all(
          ['x', 'y', 'z'].map(async (name) => {
            await context.call(name, () => gates.wait(name));
            log.push(name);
            // All that follows from it runs before the next one is told.
            for (let at = 0; at < 20; at += 1) await Promise.resolve();
            log.push(`${name} is done`);
          }),
        ),
    });
    await life.records(1);
    await life.quiet();
    for (const name of ['z', 'x', 'y']) gates.open(name);
    await life.quiet();
    expect(log).toEqual(['z', 'x', 'y'].flatMap((name) => [name, `${name} is done`]));
  });
});

test('the outcomes of many calls take as many macrotasks, and each is asked for once', async () => {
  const count = 200;
  const asked = vi.spyOn(Macrotasks.prototype, 'next');
  const working = await Working.begun({
    tasks: oneTask,
    run: (_item, context) =>
      Promise.all(Array.from({ length: count }, (_, at) => context.call(`call ${at}`, () => at))),
  });
  await working.life.records(1);
  await until(() => working.told.length === 1);
  expect(asked.mock.calls.length).toBeLessThan(4 * count);
  asked.mockRestore();
});

describe('what is journaled is not done again (I8)', () => {
  const asking = (calls: string[], waits: Promise<unknown>) => async (item: Task, context: WorkContext) => {
    const found = await context.call('look', () => (calls.push(`look ${item.name}`), { list: [item.name] }));
    const sent = await context.call('send', () => (calls.push(`send ${item.name}`), 'sent'), { args: found });
    await waits;
    return [found, sent];
  };

  test('a body that has not ended runs again, and its calls give what they gave, as its own copies (I21)', async () => {
    const storage = new MemoryStorage();
    const calls: string[] = [];
    const first = await Working.begun({ storage, tasks: oneTask, run: asking(calls, new Promise(() => {})) });
    await first.life.records(1);
    await first.life.quiet();
    await first.life.die();
    expect(calls.splice(0)).toEqual(['look a', 'send a']);
    const second = await again({ storage, tasks: oneTask, run: asking(calls, Promise.resolve()) });
    expect([calls, second.applied[0]?.outcome]).toEqual([[], { ok: true, value: [{ list: ['a'] }, 'sent'] }]);
    await second.life.die();
    expect(await journaled(storage)).toEqual(['called look', 'called send', 'done']);
  });

  test('one that has ended is applied and does not run', async () => {
    const storage = new MemoryStorage();
    const calls: string[] = [];
    const first = await Working.begun({ storage, tasks: oneTask, run: asking(calls, Promise.resolve()) });
    await first.life.records(1);
    await first.life.quiet();
    await first.life.die();
    const run = (): never => expect.fail('it ran');
    const second = await again({ storage, tasks: oneTask, run });
    expect(second.told).toEqual(first.told);
  });

  test('what a body throws is an outcome where its worker says so', async () => {
    const storage = new MemoryStorage();
    let runs = 0;
    const options: WorkingOptions = {
      storage,
      tasks: tasks('a', 'b'),
      worker: { onRejection: (error) => ((error as Error).message === 'no' ? 'outcome' : 'fail') },
      run: async ({ name }) => {
        runs += 1;
        throw new RangeError(name === 'a' ? 'no' : 'broken');
      },
    };
    const first = await Working.begun(options);
    await first.life.records(1);
    await first.life.quiet();
    expect(first.told).toEqual([['a', 'RangeError: no']]);
    await first.life.die();
    const second = await again(options);
    expect([second.told, runs]).toEqual([[['a', 'RangeError: no']], 1]);
    await second.life.records(1);
    await expect(second.life.quiet()).rejects.toMatchObject({ code: 'WORK_FAILED', cause: { message: 'broken' } });
  });

  test('a worker that throws when it is asked what a rejection is fails the job with that', async () => {
    const onRejection = (): never => {
      throw new RangeError('who knows');
    };
    const { life } = await Working.begun({
      tasks: oneTask,
      worker: { onRejection },
      run: async () => {
        throw new Error('503');
      },
    });
    await life.records(1);
    await expect(life.quiet()).rejects.toMatchObject({ code: 'WORK_FAILED', cause: { message: 'who knows' } });
  });

  test('but a call that failed with its body is made again, and those before it are not', async () => {
    const storage = new MemoryStorage();
    const calls: string[] = [];
    const run =
      (fails: boolean) =>
      async (_item: Task, context: WorkContext): Promise<string> => {
        await context.call('look', () => void calls.push('look'));
        return context.call('send', () => {
          calls.push('send');
          if (fails) throw new Error('503');
          return 'sent';
        });
      };
    const first = await Working.begun({ storage, tasks: oneTask, run: run(true) });
    await first.life.records(1);
    await expect(first.life.quiet()).rejects.toMatchObject({ code: 'WORK_FAILED' });
    await first.life.die();
    const second = await again({ storage, tasks: oneTask, run: run(false) });
    expect([second.told, calls]).toEqual([[['a', 'sent']], ['look', 'send', 'send']]);
  });
});

describe('a call with a reconciler', () => {
  const options = (
    storage: MemoryStorage | HeldStorage,
    fn: (call: CallContext) => unknown,
    reconciler: (call: CallContext) => unknown,
  ): WorkingOptions => ({
    storage,
    tasks: oneTask,
    run: (_item, context) => context.call('charge', fn, { reconciler }),
  });

  test('starts when it is durable that it will', async () => {
    const [storage, gates] = [new HeldStorage(), new Gates()];
    const { life } = await Working.begun(
      options(
        storage,
        () => gates.wait('charge'),
        () => expect.fail('it was asked'),
      ),
    );
    storage.hold({ passing: 1 }); // The turn becomes durable; what its body asks for does not.
    await life.records(1);
    await life.macrotasks(20);
    expect(life.parts.journal.backlog).toBe(0);
    expect(gates.started).toEqual([]);
    storage.release();
    await life.quiet();
    expect(gates.started).toEqual(['charge']);
  });

  test.each([
    ['took effect', () => 'receipt', 1],
    [
      'did not',
      () => {
        throw new CallNotExecuted();
      },
      2,
    ],
  ])('is asked after a crash whether it %s', async (_what, reconciler, charged) => {
    const storage = new MemoryStorage();
    const ids: string[] = [];
    const charge =
      (ends: boolean) =>
      ({ idempotencyKey }: CallContext): unknown => {
        ids.push(idempotencyKey);
        return ends ? 'receipt' : new Promise(() => {});
      };
    const first = await Working.begun(options(storage, charge(false), () => expect.fail('it was asked')));
    await first.life.records(1);
    await first.life.quiet();
    await first.life.die();
    const second = await again(options(storage, charge(true), reconciler));
    expect([second.told, ids.length, new Set(ids).size]).toEqual([[['a', 'receipt']], charged, 1]);
    await second.life.die();
    expect(await journaled(storage)).toEqual(['pending charge', 'called charge', 'done']);
  });
});

describe('a body', () => {
  test('that is over makes no calls any more', async () => {
    let late: Promise<unknown> | undefined;
    let context: WorkContext | undefined;
    const working = await Working.begun({
      tasks: oneTask,
      run: async (_item, given) => {
        context = given;
      },
    });
    const { life } = working;
    await life.records(1);
    await life.quiet();
    late = context?.call('late', () => expect.fail('it was made'));
    await expect(late).rejects.toMatchObject({ code: 'WORK_ABORTED', message: expect.stringContaining('`late`') });
    expect([context?.signal.aborted, working.told]).toEqual([true, [['a', undefined]]]);
  });

  test('that takes too long is aborted, and what becomes of it says its worker', async () => {
    const reasons: unknown[] = [];
    const working = await Working.begun({
      tasks: oneTask,
      work: { timeout: '20ms' },
      worker: { onRejection: 'outcome', describe: ({ name }, key) => `task ${name} of ${String(key)}` },
      run: (_item, { signal }) =>
        new Promise(() => signal.addEventListener('abort', () => reasons.push((signal.reason as Error).message))),
    });
    await working.life.records(1);
    await until(() => working.applied.length === 1);
    expect(working.told).toEqual([['a', expect.stringContaining('task a of a took longer than 20 ms')]]);
    expect(reasons).toEqual(['task a of a took longer than 20 ms']);
  });

  test('reads state under its key, and knows who it is and when it was submitted', async () => {
    const seen: unknown[] = [];
    const { life } = await Working.begun({
      tasks: tasks('a', 'b'),
      clock: { ...systemClock, now: () => 77 },
      run: async (_item, context) => {
        seen.push([context.key, context.submittedAt, context.read(() => life.queues()[0]?.open)]);
      },
    });
    await life.records(2);
    await life.quiet();
    expect(seen).toEqual([
      ['a', 77, 2],
      ['b', 77, 2],
    ]);
  });

  test('whose result can not be stored has failed', async () => {
    const { life } = await Working.begun({ tasks: oneTask, run: async () => ({ call: () => 1 }) });
    await life.records(1);
    await expect(life.quiet()).rejects.toMatchObject({
      code: 'NOT_SERIALISABLE',
      message: expect.stringMatching(/worker.*\.call/),
    });
  });

  test('that makes more calls than have names is told so', async () => {
    const { life } = await Working.begun({
      tasks: oneTask,
      run: async (_item, context) => {
        for (const item of life.items) item.calls = callsMax; // As if it had made them.
        await context.call('one more', () => expect.fail('it was made'));
      },
    });
    await life.records(1);
    await expect(life.quiet()).rejects.toMatchObject({ code: 'CALLS_EXCEEDED' });
  });

  test('gives up nothing that it was given when user code changes that (I21)', async () => {
    const storage = new MemoryStorage();
    const lists: unknown[] = [];
    const run =
      (waits: Promise<unknown>) =>
      async (_item: Task, context: WorkContext): Promise<unknown> => {
        const list = (await context.call('list', () => [1])) as number[];
        list.push(2);
        lists.push([...list]);
        await waits;
        return list;
      };
    const first = await Working.begun({ storage, tasks: oneTask, run: run(new Promise(() => {})) });
    await first.life.records(1);
    await first.life.quiet();
    await first.life.die();
    const second = await again({ storage, tasks: oneTask, run: run(Promise.resolve()) });
    expect([lists, second.told]).toEqual([
      [
        [1, 2],
        [1, 2],
      ],
      [['a', [1, 2]]],
    ]);
  });
});
