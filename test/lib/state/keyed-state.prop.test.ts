/**
 * Random histories of four states over a few keys, with cuts whose rows are written while the state changes, eviction
 * and crashes, against plain maps (I4, risk 5). The same history runs a second time with cuts that are written at once:
 * both leave the same bytes.
 */
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { isDeepStrictEqual } from 'node:util';
import type { Key } from '../../../lib/core/key.ts';
import type { StateCut } from '../../../lib/state/keyed-state.ts';
import type { Store, StoreBatch } from '../../../lib/state/store.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';
import { WorkingSet } from '../../../lib/state/keyed-state.ts';
import { listState, mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import { mapKeyOf } from '../../../lib/core/key.ts';

interface Box {
  count: number;
}

interface Options {
  readonly cacheMax: number;
  readonly freeze: boolean;
}

// ---------- the model

interface KeyModel {
  value: Box | undefined;
  list: number[];
  map: Map<string | number, Box>;
  panes: Map<number, Box>;
}

const emptyKey = (): KeyModel => ({ value: undefined, list: [], map: new Map(), panes: new Map() });

class Model {
  readonly keys = new Map<unknown, KeyModel>();

  at(key: Key): KeyModel {
    const mapKey = mapKeyOf(key);
    const known = this.keys.get(mapKey) ?? emptyKey();
    this.keys.set(mapKey, known);
    return known;
  }

  copy(): Model {
    const model = new Model();
    for (const [key, state] of this.keys) model.keys.set(key, structuredClone(state));
    return model;
  }
}

// ---------- the system

const keyPool: readonly Key[] = ['a', 3, ['a', 3], '\0t'];

const openHandles = (store: Store, options: Options, restored: boolean) => {
  const keys = new KeyContext();
  const set = new WorkingSet({ store, maxParallelism: 8, restored, ...options });
  const state = set.operator(7, keys);
  state.openPhase = true;
  return {
    keys,
    set,
    value: state.state(valueState<Box>('value')),
    list: state.state(listState<number>('list')),
    map: state.state(mapState<string | number, Box>('map')),
    panes: state.state(mapState<number, Box>('panes', { indexed: false, inPlace: true })),
  };
};

class System {
  store: Store;
  readonly #options: Options;
  handles: ReturnType<typeof openHandles>;
  cut: { cut: StateCut; batch: StoreBatch | undefined; slices: Iterator<void> | undefined } | undefined;
  /** What is left to do behind a cut that is durable. */
  forgetting: Iterator<void> | undefined;

  constructor(store: Store, options: Options) {
    this.store = store;
    this.#options = options;
    this.handles = openHandles(store, options, false);
  }

  reopen(restored: boolean): void {
    this.handles = openHandles(this.store, this.#options, restored);
    this.cut = undefined;
    this.forgetting = undefined;
  }

  with<R>(key: Key, fn: () => R): R {
    this.handles.keys.enter(key);
    try {
      return fn();
    } finally {
      this.handles.keys.leave();
    }
  }

  /** The coordinator takes no cut before it is done. */
  forget(): void {
    while (this.forgetting?.next().done === false);
  }

  startWrite(): void {
    if (this.cut === undefined || this.cut.slices !== undefined) return;
    this.cut.batch = this.store.batch();
    this.cut.slices = this.cut.cut.write(this.cut.batch);
  }

  async finishCut(): Promise<void> {
    const { cut } = this;
    if (cut === undefined) return;
    this.startWrite();
    while (cut.slices?.next().done === false);
    await cut.batch?.write();
    this.forgetting = cut.cut.durable();
    await cut.batch?.close();
    this.cut = undefined;
  }
}

const dump = async (store: Store): Promise<string[]> => {
  const rows: string[] = [];
  const range = { gte: Buffer.of(0), lt: Buffer.of(0xff) };
  for await (const [key, value] of store.entries(range))
    rows.push(`${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString('utf8', 5)}`);
  return rows;
};

const copyStore = async (store: Store): Promise<Store> => {
  const { state } = await new MemoryStorage().open();
  const batch = state.batch();
  for await (const [key, value] of store.entries({ gte: Buffer.of(0), lt: Buffer.of(0xff) })) batch.put(key, value);
  await batch.write();
  await batch.close();
  return state;
};

// ---------- operations

type PaneChange = 'setPane' | 'growPane' | 'setPaneAgain';

type Operation =
  | { readonly kind: 'update' | 'add' | 'mutate'; readonly key: Key; readonly count: number }
  | { readonly kind: 'read' | 'clearValue' | 'clearList' | 'clearMap'; readonly key: Key }
  | { readonly kind: 'shift'; readonly key: Key; readonly count: number }
  | { readonly kind: 'set' | 'mutateEntry'; readonly key: Key; readonly sub: string | number; readonly count: number }
  | { readonly kind: 'delete'; readonly key: Key; readonly sub: string | number }
  | { readonly kind: PaneChange; readonly key: Key; readonly sub: number; readonly count: number }
  | { readonly kind: 'deletePane'; readonly key: Key; readonly sub: number }
  | { readonly kind: 'bulk'; readonly count: number }
  | { readonly kind: 'bulkPanes' | 'dropBulkPanes'; readonly sub: number; readonly from: number; readonly to: number }
  | { readonly kind: 'cut' | 'write' | 'slice' | 'durable' | 'forget' | 'crash' };

const key = fc.constantFrom(...keyPool);
const sub = fc.constantFrom<string | number>(
  '1',
  1,
  '',
  'x',
  -2.5,
  Infinity,
  ...Array.from({ length: 12 }, (_, i) => i),
);
const pane = fc.constantFrom(0, 1000, 2000, -1000, ...Array.from({ length: 8 }, (_, i) => 3000 + i));
const count = fc.nat(1000);
const amount = fc.constantFrom(1, 1, 2, 5, 63, 64, 65, 130);

const stateOperation = fc.oneof(
  fc.record({ kind: fc.constant('update' as const), key, count }),
  fc.record({ kind: fc.constant('mutate' as const), key, count }),
  fc.record({ kind: fc.constant('add' as const), key, count: amount }),
  fc.record({ kind: fc.constant('shift' as const), key, count: amount }),
  fc.record({
    kind: fc.constantFrom('read' as const, 'clearValue' as const, 'clearList' as const, 'clearMap' as const),
    key,
  }),
  fc.record({ kind: fc.constantFrom('set' as const, 'mutateEntry' as const), key, sub, count }),
  fc.record({ kind: fc.constant('delete' as const), key, sub }),
  fc.record({ kind: fc.constantFrom<PaneChange>('setPane', 'growPane', 'setPaneAgain'), key, sub: pane, count }),
  fc.record({ kind: fc.constant('deletePane' as const), key, sub: pane }),
  fc.record({ kind: fc.constant('bulk' as const), count }),
  fc.record({
    kind: fc.constantFrom('bulkPanes' as const, 'bulkPanes' as const, 'dropBulkPanes' as const),
    sub: pane,
    from: fc.nat(150),
    to: fc.nat(150),
  }),
);

const cutOperation = fc.record({
  kind: fc.constantFrom(
    'cut' as const,
    'cut' as const,
    'write' as const,
    'slice' as const,
    'durable' as const,
    'durable' as const,
    'forget' as const,
    'crash' as const,
  ),
});

const operations: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: stateOperation }, { weight: 2, arbitrary: cutOperation }),
  {
    minLength: 1,
    maxLength: 120,
    size: 'max',
  },
);

