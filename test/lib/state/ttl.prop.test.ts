/** State with a time to live against a model that remembers everything and looks at ages when it is asked. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  aggregatingState,
  listState,
  mapState,
  reducingState,
  valueState,
} from '../../../lib/core/state-descriptor.ts';
import type { StateTtl } from '../../../lib/core/state-ttl.ts';
import { OperatorHarness } from '../../../lib/testing/harness.ts';
import { process, type } from '../../../operators/process.ts';

interface Command {
  readonly key: string;
  readonly cmd: 'put' | 'get' | 'clear';
  readonly sub: string;
  readonly v: number;
}

const statesOf = (ttl: StateTtl) => ({
  value: valueState<number>('value', { ttl }),
  sum: reducingState<number>('sum', (a, b) => a + b, { ttl }),
  all: aggregatingState<number, readonly number[], number>(
    'all',
    { createAccumulator: () => [], add: (v, all) => [...all, v], getResult: (all) => all.length },
    { ttl },
  ),
  list: listState<number>('list', { ttl }),
  map: mapState<string, number>('map', { ttl }),
  ordered: mapState<string, number>('ordered', { ttl, ordered: true }),
});

const operatorOf = (ttl: StateTtl) =>
  process({
    emits: type<unknown>(),
    state: statesOf(ttl),
    process({ cmd, sub, v }: Command, { state: { value, sum, all, list, map, ordered }, emit }) {
      if (cmd === 'put') {
        value.update(v);
        sum.add(v);
        all.add(v);
        list.add(v);
        map.set(sub, v);
        ordered.set(sub, v);
      } else if (cmd === 'clear') {
        for (const state of [value, sum, all, list, map, ordered]) state.clear();
      } else {
        emit({
          value: value.value(),
          sum: sum.get(),
          all: all.get(),
          list: [...list.values()],
          map: [...map.entries()].toSorted(),
          ordered: [...ordered.entries()],
        });
      }
    },
    onTimer() {},
  });

interface Cell<V> {
  at: number;
  value: V;
}

/** One key. */
class Model {
  readonly #ttl: number;
  readonly #onRead: boolean;
  #value: Cell<number> | undefined;
  #sum: Cell<number> | undefined;
  #all: Cell<number> | undefined;
  #list: Cell<number>[] = [];
  #map = new Map<string, Cell<number>>();

  constructor(ttl: number, onRead: boolean) {
    this.#ttl = ttl;
    this.#onRead = onRead;
  }

