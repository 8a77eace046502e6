/**
 * Timers against a naive model: a plain list from which the least due timer is taken. Callbacks register and delete
 * more timers, also in the past; cuts are written while timers change and fire, and a crash goes back to the last
 * durable one, whose timers are read when they are due or touched. Whether that has happened must not show.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Key } from '../../../lib/core/key.ts';
import type { StateCut } from '../../../lib/state/keyed-state.ts';
import type { Store, StoreBatch } from '../../../lib/state/store.ts';
import type { TimeDomain } from '../../../lib/core/timer.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import { TimerService } from '../../../lib/state/timers.ts';
import { everyTimer, type StoredTimer } from '../../../lib/state/every-timer.ts';
import { keyBytes, mapKeyOf } from '../../../lib/core/key.ts';
import { manyKeys } from '../../../lib/state/key-order.ts';

interface ModelTimer {
  readonly key: Key;
  readonly time: number;
  readonly namespace: number;
  readonly domain: StoredTimer['domain'];
}

interface Registry {
  register(timer: ModelTimer): void;
  delete(timer: ModelTimer): void;
}

const nameOf = ({ key, time, namespace, domain }: ModelTimer): string =>
  `${domain} ${time} ${String(mapKeyOf(key))} ${namespace}`;

const isBefore = (a: ModelTimer, b: ModelTimer): boolean =>
  a.time !== b.time
    ? a.time < b.time
    : (Buffer.compare(keyBytes(a.key), keyBytes(b.key)) || a.namespace - b.namespace) < 0;

class Model implements Registry {
  timers = new Map<string, ModelTimer>();

  register(timer: ModelTimer): void {
    if (!this.timers.has(nameOf(timer))) this.timers.set(nameOf(timer), timer);
  }

  delete(timer: ModelTimer): void {
    this.timers.delete(nameOf(timer));
  }

  advance(domain: TimeDomain, to: number, max: number, fire: (timer: ModelTimer) => void): void {
    for (let left = max; left > 0; left -= 1) {
      let next: ModelTimer | undefined;
      for (const timer of this.timers.values())
        if (timer.domain === domain && timer.time <= to && (next === undefined || isBefore(timer, next))) next = timer;
      if (next === undefined) return;
      this.delete(next);
      fire(next);
    }
  }

  /** Whether so few timers have the least time that they may fire in the turn that makes them due. */
  isReady(domain: TimeDomain, to: number): boolean {
    const due = [...this.timers.values()].filter((timer) => timer.domain === domain && timer.time <= to);
    const least = Math.min(...due.map(({ time: at }) => at));
    return due.filter(({ time: at }) => at === least).length < manyKeys;
  }
}

const keyPool: readonly Key[] = [
  'a',
  'b',
  'ab',
  '',
  '\u{1f600}',
  '\uffee',
  '\0t',
  2,
  10,
  -1,
  ['a', 1],
  ['a', 2],
  true,
  5n,
];
const plainPool: readonly Key[] = ['a', 'b', 'ab', 'c', 'ca', 'é'];
const domain = fc.constantFrom<TimeDomain>('event', 'processing');
const time = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -3, max: 9 }) },
  { weight: 2, arbitrary: fc.constantFrom(Infinity, 12.5, -Infinity, 2 ** 18, 2 ** 18 + 1, -(2 ** 18), 1e12, 1e300) },
);

type Operation =
  | ({ readonly kind: 'register' | 'delete' } & ModelTimer)
  | { readonly kind: 'advance'; readonly domain: TimeDomain; readonly step: number; readonly max: number }
  | ({ readonly kind: 'many'; readonly from: number; readonly count: number } & Pick<ModelTimer, 'domain' | 'time'>)
  | { readonly kind: 'cut' | 'slice' | 'durable' | 'crash' };

