import { MemoryStorage } from 'millrace';
import { describe, expect, test } from 'vitest';
import type { CallContext, CallLimit, CallOptions } from '../../../../lib/core/call.ts';
import { systemClock } from '../../../../lib/core/clock.ts';
import { decodeJournalEntry, workKey } from '../../../../lib/runtime/journal/journal-format.ts';
import { emptyJournal, Journal } from '../../../../lib/runtime/journal/journal.ts';
import { DurableCall, type CallingBody } from '../../../../lib/runtime/work/durable-call.ts';
import { ManualClock } from '../../../../lib/testing/clock.ts';
import { idOf, itemOf } from '../recovery/records.ts';
import { again, Gates, tasks, Working, type WorkingOptions } from './working.ts';

const retry = { attempts: 3, initialInterval: '1m', jitter: 0 } as const;

/** A life in which one body makes one call. */
const calling = async (
  fn: (call: CallContext) => unknown,
  options: CallOptions<unknown> = {},
  more: Partial<WorkingOptions> = {},
) => {
  const clock = new ManualClock();
  const working = await Working.begun({
    clock,
    tasks: tasks('a'),
    worker: { onRejection: 'outcome' },
    run: (_item, context) => context.call('ask', fn, options),
    ...more,
  });
  await working.life.records(1);
  await working.life.quiet();
  const advance = async (ms: number): Promise<void> => {
    await clock.advance(ms);
    if (working.life.signal.aborted) await working.life.macrotasks(20);
    else await working.life.quiet();
  };
  return { clock, working, life: working.life, advance };
};

/** Fails with these errors, then gives `ok`; notes what each attempt is. */
const failing = (...errors: readonly unknown[]) => {
  const seen: CallContext[] = [];
  return {
    seen,
    fn: (call: CallContext): string => {
      seen.push(call);
      if (seen.length <= errors.length) throw errors[seen.length - 1];
      return 'ok';
    },
  };
};

/** One place, and who has entered and left. */
class OnePlace implements CallLimit {
  inside = 0;
  readonly #waiting: (() => void)[] = [];

  enter(start: () => void): void {
    if (this.inside > 0) {
      this.#waiting.push(start);
      return;
    }
    this.inside += 1;
    start();
  }

  leave(): void {
    this.inside -= 1;
    const next = this.#waiting.shift();
    if (next !== undefined) this.enter(next);
  }
}

describe('the attempts of a call', () => {
  test('are numbered from 1, and go by one name and one key', async () => {
    const { fn, seen } = failing(new Error('503'), new Error('503'));
    const { working, advance } = await calling(fn, { retry });
    await advance(60_000);
    await advance(59_999);
    expect(working.told).toEqual([]);
    await advance(1);
    expect(working.told).toEqual([['a', 'ok']]);
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1);
    expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(seen.some(({ isOpen }) => isOpen)).toBe(false);
  });

  test('end with the error of the last one', async () => {
    const { fn, seen } = failing(new Error('1'), new Error('2'), new Error('3'));
    const { working, advance } = await calling(fn, { retry });
    await advance(1_000_000);
    expect([working.told, seen.length]).toEqual([[['a', 'Error: 3']], 3]);
  });

  test('have their own time each; what one brings too late is refused', async () => {
    const gates = new Gates();
    const seen: CallContext[] = [];
    const { working, advance } = await calling(
      (call) => {
        seen.push(call);
        return gates.wait(`${call.attempt}`);
      },
      { retry, timeout: '10s' },
    );
    const { signal } = seen[0] as CallContext; // It has begun.
    await advance(10_000);
    expect([signal.aborted, String(signal.reason)]).toEqual([
      true,
      expect.stringContaining('durable call `ask` (0.2.'),
    ]);
    expect(seen.map(({ isOpen }) => isOpen)).toEqual([false]);
    gates.open('1', 'late');
    await advance(60_000);
    expect([gates.started, working.told]).toEqual([['1', '2'], []]);
    gates.open('2', 'in time');
    await advance(0);
    expect(working.told).toEqual([['a', 'in time']]);
  });

  test('without a retry there is one, and its time is that of the call', async () => {
    const { working, clock, advance } = await calling(() => new Promise(() => {}), { timeout: '10s' });
    await advance(10_000);
    expect(working.told).toEqual([['a', expect.stringMatching(/took longer than 10000 ms/)]]);
    expect(clock.waiting).toBe(0);
  });

  test('a `retryOn` that throws is the failure of the call, and nothing hangs', async () => {
    const { fn, seen } = failing(new Error('503'), new Error('503'));
    const retryOn = (): never => {
      throw new RangeError('broken');
    };
    const { working } = await calling(fn, { retry: { ...retry, retryOn } });
    expect(working.told).toEqual([['a', expect.stringContaining('`retryOn`, asked about "503", threw: broken')]]);
    expect(seen).toHaveLength(1);
  });
});

