/**
 * Code that changes between two lives, and what a new branch owes: to accepted records, to names that have left the
 * process, and to what was paid for. Each story crashes without a checkpoint and starts again on the same state.
 */
import { pino } from 'pino';
import {
  agent,
  CallNotExecuted,
  defineSink,
  InputEvent,
  MemoryStorage,
  OutputEvent,
  StreamExecutionEnvironment,
  type CallContext,
  type Source,
} from 'millrace';
import { Subject } from 'rxjs';
import { expect, test } from 'vitest';
import { once, stillness, until } from './stories/story.ts';

/** Hands out one record after the other; behind them it waits unless it `ends`. */
const listed = <T>(
  values: readonly T[],
  ends: boolean,
  positionOf: (index: number) => unknown = (index) => index,
): Source<T> => ({
  name: 'list',
  replayable: true,
  splits: async () => ['x'],
  open: async (_split, position) => {
    let next =
      position === undefined ? 0 : Array.from({ length: values.length + 1 }, (_, n) => positionOf(n)).indexOf(position);
    return {
      read: (signal) => {
        if (next < values.length) {
          next += 1;
          const at = next;
          return Promise.resolve({ values: [values[at - 1] as T], position: (count) => positionOf(at - 1 + count) });
        }
        return ends
          ? Promise.resolve(undefined)
          : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      },
      close: async () => {},
    };
  },
});

interface Line {
  readonly msg: string;
  readonly code?: string;
}

const logged = (lines: Line[]) =>
  pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) });

const collect = <T>(out: T[]) =>
  defineSink<T>({ guarantee: 'exactly-once', write: (values) => void out.push(...values) });

test('records that a source has accepted and that nobody can read again come through a divergence, each once and in order', async () => {
  const storage = new MemoryStorage();
  const live = async (suffix: string, pushes: readonly number[], ends: boolean): Promise<string[]> => {
    const [hook, out]: [Subject<string>, string[]] = [new Subject(), []];
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    const file = env.fromSource(listed(['f1'], ends)).map((value) => value + suffix);
    env
      .fromObservable(hook)
      .union(file)
      .asyncMap(async (value) => value)
      .sinkTo(collect(out));
    const job = await env.executeAsync();
    await stillness(job);
    for (const n of pushes) {
      hook.next(`hook ${n}`);
      await stillness(job);
    }
    if (ends) {
      hook.complete();
      await job.done;
    } else await job.cancel();
    return out;
  };
  expect(await live('', [1, 2, 3], false)).toEqual([]);
  const out = await live('!', [4], true);
  expect(out.filter((value) => value.startsWith('hook'))).toEqual(['hook 1', 'hook 2', 'hook 3', 'hook 4']);
  expect(out).toContain('f1!');
});

interface Keyed {
  readonly k: string;
  readonly v: number;
}

/**
 * A job of which only key `a` changes. Gives what each life has asked, and what came out in all. A life that does not
 * end dies when all outcomes have taken effect: so each is durable.
 */
const keyed = (records: readonly Keyed[]) => {
  const [storage, lines, out, names]: [MemoryStorage, Line[], string[], Map<string, string>] = [
    new MemoryStorage(),
    [],
    [],
    new Map(),
  ];
  const live = async ({ changed = false, ends = false }: { changed?: boolean; ends?: boolean } = {}): Promise<
    string[]
  > => {
    const calls: string[] = [];
    const answered = new Set<string>();
    const env = StreamExecutionEnvironment.create({ ...once, logger: logged(lines), storage });
    env
      .fromSource(listed(records, ends))
      .map((record) => (record.k === 'a' && changed ? { ...record, v: record.v + 100 } : record))
      .keyBy(({ k }) => k)
      .asyncMap(async ({ k, v }, { idempotencyKey }) => {
        expect([idempotencyKey, names.get(idempotencyKey) ?? `${k}${v}`]).toEqual([idempotencyKey, `${k}${v}`]);
        names.set(idempotencyKey, `${k}${v}`);
        calls.push(`${k}${v}`);
        return `${k}${v}`;
      })
      .uid('ask')
      .map((value) => (answered.add(value), value))
      .sinkTo(collect(out));
    const job = await env.executeAsync();
    if (ends) await job.done;
    else {
      await until(() => answered.size === records.length);
      await job.cancel();
    }
    return calls;
  };
  const diverged = (): Line[] => lines.filter(({ code }) => code === 'DIVERGED');
  return { live, out, diverged, lines, storage };
};

