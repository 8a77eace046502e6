/** A job into two tables of SQLite, for the test that kills it: `sqlite-job.ts ROOT RECORDS`. */
import Database from 'libsql';
import { paced, generator, sqliteSink, StreamExecutionEnvironment } from 'millrace';
import { join } from 'node:path';

const [, , root = '', count = ''] = process.argv;
const env = StreamExecutionEnvironment.create({
  checkpoint: { directory: join(root, 'state'), interval: '30ms' },
  logger: 'silent',
});
const open = () => new Database(join(root, 'out.db'), { timeout: 5000 });
const numbers = env.fromSource(paced(generator({ generate: (n) => n, count: Number(count) }), 3000));
numbers.sinkTo(sqliteSink<number>({ open, table: 'numbers', columns: { n: (n) => n } }));
numbers.sinkTo(
  sqliteSink<number>({ open, table: 'last', columns: { third: (n) => n % 3, n: (n) => n }, key: ['third'] }),
);
await env.execute('sqlite');
