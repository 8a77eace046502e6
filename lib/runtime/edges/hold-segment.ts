/** A segment of the holds of an operator, and the results that wait in it. `holds.ts` has the rules. */
import { MIN_TIMESTAMP, type Timestamp } from '../../core/element.ts';
import type { Key } from '../../core/key.ts';

/** The stored row of a result that waits, under its place among all that wait: a side output is named by its tag. */
export type HeldRow = readonly [segment: number, value: unknown, timestamp: Timestamp, side?: string];

export interface Held {
  readonly order: number;
  readonly segment: Segment;
  readonly key: Key;
  readonly row: HeldRow;
}

export class Segment {
  readonly number: number;
  /** The greatest watermark that waits in front of it. */
  readonly behind: Timestamp;
  /** Holds not released. */
  open = 0;
  /** Results that wait for the segments before, in the order they came. */
  readonly held = new Set<Held>();
  /** What leaves when the segment is done. */
  watermark: Timestamp | undefined;
  idle: boolean | undefined;
  /**
   * The stream became active before that watermark: a merge downstream takes no watermark of a stream that it has as
   * idle.
   */
  active = false;
  before: Segment | undefined;
  next: Segment | undefined;

  constructor(number: number, behind: Timestamp) {
    this.number = number;
    this.behind = behind;
  }
}

/** What closes a segment, as the checkpoint header holds it. */
export interface ClosedSegment {
  readonly number: number;
  readonly watermark?: Timestamp;
  readonly idle?: boolean;
  readonly active?: boolean;
}

/** The part that is in the checkpoint header. */
export interface HoldsSnapshot {
  readonly nextHold: number;
  readonly nextSegment: number;
  readonly nextOrder: number;
  readonly closed: readonly ClosedSegment[];
  /** What leaves next is left for slices. */
  readonly stopped?: true;
}

/** The greatest watermark that waits in front of what comes behind this segment. */
export const behind = ({ watermark, behind: before }: Segment): Timestamp => watermark ?? before;

/** Whether a result must not leave in front of the watermark: it would be on time there and late behind. */
export const isLate = (watermark: Timestamp, timestamp: Timestamp): boolean =>
  timestamp <= watermark && timestamp !== MIN_TIMESTAMP;
