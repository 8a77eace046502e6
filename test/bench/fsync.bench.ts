/** What the disk can do: an append of 4 KB made durable, the floor under everything that is journaled. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { quantile, timed, type BenchCase } from './case.ts';
import { withDirectory } from './places.ts';

export const fsync: BenchCase = {
  name: 'fsync',
  async run(scale) {
    const times = await withDirectory(async (directory) => {
      const file = await open(join(directory, 'appended'), 'a');
      const block = Buffer.alloc(4096, 7);
      const all: number[] = [];
      for (let i = scale.size(500, 20); i > 0; i -= 1) {
        all.push(
          await timed(async () => {
            await file.write(block);
            await file.datasync();
          }),
        );
      }
      await file.close();
      return all;
    });
    const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
    return [
      {
        name: 'append 4 KB + fdatasync',
        perSecond: 1000 / p50,
        figures: [`p50 ${p50.toFixed(2)} ms`, `p99 ${p99.toFixed(2)} ms`],
      },
    ];
  },
};
