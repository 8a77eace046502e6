import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorTable, StreamError, type ErrorCode } from '../lib/core/errors.ts';
import { root } from './house.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

/**
 * The table as README.md holds it: print it with `ERRORS_TABLE=1 npx vitest run --config test/vitest.config.ts
 * test/errors-table.test.ts`.
 */
const table = [
  '| code | a retry can help | what to do |',
  '|---|---|---|',
  ...codes.map(
    (code) =>
      `| \`${code}\` | ${errorTable[code].retryable ? 'yes' : 'no'} | ${errorTable[code].hint.replaceAll('|', '\\|')} |`,
  ),
];

test('README.md lists the codes, whether a retry can help, and the hints', () => {
  if (process.env['ERRORS_TABLE'] !== undefined) console.log(table.join('\n'));
  const [, section = ''] =
    /^## Error codes\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readFileSync(`${root}README.md`, 'utf8')) ?? [];
  expect(section.split('\n').filter((line) => line.startsWith('|'))).toEqual(table);
});

test.each(codes)('%s: an error with this code brings its hint', (code) => {
  const { hint, retryable } = new StreamError(code, 'what happened');
  expect({ hint, retryable }).toEqual(errorTable[code]);
  expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
  expect(hint).toMatch(/^\S.*[^.\s]$/); // A hint is no sentence: nothing before, no full stop behind.
});
