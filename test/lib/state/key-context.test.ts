import { describe, expect, it } from 'vitest';
import { keyGroupOf } from '../../../lib/core/key.ts';
import { listState, mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { WorkingSet } from '../../../lib/state/keyed-state.ts';
import { emptyStore } from '../../../lib/state/store.ts';

describe('KeyContext', () => {
  it('I2: has no key before the first enter and after leave', () => {
    const keys = new KeyContext();
    expect(() => keys.key).toThrow(TypeError);
    expect(() => keys.group(128)).toThrow(TypeError);
    keys.enter('a');
    expect(keys.key).toBe('a');
    keys.leave();
    expect(keys.active).toBe(false);
    expect(() => keys.key).toThrow(/current key/);
    expect(() => keys.group(128)).toThrow(TypeError);
  });

  it('changes its version at each enter and leave', () => {
    const keys = new KeyContext();
    const seen = new Set([keys.version]);
    for (let i = 0; i < 10; i += 1) {
      keys.enter('a');
      seen.add(keys.version);
      keys.leave();
      seen.add(keys.version);
    }
    expect(seen.size).toBe(21);
  });

  it('gives a tuple one canonical form', () => {
    const keys = new KeyContext();
    keys.enter(['a', 1]);
    const { mapKey } = keys;
    keys.enter(['a', 1]);
    expect(keys.mapKey).toBe(mapKey);
    expect(keys.key).toEqual(['a', 1]);
  });

  it('I11: works out the group of the key in hand', () => {
    const keys = new KeyContext();
    for (const key of ['a', 'b', 7, true, 8n, ['a', 1]] as const) {
      keys.enter(key);
      expect(keys.group(128)).toBe(keyGroupOf(key, 128));
      expect(keys.group(128)).toBe(keyGroupOf(key, 128));
      keys.leave();
    }
  });
});

it('`within` gives the key back also when its body throws', () => {
  const keys = new KeyContext();
  expect(() =>
    keys.within('a', () => {
      throw new Error('oops');
    }),
  ).toThrow('oops');
  expect(keys.active).toBe(false);
});

it('`reading` lets state be looked at and not changed (I13)', () => {
  const keys = new KeyContext();
  const set = new WorkingSet({ store: emptyStore, maxParallelism: 128, restored: false });
  const operator = set.operator(1, keys);
  const value = operator.state(valueState<number>('value'));
  const list = operator.state(listState<number>('list'));
  const map = operator.state(mapState<string, number>('map'));
  keys.within('a', () => value.update(1));
  keys.reading('a', () => {
    expect(value.value()).toBe(1);
    for (const change of [
      () => value.update(2),
      () => value.clear(),
      () => list.add(1),
      () => list.shift(),
      () => list.clear(),
      () => map.set('x', 1),
      () => map.delete('x'),
      () => map.clear(),
    ]) {
      expect(change).toThrow('changed in a turn only');
    }
  });
  keys.within('a', () => value.update(3));
  expect(keys.readOnly).toBe(false);
});