test('outcomes of keys that did not change are claimed, found after another crash, and nobody claims what replay has applied', async () => {
  const { live, out, diverged } = keyed([
    { k: 'b', v: 1 },
    { k: 'a', v: 1 },
    { k: 'b', v: 2 },
    { k: 'b', v: 3 },
  ]);
  expect((await live()).toSorted()).toEqual(['a1', 'b1', 'b2', 'b3']);
  expect(await live({ changed: true })).toEqual(['a101']);
  expect(diverged()).toHaveLength(1);
  expect(diverged()[0]?.msg).toMatch(/operator `ask`, key "a".*branch 1/);
  expect(await live({ changed: true })).toEqual([]);
  expect(await live({ changed: true, ends: true })).toEqual([]);
  expect(diverged()).toHaveLength(1);
  expect(out.toSorted()).toEqual(['a101', 'b1', 'b2', 'b3']);
});

test('what is left over survives crashes, is dropped when the sources have passed it, counted, told once, and leaves nothing behind', async () => {
  const { live, lines, storage } = keyed([
    { k: 'a', v: 1 },
    { k: 'b', v: 1 },
  ]);
  await live();
  await live({ changed: true });
  await live({ changed: true, ends: true });
  const told = lines.filter(({ msg }) => msg.startsWith('of the branch before'));
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ dropped: 1 });
  const { journal } = await storage.open();
  const left: unknown[] = [];
  for await (const entry of journal.rebuildState()) left.push(entry);
  expect(left).toEqual([]);
});

/** Charges with a key and an amount; the second life has another amount, or another map in front. */
const charging = (
  storage: MemoryStorage,
  charge: (call: CallContext) => unknown,
  { amount = 10, order = 'order', known }: { amount?: number; order?: string; known?: (key: string) => unknown },
) => {
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const charger = agent<{ readonly id: string; readonly order: string }, unknown>('charger').on(
    InputEvent,
    async (event: InputEvent<{ id: string; order: string }>, ctx) => {
      const reconciler = known && ((_signal: AbortSignal, { idempotencyKey }: CallContext) => known(idempotencyKey));
      const receipt = await ctx.durableExecute('charge', (_signal, call) => charge(call), {
        args: { order: event.input.order, amount },
        ...(reconciler && { reconciler }),
      });
      ctx.sendEvent(new OutputEvent(receipt));
    },
  );
  const source = listed(['first', 'second'], true);
  return {
    env,
    stream: env
      .fromSource(source)
      .map((id) => ({ id, order: id === 'first' ? order : 'order' }))
      .keyBy(({ id }) => id)
      .applyAgent(charger, { onPlanChange: 'continue' })
      .uid('charger'),
  };
};

test('a call with other arguments has another idempotency key, also when the first was started and not journaled', async () => {
  const storage = new MemoryStorage();
  const keys: string[] = [];
  const first = charging(
    storage,
    ({ idempotencyKey }) => {
      keys.push(idempotencyKey);
      return new Promise(() => {});
    },
    {},
  );
  first.stream.sinkTo(collect([]));
  const job = await first.env.executeAsync();
  await until(() => keys.length === 2);
  await job.cancel();
  const out: unknown[] = [];
  const second = charging(storage, ({ idempotencyKey }) => `${idempotencyKey} ${keys.includes(idempotencyKey)}`, {
    amount: 99,
  });
  second.stream.sinkTo(collect(out));
  await second.env.execute();
  expect(out).toHaveLength(2);
  for (const receipt of out) expect(receipt).toMatch(/ false$/);
});

