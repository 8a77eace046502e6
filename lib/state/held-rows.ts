/**
 * A look at all keys of a state, in `open` alone: before the first turn nothing changes but by who looks.
 */
import { mapKeyOf, type Key, type MapKey } from '../core/key.ts';
import { keyOfMapKey, parseStateRow, stateRange, type Sub } from './layout.ts';
import { given, type HandleOwner } from './state-handle.ts';
import { existing, gone, type RowName, type StateTable } from './state-table.ts';

interface FoundRow extends RowName {
  readonly inMemory: boolean;
  readonly value: () => unknown;
}

/**
 * Every row that exists: those in memory, then those that only the store knows, in the order of the store. Each once.
 */
const rowsOf = async function* (table: StateTable): AsyncGenerator<FoundRow, void> {
  const { store, operator, state } = table.options;
  const storedToo = !table.complete;
  const seen = new Map<Sub, Set<MapKey>>();
  for (const { mapKey, sub } of table.held()) {
    const keys = seen.get(sub);
    if (keys === undefined) seen.set(sub, new Set([mapKey]));
    else keys.add(mapKey);
    // A visitor may have removed the row, or changed it, since.
    if (existing(table.peek(mapKey, sub)) !== undefined)
      yield { mapKey, sub, inMemory: true, value: () => table.peek(mapKey, sub) };
  }
  if (!storedToo) return;
  for await (const [rowKey, bytes] of store.entries(stateRange(operator, state))) {
    const { key, sub } = parseStateRow(rowKey);
    const mapKey = mapKeyOf(key);
    if (seen.get(sub)?.has(mapKey) === true) continue;
    // A visitor may have read or removed it since.
    const value = table.peek(mapKey, sub);
    if (value === undefined) yield { mapKey, sub, inMemory: false, value: () => table.decode(bytes, sub) };
    else if (value !== gone) yield { mapKey, sub, inMemory: false, value: () => value };
  }
};

/** Calls `visit` while the key is the current one. */
const visitRow = (owner: HandleOwner, key: Key, visit: () => void): void => {
  owner.keys.enter(key);
  try {
    visit();
  } finally {
    owner.keys.leave();
  }
};

const assertOpenPhase = (owner: HandleOwner, method: string): void => {
  if (!owner.openPhase) throw new TypeError(`Expected \`${method}\` to be called in \`open\`, before the first turn`);
};

/** Visits each key that has anything in the state, once. */
export const forEachKey = async (
  table: StateTable,
  owner: HandleOwner,
  visit: (key: Key) => void,
): Promise<void> => {
  assertOpenPhase(owner, 'forEachKey');
  const visited = new Set<MapKey>();
  let last: MapKey | undefined;
  for await (const { mapKey, sub, inMemory } of rowsOf(table)) {
    // The rows of one key are neighbours in the store, so the last key is enough to visit each once.
    if ((table.rooted && sub !== undefined) || mapKey === last || visited.has(mapKey)) continue;
    if (inMemory) visited.add(mapKey);
    else last = mapKey;
    const key = keyOfMapKey(mapKey);
    visitRow(owner, key, () => visit(key));
  }
};

/** Visits each entry of a map, once. */
export const forEachEntry = async <K extends string | number, V>(
  table: StateTable,
  owner: HandleOwner,
  visit: (key: Key, subKey: K, value: () => V) => void,
): Promise<void> => {
  assertOpenPhase(owner, 'forEachEntry');
  for await (const { mapKey, sub, value } of rowsOf(table)) {
    if (sub === undefined) continue;
    const key = keyOfMapKey(mapKey);
    // The handle of the map alone puts entries in.
    visitRow(owner, key, () => visit(key, sub as K, () => given(table, value()) as V));
  }
};
