/**
 * The code or the input changed between two lives, while runs were open. Replay stops where it meets something else
 * than was recorded and goes on in a new branch: what is still asked for in the same order is found, everything else is
 * asked under names that no other call has.
 */
import { agent, InputEvent, MemoryStorage, OutputEvent, StreamExecutionEnvironment } from 'millrace';
import { beforeEach, describe, expect, test } from 'vitest';
import { Ledger, once, Sluice, stillness, until } from './stories/story.ts';

interface Item {
  readonly id: string;
  readonly n: number;
}

const items: readonly Item[] = Array.from({ length: 12 }, (_, n) => ({ id: `k${n % 3}`, n }));

/** What the calls were, by the name under which they left the process. */
const names = new Map<string, string>();
const made = new Map<string, number>();
beforeEach(() => {
  names.clear();
  made.clear();
});

interface Life {
  /** Runs of these items come to their end, the others stay open behind their calls. */
  readonly ends: (n: number) => boolean;
  readonly without?: readonly number[] | undefined;
  /** Calls of this item do not return. */
  readonly hanging?: number | undefined;
}

const start = (
  storage: MemoryStorage,
  ledger: Ledger<string>,
  { ends, without = [], hanging }: Life,
): StreamExecutionEnvironment => {
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  const teller = agent<Item, string>('teller').on(
    InputEvent,
    async (event: InputEvent<Item>, ctx) => {
      const { id, n } = event.input;
      const call = (what: string): Promise<string> =>
        ctx.durableExecute(what, (_signal, { idempotencyKey }) => {
          const content = `${what} ${n}`;
          // One name never stands for two calls.
          expect([idempotencyKey, names.get(idempotencyKey) ?? content]).toEqual([idempotencyKey, content]);
          names.set(idempotencyKey, content);
          made.set(content, (made.get(content) ?? 0) + 1);
          return n === hanging ? new Promise<never>(() => {}) : content;
        });
      const both = await Promise.all([call('a'), call('b')]);
      await call('c'); // It leaves when the two are journaled.
      if (!ends(n)) await new Promise(() => {});
      ctx.sendEvent(new OutputEvent(`${id} ${both.join()}`));
    },
    { async: true },
  );
  const kept = env.fromSource(new Sluice(items).source).filter(({ n }) => !without.includes(n));
  kept
    .keyBy(({ id }) => id)
    .applyAgent(teller, { outputOrder: 'arrival' })
    .uid('teller')
    .sinkTo(ledger.sink());
  return env;
};

/** Lives until so many calls were made and all that is under way is journaled, then dies. */
const dies = async (
  storage: MemoryStorage,
  ledger: Ledger<string>,
  life: Life,
  enough: () => boolean,
): Promise<void> => {
  const job = await start(storage, ledger, life).executeAsync();
  await until(enough);
  await stillness(job);
  await job.cancel();
};

const output = (without: readonly number[] = []): string[] =>
  items.filter(({ n }) => !without.includes(n)).map(({ id, n }) => `${id} a ${n},b ${n}`);
const hasMade = (what: string) => (): boolean => made.has(what);

describe.each([
  ['no run had come to its end', () => false],
  ['a run had come to its end', (n: number) => n === 1],
])('%s', (_what, ends) => {
  test('an item that is left out: what other keys had journaled is found, in this life and after another crash', async () => {
    const [storage, ledger] = [new MemoryStorage(), new Ledger<string>()];
    const first: Life = { ends };
    await dies(storage, ledger, first, () => ['c 0', 'c 2', ends(1) ? 'c 4' : 'c 1'].every((what) => made.has(what)));
    const changed: Life = { ends, without: [0] };
    await dies(storage, ledger, changed, hasMade('c 3'));
    await start(storage, ledger, { ends: () => true, without: [0] }).execute();
    expect(ledger.values).toEqual(output([0]));
    for (const n of items.map((item) => item.n))
      for (const what of ['a', 'b', 'c'])
        expect([`${what} ${n}`, made.get(`${what} ${n}`)]).toEqual([`${what} ${n}`, 1]);
  });

  test('nothing has changed: every call is made once, and there is no new branch', async () => {
    const [storage, ledger] = [new MemoryStorage(), new Ledger<string>()];
    await dies(storage, ledger, { ends }, () =>
      ['c 0', 'c 2', ends(1) ? 'c 4' : 'c 1'].every((what) => made.has(what)),
    );
    await start(storage, ledger, { ends: () => true }).execute();
    expect(ledger.values).toEqual(output());
    expect([...made.values()].every((count) => count === 1)).toBe(true);
    expect([...names.keys()].every((name) => /^[^.]+\.0\./.test(name))).toBe(true);
  });
});

test('a call that was under way when the process died: what comes in its place in the new branch has another name', async () => {
  const [storage, ledger] = [new MemoryStorage(), new Ledger<string>()];
  await dies(storage, ledger, { ends: (n) => n === 1, hanging: 4 }, () =>
    ['c 0', 'c 2', 'b 4'].every((what) => made.has(what)),
  );
  await start(storage, ledger, { ends: () => true, without: [0, 4] }).execute();
  expect(ledger.values).toEqual(output([0, 4]));
  expect([...made.values()].every((count) => count === 1)).toBe(true);
});
