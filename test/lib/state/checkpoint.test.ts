import { describe, expect, test } from 'vitest';
import type { CheckpointLink } from '../../../lib/state/checkpoint.ts';
import type { Store } from '../../../lib/state/store.ts';
import {
  chainMax,
  checkpointKey,
  digestedBatch,
  pruneChain,
  readNewestCheckpoint,
  writeCheckpoint,
} from '../../../lib/state/checkpoint.ts';
import { frame, unframe } from '../../../lib/core/frame.ts';
import { MemoryStorage } from '../../../lib/state/memory-storage.ts';

const openState = async (): Promise<Store> => (await new MemoryStorage().open()).state;

/** One checkpoint with a row of state, as the coordinator writes it. */
const checkpoint = async (
  state: Store,
  id: number,
  previous: CheckpointLink | undefined,
  body: unknown = { id },
): Promise<CheckpointLink> => {
  const batch = digestedBatch(state.batch());
  batch.put(Buffer.from(`s${id}`), Buffer.from(`value ${id}`));
  const link = writeCheckpoint(batch, { id, previous, body, rowsDigest: batch.rowsDigest });
  await batch.write();
  return link;
};

const chain = async (state: Store, count: number): Promise<CheckpointLink[]> => {
  const links: CheckpointLink[] = [];
  for (let id = 1; id <= count; id += 1) links.push(await checkpoint(state, id, links.at(-1)));
  return links;
};

const change = async (state: Store, id: number, value: Uint8Array | undefined): Promise<void> => {
  const batch = state.batch();
  if (value === undefined) batch.delete(checkpointKey(id));
  else batch.put(checkpointKey(id), value);
  await batch.write();
};

const rowOf = (state: Store, id: number): Uint8Array => state.get(checkpointKey(id)) ?? new Uint8Array(0);

const damagedAt = (id: number): unknown =>
  expect.objectContaining({ code: 'STORE_DAMAGED', message: expect.stringContaining(`checkpoint ${id} `) as unknown });

