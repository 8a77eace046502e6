/**
 * The two ways to merge the watermarks and the idleness of several channels: the valve for channels that are one input,
 * the combiner for inputs of different meaning. Keeps I3: what comes out of either never goes back.
 */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import { noChange, type WatermarkChange } from './watermark-change.ts';

interface Channel {
  watermark: Timestamp;
  idle: boolean;
  /** Valve only: whether the channel counts for the least watermark. */
  aligned: boolean;
}

/** Plain data. */
export interface ValveSnapshot {
  readonly watermark: Timestamp;
  readonly idle: boolean;
  readonly channels: readonly (readonly [channel: string, watermark: Timestamp, idle: boolean, aligned: boolean])[];
}

export interface WatermarkMergeOptions {
  /**
   * Whether the final watermark ends a channel. False only in the golden vectors (`lib/testing/vectors.ts`), which were
   * recorded of a runtime that takes it for one like any other. @defaultValue true
   */
  readonly finalEndsChannel?: boolean | undefined;
}

/**
 * What both merges share. Channels have names, never positions. One that has ended (its watermark is `MAX_TIMESTAMP`)
 * is neither active nor idle: it holds nothing back, and while others are only idle it does not end the stream.
 */
export abstract class WatermarkMerge {
  readonly #finalEndsChannel: boolean;
  protected readonly channels = new Map<string, Channel>();
  #watermark = MIN_TIMESTAMP;
  #idle = false;
  /** The least watermark of the active channels that count, as of the last look at all of them. */
  #least = MIN_TIMESTAMP;
  /** At least so many of them still hold the output there; 0 when that is not known. */
  #holders = 0;

  constructor({ finalEndsChannel = true }: WatermarkMergeOptions = {}) {
    this.#finalEndsChannel = finalEndsChannel;
  }

  /** The last watermark that came out. */
  get current(): Timestamp {
    return this.#watermark;
  }

  get idle(): boolean {
    return this.#idle;
  }

  /** Who holds the watermark back: the active channel with the least one, if another one is ahead. */
  get slowest(): string | undefined {
    let slowest: string | undefined;
    let least = MAX_TIMESTAMP;
    let isAnyAhead = false;
    for (const [name, { watermark, idle }] of this.channels) {
      if (idle || watermark === MAX_TIMESTAMP) continue;
      if (slowest !== undefined && watermark !== least) isAnyAhead = true;
      if (watermark >= least) continue;
      slowest = name;
      least = watermark;
    }
    return isAnyAhead ? slowest : undefined;
  }

  abstract watermark(channel: string, timestamp: Timestamp): WatermarkChange;

  abstract status(channel: string, idle: boolean): WatermarkChange;

  /** The channel holds the watermark back from now on, until it has brought one of its own. */
  add(channel: string): void {
    if (this.channels.has(channel)) throw new TypeError(`Expected \`channel\` to be new, got \`${channel}\` twice`);
    this.channels.set(channel, { watermark: MIN_TIMESTAMP, idle: false, aligned: true });
    this.forgetHolders();
  }