  put(sub: string, v: number, now: number): void {
    const [sum, all] = [this.#alive(this.#sum, now), this.#alive(this.#all, now)];
    this.#value = { at: now, value: v };
    this.#sum = { at: now, value: (sum?.value ?? 0) + v };
    this.#all = { at: now, value: (all?.value ?? 0) + 1 };
    this.#list.push({ at: now, value: v });
    this.#map.set(sub, { at: now, value: v });
  }

  clear(): void {
    [this.#value, this.#sum, this.#all] = [undefined, undefined, undefined];
    this.#list = [];
    this.#map.clear();
  }

  get(now: number): unknown {
    this.#list = this.#list.filter((cell) => this.#alive(cell, now) !== undefined);
    for (const [sub, cell] of this.#map) if (this.#alive(cell, now) === undefined) this.#map.delete(sub);
    const cells = [this.#alive(this.#value, now), this.#alive(this.#sum, now), this.#alive(this.#all, now)] as const;
    if (this.#onRead)
      for (const cell of [...cells, ...this.#list, ...this.#map.values()]) if (cell !== undefined) cell.at = now;
    const entries = [...this.#map].map(([sub, { value }]) => [sub, value]).toSorted();
    const [value, sum, all] = cells.map((cell) => cell?.value);
    return { value, sum, all, list: this.#list.map((cell) => cell.value), map: entries, ordered: entries };
  }

  #alive<V>(cell: Cell<V> | undefined, now: number): Cell<V> | undefined {
    return cell !== undefined && cell.at + this.#ttl > now ? cell : undefined;
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('command' as const),
      key: fc.constantFrom('a', 'b'),
      cmd: fc.constantFrom('put', 'put', 'put', 'get', 'clear'),
      sub: fc.constantFrom('x', 'y', 'z'),
      v: fc.nat(9),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('time' as const), by: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
);

describe.each(['processing', 'event'] as const)('state that lives for a time by %s time', (time) => {
  it('is never read when it has expired, and leaves nothing behind', async () => {
    const settings = fc.record({
      duration: fc.integer({ min: 1, max: 60 }),
      onRead: fc.boolean(),
      steps: fc.array(step, { maxLength: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(settings, async ({ duration, onRead, steps }) => {
        const operator = operatorOf({ duration, time, update: onRead ? 'read-and-write' : 'create-and-write' });
        const harness = await OperatorHarness.open(operator, { keyOf: ({ key }: Command) => key });
        const models = new Map<string, Model>();
        let now = 0;
        const advance = (by: number): void => {
          now += by;
          if (time === 'event') harness.watermark(now);
          else harness.processingTime(now);
        };
        advance(1);
        for (const each of steps) {
          if (each.kind === 'restore') await harness.restore(await harness.snapshot());
          else if (each.kind === 'time') advance(each.by);
          else {
            const model = models.get(each.key) ?? new Model(duration, onRead);
            models.set(each.key, model);
            const outputs = harness.element(each as Command, now); // Its words are those of a command.
            if (each.cmd === 'get')
              expect(outputs.map((output) => (output.kind === 'record' ? output.value : undefined))).toEqual([
                model.get(now),
              ]);
            else if (each.cmd === 'put') model.put(each.sub, each.v, now);
            else model.clear();
          }
        }
        expect(harness.timers).toEqual({ event: 0, processing: 0 }); // Nobody sees those of the state.
        // Renewed ones are looked at once more.
        for (let looks = 0; looks < 3; looks += 1) advance(2 * duration + 2);
        expect([(await harness.snapshot()).rows.length, harness.stateEntries]).toEqual([0, 0]);
      }),
      { numRuns: Number(globalThis.process.env['MILLRACE_RUNS'] ?? 150) },
    );
  });
});

it('what comes before the first watermark is as old as that', async () => {
  const harness = await OperatorHarness.open(operatorOf({ duration: 10, time: 'event' }), {
    keyOf: ({ key }: Command) => key,
  });
  const get = (): unknown => harness.element({ key: 'a', cmd: 'get', sub: 'x', v: 0 }, 0)[0];
  harness.element({ key: 'a', cmd: 'put', sub: 'x', v: 7 }, 0);
  harness.watermark(1000);
  expect(get()).toMatchObject({ value: { value: 7, list: [7], map: [['x', 7]] } });
  harness.watermark(1011);
  expect(get()).toMatchObject({ value: { list: [], map: [] } });
  harness.watermark(1100);
  expect((await harness.snapshot()).rows.length).toBe(0);
});

it('what comes before the only watermark, the last one, stays', async () => {
  const harness = await OperatorHarness.open(operatorOf({ duration: 10, time: 'event' }), {
    keyOf: ({ key }: Command) => key,
  });
  harness.element({ key: 'a', cmd: 'put', sub: 'x', v: 7 }, 0);
  expect(harness.watermark(Infinity)).toEqual([{ kind: 'watermark', timestamp: Infinity }]);
  expect(harness.element({ key: 'a', cmd: 'get', sub: 'x', v: 0 }, 0)[0]).toMatchObject({ value: { value: 7 } });
});

it('keys that come once leave the store and memory flat', async () => {
  const operator = process({
    state: { seen: valueState<number>('seen', { ttl: { duration: 100 } }) },
    process: (n: number, { state }) => state.seen.update(n),
  });
  const harness = await OperatorHarness.open(operator, { keyOf: (n: number) => n });
  const sizes: number[] = [];
  for (let n = 0; n < 20_000; n += 1) {
    harness.element(n);
    if (n % 10 === 9) harness.processingTime(n / 10);
    if (n % 5000 === 4999) sizes.push((await harness.snapshot()).rows.length);
  }
  expect(Math.max(...sizes)).toBeLessThan(2 * Math.min(...sizes));
  expect(harness.stateEntries).toBeLessThan(1300);
});
