/** Sources one after another: the suite of sources, places that are handed on, ends and failures. */
import type { Source } from '../../lib/core/connector.ts';
import type { HybridPosition, SplitEnds } from '../../connectors/hybrid.ts';
import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { StreamExecutionEnvironment } from 'millrace';
import { collection } from '../../connectors/collection.ts';
import { tail } from '../../connectors/files/tail.ts';
import { textLines } from '../../connectors/files/text-lines.ts';
import { generator } from '../../connectors/generator.ts';
import { hybridSource } from '../../connectors/hybrid.ts';
import { observableSource } from '../../connectors/observable.ts';
import { sourceSuite } from '../../lib/core/source-suite.ts';
import { readAll, signal, temporaryFiles } from './files/files-fixture.ts';
import { EMPTY } from 'rxjs';

const { make } = temporaryFiles();

const numbers = (from: number, count: number, batchSize = 2): Source<number, number> =>
  generator({ generate: (index) => from + index, count, batchSize });

for (const { name, run } of sourceSuite('hybrid (two, three, none, two)', async () => ({
  source: hybridSource(numbers(0, 2), numbers(2, 3), numbers(0, 0), () => numbers(5, 2)),
  expected: [0, 1, 2, 3, 4, 5, 6],
  cleanup: async () => {},
}))) {
  test(name, run);
}

for (const { name, run } of sourceSuite('hybrid (several files, then one)', async () => {
  const kept = textLines([await make('a\nb\nc'), await make(''), await make('d\n')], { batchSize: 2 });
  return {
    source: hybridSource(kept, textLines(await make('e\nf'))),
    expected: ['a', 'b', 'c', 'd', 'e', 'f'],
    cleanup: async () => {},
  };
})) {
  test(name, run);
}

for (const { name, run } of sourceSuite('hybrid (a file, then one that grows)', async () => ({
  source: hybridSource(textLines(await make('a\nb\n')), tail(await make('c\nd\n'), { poll: 1 })),
  expected: ['a', 'b', 'c', 'd'],
  endless: true,
  cleanup: async () => {},
}))) {
  test(name, run);
}

describe('the places where a part has ended', () => {
  test('are given to the next, the same again at each restart', async () => {
    const asked: SplitEnds[] = [];
    const source = hybridSource(numbers(0, 5), (ends) => {
      asked.push(ends);
      const { generator: seen = 0 } = ends as { readonly generator?: number };
      return numbers(10 * seen, 2);
    });
    const { values, positions } = await readAll(source);
    expect(values).toEqual([0, 1, 2, 3, 4, 50, 51]);
    expect(positions[5]).toMatchObject({ part: 1, before: { generator: 5 }, split: 'generator', position: 1 });
    expect((await readAll(source, structuredClone(positions[5]))).values).toEqual([51]);
    expect((await readAll(source, positions[3])).values).toEqual([4, 50, 51]);
    expect(asked).toEqual([{ generator: 5 }, { generator: 5 }, { generator: 5 }]);
  });

  test('of a part without records there is none', async () => {
    let ends: SplitEnds | undefined;
    const source = hybridSource(collection<number>([]), (places) => {
      ends = places;
      return numbers(0, 1);
    });
    expect((await readAll(source)).values).toEqual([0]);
    expect(Object.values(ends ?? {})).toEqual([undefined]);
  });
});

test('commits go to the part that is read, and closing to all that were', async () => {
  const committed: unknown[] = [];
  const closed: string[] = [];
  const watched = (name: string): Source<number, number> => ({
    ...numbers(0, 1),
    close: async () => void closed.push(name),
    async open(split, position, ...rest) {
      const reader = await numbers(0, 1).open(split, position, ...rest);
      return Object.assign(reader, { committed: async (place: number) => void committed.push([name, place]) });
    },
  });
  const source: Source<number, HybridPosition> = hybridSource(watched('a'), watched('b'), watched('c'));
  const reader = await source.open('hybrid', undefined, signal);
  const first = await reader.read(signal);
  if (first !== undefined) await reader.committed?.(first.position(1));
  await reader.read(signal);
  if (first !== undefined) await reader.committed?.(first.position(1));
  await reader.close();
  await source.close?.();
  expect({ committed, closed }).toEqual({ committed: [['a', 1]], closed: ['a', 'b'] });
});

test('what a part has dropped in another life still counts, and its source of that life is closed', async () => {
  let closed = 0;
  const source = hybridSource(numbers(0, 1), () => ({
    ...numbers(1, 1),
    dropped: 1,
    close: async () => void (closed += 1),
  }));
  for (const lives of [1, 2, 3]) {
    expect((await readAll(source)).values.length).toBe(2);
    expect([source.dropped, closed]).toEqual([lives, lives - 1]);
  }
  await source.close?.();
  expect(closed).toBe(3);
});

test('a failure of a part is that of the source, behind what came before', async () => {
  const path = await make('a\n');
  const source = hybridSource(textLines(path), textLines(`${path}.missing`));
  const reader = await source.open('hybrid', undefined, signal);
  expect((await reader.read(signal))?.values).toEqual(['a']);
  await expect(reader.read(signal)).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
  await writeFile(`${path}.missing`, 'b\n');
  expect((await reader.read(signal))?.values).toEqual(['b']);
  await reader.close();
});

test('what makes no sense is refused', async () => {
  expect(() => hybridSource(numbers(0, 1))).toThrow('then');
  expect(() => hybridSource(1 as never, numbers(0, 1))).toThrow('a Source');
  expect(() => hybridSource(numbers(0, 1), observableSource<number>(EMPTY))).toThrow('read again');
  await expect(readAll(hybridSource(numbers(0, 1), () => 1 as never))).rejects.toThrow('then');
  const several = hybridSource(textLines(await make('a')), textLines([await make('b'), await make('c')]));
  await expect(readAll(several)).rejects.toMatchObject({ code: 'GRAPH_INVALID', hint: expect.any(String) as string });
});

test('in a job', async () => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  const both = env.fromSource(hybridSource(numbers(0, 3), numbers(3, 3)));
  expect(await both.executeAndCollect()).toEqual([0, 1, 2, 3, 4, 5]);
});
