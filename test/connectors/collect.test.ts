import { expect, test } from 'vitest';
import { collectSink } from '../../connectors/collect.ts';
import { sinkSuite } from '../../lib/core/sink-suite.ts';

const { signal } = new AbortController();

for (const { name, run } of sinkSuite('collect', async () => {
  const got: number[] = [];
  return {
    sink: collectSink<number>(got),
    values: [1, 2, 3, 4, 5, 6, 7, 8],
    visible: async () => got,
    cleanup: async () => {},
  };
})) {
  test(name, run);
}

test('begins at the number that comes first, and takes no number twice', async () => {
  const got: string[] = [];
  const writer = await collectSink<string>(got).open({
    sinkId: 'job.sink.1',
    pending: [],
    epoch: 4,
    last: undefined,
    signal,
  });
  await writer.commit({ epoch: 3, firstNumber: 7, values: ['h', 'i'] }, signal);
  await writer.commit({ epoch: 3, firstNumber: 7, values: ['h', 'i'] }, signal);
  await writer.commit({ epoch: 4, firstNumber: 8, values: ['i', 'j'] }, signal);
  expect(got).toEqual(['h', 'i', 'j']);
});
