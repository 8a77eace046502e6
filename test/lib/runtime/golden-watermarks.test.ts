import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runVector, type VectorCase, type VectorConfig } from '../../../lib/testing-vectors.ts';

interface Family {
  readonly family: string;
  readonly config: VectorConfig;
  readonly cases: readonly (VectorCase & { readonly expected: readonly unknown[] })[];
}

const { family, config, cases } = JSON.parse(readFileSync(new URL('../../golden/09-watermarks.json', import.meta.url), 'utf8')) as Family;

describe('recorded watermarks', () => {
  it.each(cases.map((each) => [`${each.config['kind']}: ${each.name}`, each] as const))('%s', async (_, each) => {
    expect(await runVector(family, config, each)).toEqual(each.expected);
  });
});