describe('the chain', () => {
  test('a new store has no checkpoint', async () => {
    expect(await readNewestCheckpoint(await openState())).toBeUndefined();
  });

  test('gives the newest checkpoint with its body, and goes on from what was read', async () => {
    const state = await openState();
    const body = { positions: new Map([['split', 5n]]), watermark: -Infinity };
    const first = await checkpoint(state, 1, undefined, body);
    expect(await readNewestCheckpoint(state)).toEqual({ ...first, body });
    const second = await checkpoint(state, 2, await readNewestCheckpoint(state));
    await checkpoint(state, 3, second);
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: 3, body: { id: 3 } });
  });

  test('keeps only the newest body', async () => {
    const state = await openState();
    let link: CheckpointLink | undefined;
    for (let id = 1; id <= 3; id += 1) link = await checkpoint(state, id, link, 'x'.repeat(10_000));
    expect([1, 2, 3].map((id) => rowOf(state, id).length > 10_000)).toEqual([false, false, true]);
    expect(rowOf(state, 1).length).toBeLessThan(100);
  });

  test('refuses an id that does not follow (I5)', async () => {
    const state = await openState();
    const [first] = await chain(state, 1);
    for (const id of [0, 1, 3, 1.5, Number.NaN]) {
      expect(() => writeCheckpoint(state.batch(), { id, previous: first, body: 0, rowsDigest: 0 })).toThrow('I5');
    }
    expect(() => writeCheckpoint(state.batch(), { id: 2, previous: undefined, body: 0, rowsDigest: 0 })).toThrow('I5');
  });

  test('a digest depends on the body, the rows and all that came before', async () => {
    const digestOf = async (first: unknown, second: unknown, rowsDigest: number): Promise<string> => {
      const state = await openState();
      const batch = state.batch();
      const previous = writeCheckpoint(batch, { id: 1, previous: undefined, body: first, rowsDigest: 0 });
      return writeCheckpoint(batch, { id: 2, previous, body: second, rowsDigest }).digest;
    };
    const digests = await Promise.all([
      digestOf(1, 1, 1),
      digestOf(2, 1, 1),
      digestOf(1, 2, 1),
      digestOf(1, 1, 2),
      digestOf(1, 1, 1),
    ]);
    expect(new Set(digests).size).toBe(4);
    expect(digests[0]).toBe(digests[4]);
    expect(digests[0]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('a hole', () => {
  // What the store holds when LevelDB lost the batch of one checkpoint in the middle: every later batch is there, this
  // one never was.
  test.each([1, 2, 3, 4])('batch %i of 5 lost: an error that names it', async (lost) => {
    const state = await openState();
    const { state: elsewhere } = await new MemoryStorage().open();
    let link: CheckpointLink | undefined;
    for (let id = 1; id <= 5; id += 1) link = await checkpoint(id === lost ? elsewhere : state, id, link);
    await expect(readNewestCheckpoint(state)).rejects.toEqual(damagedAt(lost));
  });

  test('two batches in a row lost', async () => {
    const state = await openState();
    const { state: elsewhere } = await new MemoryStorage().open();
    let link: CheckpointLink | undefined;
    for (let id = 1; id <= 6; id += 1) link = await checkpoint(id === 3 || id === 4 ? elsewhere : state, id, link);
    await expect(readNewestCheckpoint(state)).rejects.toEqual(damagedAt(3));
  });

  test('the last batches lost: the newest that is whole', async () => {
    const state = await openState();
    const { state: elsewhere } = await new MemoryStorage().open();
    let link: CheckpointLink | undefined;
    for (let id = 1; id <= 5; id += 1) link = await checkpoint(id > 3 ? elsewhere : state, id, link);
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: 3, body: { id: 3 } });
  });

  test('a missing row, a damaged row, a row of another history, a row in another place', async () => {
    const damage: Record<string, (state: Store) => Promise<void>> = {
      missing: (state) => change(state, 2, undefined),
      flipped: async (state) => {
        const row = Buffer.from(rowOf(state, 2));
        row[9] = (row[9] ?? 0) ^ 1;
        await change(state, 2, row);
      },
      empty: (state) => change(state, 2, new Uint8Array(0)),
      foreign: async (state) => {
        const other = await openState();
        const batch = other.batch();
        const first = writeCheckpoint(batch, { id: 1, previous: undefined, body: 'other', rowsDigest: 0 });
        writeCheckpoint(batch, { id: 2, previous: first, body: 'other', rowsDigest: 0 });
        writeCheckpoint(batch, { id: 3, previous: { id: 2, digest: '1'.repeat(32) }, body: 'other', rowsDigest: 0 });
        await batch.write();
        await change(state, 2, rowOf(other, 2));
      },
      displaced: (state) => change(state, 2, rowOf(state, 1)),
    };
    for (const harm of Object.values(damage)) {
      const state = await openState();
      await chain(state, 4);
      await harm(state);
      await expect(readNewestCheckpoint(state)).rejects.toEqual(damagedAt(2));
    }
  });

  test('a newest header that is gone is not mistaken for an older checkpoint', async () => {
    const state = await openState();
    await chain(state, 4);
    await change(state, 4, undefined);
    await expect(readNewestCheckpoint(state)).rejects.toEqual(damagedAt(3));
  });

  test('rows without any checkpoint', async () => {
    const state = await openState();
    const [link] = await chain(state, 1);
    expect(link?.id).toBe(1);
    await change(state, 1, undefined);
    await expect(readNewestCheckpoint(state)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('a row of any kind without any checkpoint, and nothing at all is none', async () => {
    const state = await openState();
    expect(await readNewestCheckpoint(state)).toBeUndefined();
    const batch = state.batch();
    batch.put(Buffer.from('m'), Buffer.from('any'));
    await batch.write();
    await expect(readNewestCheckpoint(state)).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  });

  test('a header of a newer format', async () => {
    const state = await openState();
    await chain(state, 2);
    const newer = frame(unframe(rowOf(state, 2), 'row'));
    newer[4] = 2;
    const { crc32 } = await import('node:zlib');
    newer.writeUInt32BE(crc32(newer.subarray(4)), 0);
    await change(state, 2, newer);
    await expect(readNewestCheckpoint(state)).rejects.toMatchObject({ code: 'STORE_FORMAT' });
  });
});

describe('pruning', () => {
  /** A long chain in few batches: nothing reads it in between. */
  const longChain = async (state: Store, count: number): Promise<CheckpointLink | undefined> => {
    const batch = state.batch();
    let link: CheckpointLink | undefined;
    for (let id = 1; id <= count; id += 1)
      link = writeCheckpoint(batch, { id, previous: link, body: id, rowsDigest: 0 });
    await batch.write();
    return link;
  };

  test('keeps the last links, and the chain still holds', async () => {
    const state = await openState();
    const link = await longChain(state, chainMax + 50);
    await pruneChain(state, chainMax + 50);
    expect(state.get(checkpointKey(49))).toBeUndefined();
    expect(state.get(checkpointKey(50))).toBeDefined();
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: chainMax + 50 });
    await checkpoint(state, chainMax + 51, link);
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: chainMax + 51 });
  });

  test('a prune that was cut short is no hole, a link that no prune takes is one', async () => {
    const state = await openState();
    await longChain(state, chainMax + 50);
    await change(state, 20, undefined);
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: chainMax + 50 });
    await change(state, 51, undefined);
    await expect(readNewestCheckpoint(state)).rejects.toEqual(damagedAt(51));
  });

  test('does nothing to a short chain', async () => {
    const state = await openState();
    await chain(state, 3);
    await pruneChain(state, 3);
    expect(await readNewestCheckpoint(state)).toMatchObject({ id: 3 });
    expect(state.get(checkpointKey(1))).toBeDefined();
  });
});

test('a digested batch passes on what it is given and digests all of it', async () => {
  const state = await openState();
  const digestOf = (...rows: [string, string?][]): number => {
    const batch = digestedBatch(state.batch());
    for (const [key, value] of rows) {
      if (value === undefined) batch.delete(Buffer.from(key));
      else batch.put(Buffer.from(key), Buffer.from(value));
    }
    expect(batch.length).toBe(rows.length);
    return batch.rowsDigest;
  };
  const digests = [
    digestOf(),
    digestOf(['a', '1']),
    digestOf(['a', '2']),
    digestOf(['b', '1']),
    digestOf(['a']),
    digestOf(['a', '']),
    digestOf(['a', '1'], ['b', '1']),
    digestOf(['b', '1'], ['a', '1']),
    digestOf(['a', 'sealed value']),
    digestOf(['a', 'SEALED value']),
  ];
  expect(new Set(digests).size).toBe(digests.length);
});
