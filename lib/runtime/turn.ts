/**
 * A turn: one synchronous step of the job, from an outside cause to the last operator it reaches (I13). The order of turns is the only
 * thing about a run that its inputs do not fix, so it is what the turn log records.
 */
import type { Timestamp } from '../core/element.ts';
import type { WorkId } from '../core/journal.ts';

export type Turn =
  /** A split hands over its next `count` records. */
  | { readonly kind: 'records'; readonly source: number; readonly split: string; readonly count: number; readonly now?: Timestamp }
  /** A split that can't be read again hands over these records. */
  | { readonly kind: 'input'; readonly source: number; readonly split: string; readonly input: RecordedInput; readonly now?: Timestamp }
  /** A split appears. */
  | { readonly kind: 'split'; readonly source: number; readonly split: string }
  /** A split has ended. */
  | { readonly kind: 'end'; readonly source: number; readonly split: string; readonly now?: Timestamp }
  /** An item of work hands over its outcome. */
  | { readonly kind: 'work'; readonly work: WorkId; readonly now?: Timestamp }
  /** The clock ticks. */
  | { readonly kind: 'tick'; readonly now: Timestamp }
  /** A process goes live: countdowns of idleness begin anew. */
  | { readonly kind: 'start' };

/** Records as they were accepted, with the side output of those that go to one. */
export interface RecordedInput {
  readonly values: readonly unknown[];
  readonly timestamps?: readonly Timestamp[] | undefined;
  readonly sides?: readonly (readonly [index: number, tag: string])[] | undefined;
  /** The source's position behind them. */
  readonly position: unknown;
}

/** Turns as the log stores them: arrays, since most jobs write millions. */
export type PackedTurn = readonly unknown[];

const letters = { records: 'r', input: 'i', split: 's', end: 'e', work: 'w', tick: 't', start: 'l' } as const;

export const packTurn = (turn: Turn): PackedTurn => {
  const letter = letters[turn.kind];
  switch (turn.kind) {
    case 'records':
      return withNow([letter, turn.source, turn.split, turn.count], turn.now);
    case 'input':
      return withNow([letter, turn.source, turn.split, turn.input], turn.now);
    case 'split':
      return [letter, turn.source, turn.split];
    case 'end':
      return withNow([letter, turn.source, turn.split], turn.now);
    case 'work': {
      const { operator, keyGroup, number, branch } = turn.work;
      return withNow([letter, operator, keyGroup, number, branch], turn.now);
    }
    case 'tick':
      return [letter, turn.now];
    case 'start':
      return [letter];
  }
};

export const unpackTurn = (packed: PackedTurn): Turn => {
  // The checksum of the record has been verified, so the shape is what packTurn wrote.
  const [letter, a, b, c, d, e] = packed as [string, number, never, never, never, never];
  const timed = (now: Timestamp | undefined): { now?: Timestamp } => (now === undefined ? {} : { now });
  switch (letter) {
    case letters.records:
      return { kind: 'records', source: a, split: b, count: c, ...timed(d) };
    case letters.input:
      return { kind: 'input', source: a, split: b, input: c, ...timed(d) };
    case letters.split:
      return { kind: 'split', source: a, split: b };
    case letters.end:
      return { kind: 'end', source: a, split: b, ...timed(c) };
    case letters.work:
      return { kind: 'work', work: { operator: a, keyGroup: b, number: c, branch: d }, ...timed(e) };
    case letters.tick:
      return { kind: 'tick', now: a };
    default:
      return { kind: 'start' };
  }
};

/** One turn for two that follow each other, where that means the same; undefined where it does not. */
export const mergeTurns = (first: Turn, second: Turn): Turn | undefined => {
  if (first.kind !== 'records' || second.kind !== 'records') return undefined;
  if (first.source !== second.source || first.split !== second.split) return undefined;
  if (first.now !== undefined || second.now !== undefined) return undefined;
  return { ...first, count: first.count + second.count };
};

const withNow = (packed: unknown[], now: Timestamp | undefined): PackedTurn => {
  if (now !== undefined) packed.push(now);
  return packed;
};