describe('when the job is over', () => {
  test('a call that waits before its next attempt makes none, and leaves no timer', async () => {
    const { fn, seen } = failing(new Error('503'), new Error('503'));
    const { clock, life, advance } = await calling(fn, { retry, timeout: '10s' });
    expect(clock.waiting).toBe(1);
    life.kill();
    await clock.advance(0);
    expect(clock.waiting).toBe(0);
    await advance(1_000_000);
    expect(seen).toHaveLength(1);
  });

  test('what an attempt brings is taken by nobody, and makes no other attempt', async () => {
    const gates = new Gates();
    let asked = 0;
    const { clock, life, working, advance } = await calling(
      async () => {
        await gates.wait('x');
        throw new Error('503');
      },
      { retry: { ...retry, retryOn: () => (asked += 1) > 0 } },
    );
    life.kill();
    gates.open('x');
    await advance(0);
    expect([working.told, clock.waiting, life.failures, asked]).toEqual([[], 0, [], 0]);
  });
});

describe('a stop', () => {
  test('waits for a function that runs, and for none that waits to be called again', async () => {
    const gates = new Gates();
    const runs = await calling(() => gates.wait('x'));
    let left = false;
    const leaving = runs.life.parts.work.quiesce(60_000).then(() => (left = true));
    await runs.advance(59_999);
    expect(left).toBe(false);
    gates.open('x');
    await runs.advance(0);
    expect([left, await leaving, runs.clock.waiting]).toEqual([true, true, 0]);
    const waits = await calling(failing(new Error('503')).fn, { retry });
    await waits.life.parts.work.quiesce(60_000);
    await waits.advance(1_000_000);
    expect(waits.working.told).toEqual([]); // It goes on with the job.
  });
});

describe('a limit', () => {
  test('is entered by each attempt and left at its end, however that comes', async () => {
    const limit = new OnePlace();
    const inside: number[] = [];
    const { working, advance } = await calling(
      ({ attempt }) => {
        inside.push(limit.inside);
        if (attempt === 1) throw new Error('503');
        return attempt === 2 ? new Promise(() => {}) : 'ok';
      },
      { retry, limit, timeout: '10s' },
    );
    expect(limit.inside).toBe(0); // Outside while it waits.
    await advance(60_000);
    expect(limit.inside).toBe(1);
    await advance(10_000);
    expect(limit.inside).toBe(0);
    await advance(60_000);
    expect([working.told, inside, limit.inside]).toEqual([[['a', 'ok']], [1, 1, 1], 0]);
  });

  test('is waited for before the time of the attempt begins', async () => {
    const limit = new OnePlace();
    limit.enter(() => {});
    const { working, advance, clock } = await calling(() => 'ok', { limit, timeout: '10s' });
    await advance(1_000_000);
    expect([working.told, clock.waiting]).toEqual([[], 0]);
    limit.leave();
    await advance(0);
    expect([working.told, limit.inside]).toEqual([[['a', 'ok']], 0]);
  });

  test.each([
    ['its body has ended meanwhile', (): void => {}, true],
    ['the job stops meanwhile', ({ life }: Working & { life: { kill(): void } }): void => life.kill(), false],
  ])('gives its place back when %s', async (_what, stop, ends) => {
    const [limit, gates] = [new OnePlace(), new Gates()];
    limit.enter(() => {});
    let made = 0;
    const { working, advance } = await calling(
      () => {},
      {},
      {
        run: async (_item, context) => {
          void context.call('ask', () => (made += 1), { limit });
          await gates.wait('body');
          return 'end';
        },
      },
    );
    if (ends) gates.open('body');
    stop(working);
    await advance(0);
    limit.leave();
    await advance(0);
    expect([made, limit.inside, working.told]).toEqual([0, 0, ends ? [['a', 'end']] : []]);
  });
});

