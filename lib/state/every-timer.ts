/**
 * Every timer in a store, read chunk by chunk: for who takes state elsewhere or compares it. Whoever re-keys finds a
 * timer's key group by its key.
 */
import type { Timestamp } from '../core/element.ts';
import { keyFromBytes, type Key } from '../core/key.ts';
import { parseTimerPageKey, prefixes, prefixRange, timerChunkKey } from './layout.ts';
import type { Store } from './store.ts';
import { countsFor, decodeChunk, decodePage } from './timer-rows.ts';
import type { StoredDomain } from './timer-domains.ts';

export interface StoredTimer {
  readonly operator: number;
  readonly domain: StoredDomain;
  readonly time: Timestamp;
  readonly namespace: number;
  readonly key: Key;
}

/** In the order of pages; inside of one in no particular order. */
export async function* everyTimer(store: Store): AsyncGenerator<StoredTimer> {
  for await (const [row, value] of store.entries(prefixRange(Uint8Array.of(prefixes.timerPage)))) {
    const name = parseTimerPageKey(row);
    const { operator, domain } = name;
    const page = decodePage(value);
    const timers = new Map<string, StoredTimer>();
    for (const chunk of page.chunks) {
      const stored = store.get(timerChunkKey(operator, name, chunk.number)) ?? new Uint8Array(); // Refused below.
      decodeChunk(stored, (time, namespace, bytes) => {
        if (!countsFor(chunk, time, page)) return;
        const id = `${time} ${namespace} ${Buffer.from(bytes).toString('latin1')}`;
        if (!timers.delete(id)) timers.set(id, { operator, domain, time, namespace, key: keyFromBytes(bytes) });
      });
    }
    yield* timers.values();
  }
}
