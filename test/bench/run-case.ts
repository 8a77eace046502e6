/**
 * Runs one case by its name and sends its rows to the process that asked, or prints them where nobody did (under a
 * profiler).
 */
import { makeScale } from './case.ts';
import { cases } from './cases.ts';

const found = cases.find(({ name }) => name === process.argv[2]);
if (found === undefined)
  throw new TypeError(
    `Expected a case, one of ${cases.map(({ name }) => name).join(', ')}, got \`${process.argv[2]}\``,
  );
const rows = await found.run(makeScale(false));
if (process.send === undefined) console.log(rows);
else process.send(rows);
