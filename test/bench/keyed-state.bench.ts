/**
 * Cost of a keyed count through a value state beside a bare `Map`, of a window's panes through a map state, of timers,
 * and the memory of an idle key. Run: `node --expose-gc --import tsx test/bench/keyed-state.bench.ts [keys]`.
 */
import type { MapState, ValueState } from '../../lib/core/state-descriptor.ts';
import { KeyContext } from '../../lib/state/key-context.ts';
import { MemoryStorage } from '../../lib/state/memory-storage.ts';
import { TimerService } from '../../lib/state/timers.ts';
import { WorkingSet } from '../../lib/state/keyed-state.ts';
import { mapState, valueState } from '../../lib/core/state-descriptor.ts';

const keyCount = Number(process.argv[2] ?? 10_000);
const recordCount = 3_000_000;
const rounds = 5;

interface Input {
  readonly key: string;
  readonly value: number;
}

const keyNames = Array.from({ length: keyCount }, (_, i) => `key-${i}`);
const inputs: Input[] = [];
for (let i = 0, seed = 1; i < recordCount; i += 1) {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  inputs.push({ key: keyNames[(seed >>> 8) % keyCount] ?? '', value: i });
}

const { state: store } = await new MemoryStorage().open();
const maxParallelism = 128;
let sum = 0;

const bare = (): void => {
  const map = new Map<string, number>();
  for (const { key } of inputs) {
    const count = (map.get(key) ?? 0) + 1;
    map.set(key, count);
    sum += count;
  }
};

const counted = (restored: boolean): { run: () => void; handle: ValueState<number> } => {
  const keys = new KeyContext();
  const set = new WorkingSet({ store, maxParallelism, restored });
  const handle = set.operator(0, keys).state(valueState<number>('count'));
  const run = (): void => {
    for (const { key } of inputs) {
      keys.enter(key);
      const count = (handle.value() ?? 0) + 1;
      handle.update(count);
      sum += count;
      keys.leave();
    }
  };
  return { run, handle };
};

const panes = (): { run: () => void; handle: MapState<number, { count: number }> } => {
  const keys = new KeyContext();
  const set = new WorkingSet({ store, maxParallelism, restored: false });
  const handle = set.operator(0, keys).state(mapState<number, { count: number }>('panes', { indexed: false }));
  const run = (): void => {
    for (const { key, value } of inputs) {
      keys.enter(key);
      const pane = value - (value % 1_000_000);
      const count = (handle.get(pane)?.count ?? 0) + 1;
      handle.set(pane, { count });
      keys.leave();
    }
  };
  return { run, handle };
};

const timed = (fn: () => void): number => {
  const start = performance.now();
  fn();
  return performance.now() - start;
};

const median = (fn: () => void): number => {
  const times = Array.from({ length: rounds }, () => timed(fn)).sort((a, b) => a - b);
  return times[Math.floor(rounds / 2)] ?? Number.NaN;
};

const report = (name: string, ms: number, base: number): void =>
  console.log(`${name.padEnd(22)} ${(recordCount / ms / 1000).toFixed(2)} M/s  ${(ms / base).toFixed(2)}x`);

console.log(`${keyCount} keys, ${recordCount} records`);
bare();
const base = median(bare);
report('bare Map', base, base);
report('value state, warm', median(counted(false).run), base);
report(
  'value state, fresh',
  median(() => counted(false).run()),
  base,
);
report(
  'value state, restored',
  median(() => counted(true).run()),
  base,
);
report(
  'panes, fresh',
  median(() => panes().run()),
  base,
);

const heap = (): number => {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};

/** Writes and drops everything a cut holds; returns the milliseconds its slices took. */
const cutOf = async (set: WorkingSet): Promise<number> => {
  const cut = set.cut();
  const batch = store.batch();
  const slices = cut.write(batch);
  const ms = timed(() => {
    while (slices.next().done !== true);
  });
  await batch.close();
  cut.durable();
  return ms;
};

const idleCount = 200_000;

{
  const before = heap();
  const keys = new KeyContext();
  const set = new WorkingSet({ store, maxParallelism, restored: false });
  const handle = set.operator(0, keys).state(valueState<number>('count'));
  for (let i = 0; i < idleCount; i += 1) {
    keys.enter(`idle-${i}`);
    handle.update(i);
    keys.leave();
  }
  const dirty = heap();
  const ms = await cutOf(set);
  const each = (bytes: number): string => ((bytes - before) / idleCount).toFixed(0);
  console.log(
    `idle key ${each(heap())} B, dirty ${each(dirty)} B, slices of a cut of ${set.entries} keys ${ms.toFixed(0)} ms`,
  );
}

{
  const keys = new KeyContext();
  let fired = 0;
  const before = heap();
  const timers = new TimerService({ op: 0, keys, maxParallelism, fire: () => (fired += 1) });
  const registering = timed(() => {
    for (let i = 0; i < 100_000; i += 1) {
      keys.enter(`key-${i}`);
      timers.register(1000, 0, 'event');
      keys.leave();
    }
  });
  const bytes = (heap() - before) / 100_000;
  const firing = timed(() => timers.advanceWatermark(1000));
  console.log(
    `100k timers of one time: register ${registering.toFixed(0)} ms, fire ${firing.toFixed(0)} ms (${fired}), ${bytes.toFixed(0)} B each`,
  );
}