const bulkKeys = Array.from({ length: 90 }, (_, i) => `bulk-${i}`);

/** So many that the column of a pane is now an index of few of them, now a list of all. */
const paneKeys = Array.from({ length: 150 }, (_, i) => `pane-${i}`);

/** Does it to the system; `freeze` says that values must not be changed in place. */
const applyToSystem = (system: System, operation: Operation, freeze: boolean): void => {
  const inPlace = (box: Box, by: number): Box => {
    box.count += by;
    return box;
  };
  const grown = (box: Box, by: number): Box => (freeze ? { count: box.count + by } : inPlace(box, by));
  if (operation.kind === 'bulk') {
    for (const name of bulkKeys) system.with(name, () => system.handles.value.update({ count: operation.count }));
  } else if (operation.kind === 'bulkPanes' || operation.kind === 'dropBulkPanes') {
    const { sub: at, from, to, kind } = operation;
    for (const name of paneKeys.slice(from, to)) {
      system.with(name, () => {
        if (kind === 'bulkPanes') system.handles.panes.set(at, { count: from });
        else system.handles.panes.delete(at);
      });
    }
  } else if ('key' in operation) {
    const { value, list, map, panes } = system.handles;
    system.with(operation.key, () => {
      switch (operation.kind) {
        case 'update':
          return value.update({ count: operation.count });
        case 'mutate': {
          const box = value.value();
          return box === undefined ? undefined : value.update(grown(box, operation.count));
        }
        case 'add':
          for (let i = 0; i < operation.count; i += 1) list.add(i);
          return undefined;
        case 'shift':
          for (let i = 0; i < operation.count; i += 1) list.shift();
          return undefined;
        case 'read':
          return undefined;
        case 'clearValue':
          return value.clear();
        case 'clearList':
          return list.clear();
        case 'clearMap':
          return map.clear();
        case 'set':
          return map.set(operation.sub, { count: operation.count });
        case 'mutateEntry': {
          const box = map.get(operation.sub);
          return box === undefined ? undefined : map.set(operation.sub, grown(box, operation.count));
        }
        case 'delete':
          return map.delete(operation.sub);
        case 'setPane':
          return panes.set(operation.sub, { count: operation.count });
        case 'growPane': {
          const box = panes.get(operation.sub);
          return box === undefined ? undefined : panes.set(operation.sub, inPlace(box, operation.count));
        }
        case 'setPaneAgain':
          panes.delete(operation.sub);
          panes.set(operation.sub, { count: 0 });
          panes.delete(operation.sub);
          return panes.set(operation.sub, { count: operation.count });
        case 'deletePane':
          return panes.delete(operation.sub);
      }
    });
  }
};