  snapshot(): ValveSnapshot {
    const channels = [...this.channels].map(([name, each]) => [name, each.watermark, each.idle, each.aligned] as const);
    return { watermark: this.#watermark, idle: this.#idle, channels };
  }

  /**
   * Brings the channels that are there to where they were. One that is gone holds nothing back any more, and a new one
   * is new.
   */
  restore({ watermark, idle, channels }: ValveSnapshot): void {
    this.#watermark = watermark;
    this.#idle = idle;
    this.forgetHolders();
    for (const [name, watermark, idle, aligned] of channels) {
      if (this.channels.has(name)) this.channels.set(name, { watermark, idle, aligned });
    }
  }

  protected get(channel: string): Channel {
    const found = this.channels.get(channel);
    if (found === undefined) throw new TypeError(`Expected \`channel\` to be one that was added, got \`${channel}\``);
    return found;
  }

  protected hasEnded({ watermark }: Channel): boolean {
    return this.#finalEndsChannel && watermark === MAX_TIMESTAMP;
  }

  /** Something else has changed than the watermark of a channel: the next `merge` looks at all of them. */
  protected forgetHolders(): void {
    this.#holders = 0;
  }

  /**
   * What has changed by the watermark of an active channel, which was `before`. While another one holds the output back
   * nobody looks at all of them: a source may have very many.
   */
  protected grown(before: Timestamp): WatermarkChange {
    if (this.#holders > 0 && before > this.#least) return noChange;
    if (this.#holders > 1 && before === this.#least) {
      this.#holders -= 1;
      return noChange;
    }
    return this.merge();
  }

  /**
   * What the channels say together: the least watermark of the active ones that count; where all rest, the greatest of
   * the idle ones and `idle`; where all have ended, the final watermark.
   */
  protected merge(): WatermarkChange {
    let least = MAX_TIMESTAMP;
    let greatestIdle = MIN_TIMESTAMP;
    let [active, counted, idle, holders] = [0, 0, 0, 0];
    for (const channel of this.channels.values()) {
      if (this.hasEnded(channel)) continue;
      if (channel.idle) {
        idle += 1;
        greatestIdle = Math.max(greatestIdle, channel.watermark);
        continue;
      }
      active += 1;
      if (!channel.aligned) continue;
      counted += 1;
      if (channel.watermark > least) continue;
      holders = channel.watermark === least ? holders + 1 : 1;
      least = channel.watermark;
    }
    this.#least = least;
    this.#holders = holders;
    if (active > 0) return this.#change(counted > 0 ? least : MIN_TIMESTAMP, false);
    if (idle > 0) return this.#change(greatestIdle, true);
    return this.channels.size > 0 ? this.#change(MAX_TIMESTAMP, false) : noChange;
  }

  /** Leaves out what was said already, and a watermark that would go back (I3). */
  #change(watermark: Timestamp, idle: boolean): WatermarkChange {
    const grown = watermark > this.#watermark;
    const turned = idle !== this.#idle;
    if (!grown && !turned) return noChange;
    if (grown) this.#watermark = watermark;
    this.#idle = idle;
    return { watermark: grown ? watermark : undefined, idle: turned ? idle : undefined };
  }
}

/**
 * Merges channels that are one input: a union, the partitions of an edge. The watermark of an idle channel is ignored,
 * and a channel that comes back behind is left out until it has caught up.
 */
export class WatermarkValve extends WatermarkMerge {
  override watermark(channel: string, timestamp: Timestamp): WatermarkChange {
    const from = this.get(channel);
    if (from.idle || timestamp <= from.watermark) return noChange;
    const before = from.watermark;
    from.watermark = timestamp;
    if (from.aligned) return this.grown(before);
    if (timestamp >= this.current) from.aligned = true;
    return this.merge();
  }

  override status(channel: string, idle: boolean): WatermarkChange {
    const from = this.get(channel);
    if (idle === from.idle || this.hasEnded(from)) return noChange;
    from.idle = idle;
    from.aligned = !idle && from.watermark >= this.current;
    return this.merge();
  }
}

/**
 * Merges inputs of different meaning (the two of a join) or the splits of a source. A watermark makes its channel
 * active, and a channel that comes back behind holds the output.
 *
 * Nobody in the engine notes first and emits later, or takes a channel away: `note`, `noteStatus`, `emit` and `remove`
 * stand apart for the golden vectors (`lib/testing/vectors.ts`), in which splits come, go and are merged periodically.
 */
export class WatermarkCombiner extends WatermarkMerge {
  override watermark(channel: string, timestamp: Timestamp): WatermarkChange {
    const from = this.get(channel);
    if (from.idle) return this.note(channel, timestamp) ? this.merge() : noChange;
    if (timestamp <= from.watermark) return noChange;
    const before = from.watermark;
    from.watermark = timestamp;
    return this.grown(before);
  }

  override status(channel: string, idle: boolean): WatermarkChange {
    this.noteStatus(channel, idle);
    return this.merge();
  }

  /** Takes a watermark, which lets its channel be active, for the next `emit`. True when it has grown. */
  note(channel: string, timestamp: Timestamp): boolean {
    const from = this.get(channel);
    this.forgetHolders();
    from.idle = false;
    if (timestamp <= from.watermark) return false;
    from.watermark = timestamp;
    return true;
  }

  /** Takes a status for the next `emit`. */
  noteStatus(channel: string, idle: boolean): void {
    const from = this.get(channel);
    if (!this.hasEnded(from)) from.idle = idle;
    this.forgetHolders();
  }

  /** Takes effect with the next `emit`. */
  remove(channel: string): void {
    this.get(channel);
    this.channels.delete(channel);
    this.forgetHolders();
  }

  /** What has changed by everything noted since. */
  emit(): WatermarkChange {
    return this.merge();
  }
}