const history = (keys: readonly Key[], many: number): fc.Arbitrary<Operation[]> => {
  const timer = { key: fc.constantFrom(...keys), time, namespace: fc.constantFrom(0, 0, 1, 1, -5, 2.5), domain };
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('register' as const), ...timer }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), ...timer }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('advance' as const),
          domain,
          step: fc.oneof(fc.nat(6), fc.nat(2 ** 19)),
          max: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 9 })),
        }),
      },
      {
        weight: many,
        arbitrary: fc.record({
          kind: fc.constant('many' as const),
          domain,
          time: fc.integer({ min: 4, max: 6 }),
          from: fc.nat(300),
          count: fc.constantFrom(20, 130, 300, 600),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom(
            'cut' as const,
            'slice' as const,
            'durable' as const,
            'durable' as const,
            'durable' as const,
            'crash' as const,
          ),
        }),
      },
    ),
    { maxLength: 80, size: 'max' },
  );
};

/**
 * What a callback does depends on the timer and on how many have fired, so system and model do the same as long as they
 * agree.
 */
const callback = (fired: ModelTimer, count: number, registry: Registry): void => {
  if (count % 2 === 0) registry.register({ ...fired, time: fired.time + (count % 5) - 2 });
  if (count % 3 === 0) registry.delete({ ...fired, namespace: 1 });
  if (count % 7 === 0) registry.register({ ...fired, namespace: 1 });
  if (count % 5 === 0) registry.register({ ...fired, namespace: 3 });
};

/** Callbacks that register stop after this many firings of one advance, so that every advance ends. */
const chainMax = 40;

const run = async (operations: readonly Operation[], unique = true): Promise<void> => {
  const { state: store } = await new MemoryStorage().open();
  const system = new System(store, unique);
  let model = new Model();
  let clocks = { event: -Infinity, processing: -Infinity };
  let atCut = { timers: new Map(model.timers), clocks };
  let durable = atCut;
  const begun = new Set<TimeDomain>();
  const register = (timer: ModelTimer): void => {
    if (unique || !model.timers.has(nameOf(timer))) system.with(timer.key, () => system.register(timer));
    model.register(timer);
  };
  for (const operation of operations) {
    switch (operation.kind) {
      case 'register':
        register(operation);
        break;
      case 'delete':
        if (!unique) break;
        system.with(operation.key, () => system.delete(operation));
        model.delete(operation);
        break;
      case 'many':
        for (let n = operation.from; n < operation.from + operation.count; n += 1)
          register({ key: `key-${n}`, time: operation.time, namespace: 0, domain: operation.domain });
        break;
      case 'advance': {
        const { max } = operation;
        const from = clocks[operation.domain] === -Infinity ? 0 : clocks[operation.domain];
        const to = from + operation.step;
        clocks =
          operation.domain === 'event'
            ? { event: to, processing: clocks.processing }
            : { event: clocks.event, processing: to };
        const isReady = system.isReady(operation.domain, to);
        // Those that have begun to fire go on.
        if (!begun.has(operation.domain)) expect(isReady).toBe(model.isReady(operation.domain, to));
        const expected: string[] = [];
        model.advance(operation.domain, to, max, (timer) => {
          expected.push(nameOf(timer));
          if (unique && expected.length < chainMax) callback(timer, expected.length, model);
        });
        expect(system.advance(operation.domain, to, max)).toEqual(expected);
        if (expected.length === max) begun.add(operation.domain);
        else begun.delete(operation.domain);
        break;
      }
      case 'cut':
        if (system.cut !== undefined) break;
        system.startCut();
        atCut = { timers: new Map(model.timers), clocks };
        break;
      case 'slice':
        system.cut?.slices.next();
        break;
      case 'durable': {
        if (system.cut === undefined) break;
        await system.finishCut();
        durable = atCut;
        const stored: string[] = [];
        for await (const timer of everyTimer(store)) stored.push(nameOf(timer));
        expect(stored.toSorted()).toEqual([...durable.timers.keys()].toSorted());
        break;
      }
      case 'crash':
        await system.reopen(durable.clocks);
        model = new Model();
        model.timers = new Map(durable.timers);
        clocks = durable.clocks;
        break;
    }
    expect(system.service.count).toEqual(countOf(model));
    let next: number | undefined;
    for (const timer of model.timers.values())
      if (timer.domain === 'processing') next = Math.min(next ?? Infinity, timer.time);
    expect(system.service.nextProcessingTime).toBe(next);
  }
};