const applyToModel = (model: Model, operation: Operation): void => {
  if (operation.kind === 'bulk') {
    for (const name of bulkKeys) model.at(name).value = { count: operation.count };
  } else if (operation.kind === 'bulkPanes' || operation.kind === 'dropBulkPanes') {
    for (const name of paneKeys.slice(operation.from, operation.to)) {
      if (operation.kind === 'bulkPanes') model.at(name).panes.set(operation.sub, { count: operation.from });
      else model.at(name).panes.delete(operation.sub);
    }
  } else if ('key' in operation) {
    const state = model.at(operation.key);
    switch (operation.kind) {
      case 'update':
        state.value = { count: operation.count };
        break;
      case 'mutate':
        if (state.value !== undefined) state.value = { count: state.value.count + operation.count };
        break;
      case 'add':
        for (let i = 0; i < operation.count; i += 1) state.list.push(i);
        break;
      case 'shift':
        state.list.splice(0, operation.count);
        break;
      case 'read':
        break;
      case 'clearValue':
        state.value = undefined;
        break;
      case 'clearList':
        state.list = [];
        break;
      case 'clearMap':
        state.map.clear();
        break;
      case 'set':
        state.map.set(operation.sub, { count: operation.count });
        break;
      case 'mutateEntry': {
        const box = state.map.get(operation.sub);
        if (box !== undefined) state.map.set(operation.sub, { count: box.count + operation.count });
        break;
      }
      case 'delete':
        state.map.delete(operation.sub);
        break;
      case 'setPane':
      case 'setPaneAgain':
        state.panes.set(operation.sub, { count: operation.count });
        break;
      case 'growPane': {
        const box = state.panes.get(operation.sub);
        if (box !== undefined) state.panes.set(operation.sub, { count: box.count + operation.count });
        break;
      }
      case 'deletePane':
        state.panes.delete(operation.sub);
        break;
    }
  }
};

const paneNumbers = [0, 1000, 2000, -1000, ...Array.from({ length: 8 }, (_, i) => 3000 + i)];

/** Far cheaper than one `expect` per value; the message still shows both sides. */
const equal = (actual: unknown, expected: unknown): void => {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected);
};

const compareKey = (system: System, model: Model, at: Key): void => {
  const expected = model.keys.get(mapKeyOf(at)) ?? emptyKey();
  const { value, list, map, panes } = system.handles;
  system.with(at, () => {
    equal(
      [
        value.value(),
        list.size,
        [...list.values()],
        [...map.keys()],
        [...map.entries()],
        paneNumbers.map((number) => panes.get(number)),
      ],
      [
        expected.value,
        expected.list.length,
        expected.list,
        [...expected.map.keys()],
        [...expected.map],
        paneNumbers.map((number) => expected.panes.get(number)),
      ],
    );
  });
};

