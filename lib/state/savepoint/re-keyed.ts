/**
 * A row of the state database as it stands with another number of key groups: rows hold the bytes of their key, so its
 * group is computed anew (I11). Timers are stored without groups; only their pages say which groups a chunk is about.
 */
import type { Row } from './savepoint-file.ts';
import { crc32 } from 'node:zlib';
import { keyFromBytes, keyGroupOf } from '../../core/key.ts';
import { asBuffer } from '../../core/serde.ts';
import { parseStateRow, prefixes } from '../layout.ts';
import { decodePage, encodePage } from '../timer-rows.ts';

/** Of `i operator:2 domain:1 group:2 time:8 key namespace:8`. */
const oldTimerGroup = 4;
const oldTimerKey = 14;
const oldTimerTail = 8;

/** Of `s operator:2 state:1 group:2 keyLength:4 key sub`. */
const stateGroup = 4;

export const reKeyed = ([key, value]: Row, maxParallelism: number): Row => {
  const bytes = Buffer.from(key); // A copy: its group is written.
  switch (bytes[0]) {
    case prefixes.state:
      bytes.writeUInt16BE(keyGroupOf(parseStateRow(bytes).key, maxParallelism), stateGroup);
      return [bytes, value];
    case prefixes.oldTimer: {
      const timerKey = keyFromBytes(bytes.subarray(oldTimerKey, -oldTimerTail));
      bytes.writeUInt16BE(keyGroupOf(timerKey, maxParallelism), oldTimerGroup);
      const sealed = Buffer.from(value);
      sealed.writeUInt32BE(crc32(bytes), 1); // It is that of the key.
      return [bytes, sealed];
    }
    case prefixes.timerPage: {
      // Which groups are in a chunk is known when it is read; until then it may be any.
      const page = decodePage(asBuffer(value));
      const chunks = page.chunks.map((chunk) => ({ ...chunk, firstGroup: 0, lastGroup: maxParallelism - 1 }));
      return [bytes, encodePage({ ...page, chunks })];
    }
    default:
      return [bytes, value];
  }
};

/** Names the state that a row belongs to, by operator and number; undefined for any other row. */
export const stateOf = ([key]: Row): string | undefined =>
  key[0] === prefixes.state ? `${asBuffer(key).readUInt16BE(1)}/${key[3]}` : undefined;

/** The operator that a row belongs to; undefined for a row of the whole job. */
export const operatorOf = ([key]: Row): number | undefined =>
  key[0] === prefixes.checkpoint || key[0] === prefixes.origin ? undefined : asBuffer(key).readUInt16BE(1);
