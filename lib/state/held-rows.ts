/**
 * A look at all keys of a state, in `open` alone: before the first turn nothing changes but by who looks.
 */
import { mapKeyOf, type Key, type MapKey } from '../core/key.ts';
import { keyOfMapKey, parseStateRow, stateRange, type Sub } from './layout.ts';
import type { HandleOwner } from './state-handle.ts';
import type { Cell, StateTable } from './state-table.ts';

interface HeldRow {
  readonly mapKey: MapKey;
  readonly sub: Sub;
  readonly inMemory: boolean;
  readonly value: () => unknown;
}

/**
 * Every row that exists: those in memory, then those that only the store knows, in the order of the store. Each once.
 */
export const heldRows = async function* <C extends Cell>(table: StateTable<C>): AsyncGenerator<HeldRow, void> {
  const { store, operator, state } = table.options;
  const storedToo = !table.complete;
  const cells = new Set(table.cellsInMemory());
  for (const cell of cells) {
    if (cell.value !== undefined)
      yield { mapKey: cell.key, sub: table.subOf(cell), inMemory: true, value: () => cell.value };
  }
  if (!storedToo) return;
  for await (const [rowKey, bytes] of store.entries(stateRange(operator, state))) {
    const { key, sub } = parseStateRow(rowKey);
    const mapKey = mapKeyOf(key);
    // A visitor may have read or removed the row since.
    const cell = table.peek(mapKey, sub);
    if (cell === undefined) yield { mapKey, sub, inMemory: false, value: () => table.decode(bytes, sub) };
    else if (!cells.has(cell) && cell.value !== undefined)
      yield { mapKey, sub, inMemory: false, value: () => cell.value };
  }
};

/** Calls `visit` while the key is the current one. */
export const visitRow = (owner: HandleOwner, key: Key, visit: () => void): void => {
  owner.keys.enter(key);
  try {
    visit();
  } finally {
    owner.keys.leave();
  }
};

export const assertOpenPhase = (owner: HandleOwner, method: string): void => {
  if (!owner.openPhase) throw new TypeError(`Expected \`${method}\` to be called in \`open\`, before the first turn`);
};

/** Visits each key that has anything in the state, once. */
export const forEachKey = async <C extends Cell>(
  table: StateTable<C>,
  owner: HandleOwner,
  visit: (key: Key) => void,
): Promise<void> => {
  assertOpenPhase(owner, 'forEachKey');
  const visited = new Set<MapKey>();
  let last: MapKey | undefined;
  for await (const { mapKey, sub, inMemory } of heldRows(table)) {
    // The rows of one key are neighbours in the store, so the last key is enough to visit each once.
    if ((table.rooted && sub !== undefined) || mapKey === last || visited.has(mapKey)) continue;
    if (inMemory) visited.add(mapKey);
    else last = mapKey;
    const key = keyOfMapKey(mapKey);
    visitRow(owner, key, () => visit(key));
  }
};
