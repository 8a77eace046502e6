import fc from 'fast-check';
import { expect, test } from 'vitest';
import { keyBytes, mapKeyOf, type Key, type MapKey } from '../../../lib/core/key.ts';
import { compareKeys, sortKeys, sortSteps } from '../../../lib/state/key-order.ts';
import { keyOfMapKey } from '../../../lib/state/layout.ts';

const bytesOf = (key: MapKey): Uint8Array => keyBytes(keyOfMapKey(key));

/** The rule itself. */
const byBytes = (keys: readonly MapKey[]): MapKey[] => [...keys].sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b)));

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', '\0', 'a\0', 'a', 'ab', '\ud800', 'é', '日本', '😀', '\uffff'),
  fc.nat(9999).map((n) => `key-${n}`),
);
const part = fc.oneof(
  text,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.bigInt(),
  fc.boolean(),
);
const key: fc.Arbitrary<Key> = fc.oneof(
  { weight: 4, arbitrary: part },
  { weight: 1, arbitrary: fc.array(part, { maxLength: 3 }) },
);
const kinds: fc.Arbitrary<Key>[] = [
  key,
  text,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.nat(9999).map((n) => `key-${n}`),
  fc.nat(9999).map((n) => `a-very-long-beginning-${'x'.repeat(n % 20)}${n}`),
];

test('keys sort by their bytes, whatever they are', () => {
  fc.assert(
    fc.property(
      fc.oneof(...kinds.map((kind) => fc.uniqueArray(kind, { selector: mapKeyOf, maxLength: 60 }))),
      (given) => {
        const keys = given.map(mapKeyOf);
        const expected = byBytes(keys);
        sortKeys(keys);
        expect(keys).toEqual(expected);
        for (let at = 1; at < keys.length; at += 1)
          expect(compareKeys(keys[at - 1] as MapKey, keys[at] as MapKey)).toBeLessThan(0);
      },
    ),
  );
});

/** More keys than are compared with each other: seeds of many, since that many drawn one by one would take seconds. */
const many: Readonly<Record<string, (index: number) => Key>> = {
  texts: (index) => `key-${(index * 7919) % 20_000}`,
  'texts that differ late': (index) => `${'x'.repeat(index % 3)}${'0'.repeat(30)}${(index * 7919) % 20_000}`,
  'wide texts': (index) => `日本-${String.fromCharCode(0x100 + ((index * 31) % 5000))}-${index}`,
  numbers: (index) => ((index * 7919) % 20_000) - 10_000.5,
  'whole numbers': (index) => (index * 7919) % 20_000,
  tuples: (index) => ['a', (index * 7919) % 20_000, index % 2 === 0],
  'all kinds': (index) =>
    [`k${index}`, index, BigInt(index), [index], `\ud800${index}`, index % 2 === 0 ? '😀' + index : `é${index}`][
      index % 6
    ] as Key,
};

test.each(Object.entries(many))('many keys sort by their bytes, in steps: %s', (_name, keyAt) => {
  const keys = [...new Set(Array.from({ length: 20_000 }, (_, index) => mapKeyOf(keyAt(index))))];
  const expected = byBytes(keys);
  let steps = 0;
  for (const _ of sortSteps(keys)) steps += 1;
  expect(keys).toEqual(expected);
  // Each goes over the keys a few times, and never over more than some hundred at once (I20).
  expect(steps).toBeGreaterThan((3 * keys.length) / 512);
});
