/** What is read of stored timers, and when; and that what a store holds of them stays in proportion to them. */
import { describe, expect, it } from 'vitest';
import { everyTimer } from '../../../lib/state/every-timer.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import type { Store } from '../../../lib/state/store.ts';
import { TimerService } from '../../../lib/state/timers.ts';

/** A store that counts reads of single rows. */
class Disk {
  reads = 0;
  readonly store: Store;

  private constructor(store: Store) {
    this.store = {
      get: (key) => {
        this.reads += 1;
        return store.get(key);
      },
      entries: (range) => store.entries(range),
      batch: () => store.batch(),
      clear: (range) => store.clear(range),
      close: () => store.close(),
    };
  }

  static async open(): Promise<Disk> {
    const { state } = await new MemoryStorage().open();
    return new Disk(state);
  }

  async life(unique = true): Promise<Life> {
    const life = new Life(this.store, unique);
    await life.timers.restore();
    this.reads = 0;
    return life;
  }

  async rows(): Promise<number> {
    let count = 0;
    const all = { gte: Uint8Array.of(0), lt: Uint8Array.of(0xff) };
    for await (const row of this.store.entries(all)) count += row.length / 2;
    return count;
  }
}

class Life {
  readonly keys = new KeyContext();
  readonly fired: string[] = [];
  readonly timers: TimerService;
  readonly #store: Store;

  constructor(store: Store, unique: boolean) {
    this.#store = store;
    const fire = ({ timestamp }: { timestamp: number }): void =>
      void this.fired.push(`${timestamp} ${String(this.keys.key)}`);
    this.timers = new TimerService({ op: 1, keys: this.keys, maxParallelism: 128, unique, store, fire });
  }

  register(key: string, time: number): void {
    this.keys.within(key, () => this.timers.register(time, 0, 'event'));
  }

  delete(key: string, time: number): void {
    this.keys.within(key, () => this.timers.delete(time, 0, 'event'));
  }

  async save(): Promise<number> {
    const cut = this.timers.cut();
    const batch = this.#store.batch();
    for (const slices = cut.write(batch); slices.next().done !== true;);
    const { length } = batch;
    await batch.write();
    cut.durable();
    return length;
  }
}

const keyOf = (n: number): string => `key-${n}`;

describe('stored timers', () => {
  it('are written in chunks, and a start reads none of them', async () => {
    const disk = await Disk.open();
    const first = await disk.life(false);
    for (let n = 0; n < 10_000; n += 1) first.register(keyOf(n), 1000 * (n % 4));
    expect(await first.save()).toBeLessThan(60);
    const second = await disk.life(false);
    expect([second.timers.count.event, second.timers.dirtyEntries, disk.reads]).toEqual([10_000, 0, 0]);
    second.register('more', 2000);
    expect(disk.reads).toBe(0);
    second.timers.advanceWatermark(1000);
    expect(second.fired.length).toBe(5000);
    expect(disk.reads).toBeLessThan(30);
    second.timers.advanceWatermark(3000);
    expect(second.fired.length).toBe(10_001);
    await second.save();
    expect(await disk.rows()).toBe(0);
  });

  it('of one key are told by the chunks of its group', async () => {
    const disk = await Disk.open();
    const first = await disk.life();
    for (let n = 0; n < 20_000; n += 1) first.register(keyOf(n), 1000);
    await first.save();
    const second = await disk.life();
    second.register(keyOf(7), 1000);
    expect(second.timers.count.event).toBe(20_000);
    second.delete(keyOf(7), 1000);
    second.register('another', 1000);
    expect([second.timers.count.event, second.timers.dirtyEntries]).toEqual([20_000, 2]);
    expect(disk.reads).toBeLessThan(6);
    expect(await second.save()).toBe(2);
    const third = await disk.life();
    third.timers.advanceWatermark(1000);
    expect(third.fired.length).toBe(20_000);
    expect(third.fired).not.toContain(`1000 ${keyOf(7)}`);
  });

  it('at a million different times cost a start a page each 4 minutes', async () => {
    const disk = await Disk.open();
    const first = await disk.life();
    for (let n = 0; n < 5000; n += 1) first.register(keyOf(n), n * 200);
    await first.save();
    expect(await disk.rows()).toBeLessThan(30);
    const second = await disk.life();
    second.timers.advanceWatermark(100);
    expect([second.fired, disk.reads]).toEqual([['0 key-0'], 1]);
    second.timers.advanceWatermark(Infinity);
    expect(second.fired.length).toBe(5000);
  });

  it('of a time that has fired in part do not fire again', async () => {
    const disk = await Disk.open();
    const first = await disk.life();
    for (let n = 0; n < 1000; n += 1) first.register(keyOf(n), 5);
    await first.save();
    first.timers.begin('event', 5);
    first.timers.fire('event', 400);
    await first.save();
    const second = await disk.life();
    expect(second.timers.count.event).toBe(600);
    second.timers.advanceWatermark(5);
    expect([...first.fired, ...second.fired].toSorted()).toEqual(
      Array.from({ length: 1000 }, (_, n) => `5 ${keyOf(n)}`).toSorted(),
    );
  });

  it('take no more room however often they are written, deleted and registered again', async () => {
    const disk = await Disk.open();
    const first = await disk.life();
    for (let round = 0; round < 400; round += 1) {
      first.register(`once-${round}`, 9000);
      for (let n = 0; n < 40; n += 1) {
        if (round % 2 === 0) first.register(keyOf(n), 10_000);
        else first.delete(keyOf(n), 10_000);
      }
      first.register('stays', 10_000);
      await first.save();
    }
    expect(await disk.rows()).toBeLessThan(60);
    let stored = 0;
    for await (const { time } of everyTimer(disk.store)) stored += time > 0 ? 1 : 0;
    expect(stored).toBe(401);
  });
});
