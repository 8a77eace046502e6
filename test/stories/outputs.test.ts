/**
 * What a job has committed stays, whatever becomes of its sinks between two lives: they go on, or the job says why it
 * can not.
 */
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonLinesSink, MemoryStorage, StreamExecutionEnvironment, type DataStream, type Storage } from 'millrace';
import { beforeEach, describe, expect, test } from 'vitest';
import { failure, freshDirectory, Ledger, once, Sluice, until } from './story.ts';

let directory = '';
let storage: Storage;
let sluice: Sluice<number>;

beforeEach(async () => {
  directory = await freshDirectory();
  storage = new MemoryStorage();
  sluice = new Sluice([1, 2, 3, 4], 2, 1);
});

type Write = (numbers: DataStream<number>) => void;

/** One life of the job, up to a number of values. */
const live = async (
  upTo: number,
  write: Write,
  options: { readonly allowUnclaimedState?: boolean } = {},
): Promise<void> => {
  sluice.raise(upTo);
  const env = StreamExecutionEnvironment.create({ ...once, storage, ...options });
  write(env.fromSource(sluice.source).uid('numbers'));
  const job = await env.executeAsync();
  await Promise.race([job.done, until(() => sluice.given === upTo)]);
  await job.stop();
};

const file = (name: string): string => join(directory, name);
const text = (name: string): Promise<string> => readFile(file(name), 'utf8');
const long: Write = (numbers) =>
  numbers
    .map((n) => `a long line, ${n}`)
    .uid('long')
    .sinkTo(jsonLinesSink(file('long.jsonl')));
const short: Write = (numbers) =>
  numbers
    .map((n) => n)
    .uid('short')
    .sinkTo(jsonLinesSink(file('short.jsonl')));
const lines = (upTo: number): string => Array.from({ length: upTo }, (_, n) => `"a long line, ${n + 1}"\n`).join('');

describe('sinks of files', () => {
  beforeEach(() => live(2, (numbers) => void [short, long].map((write) => write(numbers))));

  test('one that was removed is refused, and with permission the other one goes on', async () => {
    const error = await failure(live(3, long), 'STATE_UNCLAIMED');
    expect(error.message).toContain('the place in the output (2 records) of "json-lines-short.jsonl"');
    expect(await text('long.jsonl')).toBe(lines(2));
    await live(4, long, { allowUnclaimedState: true });
    expect([await text('long.jsonl'), await text('short.jsonl')]).toEqual([lines(4), '1\n2\n']);
  });

  test('written in another order, both go on', async () => {
    await live(4, (numbers) => void [long, short].map((write) => write(numbers)));
    expect([await text('long.jsonl'), await text('short.jsonl')]).toEqual([lines(4), '1\n2\n3\n4\n']);
  });
});

describe('sinks that share a name', () => {
  const into =
    (folder: string, make: (n: number) => unknown): Write =>
    (numbers) => {
      numbers
        .map(make)
        .uid(folder)
        .sinkTo(jsonLinesSink(file(`${folder}/out.jsonl`)));
    };
  const a = into('a', (n) => `a long line, ${n}`);
  const b = into('b', (n) => n);

  beforeEach(async () => {
    for (const folder of ['a', 'b']) await mkdir(file(folder));
    await live(2, (numbers) => void [a, b].map((write) => write(numbers)));
  });

  test('that have changed places are refused before they write: no output is cut (I12)', async () => {
    const error = await failure(
      live(3, (numbers) => void [b, a].map((write) => write(numbers))),
      'OUTPUT_CHANGED',
    );
    expect(error.message).toContain('/a/out.jsonl", and the sink writes to');
    expect(error.hint).toContain('.uid(');
    await failure(live(3, b, { allowUnclaimedState: true }), 'OUTPUT_CHANGED');
    expect([await text('a/out.jsonl'), await text('b/out.jsonl')]).toEqual([lines(2), '1\n2\n']);
  });

  test('outputs that were moved go on where they are', async () => {
    await rename(directory, `${directory}-moved`);
    directory = `${directory}-moved`;
    await live(4, (numbers) => void [a, b].map((write) => write(numbers)));
    expect([await text('a/out.jsonl'), await text('b/out.jsonl')]).toEqual([lines(4), '1\n2\n3\n4\n']);
    await rename(directory, directory.slice(0, -'-moved'.length)); // Where it is tidied up.
  });
});

test('a sink of numbered records that was removed is refused, since its numbers would be given to others', async () => {
  const [first, second] = [new Ledger<number>(), new Ledger<number>()];
  await live(2, (numbers) => {
    numbers.sinkTo(first.sink());
    numbers.map((n) => n * 10).sinkTo(second.sink());
  });
  const onlySecond: Write = (numbers) => numbers.map((n) => n * 10).sinkTo(second.sink());
  await failure(live(3, onlySecond), 'STATE_UNCLAIMED');
  expect(second.values).toEqual([10, 20]);
});
