/**
 * I21 across a crash: a job works by keys and outcomes of its own, whatever the code that made them does with them
 * later.
 */
import { agent, callbackSink, InputEvent, MemoryStorage, StreamExecutionEnvironment, type Key } from 'millrace';
import { describe, expect, test } from 'vitest';
import { later, once, until } from './story.ts';

interface Item {
  readonly n: number;
  readonly path: string[];
}

const items = (): readonly Item[] => Array.from({ length: 9 }, (_, n) => ({ n, path: ['path', `${n % 3}`] }));

/** Changes a list that the types call readonly, as code without types does. */
const change = (list: unknown): void => void (list as unknown[]).push('changed');

interface Form {
  readonly keyOf: (item: Item) => Key;
  /** What becomes of an item and its key while its action runs. */
  readonly during: (item: Item, key: Key) => void;
}

const reused = ['path', ''];
const held: Item[] = [];
const forms: Record<string, Form> = {
  'one list for all records': {
    keyOf: ({ path: [, last = ''] }) => {
      reused[1] = last;
      return reused;
    },
    during: () => {},
  },
  'a list of the record, which is kept and changed': {
    keyOf: (item) => {
      held.push(item);
      return item.path;
    },
    during: () => held.splice(0).forEach(({ path }) => change(path)),
  },
  'a list that the action tries to change': {
    keyOf: ({ path }) => path,
    during: (_, key) => expect(() => change(key)).toThrow(TypeError),
  },
};

/** Every item is answered with its key and how many its key had before it. The first life hangs from the sixth on. */
const live = async (
  { keyOf, during }: Form,
  { storage, hangs, got }: { storage: MemoryStorage; hangs: boolean; got: Set<string> },
) => {
  const answering = agent<Item, string>('answering').on(InputEvent, 'answer', async ({ input }, context) => {
    during(input, context.key);
    await context.durableExecute('look up', () => later(1));
    if (hangs && input.n >= 5) await new Promise(() => {});
    const count = (context.shortTermMemory.get<number>('count') ?? 0) + 1;
    context.shortTermMemory.set('count', count);
    context.output(`${input.n} of ${String(context.key)} is number ${count}`);
  });
  const env = StreamExecutionEnvironment.create({ ...once, storage });
  env
    .fromCollection(items())
    .keyBy(keyOf)
    .applyAgent(answering)
    .sinkTo(callbackSink((text: string) => void got.add(text)));
  const job = await env.executeAsync();
  if (!hangs) return job.done;
  await until(() => got.size === 5);
  return job.cancel();
};

test.each(Object.keys(forms))('no record is lost or takes the state of another key: %s', async (name) => {
  const form = forms[name] as Form; // Named by the table itself.
  const [storage, got] = [new MemoryStorage(), new Set<string>()];
  await live(form, { storage, got, hangs: true });
  await live(form, { storage, got, hangs: false });
  const expected = items().map(({ n }) => `${n} of path,${n % 3} is number ${Math.floor(n / 3) + 1}`);
  expect([...got].toSorted()).toEqual(expected);
});

describe('a durable outcome is one value in both lives', () => {
  let count = 0;
  const outcomes: Record<string, () => unknown> = {
    'a getter': () => ({
      get id() {
        return (count += 1);
      },
    }),
    'a proxy': () =>
      new Proxy({ id: 0 }, { get: (value, name) => (name === 'id' ? (count += 1) : Reflect.get(value, name)) }),
    'a hidden toJSON': () => Object.defineProperty({ id: 1 }, 'toJSON', { value: () => ({ id: 'other' }) }),
  };
  test.each(Object.keys(outcomes))('%s', async (name) => {
    const storage = new MemoryStorage();
    const seen: unknown[] = [];
    let hanging = false;
    const hang = (): Promise<never> => {
      hanging = true;
      return new Promise(() => {});
    };
    for (const life of [1, 2]) {
      const paying = agent<string, string>('paying').on(InputEvent, 'pay', async (_event, context) => {
        seen.push(structuredClone(await context.durableExecute('charge', async () => outcomes[name]?.())));
        await context.durableExecute('note', () => true); // It begins when what came before is in the journal.
        if (life === 1) await hang();
      });
      const env = StreamExecutionEnvironment.create({ ...once, storage });
      env
        .fromCollection(['order'])
        .keyBy((id) => id)
        .applyAgent(paying)
        .sinkTo(callbackSink(() => {}));
      const job = await env.executeAsync();
      if (life === 2) await job.done;
      else {
        await until(() => hanging);
        await job.cancel();
      }
    }
    expect(seen).toEqual([seen[0], seen[0]]);
    expect(seen[0]).toEqual({ id: expect.any(Number) });
  });
});
