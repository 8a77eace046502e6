/**
 * What one state, or one sub-key of it, holds of all keys in memory: values and flags in lists, a slot for each key.
 * While it holds something of most keys a key's slot is its number, and a record costs no look-up of its own; of few
 * keys it keeps an index. Slots move when it changes from one form to the other, which `layout` counts.
 */
import type { Sub } from './layout.ts';

/** What is known of a cell, as bits. */
export const flag = {
  /** It has changed in the epoch of its column. */
  changed: 1,
  /** It has changed in the frozen epoch, and was not written since. */
  frozen: 2,
  /** The open cut has written it. */
  written: 4,
  /** The store may hold its row. */
  stored: 8,
} as const;

/** Numbers of keys below which a slot is always the number. */
const denseBelow = 64;
/** With less than one cell for so many numbers it keeps an index, with more than one for half as many none. */
const sparseBelow = 1 / 16;
const denseFrom = 1 / 8;
/** Keys of an index that are looked through one by one. */
const scanMax = 8;

/** Which slot a key has in a column that holds something of few. */
class SlotIndex {
  /** The number of the key in each slot, -1 in an empty one. */
  readonly numbers: number[] = [];
  readonly #free: number[] = [];
  #slots: Map<number, number> | undefined;

  find(number: number): number {
    if (number < 0) return -1; // As the empty slots say.
    return this.#slots === undefined ? this.numbers.indexOf(number) : (this.#slots.get(number) ?? -1);
  }

  add(number: number): number {
    const slot = this.#free.pop() ?? this.numbers.length;
    this.numbers[slot] = number;
    if (this.numbers.length > scanMax && this.#slots === undefined) {
      this.#slots = new Map();
      for (const [at, each] of this.numbers.entries()) if (each >= 0) this.#slots.set(each, at);
    } else this.#slots?.set(number, slot);
    return slot;
  }

  remove(slot: number): void {
    this.#slots?.delete(this.numbers[slot] ?? -1);
    this.numbers[slot] = -1;
    this.#free.push(slot);
  }
}

export class Column {
  readonly sub: Sub;
  /** By slot: undefined is no cell, `gone` one whose row does not exist. */
  values: unknown[] = [];
  /** By slot, as long as `values` at least. */
  flags = new Uint8Array(8);
  /** The epoch that `flag.changed` belongs to. */
  epoch = 0;
  /** Cells that have changed in it. */
  changed = 0;
  /** Counts how often slots have moved. */
  layout = 0;
  /** The slot at which its table goes on to look for cells to forget. */
  hand = 0;
  #size = 0;
  #index: SlotIndex | undefined;

  constructor(sub: Sub) {
    this.sub = sub;
  }

  /** Cells in memory. */
  get size(): number {
    return this.#size;
  }

  /** Where a key's cell would be; -1 when there is none. Where `values` has undefined there is none either. */
  slotOf(number: number): number {
    if (this.#index !== undefined) return this.#index.find(number);
    return number < this.values.length ? number : -1;
  }

  numberOf(slot: number): number {
    return this.#index === undefined ? slot : (this.#index.numbers[slot] ?? -1);
  }

  /** Adds the cell of a key that has none. `end`: above all numbers. Gives its slot. */
  add(number: number, value: unknown, end: number): number {
    this.#size += 1;
    if (this.#index === undefined) {
      const isSparse = number >= denseBelow && number >= this.values.length && this.#size < number * sparseBelow;
      if (isSparse) this.#toSparse();
    } else if (this.#size >= end * denseFrom) this.#toDense(end);
    const slot = this.#index?.add(number) ?? number;
    this.#grow(slot);
    this.values[slot] = value;
    this.flags[slot] = 0;
    return slot;
  }

  remove(slot: number): void {
    this.#size -= 1;
    this.values[slot] = undefined;
    this.flags[slot] = 0;
    this.#index?.remove(slot);
  }

  /** No holes: V8 looks at the prototype for what is in one. */
  #grow(slot: number): void {
    while (this.values.length <= slot) this.values.push(undefined);
    if (slot < this.flags.length) return;
    const flags = new Uint8Array(Math.max(this.flags.length * 2, slot + 1));
    flags.set(this.flags);
    this.flags = flags;
  }

  #toSparse(): void {
    const index = new SlotIndex();
    this.#move((number) => index.add(number), 0);
    this.#index = index;
  }

  #toDense(end: number): void {
    this.#move((number) => number, end);
    this.#index = undefined;
  }

  /** Gives each cell another slot. `room`: slots there will be, made at once since they may be a million (I20). */
  #move(slotFor: (number: number) => number, room: number): void {
    const { values, flags } = this;
    this.values = new Array<unknown>(room).fill(undefined);
    this.flags = new Uint8Array(Math.max(8, room));
    this.layout += 1;
    for (let slot = 0; slot < values.length; slot += 1) {
      if (values[slot] === undefined) continue;
      const to = slotFor(this.numberOf(slot));
      this.#grow(to);
      this.values[to] = values[slot];
      this.flags[to] = flags[slot] ?? 0;
    }
  }
}
