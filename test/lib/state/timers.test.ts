import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Timer } from '../../../lib/core/timer.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import { TimerService } from '../../../lib/state/timers.ts';
import type { Store } from '../../../lib/state/store.ts';

const setUp = (
  fire: (timer: Timer, key: unknown) => void = () => {},
  store?: Store,
): { keys: KeyContext; timers: TimerService } => {
  const keys = new KeyContext();
  return {
    keys,
    timers: new TimerService({ op: 1, keys, maxParallelism: 128, store, fire: (timer) => fire(timer, keys.key) }),
  };
};

const save = async (timers: TimerService, store: Store): Promise<number> => {
  const cut = timers.cut();
  const batch = store.batch();
  const slices = cut.write(batch);
  while (slices.next().done !== true);
  const { length } = batch;
  await batch.write();
  await batch.close();
  cut.durable();
  return length;
};

describe('TimerService', () => {
  it('I2: registers and deletes under a current key only', () => {
    const { timers } = setUp();
    expect(() => timers.register(1, 0, 'event')).toThrow(/current key/);
    expect(() => timers.delete(1, 0, 'event')).toThrow(TypeError);
  });

  it('refuses what is no time', () => {
    const { keys, timers } = setUp();
    keys.enter('a');
    expect(() => timers.register(Number.NaN, 0, 'event')).toThrow(/timestamp/);
    expect(() => timers.register(1, Number.NaN, 'event')).toThrow(/namespace/);
    expect(() => timers.register('1' as unknown as number, 0, 'event')).toThrow(TypeError);
  });

  it('I3: the watermark never goes back', () => {
    const { timers } = setUp();
    timers.advanceWatermark(10);
    timers.advanceWatermark(10);
    expect(() => timers.advanceWatermark(9)).toThrow(/I3/);
    expect(timers.watermark).toBe(10);
  });

  it('T-03: a callback sees the new watermark, and its own timer is gone', () => {
    const seen: unknown[] = [];
    const { keys, timers } = setUp(() => seen.push([timers.watermark, timers.count.event]));
    keys.enter('a');
    timers.register(5, 0, 'event');
    keys.leave();
    timers.advanceWatermark(8);
    expect(seen).toEqual([[8, 0]]);
    expect(keys.active).toBe(false);
  });

  it('a callback that throws leaves no key behind and keeps the other timers', () => {
    const fired: unknown[] = [];
    const { keys, timers } = setUp((_, key) => {
      if (key === 'b') throw new Error('no');
      fired.push(key);
    });
    for (const key of ['c', 'b', 'a']) {
      keys.enter(key);
      timers.register(5, 0, 'event');
      keys.leave();
    }
    expect(() => timers.advanceWatermark(5)).toThrow('no');
    expect(keys.active).toBe(false);
    timers.advanceWatermark(5);
    expect(fired).toEqual(['a', 'c']);
  });

  it('writes nothing for a timer that came and went within an epoch, and keeps no trace of it', async () => {
    const { keys, timers } = setUp();
    const { state: store } = await new MemoryStorage().open();
    for (let i = 0; i < 20_000; i += 1) {
      keys.enter(`key-${i % 50}`);
      timers.register(i, 0, 'event');
      keys.leave();
      timers.advanceWatermark(i);
    }
    expect(timers.dirtyEntries).toBe(0);
    expect(await save(timers, store)).toBe(0);
  });

  it('keeps a stored timer that was deleted and registered again', async () => {
    const { state: store } = await new MemoryStorage().open();
    const { keys, timers } = setUp();
    keys.enter('a');
    timers.register(5, 0, 'event');
    keys.leave();
    await save(timers, store);
    keys.enter('a');
    timers.delete(5, 0, 'event');
    timers.register(5, 0, 'event');
    keys.leave();
    await save(timers, store);
    const again = setUp(undefined, store);
    await again.timers.restore();
    expect(again.timers.count).toEqual({ event: 1, processing: 0 });
  });

  it('I4: one cut at a time, never under a key, durable only when written', () => {
    const { keys, timers } = setUp();
    keys.enter('a');
    expect(() => timers.cut()).toThrow(/I4/);
    keys.leave();
    const cut = timers.cut();
    expect(() => timers.cut()).toThrow(/I4/);
    expect(() => cut.durable()).toThrow(/I5/);
  });

  it('fires 100,000 timers of one time in the order of their keys, in far less than quadratic time', () => {
    const fired: unknown[] = [];
    const { keys, timers } = setUp((_, key) => fired.push(key));
    const names = Array.from({ length: 100_000 }, (_, i) => `key-${(i * 7919) % 100_000}`);
    for (const name of names) {
      keys.enter(name);
      timers.register(1, 0, 'event');
      keys.leave();
    }
    timers.advanceWatermark(1);
    expect(fired).toEqual(names.sort());
  });

  it('forgets times whose timers were all deleted', () => {
    const { keys, timers } = setUp();
    keys.enter('a');
    for (let i = 0; i < 10_000; i += 1) {
      timers.register(i, 0, 'processing');
      timers.delete(i, 0, 'processing');
    }
    timers.register(20_000, 0, 'processing');
    keys.leave();
    expect(timers.nextProcessingTime).toBe(20_000);
    timers.advanceProcessingTime(Infinity);
    expect(timers.nextProcessingTime).toBeUndefined();
  });

  it('notices a damaged row', async () => {
    const { state: store } = await new MemoryStorage().open();
    const { keys, timers } = setUp();
    keys.enter('a');
    timers.register(5, 0, 'event');
    keys.leave();
    const cut = timers.cut();
    const batch = store.batch();
    const slices = cut.write({
      ...batch,
      put: (key: Uint8Array, value: Uint8Array) =>
        batch.put(
          key,
          value.map((byte) => byte ^ 1),
        ),
      delete: () => {},
    });
    while (slices.next().done !== true);
    await batch.write();
    await expect(setUp(undefined, store).timers.restore()).rejects.toThrow(/timer/);
  });
});

