/** Random jobs with crashes against the simplest model: the lines of durable epochs, in order. */
import type { FileCommittable } from '../../../connectors/files/line-output.ts';
import type { SinkWriter } from '../../../lib/core/connector.ts';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonLinesSink } from '../../../connectors/json-lines/json-lines-sink.ts';

const { signal } = new AbortController();
let directory = '';
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'json-lines-sink-'));
});
afterAll(() => rm(directory, { recursive: true }));

type Step =
  { readonly write: number } | { readonly end: 'crash' | 'sealed' | 'durable' | 'committed' | 'committed-crash' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ write: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ end: fc.constantFrom('crash', 'sealed', 'durable', 'committed', 'committed', 'committed-crash') }),
);

test('the output holds the lines of the durable epochs, each once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const path = join(directory, `${(count += 1)}.jsonl`);
      const sink = jsonLinesSink<number>(path);
      const writers: SinkWriter<number, FileCommittable>[] = [];
      const durable: number[] = [];
      let open: number[] = [];
      let pending: FileCommittable[] = [];
      let last: FileCommittable | undefined;
      let epoch = 1;
      let serial = 0;
      const start = async (): Promise<SinkWriter<number, FileCommittable>> => {
        const writer = await sink.open({ sinkId: 'job.sink.1', pending, epoch, last, signal });
        writers.push(writer);
        for (const committable of pending) await writer.commit(committable, signal);
        open = [];
        return writer;
      };
      let writer = await start();
      for (const step of steps) {
        if ('write' in step) {
          for (let index = 0; index < step.write; index += 1) {
            writer.write(serial, 0, durable.length + open.length);
            open.push(serial);
            serial += 1;
          }
          continue;
        }
        if (step.end !== 'crash') {
          const committable = await writer.seal(epoch);
          if (step.end !== 'sealed') {
            durable.push(...open);
            open = [];
            epoch += 1;
            if (committable !== undefined) {
              pending = [committable];
              last = committable;
            }
            if (step.end.startsWith('committed') && committable !== undefined) await writer.commit(committable, signal);
            if (step.end === 'committed') {
              pending = [];
              continue;
            }
          }
        }
        writer = await start();
        if (pending.length > 0 || step.end !== 'crash')
          expect(await readFile(path, 'utf8')).toBe(durable.map((line) => `${line}\n`).join(''));
        pending = [];
      }
      expect(await readFile(path, 'utf8')).toBe(durable.map((line) => `${line}\n`).join(''));
      for (const each of writers) await each.close();
    }),
    { numRuns: 60 },
  );
});