const countOf = (model: Model): Record<TimeDomain, number> => {
  const of = (name: TimeDomain): number => [...model.timers.values()].filter((timer) => timer.domain === name).length;
  return { event: of('event'), processing: of('processing') };
};

class System implements Registry {
  readonly #store: Store;
  readonly #unique: boolean;
  #keys = new KeyContext();
  #fired: string[] = [];
  service: TimerService;
  cut: { readonly cut: StateCut; readonly batch: StoreBatch; readonly slices: Iterator<void> } | undefined;

  constructor(store: Store, unique: boolean) {
    this.#store = store;
    this.#unique = unique;
    this.service = this.#open();
  }

  with(key: Key, fn: () => void): void {
    this.#keys.enter(key);
    fn();
    this.#keys.leave();
  }

  register(timer: ModelTimer): void {
    this.service.register(timer.time, timer.namespace, timer.domain);
  }

  delete(timer: ModelTimer): void {
    this.service.delete(timer.time, timer.namespace, timer.domain as TimeDomain);
  }

  /** Whether it is when the time has come; then some steps are made. */
  isReady(name: TimeDomain, to: number): boolean {
    this.service.begin(name, to);
    const isReady = this.service.isReady(name);
    for (let steps = 0; !this.service.isReady(name) && steps < 3; steps += 1) this.service.prepare(name);
    return isReady;
  }

  advance(name: TimeDomain, to: number, max: number): string[] {
    this.#fired = [];
    this.service.begin(name, to);
    this.service.fire(name, max);
    return this.#fired;
  }

  startCut(): void {
    const cut = this.service.cut();
    const batch = this.#store.batch();
    this.cut = { cut, batch, slices: cut.write(batch) };
  }

  async finishCut(): Promise<void> {
    const { cut } = this;
    if (cut === undefined) return;
    while (cut.slices.next().done !== true);
    await cut.batch.write();
    cut.cut.durable();
    await cut.batch.close();
    this.cut = undefined;
  }

  async reopen(clocks: Readonly<Record<TimeDomain, number>>): Promise<void> {
    await this.cut?.batch.close();
    this.cut = undefined;
    this.service = this.#open();
    await this.service.restore();
    this.service.watermark = clocks.event;
    expect(this.service.dirtyEntries).toBe(0);
  }

  #open(): TimerService {
    const keys = new KeyContext();
    this.#keys = keys;
    return new TimerService({
      op: 3,
      keys,
      maxParallelism: 16,
      unique: this.#unique,
      store: this.#store,
      fire: ({ timestamp, namespace, domain: name }) => {
        const timer = { key: keys.key, time: timestamp, namespace, domain: name };
        this.#fired.push(nameOf(timer));
        if (this.#unique && this.#fired.length < chainMax) callback(timer, this.#fired.length, this);
      },
    });
  }
}

it('T-01 to T-04, T-06: fire as the model does, over cuts and crashes', async () => {
  await fc.assert(
    fc.asyncProperty(history(keyPool, 0), (operations) => run(operations)),
    { numRuns: 150 },
  );
});

it('fires plain text keys, which have a fast order of their own, as the model does', async () => {
  await fc.assert(
    fc.asyncProperty(history(plainPool, 0), (operations) => run(operations)),
    { numRuns: 100 },
  );
});

it('fires many timers of few times as the model does, half of them before a cut, read or not', async () => {
  await fc.assert(
    fc.asyncProperty(history(plainPool, 4), (operations) => run(operations)),
    { numRuns: 25 },
  );
});

it('fires timers of which each is registered once as the model does', async () => {
  await fc.assert(
    fc.asyncProperty(history(plainPool, 1), (operations) => run(operations, false)),
    { numRuns: 25 },
  );
});
