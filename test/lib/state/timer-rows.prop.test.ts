import fc from 'fast-check';
import { expect, it } from 'vitest';
import { frame } from '../../../lib/core/frame.ts';
import { PackedReader, PackedWriter } from '../../../lib/state/packed-bytes.ts';
import {
  chunkOf,
  countsFor,
  decodeChunk,
  decodePage,
  decodePageHead,
  encodeChunk,
  encodePage,
  isNeeded,
  pageOf,
  placeOf,
  type Page,
} from '../../../lib/state/timer-rows.ts';

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const double = fc.double({ noNaN: true }).map((value) => value + 0);
const time = fc.oneof(fc.integer(), fc.integer({ min: 0, max: 5 }), double);
const entry = fc.record({
  time,
  namespace: time,
  key: fc.record({ group: fc.nat(127), bytes: fc.uint8Array({ maxLength: 300 }) }),
});
const entries = fc.array(entry, { minLength: 1, maxLength: 30 });

const page: fc.Arbitrary<Page> = fc
  .record({
    next: fc.nat(),
    times: fc.uniqueArray(time).map((times) => times.toSorted((a, b) => a - b)),
    chunks: fc.array(fc.tuple(fc.nat(), entries).map(([number, of]) => chunkOf(number, of)), { maxLength: 5 }),
    numbers: fc.infiniteStream(fc.nat(20)),
  })
  .map(({ numbers, ...rest }) => {
    const some = (): number[] => rest.times.map(() => numbers.next().value ?? 0);
    return { ...rest, sizes: some(), since: some() };
  });

it('numbers and bytes are read as they were written, and an end that is missing is noticed', () => {
  fc.assert(
    fc.property(whole, time, fc.uint8Array(), fc.array(time), fc.nat(), (number, single, bytes, doubles, cut) => {
      const packed = new PackedWriter(1);
      packed.whole(number);
      packed.double(single);
      packed.bytes(bytes);
      packed.doubles(doubles);
      const read = (from: Uint8Array): unknown[] => {
        const reader = new PackedReader(from);
        return [reader.whole(), reader.double(), [...reader.bytes()], reader.doubles()];
      };
      const done = packed.done();
      expect(read(done)).toEqual([number, single, [...bytes], doubles]);
      expect(() => read(done.subarray(0, cut % done.length))).toThrow('ends before');
    }),
  );
});

it('pages and chunks are read as they were written', () => {
  fc.assert(
    fc.property(page, entries, (wanted, list) => {
      const row = encodePage(wanted);
      expect(decodePage(row)).toEqual(wanted);
      const size = wanted.sizes.reduce((sum, each) => sum + each, 0);
      expect(decodePageHead(row)).toEqual({ first: wanted.times[0] ?? 0, size });
      const read: unknown[] = [];
      decodeChunk(encodeChunk(list), (...of) => read.push(of));
      expect(read).toEqual(list.map((each) => [each.time, each.namespace, Buffer.from(each.key.bytes)]));
    }),
  );
});

it('a chunk is needed when it says something that counts', () => {
  fc.assert(
    fc.property(page, ({ chunks, ...times }) => {
      for (const chunk of chunks) {
        const inside = times.times.filter((each) => chunk.first <= each && each <= chunk.last);
        expect(isNeeded(chunk, times)).toBe(inside.some((each) => countsFor(chunk, each, times)));
      }
    }),
  );
});

it('a place is where a time stands or belongs, and each time has a page', () => {
  fc.assert(
    fc.property(page, time, ({ times }, sought) => {
      expect(placeOf(times, sought)).toBe(times.filter((each) => each < sought).length);
    }),
  );
  expect([-Infinity, -1, 0, 2 ** 18 - 1, 2 ** 18, Infinity].map(pageOf)).toEqual([-Infinity, -1, 0, 0, 1, Infinity]);
});

it('what is damaged or newer is refused', () => {
  const row = encodeChunk([{ time: 1, namespace: 0, key: { group: 0, bytes: Uint8Array.of(1) } }]);
  const damaged = Buffer.from(row);
  damaged[7] = 99;
  expect(() => decodeChunk(damaged, () => {})).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
  const newer = frame(Uint8Array.of(2));
  expect(() => decodeChunk(newer, () => {})).toThrow(expect.objectContaining({ code: 'STORE_FORMAT' }));
  expect(() => decodePageHead(newer)).toThrow(expect.objectContaining({ code: 'STORE_FORMAT' }));
});