describe('a reconciler', () => {
  const dies = async (storage: MemoryStorage): Promise<void> => {
    const { life } = await calling(
      () => new Promise(() => {}),
      { reconciler: () => expect.fail('it was asked') },
      { storage },
    );
    await life.die();
  };
  const asked = (storage: MemoryStorage, fn: () => unknown, options: CallOptions<unknown>) => {
    const clock = new ManualClock();
    const run: WorkingOptions['run'] = (_item, context) => context.call('ask', fn, options);
    return again({ storage, clock, tasks: tasks('a'), worker: { onRejection: 'outcome' }, run });
  };

  test('that fails is the failure of the call: nobody knows whether that took effect, so it is not made again', async () => {
    const storage = new MemoryStorage();
    await dies(storage);
    const limit = new OnePlace();
    const reconciler = (): never => {
      throw new Error('cannot tell');
    };
    const second = await asked(storage, () => expect.fail('it was made'), { reconciler, retry, limit });
    expect([second.told, limit.inside]).toEqual([[['a', 'Error: cannot tell']], 0]);
  });

  test('is given the name and the key that the call had', async () => {
    const storage = new MemoryStorage();
    const before: CallContext[] = [];
    const first = await calling(
      (call) => (before.push(call), new Promise(() => {})),
      { args: [1], reconciler: () => expect.fail('it was asked') },
      { storage },
    );
    await first.life.die();
    const after: CallContext[] = [];
    await asked(storage, () => expect.fail('it was made'), {
      args: [1],
      reconciler: (call) => (after.push(call), 'receipt'),
    });
    expect(after.map(({ id, idempotencyKey }) => [id, idempotencyKey])).toEqual(
      before.map(({ id, idempotencyKey }) => [id, idempotencyKey]),
    );
  });
});