test('a pending call that a new branch claims asks its reconciler by the key under which it was started', async () => {
  const storage = new MemoryStorage();
  const charged = new Map<string, string>();
  const first = charging(
    storage,
    ({ idempotencyKey }) => {
      charged.set(idempotencyKey, `receipt ${charged.size}`);
      return new Promise(() => {}); // It has taken effect, and nobody knows.
    },
    { known: () => undefined },
  );
  first.stream.sinkTo(collect([]));
  const job = await first.env.executeAsync();
  await until(() => charged.size === 2);
  await job.cancel();
  const [out, again]: [unknown[], string[]] = [[], []];
  const second = charging(storage, ({ idempotencyKey }) => void again.push(idempotencyKey), {
    order: 'changed', // The map in front gives another order for the first: a new branch.
    known: (key) => {
      const receipt = charged.get(key);
      if (receipt === undefined) throw new CallNotExecuted();
      return receipt;
    },
  });
  second.stream.sinkTo(collect(out));
  await second.env.execute();
  expect(out).toContain('receipt 1');
  expect(again).toHaveLength(1); // That of the order which changed.
  expect(charged.has(again[0] ?? '')).toBe(false);
});

test('a source that stands somewhere else behind the same records has changed', async () => {
  const storage = new MemoryStorage();
  const lines: Line[] = [];
  let answered = 0;
  const start = (positionOf: (index: number) => unknown, ends: boolean) => {
    const env = StreamExecutionEnvironment.create({ ...once, logger: logged(lines), storage });
    env
      .fromSource(listed([1, 2], ends, positionOf))
      .asyncMap(async () => {})
      .map(() => (answered += 1))
      .sinkTo(collect([]));
    return env.executeAsync();
  };
  const job = await start((index) => index, false);
  await until(() => answered === 2); // Their outcomes are durable, and so are the turns before them.
  await job.cancel();
  await (
    await start((index) => index * 10, true)
  ).done;
  expect(lines.filter(({ code }) => code === 'DIVERGED').map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/is at .* behind the recorded records/),
  ]);
});

test('a long tail of recorded turns keeps nobody from ending the job, and does not hold the event loop', async () => {
  const storage = new MemoryStorage();
  const records = Array.from({ length: 40 }, (_, n) => n);
  const busy = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end;);
  };
  let [passed, asked] = [0, 0];
  const start = (slow: number) => {
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    env
      .fromSource(listed(records, false))
      .map((value) => {
        busy(slow);
        passed += 1;
        return value;
      })
      .asyncMap(async () => void (asked += 1))
      .sinkTo(collect([]));
    return env.executeAsync();
  };
  const first = await start(0);
  await until(() => asked === records.length);
  await stillness(first);
  await first.cancel();
  passed = 0;
  const job = await start(20);
  // Held, the loop would come to this when all is replayed.
  await until(() => passed > 0);
  expect(passed).toBeLessThan(records.length);
  await job.cancel();
  expect(passed).toBeLessThan(records.length);
});

test('behind a call that was replaced by another nothing holds that was recorded before, in no later life either', async () => {
  const storage = new MemoryStorage();
  const out: unknown[] = [];
  const live = async (first: string, note: string | undefined, ends: boolean): Promise<string[]> => {
    const asked: string[] = [];
    const env = StreamExecutionEnvironment.create({ ...once, storage });
    const teller = agent<string, string>('teller').on(InputEvent, async (_event, ctx) => {
      await ctx.durableExecute(first, () => void asked.push(first));
      if (note === undefined) await new Promise(() => {});
      const noted = await ctx.durableExecute('note', () => (asked.push('note'), note));
      if (!ends) await new Promise(() => {});
      ctx.sendEvent(new OutputEvent(String(noted)));
    });
    env
      .fromSource(listed(['order'], ends))
      .keyBy((id) => id)
      .applyAgent(teller, { onPlanChange: 'continue' })
      .sinkTo(collect(out));
    const job = await env.executeAsync();
    if (ends) await job.done;
    else {
      await until(() => asked.includes(note === undefined ? first : 'note'));
      await stillness(job);
      await job.cancel();
    }
    return asked;
  };
  expect(await live('a', 'follows from a', false)).toEqual(['a', 'note']);
  expect(await live('b', undefined, false)).toEqual(['b']); // It dies before it comes to its note.
  expect(await live('b', 'follows from b', true)).toEqual(['note']);
  expect(out).toEqual(['follows from b']);
});
