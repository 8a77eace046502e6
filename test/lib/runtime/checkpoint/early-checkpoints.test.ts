import { expect, test } from 'vitest';
import type { CheckpointCoordinator } from '../../../../lib/runtime/checkpoint/coordinator.ts';
import { EarlyCheckpoints } from '../../../../lib/runtime/checkpoint/early-checkpoints.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';

/** Bounded things that are as full as the test says; a checkpoint is written when it says so. */
const made = () => {
  const full = { dirtyEntries: 0, dirtyBytes: 0, timers: 0, turns: 1000 };
  const writing: (() => void)[] = [];
  const asked: string[] = [];
  const places = new Places();
  const early = new EarlyCheckpoints({
    // Only these numbers of them are looked at.
    workingSet: full as never,
    operators: [
      {
        timerService: {
          get dirtyEntries() {
            return full.timers;
          },
        },
      },
      { timerService: undefined },
    ] as never,
    journal: {
      get state() {
        return { lsn: 0, turns: full.turns };
      },
    } as never,
    coordinator: {
      get busy() {
        return writing.length > 0;
      },
      trigger: () => {
        asked.push(writing.length > 0 ? 'waits' : 'starts');
        return new Promise<void>((resolve) => writing.push(resolve));
      },
    } as unknown as CheckpointCoordinator,
    place: places.make({ name: 'dirty', max: 1 }),
    dirtyMax: 100,
    dirtyBytesMax: 1000,
    coveredTurns: 1000,
  });
  const written = async (): Promise<void> => {
    for (const resolve of writing.splice(0)) resolve();
    await Promise.resolve();
    await Promise.resolve();
  };
  return { full, asked, early, places, written };
};

test.each([
  ['changed entries', { dirtyEntries: 100 }, { dirtyEntries: 99 }],
  ['entries and timers together', { dirtyEntries: 60, timers: 40 }, { dirtyEntries: 60, timers: 39 }],
  ['their bytes', { dirtyBytes: 1000 }, { dirtyBytes: 999 }],
  ['turns behind the last checkpoint', { turns: 201_000 }, { turns: 200_999 }],
])('%s start a checkpoint at their bound, and not below it', (_what, at, below) => {
  const { full, asked, early, places } = made();
  Object.assign(full, below);
  early.look();
  expect(asked).toEqual([]);
  Object.assign(full, at);
  early.look();
  expect([asked, places.full]).toEqual([['starts'], false]);
});

test('while one is written sources go on until the next is full twice over, and then wait for it (I10)', async () => {
  const { full, asked, early, places, written } = made();
  full.dirtyEntries = 100;
  early.look();
  full.dirtyEntries = 199;
  early.look();
  expect([asked, places.full]).toEqual([['starts'], false]);
  full.dirtyEntries = 200;
  early.look();
  early.look(); // It was asked for already.
  expect([asked, places.full]).toEqual([['starts', 'waits'], true]);
  await written();
  expect(places.full).toBe(false);
});

test('what a checkpoint covers does not count for the next one', () => {
  const { full, asked, early } = made();
  full.turns = 201_000;
  early.cut(201_000);
  early.look();
  expect(asked).toEqual([]);
});
