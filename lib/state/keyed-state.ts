/**
 * All keyed state of one job: which operator has which states, the epoch, and the cut.
 *
 *  - `cut()` is the instant (I4). It costs O(states), whatever the number of keys, and only one cut is open at a time.
 *  - The cut's rows are serialised later, in slices, while turns go on; copy on touch keeps them as they were at the
 *    instant.
 *  - An entry may be evicted only when its newest value is durable, so a miss in memory may trust the store.
 *  - A failed cut is not repaired: the job drops the working set and starts from its last checkpoint (I15).
 *
 * Keeps I2, I4 and I12.
 */
import type { StateTable, TableOptions } from './state-table.ts';
import type { HandleOwner } from './state-handle.ts';
import { KeyContext } from './key-context.ts';
import type { StateDescriptor, StateKind } from '../core/state-descriptor.ts';
import type { TimeDomain } from '../core/timer.ts';
import type { Store, StoreBatch } from './store.ts';
import { ColumnMapState } from './column-map-handle.ts';
import { ColumnTable } from './column-table.ts';
import { KeyedCombiningState } from './combining-handle.ts';
import { CutSink, Epochs } from './state-table.ts';
import { KeyedListState, listCodec } from './list-handle.ts';
import { KeyedMapState, mapCodec } from './map-handle.ts';
import { KeyedOrderedMapState, orderedMapCodec } from './ordered-map-handle.ts';
import { KeyedValueState } from './value-handle.ts';
import { RowTable } from './row-table.ts';
import { integer } from '../core/options.ts';
import { invariant } from '../core/errors.ts';
import { unreachable } from '../core/errors.ts';

export interface WorkingSetOptions {
  readonly store: Store;
  readonly maxParallelism: number;
  /** Whether the store may hold state: a job that starts from nothing need not ask it for what is not in memory. */
  readonly restored: boolean;
  /** Entries kept in memory; more are evicted once they are durable. @defaultValue 1000000 */
  readonly cacheMax?: number | undefined;
  /** Test mode: values are frozen when they come in and when they are loaded. @defaultValue false */
  readonly freeze?: boolean | undefined;
}

/** The state of the job at one instant, on its way to the store. */
export interface StateCut {
  /** Puts every change into the batch, in slices: yields at least every 64 puts. Call once. */
  write(batch: StoreBatch): Iterator<void>;
  /**
   * The batch is on disk. Call once, after the iterator has ended; what memory need not hold any more goes in slices,
   * as above, between turns.
   */
  durable(): Iterator<void>;
}

/** One keyed state, as the checkpoint header records it. */
export interface RegisteredState {
  readonly operator: number;
  readonly state: number;
  readonly kind: StateKind;
  readonly name: string;
  readonly version: number;
  /** Of a map: whether it has an index. True for the other kinds. */
  readonly indexed: boolean;
  /** Of a map whose entries are in order. */
  readonly ordered?: true | undefined;
  /** Whether its values have a time to live, and by which time they age. */
  readonly ttl?: TimeDomain | undefined;
  /** Of the operator, and of no key. */
  readonly ofOperator?: true | undefined;
}

/** Share of `cacheMax` that is left after an eviction. */
const evictTo = 0.9;

export class WorkingSet {
  readonly #options: WorkingSetOptions;
  readonly #cacheMax: number;
  readonly #epochs = new Epochs();
  readonly #operators = new Map<number, OperatorState>();
  /** What operators keep for no key. */
  readonly #ofOperators = new Map<number, OperatorState>();
  readonly #tables: StateTable[] = [];

  constructor(options: WorkingSetOptions) {
    const { maxParallelism, cacheMax = 1_000_000 } = options;
    integer('maxParallelism', maxParallelism, { min: 1, max: 32_768 });
    this.#cacheMax = integer('cacheMax', cacheMax, { min: 1 });
    this.#options = options;
  }

  /** Where the state is kept. */
  get store(): Store {
    return this.#options.store;
  }

  /** Entries that changed in the current epoch. */
  get dirtyEntries(): number {
    return this.#epochs.dirtyEntries;
  }

