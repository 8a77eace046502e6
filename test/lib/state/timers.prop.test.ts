/**
 * Timers against a naive model: a plain list from which the least due timer is taken. Callbacks register and delete
 * more timers, also in the past; cuts are written while timers change, and a crash goes back to the last durable one.
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
import { keyBytes, mapKeyOf } from '../../../lib/core/key.ts';

interface ModelTimer {
  readonly key: Key;
  readonly time: number;
  readonly namespace: number;
  readonly domain: TimeDomain;
}

interface Registry {
  register(timer: ModelTimer): void;
  delete(timer: ModelTimer): void;
}

const nameOf = ({ key, time, namespace, domain }: ModelTimer): string =>
  `${domain} ${time} ${String(mapKeyOf(key))} ${namespace}`;

class Model implements Registry {
  timers = new Map<string, ModelTimer>();

  register(timer: ModelTimer): void {
    if (!this.timers.has(nameOf(timer))) this.timers.set(nameOf(timer), timer);
  }

  delete(timer: ModelTimer): void {
    this.timers.delete(nameOf(timer));
  }

  advance(domain: TimeDomain, to: number, fire: (timer: ModelTimer) => void): void {
    for (;;) {
      const [next] = [...this.timers.values()]
        .filter((timer) => timer.domain === domain && timer.time <= to)
        .sort(
          (a, b) => a.time - b.time || Buffer.compare(keyBytes(a.key), keyBytes(b.key)) || a.namespace - b.namespace,
        );
      if (next === undefined) return;
      this.delete(next);
      fire(next);
    }
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
const time = fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(Infinity, 12.5, -Infinity));

type Operation =
  | ({ readonly kind: 'register' | 'delete' } & ModelTimer)
  | { readonly kind: 'advance'; readonly domain: TimeDomain; readonly step: number }
  | { readonly kind: 'cut' | 'slice' | 'durable' | 'crash' };

const history = (keys: readonly Key[]): fc.Arbitrary<Operation[]> => {
  const timer = { key: fc.constantFrom(...keys), time, namespace: fc.constantFrom(0, 0, 1, 1, -5, 2.5), domain };
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('register' as const), ...timer }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), ...timer }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), domain, step: fc.nat(6) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom(
            'cut' as const,
            'slice' as const,
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

const run = async (operations: readonly Operation[]): Promise<void> => {
  const { state: store } = await new MemoryStorage().open();
  const system = new System(store);
  let model = new Model();
  let clocks = { event: -Infinity, processing: -Infinity };
  let atCut = { timers: new Map(model.timers), clocks };
  let durable = atCut;
  for (const operation of operations) {
    switch (operation.kind) {
      case 'register':
      case 'delete':
        system.with(operation.key, () => system[operation.kind](operation));
        model[operation.kind](operation);
        break;
      case 'advance': {
        const from = clocks[operation.domain] === -Infinity ? 0 : clocks[operation.domain];
        const to = from + operation.step;
        clocks =
          operation.domain === 'event'
            ? { event: to, processing: clocks.processing }
            : { event: clocks.event, processing: to };
        const expected: string[] = [];
        model.advance(operation.domain, to, (timer) => {
          expected.push(nameOf(timer));
          if (expected.length < chainMax) callback(timer, expected.length, model);
        });
        expect(system.advance(operation.domain, to)).toEqual(expected);
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
      case 'durable':
        if (system.cut === undefined) break;
        await system.finishCut();
        durable = atCut;
        break;
      case 'crash':
        await system.reopen(durable.clocks.event);
        model = new Model();
        model.timers = new Map(durable.timers);
        clocks = durable.clocks;
        break;
    }
    expect(system.service.count).toEqual(countOf(model));
    const processing = [...model.timers.values()]
      .filter((timer) => timer.domain === 'processing')
      .map((timer) => timer.time);
    expect(system.service.nextProcessingTime).toBe(processing.length === 0 ? undefined : Math.min(...processing));
  }
};

const countOf = (model: Model): Record<TimeDomain, number> => {
  const of = (name: TimeDomain): number => [...model.timers.values()].filter((timer) => timer.domain === name).length;
  return { event: of('event'), processing: of('processing') };
};

class System implements Registry {
  readonly #store: Store;
  #keys = new KeyContext();
  #fired: string[] = [];
  service: TimerService;
  cut: { readonly cut: StateCut; readonly batch: StoreBatch; readonly slices: Iterator<void> } | undefined;

  constructor(store: Store) {
    this.#store = store;
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
    this.service.delete(timer.time, timer.namespace, timer.domain);
  }

  advance(name: TimeDomain, to: number): string[] {
    this.#fired = [];
    if (name === 'event') this.service.advanceWatermark(to);
    else this.service.advanceProcessingTime(to);
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

  async reopen(watermark: number): Promise<void> {
    await this.cut?.batch.close();
    this.cut = undefined;
    this.service = this.#open();
    await this.service.restore(this.#store);
    this.service.watermark = watermark;
    expect(this.service.dirtyEntries).toBe(0);
  }

  #open(): TimerService {
    const keys = new KeyContext();
    this.#keys = keys;
    return new TimerService({
      op: 3,
      keys,
      maxParallelism: 16,
      fire: ({ timestamp, namespace, domain: name }) => {
        const timer = { key: keys.key, time: timestamp, namespace, domain: name };
        this.#fired.push(nameOf(timer));
        if (this.#fired.length < chainMax) callback(timer, this.#fired.length, this);
      },
    });
  }
}

it('T-01 to T-04, T-06: fire as the model does, over cuts and crashes', async () => {
  await fc.assert(fc.asyncProperty(history(keyPool), run), { numRuns: 150 });
});

it('fires plain text keys, which have a fast order of their own, as the model does', async () => {
  await fc.assert(fc.asyncProperty(history(plainPool), run), { numRuns: 100 });
});