const compareAll = (system: System, model: Model): void => {
  for (const at of keyPool) compareKey(system, model, at);
  for (const at of bulkKeys) system.with(at, () => equal(system.handles.value.value(), model.keys.get(at)?.value));
  for (const at of paneKeys) {
    const { panes = new Map<number, Box>() } = model.keys.get(at) ?? {};
    system.with(at, () => {
      for (const number of paneNumbers) equal(system.handles.panes.get(number), panes.get(number));
    });
  }
};

/** What iteration over all keys finds, in the open phase. */
const compareIteration = async (system: System, model: Model): Promise<void> => {
  const found = {
    value: new Array<unknown>(),
    list: new Array<unknown>(),
    map: new Array<unknown>(),
    panes: new Array<unknown>(),
  };
  const entries: string[] = [];
  await system.handles.value.forEachKey((at) => found.value.push(mapKeyOf(at)));
  await system.handles.list.forEachKey((at) => found.list.push(mapKeyOf(at)));
  await system.handles.map.forEachKey((at) => found.map.push(mapKeyOf(at)));
  await system.handles.panes.forEachKey((at) => found.panes.push(mapKeyOf(at)));
  await system.handles.panes.forEachEntry((at, number, box) =>
    entries.push(`${String(mapKeyOf(at))} ${number} ${box().count}`),
  );
  const having = (test: (state: KeyModel) => boolean): unknown[] =>
    [...model.keys].filter(([, state]) => test(state)).map(([at]) => at);
  const sorted = (list: readonly unknown[]): string[] => list.map(String).sort();
  expect(sorted(found.value)).toEqual(sorted(having((state) => state.value !== undefined)));
  expect(sorted(found.list)).toEqual(sorted(having((state) => state.list.length > 0)));
  expect(sorted(found.map)).toEqual(sorted(having((state) => state.map.size > 0)));
  expect(sorted(found.panes)).toEqual(sorted(having((state) => state.panes.size > 0)));
  const expected = [...model.keys].flatMap(([at, state]) =>
    [...state.panes].map(([number, box]) => `${String(at)} ${number} ${box.count}`),
  );
  expect(entries.sort()).toEqual(expected.sort());
};

const run = async (history: readonly Operation[], options: Options): Promise<void> => {
  const { state: store } = await new MemoryStorage().open();
  const { state: eagerStore } = await new MemoryStorage().open();
  const lazy = new System(store, options);
  const eager = new System(eagerStore, { ...options, cacheMax: 1000 });
  let model = new Model();
  let atCut = new Model();
  let durable = new Model();
  let eagerRows: string[] = [];
  let committed = false;
  for (const operation of history) {
    switch (operation.kind) {
      case 'cut':
        if (lazy.cut !== undefined) break;
        lazy.forget();
        lazy.cut = { cut: lazy.handles.set.cut(), batch: undefined, slices: undefined };
        expect(lazy.handles.set.dirtyEntries).toBe(0);
        eager.cut = { cut: eager.handles.set.cut(), batch: undefined, slices: undefined };
        await eager.finishCut();
        eager.forget();
        eagerRows = await dump(eager.store);
        atCut = model.copy();
        break;
      case 'write':
        lazy.startWrite();
        break;
      case 'slice':
        lazy.cut?.slices?.next();
        break;
      case 'forget':
        lazy.forgetting?.next();
        break;
      case 'durable':
        if (lazy.cut === undefined) break;
        await lazy.finishCut();
        equal(await dump(store), eagerRows);
        durable = atCut;
        committed = true;
        break;
      case 'crash':
        await lazy.cut?.batch?.close();
        lazy.reopen(committed);
        eager.store = await copyStore(store);
        eager.reopen(committed);
        model = durable.copy();
        await compareIteration(lazy, model);
        compareAll(lazy, model);
        break;
      default:
        applyToSystem(lazy, operation, options.freeze);
        applyToSystem(eager, operation, options.freeze);
        applyToModel(model, operation);
        if ('key' in operation) compareKey(lazy, model, operation.key);
    }
  }
  await lazy.finishCut();
  compareAll(lazy, model);
  await compareIteration(lazy, model);
};

it('I4: after a crash the state is that of the last durable cut, and a cut is the same whenever it is written', async () => {
  await fc.assert(
    fc.asyncProperty(operations, fc.record({ cacheMax: fc.constantFrom(1, 5, 40, 1000), freeze: fc.boolean() }), run),
    {
      numRuns: Number(process.env['MILLRACE_RUNS'] ?? 120),
    },
  );
});
