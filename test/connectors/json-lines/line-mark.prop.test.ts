/** Whatever bytes a file has: what is appended changes no mark, and another last line does. */
import * as fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FilePosition } from '../../../connectors/files/file-position.ts';
import { jsonLines } from '../../../connectors/json-lines/json-lines-source.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'line-mark-'));
});
afterAll(() => rm(directory, { recursive: true }));

const { signal } = new AbortController();

/** Lines that are JSON, no JSON, no UTF-8, and longer than what a mark looks at. */
const line = fc.oneof(
  fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 10))),
  fc
    .tuple(fc.constantFrom('x', '\u20ac', '\u{1f600}', '\ufffd'), fc.integer({ min: 300, max: 5000 }))
    .map(([text, times]) => Buffer.from(`"${text.repeat(times)}"`)),
);
const file = fc
  .array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\n\n')), { minLength: 1, maxLength: 8 })
  .map((lines) => Buffer.concat(lines.flatMap(([bytes, end]) => [bytes, Buffer.from(end)])));

test('of any file', async () => {
  let [kept, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      file,
      file,
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      async (bytes, more, batchSize, whole) => {
        const path = join(directory, 'any.jsonl');
        // With or without a break at its end.
        await writeFile(path, whole ? bytes : bytes.subarray(0, -1));
        const source = jsonLines<unknown>(path, { batchSize, onMalformed: 'side-output' });
        const positions: FilePosition[] = [];
        const reader = await source.open(path, undefined, signal);
        for (let batch = await reader.read(signal); batch !== undefined; batch = await reader.read(signal))
          for (let count = 0; count <= batch.values.length; count += 1) positions.push(batch.position(count));
        await reader.close();
        await writeFile(path, Buffer.concat([bytes, more]));
        for (const position of positions) {
          const again = await source.open(path, position, signal);
          await again.close();
          kept += 1;
        }
        const last = positions.at(-1)?.mark;
        if (last === undefined) return;
        const other = Buffer.from(bytes);
        other[last.start] = other[last.start] === 0x31 ? 0x32 : 0x31;
        await writeFile(path, other);
        await expect(source.open(path, positions.at(-1), signal)).rejects.toMatchObject({ code: 'INPUT_CHANGED' });
        refused += 1;
      },
    ),
    { numRuns: 150 },
  );
  expect([kept > 100, refused > 50]).toEqual([true, true]);
});
