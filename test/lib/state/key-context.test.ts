import { describe, expect, it } from 'vitest';
import { KeyContext } from '../../../lib/state/key-context.ts';
import { keyGroupOf } from '../../../lib/core/key.ts';

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