  /** What they would take in the store: an estimate from the sizes of entries that were serialised. */
  get dirtyBytes(): number {
    let bytes = 0;
    for (const table of this.#tables) bytes += table.dirtyBytes;
    return bytes;
  }

  /** Entries in memory: one per key of a value state, one per row of a list or map. */
  get entries(): number {
    return this.#epochs.entries;
  }

  /** The state of one operator, whose number comes from the dictionary of uids. Asking again gives the same. */
  operator(operator: number, keys: KeyContext): OperatorState {
    integer('operator', operator, { max: 0xffff });
    const known = this.#operators.get(operator);
    if (known !== undefined) {
      if (known.keys !== keys) throw new TypeError(`Expected operator ${operator} to keep its key context`);
      return known;
    }
    const made = this.#make(operator, keys);
    this.#operators.set(operator, made);
    return made;
  }

  /** What an operator keeps for no key, on a key context of its own. Asking again gives the same. */
  ofOperator(operator: number): OperatorState {
    const made = this.#ofOperators.get(operator) ?? this.#make(operator, new KeyContext());
    this.#ofOperators.set(operator, made);
    return made;
  }

  #make(operator: number, keys: KeyContext): OperatorState {
    const { store, maxParallelism, restored, freeze = false } = this.#options;
    return new OperatorState(keys, {
      options: { operator, epochs: this.#epochs, store, maxParallelism, restored, freeze },
      add: (table) => this.#tables.push(table),
    });
  }

  /** All states, in the order of their registration. */
  states(): RegisteredState[] {
    return this.#tables.map(({ options: { operator, state, descriptor } }) => {
      const { kind, name, version, indexed = true, ordered = false, ttl, ofOperator } = descriptor;
      const facts = { operator, state, kind, name, version, indexed };
      return {
        ...facts,
        ...(ordered && { ordered }),
        ...(ttl && { ttl: ttl.time }),
        ...(ofOperator && { ofOperator }),
      };
    });
  }

  /** The instant. Everything that changed so far belongs to the cut, nothing that changes later does. */
  cut(): StateCut {
    const epochs = this.#epochs;
    invariant(epochs.frozen === -1, 'I4: a cut is open already');
    this.#assertBetweenTurns();
    const sink = new CutSink();
    const tables = [...this.#tables];
    epochs.frozen = epochs.current;
    epochs.current += 2;
    epochs.sink = sink;
    epochs.dirtyEntries = 0;
    for (const table of tables) table.cut();
    let written = false;
    return {
      write: (batch) => {
        sink.open(batch);
        return inSlices(
          tables,
          (table) => table.writeFrozen(),
          () => (written = true),
        );
      },
      durable: () => {
        invariant(written && epochs.frozen !== -1, 'I5: a cut is durable before it is written');
        this.#assertBetweenTurns();
        epochs.durable = epochs.frozen + 1;
        epochs.frozen = -1;
        epochs.sink = new CutSink();
        return this.#forgetting(tables);
      },
    };
  }

  /** Lets go of the tombstones of a durable cut, then of what is beyond the bound. */
  *#forgetting(tables: readonly StateTable[]): Generator<void, void> {
    yield* inSlices(tables, (table) => table.bury());
    const { entries } = this.#epochs;
    if (entries <= this.#cacheMax) return;
    const share = (entries - Math.floor(this.#cacheMax * evictTo)) / entries;
    yield* inSlices(tables, (table) => table.evict(Math.ceil(table.size * share)));
  }

  /** Handles rely on it: what they remember for a key is not pulled away under them. */
  #assertBetweenTurns(): void {
    for (const { keys } of [...this.#operators.values(), ...this.#ofOperators.values()])
      invariant(!keys.active, 'I4: a cut while a key is current');
  }
}

/** The keyed states of one operator. */
export class OperatorState implements HandleOwner {
  readonly keys: KeyContext;
  /** Set by the runtime while it calls `open`: `forEachKey` works only then. */
  openPhase = false;
  readonly #options: Omit<TableOptions, 'state' | 'descriptor'>;
  readonly #add: (table: StateTable) => void;
  readonly #names = new Map<string, number>();

  constructor(
    keys: KeyContext,
    parts: { options: Omit<TableOptions, 'state' | 'descriptor'>; add: (table: StateTable) => void },
  ) {
    this.keys = keys;
    this.#options = parts.options;
    this.#add = parts.add;
  }

  /** The handle of one state. `stateNumber` @defaultValue the next free one, in order of registration */
  state<H>(descriptor: StateDescriptor<H>, stateNumber: number = this.#nextNumber()): H {
    integer('stateNumber', stateNumber, { max: 0xff });
    integer('version', descriptor.version, { min: 1 });
    if (this.#names.has(descriptor.name))
      throw new TypeError(`Expected state '${descriptor.name}' to be asked for once`);
    if ([...this.#names.values()].includes(stateNumber))
      throw new TypeError(`Expected state number ${stateNumber} to be used once`);
    this.#names.set(descriptor.name, stateNumber);
    // a descriptor's kind says its handle
    return this.#make({ ...this.#options, state: stateNumber, descriptor }, descriptor) as H;
  }

  #make(options: TableOptions, descriptor: StateDescriptor<unknown>): unknown {
    const { kind, combine, indexed = true, ordered = false, scattered = false } = descriptor;
    switch (kind) {
      case 'value':
        return new KeyedValueState(this.#added(new ColumnTable(options, this.keys, true)), this);
      case 'reducing':
      case 'aggregating':
        invariant(combine !== undefined, 'a state that combines values says how');
        return new KeyedCombiningState(this.#added(new ColumnTable(options, this.keys, true)), this, combine);
      case 'list':
        return new KeyedListState(this.#added(new RowTable(options, listCodec)), this);
      case 'map':
        if (ordered) return new KeyedOrderedMapState(this.#added(new RowTable(options, orderedMapCodec)), this);
        return indexed || scattered
          ? new KeyedMapState(this.#added(new RowTable(options, mapCodec(indexed))), this)
          : new ColumnMapState(this.#added(new ColumnTable(options, this.keys, false)), this);
      default:
        return unreachable(kind);
    }
  }

  #added<T extends StateTable>(table: T): T {
    this.#add(table);
    return table;
  }

  #nextNumber(): number {
    return Math.max(-1, ...this.#names.values()) + 1;
  }
}

/** Does something with table after table, each of which yields now and then, and calls `done` behind the last. */
const inSlices = function* (
  tables: readonly StateTable[],
  work: (table: StateTable) => Iterable<void>,
  done: () => void = () => {},
): Generator<void, void> {
  for (const table of tables) yield* work(table);
  done();
};
