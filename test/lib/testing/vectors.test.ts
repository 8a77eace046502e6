import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { VectorCase, VectorConfig, VectorOutput } from '../../../lib/testing/vector-form.ts';
import { openVector, runVector } from '../../../lib/testing/vectors.ts';

interface RecordedCase extends VectorCase {
  readonly expected: readonly (readonly VectorOutput[])[];
  readonly counts?: readonly (readonly [event: number, processing: number, state: number])[];
}

interface Family {
  readonly family: string;
  readonly config: VectorConfig;
  readonly cases: readonly RecordedCase[];
}

const read = (file: string): Family =>
  JSON.parse(readFileSync(new URL(`../../golden/${file}`, import.meta.url), 'utf8')) as Family;

/**
 * Timers of one time and different keys fire in an arbitrary order in the recording, and errors have other messages.
 */
const lenient = (outputs: readonly VectorOutput[]): readonly VectorOutput[] => {
  const rank = ({ type, ts, key }: VectorOutput): string => (type === 'record' ? `${ts} ${String(key)}` : '');
  const plain = outputs.map((output) => (output.type === 'error' ? { type: 'error' } : output));
  const sorted: VectorOutput[] = [];
  for (let at = 0; at < plain.length;) {
    let end = at + 1;
    while (end < plain.length && plain[end]?.['ts'] === plain[at]?.['ts'] && plain[end]?.type === 'record') end += 1;
    sorted.push(...plain.slice(at, end).sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0)));
    at = end;
  }
  return sorted;
};

describe.each(['01-tumbling-event.json', '06-timers.json', '09-watermarks.json'])('%s', (file) => {
  const { family, config, cases } = read(file);
  it.each(cases.map((each) => [each.name, each] as const))('%s', async (_, each) => {
    const outputs = await runVector(family, config, each);
    expect(outputs.map(lenient)).toEqual(each.expected.map(lenient));
  });
});

describe.each(['01-tumbling-event.json', '06-timers.json'])('timers left in %s', (file) => {
  const { family, config, cases } = read(file);
  it.each(cases.flatMap((each) => (each.counts === undefined ? [] : [[each.name, each] as const])))(
    '%s',
    async (_, each) => {
      const runner = await openVector(family, config, each);
      const counts: unknown[] = [];
      for (const step of each.steps) {
        await runner.run(step);
        const { event, processing } = runner.timers?.() ?? { event: -1, processing: -1 };
        counts.push([event, processing]);
      }
      expect(counts).toEqual(each.counts?.map(([event, processing]) => [event, processing]));
    },
  );
});

describe('11-async.json', () => {
  const { family, config, cases } = read('11-async.json');
  const ours = cases.filter(({ config: { retry, timeout } }) => retry === undefined && Number(timeout) >= 1000);
  /** Watermarks that wait together leave as one. */
  const asOne = (outputs: readonly VectorOutput[]): readonly VectorOutput[] =>
    outputs.filter(({ type }, at) => !(type === 'watermark' && outputs[at + 1]?.type === 'watermark'));
  it.each(ours.map((each) => [each.name, each] as const))('%s', async (_, each) => {
    const outputs = await runVector(family, config, each);
    expect(outputs.map(asOne)).toEqual(each.expected.map(asOne));
  });
});

it('refuses a family it does not know', async () => {
  await expect(runVector('99-unknown', {}, { name: 'x', config: {}, steps: [] })).rejects.toThrow('01, 06, 09, 11');
});
