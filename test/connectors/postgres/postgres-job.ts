/** A job into two tables of PostgreSQL, for the test that kills it: `postgres-job.ts STATE RECORDS HOST`. */
import { generator, paced, StreamExecutionEnvironment } from 'millrace';
import { postgresSink } from 'millrace/connectors/postgres';

const [, , directory = '', count = '', host = ''] = process.argv;
const env = StreamExecutionEnvironment.create({ checkpoint: { directory, interval: '30ms' }, logger: 'silent' });
const connection = { host, user: 'millrace', database: 'postgres' };
const numbers = env.fromSource(paced(generator({ generate: (n) => n, count: Number(count) }), 3000));
numbers.sinkTo(postgresSink<number>({ connection, table: 'numbers', columns: { n: (n) => n } }));
numbers.sinkTo(
  postgresSink<number>({ connection, table: 'last', columns: { third: (n) => n % 3, n: (n) => n }, key: ['third'] }),
);
await env.execute('postgres');
