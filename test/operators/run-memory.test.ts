import { expect, it } from 'vitest';
import type { MapState } from '../../lib/core/state-descriptor.ts';
import type { WorkContext } from '../../lib/core/work.ts';
import { MemoryView } from '../../lib/agents/memory/memory.ts';
import { RunMemory } from '../../operators/run-memory.ts';

/** A key's memory of many names, which counts what is looked at of it. */
const memoryOf = (names: number): { readonly kept: MapState<string, unknown>; steps(): number } => {
  const rows = new Map<string, unknown>(Array.from({ length: names }, (_, n) => [`n${n}`, n]));
  let steps = 0;
  const kept = {
    get: (path: string) => ((steps += 1), rows.get(path)),
    keys: () => ((steps += rows.size), rows.keys()),
    entries: () => ((steps += rows.size), rows.entries()),
  };
  return { kept: kept as unknown as MapState<string, unknown>, steps: () => steps }; // Nothing else of it is used.
};

const inWork = (): { readonly work: WorkContext; reads(): number } => {
  let reads = 0;
  const work = { read: <T>(look: () => T): T => ((reads += 1), look()) };
  return { work: work as unknown as WorkContext, reads: () => reads }; // Nothing else of it is used.
};

it.each([10, 10_000])('an asynchronous action that reads one of %i names looks at that one', (names) => {
  const { kept, steps } = memoryOf(names);
  const { work, reads } = inWork();
  const view = new MemoryView({ type: 'SHORT_TERM', base: new RunMemory(kept).seenBy(work) });
  expect([view.get('n1'), view.has('other')]).toEqual([1, false]);
  expect(steps()).toBeLessThan(10);
  expect(reads()).toBe(steps()); // Never but under the key of its work.
});

it('the actions of a run that list what is there go through it once', () => {
  const { kept, steps } = memoryOf(1000);
  const memory = new RunMemory(kept);
  for (let action = 0; action < 100; action += 1) {
    const work = action % 2 === 0 ? undefined : inWork().work;
    const view = new MemoryView({ type: 'SHORT_TERM', base: memory.seenBy(work) });
    view.newObject(['of', `${action}`]);
    expect(view.get('of')).toEqual({ [action]: {} });
  }
  expect(steps()).toBeLessThan(1000 + 100 * 20);
});

it('an action that goes on when the run is over sees nothing of other runs', () => {
  const { kept } = memoryOf(3);
  const memory = new RunMemory(kept);
  const view = new MemoryView({ type: 'SHORT_TERM', base: memory.seenBy(inWork().work) });
  expect(view.getFieldNames()).toEqual(['n0', 'n1', 'n2']);
  memory.end();
  expect(() => view.get('n1')).toThrow(/while the run of the action is open/);
  expect(() => view.getFieldNames()).toThrow(/while the run of the action is open/);
});