// ---------- recorded from Flink

interface Step {
  readonly op: 'element' | 'watermark' | 'processingTime' | 'endOfInput' | 'restore';
  readonly key: string;
  readonly value: readonly Command[];
  readonly ts: number | 'MAX';
}

interface Command {
  readonly cmd: string;
  readonly t: number | 'MAX';
  readonly dt: number;
  readonly until: number;
}

interface GoldenCase {
  readonly name: string;
  readonly config: { readonly onTimer?: readonly Command[] };
  readonly steps: readonly Step[];
  readonly expected: readonly (readonly {
    readonly timer?: string;
    readonly key: string;
    readonly at: number | 'MAX';
    readonly wm: number | string;
    readonly pt: number;
  }[])[];
  readonly counts: readonly (readonly [number, number, number])[];
}

const golden = JSON.parse(readFileSync(new URL('../../golden/06-timers.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly GoldenCase[];
};

const timeOf = (t: number | 'MAX'): number => (t === 'MAX' ? Infinity : t);

const runGolden = async ({ config, steps, expected, counts }: GoldenCase): Promise<void> => {
  const { state: store } = await new MemoryStorage().open();
  let clock = 0;
  let fired: unknown[] = [];
  const open = (): { keys: KeyContext; timers: TimerService } => {
    const system = setUp(({ timestamp, domain }, key) => {
      fired.push({ timer: domain, key, at: timestamp, wm: system.timers.watermark, pt: clock });
      for (const command of config.onTimer ?? []) perform(system.timers, command, timestamp);
    }, store);
    return system;
  };
  let system = open();
  for (const [index, step] of steps.entries()) {
    fired = [];
    if (step.op === 'element') {
      system.keys.enter(step.key);
      for (const command of step.value) perform(system.timers, command, 0);
      system.keys.leave();
    } else if (step.op === 'watermark') {
      system.timers.advanceWatermark(timeOf(step.ts));
    } else if (step.op === 'processingTime') {
      clock = timeOf(step.ts);
      system.timers.advanceProcessingTime(clock);
    } else if (step.op === 'restore') {
      await save(system.timers, store);
      system = open();
      await system.timers.restore();
    }
    const recorded = (expected[index] ?? [])
      .filter(({ timer }) => timer !== undefined)
      .map(({ timer, key, at, wm, pt }) => ({
        timer,
        key,
        at: at === 'MAX' ? Infinity : at,
        wm: wm === 'MIN' ? -Infinity : wm === 'MAX' ? Infinity : wm,
        pt,
      }));
    // Flink leaves the order of keys at one time open.
    expect(sortedByKey(fired as typeof recorded)).toEqual(sortedByKey(recorded));
    expect([system.timers.count.event, system.timers.count.processing]).toEqual(counts[index]?.slice(0, 2));
  }
};

const perform = (timers: TimerService, { cmd, t, dt, until }: Command, at: number): void => {
  const domain = cmd.includes('Proc') ? 'processing' : 'event';
  if (cmd.endsWith('Rel')) {
    if (at + dt <= until) timers.register(at + dt, 0, domain);
  } else if (cmd.startsWith('reg')) {
    timers.register(timeOf(t), 0, domain);
  } else if (cmd.startsWith('del')) {
    timers.delete(timeOf(t), 0, domain);
  }
};

/** Sorts what fired at one time in a row by key, and leaves the rest as it is. */
const sortedByKey = <T extends { readonly at: number; readonly key: string }>(list: readonly T[]): T[] => {
  const runs: T[][] = [];
  for (const item of list) {
    const last = runs.at(-1);
    if (last?.[0]?.at === item.at) last.push(item);
    else runs.push([item]);
  }
  return runs.flatMap((run) => run.sort((a, b) => (a.key < b.key ? -1 : 1)));
};

describe('family 06 of the recorded vectors', () => {
  it.each(golden.cases.map((vector) => [vector.name, vector] as const))('%s', async (_, vector) => {
    await runGolden(vector);
  });
});
