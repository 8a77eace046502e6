import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { VectorOutput, VectorStep } from '../../../lib/testing/vector-form.ts';
import { openVector, runVector } from '../../../lib/testing/vectors.ts';
import { families, goldenUrl, readFamily, type Family, type FamilyFile, type RecordedCase } from './vector-families.ts';

interface Played {
  readonly came: readonly (readonly VectorOutput[])[];
  readonly recorded: readonly (readonly VectorOutput[])[];
}

const play = async ({ runs = {} }: Family, { family, config }: FamilyFile, each: RecordedCase): Promise<Played> => {
  const { compare = [], until } = runs;
  const alike = (outputs: readonly (readonly VectorOutput[])[]) =>
    outputs.slice(0, until?.(each)?.step).map((step) => compare.reduce((made, lenient) => lenient(made, each), step));
  return { came: alike(await runVector(family, config, each)), recorded: alike(each.expected) };
};

const byName = (cases: readonly RecordedCase[]) => cases.map((each) => [each.name, each] as const);

for (const entry of families) {
  const { file, runs } = entry;
  if (runs === undefined) continue;
  const recorded = readFamily(entry);
  const cases = recorded.cases.filter((each) => runs.notYet?.(each) !== true);
  const differs = (each: RecordedCase): boolean => runs.differs?.(each) !== undefined;

  describe(file, () => {
    it.each(byName(cases.filter((each) => !differs(each))))('%s', async (_, each) => {
      const { came, recorded: expected } = await play(entry, recorded, each);
      expect(came).toEqual(expected);
    });

    const onPurpose = cases.filter(differs);
    if (onPurpose.length > 0)
      it.each(byName(onPurpose))('%s differs', async (_, each) => {
        const { came, recorded: expected } = await play(entry, recorded, each);
        expect(came).not.toEqual(expected);
      });
  });

  if (runs.timers === true)
    describe(`timers left in ${file}`, () => {
      const counted = cases.filter(
        (each) => each.counts !== undefined && !differs(each) && runs.timersDiffer?.(each) === undefined,
      );
      it.each(byName(counted))('%s', async (_, each) => {
        const runner = await openVector(recorded.family, recorded.config, each);
        const counts: unknown[] = [];
        const end = runs.until?.(each)?.step;
        for (const step of each.steps.slice(0, end)) {
          await runner.run(step);
          const { event, processing } = runner.timers?.() ?? { event: -1, processing: -1 };
          counts.push([event, processing]);
        }
        expect(counts).toEqual(each.counts?.slice(0, end).map(([event, processing]) => [event, processing]));
      });
    });
}

// ---------- the table

/** A row: how many cases there are, how many come out as recorded, and which differ on purpose. */
const rowOf = async (entry: Family): Promise<string> => {
  const { file, runs } = entry;
  const recorded = readFamily(entry);
  const { cases } = recorded;
  const name = file.replace('.json', '');
  if (runs === undefined) return `| ${name} | ${cases.length} | no runner | |`;
  let passed = 0;
  const reasons = new Map<string, number>();
  const note = (reason: string): void => void reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const each of cases) {
    if (runs.notYet?.(each) === true) {
      note('not played yet');
      continue;
    }
    const reason = runs.differs?.(each);
    const { came, recorded: expected } = await play(entry, recorded, each);
    if (reason !== undefined) note(reason);
    else if (isDeepStrictEqual(came, expected)) passed += 1;
    const timers = runs.timersDiffer?.(each);
    if (timers !== undefined) note(`timers: ${timers}`);
    const until = runs.until?.(each);
    if (until !== undefined) note(`from step ${until.step} on: ${until.reason}`);
  }
  const differences = [...reasons].map(([reason, count]) => `${count}: ${reason}`);
  return `| ${name} | ${cases.length} | ${passed} | ${differences.join('; ')} |`;
};

const begin = '<!-- made by test/lib/testing/vectors.test.ts; -u writes it anew -->';
const end = '<!-- end -->';

it('the table of families in test/golden/README.md is that of this run', async () => {
  const page = fileURLToPath(new URL('README.md', goldenUrl));
  const rows: string[] = [];
  for (const entry of families) rows.push(await rowOf(entry));
  const table = ['| family | cases | passed | differences on purpose |', '|---|---|---|---|', ...rows].join('\n');
  const text = readFileSync(page, 'utf8');
  const [before = '', after = ''] = [text.split(begin)[0], text.split(end)[1]];
  await expect(`${before}${begin}\n\n${table}\n\n${end}${after}`).toMatchFileSnapshot(page);
});

it('every recorded file has its family', () => {
  const files = readdirSync(goldenUrl).filter((name) => name.endsWith('.json'));
  expect(families.map(({ file }) => file)).toEqual(files.sort());
});

describe('words of timers that the given cases do not use', () => {
  const element = (...value: object[]) => ({ op: 'element', key: 'e', value, ts: 1 });
  const play = async (onTimer: readonly object[], ...steps: VectorStep[]) =>
    (await runVector('06-timers', { onTimer }, { name: 'x', config: {}, steps })).flat();

  it('clear, and a timer at MIN', async () => {
    const steps = [element({ cmd: 'inc' }, { cmd: 'clear' }, { cmd: 'inc' }, { cmd: 'regEvent', t: 'MIN' })] as const;
    expect(await play([{ cmd: 'inc' }], ...steps, { op: 'watermark', ts: 2 })).toEqual([
      { type: 'record', key: 'e', count: 1, ts: 1 },
      { type: 'record', key: 'e', count: 1, ts: 1 },
      { type: 'record', timer: 'event', key: 'e', at: 'MIN', wm: 2, pt: 0, ts: 'MIN' },
      { type: 'record', key: 'e', count: 2, ts: 'MIN' },
      { type: 'watermark', ts: 2 },
    ]);
  });

  it('from: a command of earlier timers does nothing', async () => {
    const onTimer = [{ cmd: 'regEventRel', dt: -5, until: 100, from: 10 }];
    const came = await play(onTimer, element({ cmd: 'regEvent', t: 15 }), { op: 'watermark', ts: 20 });
    expect(came.map(({ at }) => at)).toEqual([15, 10, 5, undefined]);
  });
});

it('refuses a family it does not know', async () => {
  await expect(runVector('99-unknown', {}, { name: 'x', config: {}, steps: [] })).rejects.toThrow('01, ');
});
