/** Which cases of a suite catch a connector that has a fault. */
import type { SuiteCase } from '../../../lib/core/suite-case.ts';

export const failing = async (cases: readonly SuiteCase[]): Promise<string[]> => {
  const names: string[] = [];
  for (const { name, run } of cases) await run().catch(() => names.push(name.replace(/^x: /, '')));
  return names;
};
