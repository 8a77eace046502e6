/** A job from a directory into parts and into one CSV file, for the test that kills it: `files-job.ts ROOT`. */
import { csvSink, directory, fileFormat, fileSink, jsonLines, paced, StreamExecutionEnvironment } from 'millrace';
import { join } from 'node:path';

const [, , root = ''] = process.argv;
const env = StreamExecutionEnvironment.create({
  checkpoint: { directory: join(root, 'state'), interval: '40ms' },
  logger: 'silent',
});
const input = directory(join(root, 'in'), {
  match: '*.jsonl*',
  order: 'name',
  format: (path) => jsonLines<{ readonly n: number }>(path, { batchSize: 16 }),
});
const values = env.fromSource(paced(input, 4000));
values.sinkTo(
  fileSink({
    directory: join(root, 'parts'),
    format: fileFormat.jsonLines,
    partition: ({ n }) => `third=${n % 3}`,
    rollAfter: { records: 25 },
  }),
);
values.sinkTo(csvSink(join(root, 'all.csv'), { columns: ['n'] }));
await env.execute('files');
