/**
 * Any lines, in any line breaks and batch sizes, come out as they went in, and every position continues right behind
 * it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonLines } from '../../../connectors/json-lines/json-lines-source.ts';
import { syntaxErrorIndex } from '../../../connectors/json-lines/json-syntax.ts';

const { signal } = new AbortController();
let directory = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-source-'));
});
afterAll(() => rm(directory, { recursive: true }));

const lineBreak = fc.constantFrom('\n', '\r\n', '\n\n', '\n \t\n\r\n');

test('values and positions', async () => {
  const path = join(directory, 'any.jsonl');
  const lines = fc.array(fc.tuple(fc.jsonValue(), lineBreak), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      lines,
      fc.integer({ min: 1, max: 8 }),
      fc.boolean(),
      fc.nat(),
      async (lines, batchSize, lastBreak, cut) => {
        const expected = lines.map(([value]) => JSON.parse(JSON.stringify(value)) as unknown);
        const text = lines
          .map(([value, end], index) => JSON.stringify(value) + (lastBreak || index < lines.length - 1 ? end : ''))
          .join('');
        await writeFile(path, text);
        const source = jsonLines<unknown>(path, { batchSize });
        const values: unknown[] = [];
        let position: { offset: number; line: number } | undefined;
        // Each batch is read by a reader of its own, and consumed in part.
        for (let round = cut; ; round += 1) {
          const reader = await source.open(path, position, signal);
          const batch = await reader.read(signal);
          await reader.close();
          if (batch === undefined) break;
          const count = 1 + (round % batch.values.length);
          values.push(...batch.values.slice(0, count));
          position = batch.position(count);
        }
        expect(values).toEqual(expected);
      },
    ),
    { numRuns: 60 },
  );
});

test('what JSON.parse takes has no syntax error, and what it refuses has one inside the text or at its end', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), fc.string({ maxLength: 2 }), (value, at, noise) => {
      const good = JSON.stringify(value, null, at % 3);
      expect(syntaxErrorIndex(good)).toBe(good.length);
      const cut = at % (good.length + 1);
      const bad = good.slice(0, cut) + noise + good.slice(cut + 1);
      const index = syntaxErrorIndex(bad);
      let valid = true;
      try {
        JSON.parse(bad);
      } catch {
        valid = false;
      }
      if (valid) expect(index).toBe(bad.length);
      // What is before the index must be the beginning of some JSON text: replacing the rest can not move the error
      // before it.
      else expect(syntaxErrorIndex(bad.slice(0, index))).toBe(index);
    }),
    { numRuns: 500 },
  );
});
