/**
 * Who holds watermarks back, and since when: slow splits and inputs, and runs that have not ended. Says so once in the
 * log when somebody holds one for long. It only looks: nothing that the job does depends on it.
 */
import type { Clock } from '../../core/clock.ts';
import type { Key } from '../../core/key.ts';
import type { Logger } from '../../core/logger.ts';
import type { Timestamp } from '../../core/element.ts';
import type { Topology } from '../hosts/topology.ts';

export interface WatermarkHolder {
  readonly operator: string;
  /** The key of the oldest open hold. */
  readonly key?: Key | undefined;
  /** The split of a source, the input of a union, or of an operator of several inputs: `input 2`. */
  readonly channel?: string | undefined;
  /** Where the watermark stands. */
  readonly watermark: Timestamp;
  /** How many watermarks wait behind the key. */
  readonly waiting: number;
  /** For how long it has been seen to hold this watermark, in milliseconds. */
  readonly heldMs: number;
}

export interface WatermarkHoldersOptions {
  readonly topology: Pick<Topology, 'sources' | 'valves' | 'operators'>;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Pick<Logger, 'warn'>;
}

type Found = Omit<WatermarkHolder, 'heldMs'>;

interface Seen {
  readonly watermark: Timestamp;
  readonly sinceMs: number;
  isTold: boolean;
}

/** A watermark that is held for this long is worth a warning, in milliseconds. */
const longMs = 60_000;

export class WatermarkHolders {
  /** How often to look while somebody holds a watermark, in milliseconds. */
  readonly lookMs = 5_000;
  readonly #options: WatermarkHoldersOptions;
  #seen = new Map<string, Seen>();

  constructor(options: WatermarkHoldersOptions) {
    this.#options = options;
  }

  /** All who hold one now. */
  list(): readonly WatermarkHolder[] {
    const nowMs = this.#options.clock.elapsed();
    return this.#look(nowMs).map(([holder, { sinceMs }]) => ({ ...holder, heldMs: nowMs - sinceMs }));
  }

  /** Looks, and tells of those that have held one for long. Gives whether there are any. */
  look(): boolean {
    const nowMs = this.#options.clock.elapsed();
    const found = this.#look(nowMs);
    for (const [holder, seen] of found) {
      if (seen.isTold || nowMs - seen.sinceMs < longMs) continue;
      seen.isTold = true;
      this.#tell(holder, nowMs - seen.sinceMs);
    }
    return found.length > 0;
  }

  #look(nowMs: number): (readonly [Found, Seen])[] {
    const before = this.#seen;
    this.#seen = new Map();
    return this.#find().map((holder) => {
      const name = JSON.stringify([holder.operator, holder.channel, holder.key]);
      const known = before.get(name);
      const seen =
        known?.watermark === holder.watermark ? known : { watermark: holder.watermark, sinceMs: nowMs, isTold: false };
      this.#seen.set(name, seen);
      return [holder, seen] as const;
    });
  }

  #find(): readonly Found[] {
    const { sources, valves, operators } = this.#options.topology;
    const holders: Found[] = [];
    for (const { uid, slowestSplit, currentWatermark } of sources) {
      if (slowestSplit !== undefined)
        holders.push({ operator: uid, channel: slowestSplit, watermark: currentWatermark, waiting: 0 });
    }
    for (const [uid, { slowest, current }] of valves) {
      if (slowest !== undefined) holders.push({ operator: uid, channel: slowest, watermark: current, waiting: 0 });
    }
    for (const { uid, holdQueue, slowestInput, currentWatermark } of operators) {
      if (slowestInput !== undefined)
        holders.push({ operator: uid, channel: slowestInput, watermark: currentWatermark, waiting: 0 });
      const waiting = holdQueue?.waiting ?? 0;
      if (waiting > 0) holders.push({ operator: uid, key: holdQueue?.oldestKey, watermark: currentWatermark, waiting });
    }
    return holders;
  }

  #tell({ operator, channel, key, watermark, waiting }: Found, heldMs: number): void {
    const who =
      channel === undefined
        ? `work of key ${JSON.stringify(key)} that is not done; ${waiting} watermarks wait behind it`
        : `\`${channel}\`, which brings nothing newer; with \`withIdleness\` of its strategy the others would go on`;
    const what = `the watermark of \`${operator}\` stands still for ${Math.round(heldMs / 1000)} s, held by ${who}`;
    this.#options.logger.warn({ operator, channel, key, watermark, heldMs }, what);
  }
}