describe('its entry in the log', () => {
  const outcome = { ok: false, error: new Error('503') } as const;
  const entry = async () => {
    const item = itemOf('x', idOf(3));
    const [durable, resumed]: [unknown[], unknown[]] = [[], []];
    const body: CallingBody = {
      id: item.name,
      item,
      services: { clock: systemClock, jobId: 'job', signal: new AbortController().signal, callsOpen: () => {} },
      signal: new AbortController().signal,
      mayStart: true,
      settled: () => {},
      outcomeDurable: (_call, key) => durable.push(key),
      backOff: () => {},
      backOn: (then) => then(),
    };
    const { journal: store } = await new MemoryStorage().open();
    const journal = new Journal({
      store,
      clock: systemClock,
      recordTurns: () => false,
      from: emptyJournal,
      onFailure: (error) => expect.fail(String(error)),
    });
    const fn = (): void => {};
    const call = new DurableCall({
      ...{ body, number: 2, id: 'ask', args: 'digest', replaces: false, fn, options: { retry } },
      resolve: (value) => resumed.push(value),
      reject: (error) => resumed.push(error),
    });
    const written = async (): Promise<readonly unknown[]> => {
      await new Promise<void>((resolve) => journal.flush(resolve));
      const found: unknown[] = [];
      for await (const each of store.rebuildState()) found.push(decodeJournalEntry(each));
      return found;
    };
    return { item, call, journal, durable, resumed, written, fn };
  };

  test('is its outcome, of which it tells its body when that is durable', async () => {
    const { item, call, journal, durable, written } = await entry();
    call.append(journal, { lsn: 9, recorded: { ok: true, value: [1] }, again: true });
    expect(durable).toEqual([]);
    expect(await written()).toEqual([
      {
        ...{ kind: 'called', lsn: 9, call: 2, id: 'ask', args: 'digest', again: true },
        ...{ ...item.facts(), outcome: { ok: true, value: [1] } },
      },
    ]);
    expect(durable).toEqual([workKey(item.id, 2, 'called')]);
    expect(call.supersede()).toBe(false); // Something appended later needs a record of its own.
  });

  test('is nothing once it was taken back, and its body hears nothing of it', async () => {
    const { call, journal, durable, written } = await entry();
    call.append(journal, { lsn: 9, recorded: outcome, again: false });
    expect([call.supersede(), call.supersede()]).toEqual([true, true]);
    expect([await written(), durable]).toEqual([[], []]);
  });

  test('stays under the name of its item, also when what is asked for by name is that of one it was claimed from', async () => {
    const { call, item } = await entry();
    expect(call.name).toBe(`${item.name}.2`);
    let asked: string | undefined;
    call.reconcile(({ id }) => (asked = id), idOf(1, { branch: 0, operator: 5 }));
    expect(asked).toBe('0.5.2.1.2');
    expect(call.takeRecord()).toBeUndefined(); // There is no outcome yet.
  });

  test("keeps nothing of the user's code, since it may wait for the disk", async () => {
    const { call, journal, fn } = await entry();
    expect(call.fn).toBe(fn);
    call.append(journal, { lsn: 9, recorded: outcome, again: false });
    expect([call.fn === fn, call.options.retry]).toEqual([false, undefined]);
    const { resolve, reject } = call;
    call.resume(outcome);
    expect([call.resolve === resolve, call.reject === reject]).toEqual([false, false]);
  });

  test('resumes its body once', async () => {
    const { call, resumed } = await entry();
    call.resume(outcome);
    call.resume({ ok: true, value: 'later' });
    expect(resumed).toEqual([outcome.error]);
  });
});

test('the key of a call goes by what it asks for, and so does the name of one that has come in the place of another', async () => {
  const asks =
    (id: string, args: unknown, seen: CallContext[]): WorkingOptions['run'] =>
    (_item, context) =>
      context.call(id, (call) => (seen.push(call), new Promise(() => {})), { args });
  const partOf = ({ id, idempotencyKey }: CallContext): string => idempotencyKey.slice(idempotencyKey.indexOf(id));
  const first: CallContext[] = [];
  for (const [id, args] of [
    ['ask', 1],
    ['ask', 2],
    ['tell', 1],
  ] as const) {
    const { life } = await calling(() => {}, {}, { run: asks(id, args, first) });
    await life.die();
  }
  expect([new Set(first.map(({ id }) => id)).size, new Set(first.map(partOf)).size]).toEqual([1, 3]);
  // The journal holds the outcome of `ask`, and the code has changed since.
  const storage = new MemoryStorage();
  const { life } = await calling(
    () => 'done',
    {},
    {
      storage,
      run: async (_item, context) => {
        await context.call('ask', () => 'done', { args: 1 });
        return new Promise(() => {});
      },
    },
  );
  await life.die();
  const replacing: CallContext[] = [];
  await again({ storage, tasks: tasks('a'), run: asks('tell', 1, replacing) });
  const [replaced = '', key = ''] = [replacing[0]?.id, replacing[0]?.idempotencyKey];
  expect(replaced).toMatch(/^0\.2\.\d+\.0\.0~\w+$/);
  expect(key.endsWith(replaced)).toBe(true);
});
