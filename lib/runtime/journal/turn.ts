/**
 * A turn: one synchronous step of the job, from an outside cause to the last operator it reaches (I13). The order of
 * turns is the only thing about a run that its inputs do not fix, so it is what the turn log records, with marks by
 * which a replay sees that it does the same.
 */
import type { Timestamp } from '../../core/element.ts';
import { StreamError } from '../../core/errors.ts';
import type { WorkId } from '../../core/journal.ts';
import type { Quiet } from '../edges/watermark-generator.ts';

export type Turn =
  /** A split hands over its next `count` records: those that can't be read again out of what was accepted. */
  | (Marks & {
      readonly kind: 'records';
      readonly source: number;
      readonly split: string;
      readonly count: number;
      readonly position?: unknown;
      /** Behind them it emits its watermark: the next record is behind its bound, and comes in a later turn. */
      readonly emits?: true | undefined;
    })
  /** These records of a split that can't be read again are accepted. */
  | { readonly kind: 'input'; readonly source: number; readonly split: string; readonly input: RecordedInput }
  /** A split appears. */
  | { readonly kind: 'split'; readonly source: number; readonly split: string }
  /** A split has ended. */
  | (Marks & { readonly kind: 'end'; readonly source: number; readonly split: string })
  /** An item of work hands over its outcome. */
  | (Marks & { readonly kind: 'work'; readonly work: WorkId })
  /** So many timers fire of those that were too many for the turn that made them due. */
  | (Marks & { readonly kind: 'slice'; readonly count: number })
  /** The clock ticks, for timers and for these splits. */
  | TickTurn
  /** A process goes live: countdowns of idleness begin anew, and so many timers of an operator fire in one turn. */
  | { readonly kind: 'start'; readonly timersPerTurn?: number | undefined };

export type TickTurn = Marks & {
  readonly kind: 'tick';
  readonly now: Timestamp;
  readonly splits?: readonly TickedSplit[] | undefined;
  /** Something was left for slices behind these splits, so that it ended there: timers fire with the next one. */
  readonly cut?: true | undefined;
};

/**
 * A split that a tick concerns, and what the tick means to it: whether it could have brought anything is a fact of that
 * time.
 */
export type TickedSplit = readonly [source: number, split: string, quiet: Quiet];

interface Marks {
  /** The time that the turn has read. */
  readonly now?: Timestamp;
  /** Fingerprints of the items of work that it has submitted, in order. */
  readonly submitted?: readonly number[];
}

/** Records as they are accepted, with the side output of those that go to one. */
export interface RecordedInput {
  readonly values: readonly unknown[];
  readonly timestamps?: readonly Timestamp[] | undefined;
  readonly sides?: readonly (readonly [index: number, tag: string])[] | undefined;
  /** The source's position behind them. */
  readonly position: unknown;
}

/** Turns as the log stores them: arrays, since most jobs write millions. */
export type PackedTurn = readonly unknown[];

/** By their number in the log. */
const quiets: readonly Quiet[] = ['waits', 'reads', 'held'];

interface TurnKind<T extends Turn> {
  /** Stands first in the log. `i` and `t` were an input and a tick of a form before this one. */
  readonly letter: string;
  /** Whether it brings anything new: by such turns it is told whether a job gets anywhere. */
  readonly moves: boolean;
  /** What stands behind the letter. */
  pack(turn: T): readonly unknown[];
  /**
   * The checksum of the record has been verified, so the fields are what `pack` gave; null stands for what was not
   * there.
   */
  unpack(fields: readonly never[]): T;
}

/**
 * The kinds of turns in one table: how each is recorded. What recovery does with it is the other half, which stands
 * where that is known: `recovery/recorded-turns.ts`.
 */
const kinds: { readonly [K in Turn['kind']]: TurnKind<Extract<Turn, { readonly kind: K }>> } = {
  records: {
    letter: 'r',
    moves: true,
    pack: ({ source, split, count, now, submitted, position, emits }) =>
      packed([source, split, count, now, submitted, position, bit(emits)]),
    unpack: ([source, split, count, now, submitted, position, emits]) => ({
      kind: 'records',
      source: number(source),
      split: text(split),
      count: number(count),
      ...marks(now, submitted),
      ...(isAbsent(position) ? {} : { position }),
      ...(isAbsent(emits) ? {} : { emits: true }),
    }),
  },
  input: {
    letter: 'a',
    moves: true,
    pack: ({ source, split, input }) => [source, split, input],
    // What `pack` was given.
    unpack: ([source, split, input]) => ({
      kind: 'input',
      source: number(source),
      split: text(split),
      input: input as unknown as RecordedInput,
    }),
  },
  split: {
    letter: 's',
    moves: true,
    pack: ({ source, split }) => [source, split],
    unpack: ([source, split]) => ({ kind: 'split', source: number(source), split: text(split) }),
  },
  end: {
    letter: 'e',
    moves: true,
    pack: ({ source, split, now, submitted }) => packed([source, split, now, submitted]),
    unpack: ([source, split, now, submitted]) => ({
      kind: 'end',
      source: number(source),
      split: text(split),
      ...marks(now, submitted),
    }),
  },
  work: {
    letter: 'w',
    moves: true,
    pack: ({ work, now, submitted }) =>
      packed([work.operator, work.keyGroup, work.number, work.branch, now, submitted]),
    unpack: ([operator, keyGroup, at, branch, now, submitted]) => ({
      kind: 'work',
      work: { operator: number(operator), keyGroup: number(keyGroup), number: number(at), branch: number(branch) },
      ...marks(now, submitted),
    }),
  },
  slice: {
    letter: 'f',
    moves: true,
    pack: ({ count, now, submitted }) => packed([count, now, submitted]),
    unpack: ([count, now, submitted]) => ({ kind: 'slice', count: number(count), ...marks(now, submitted) }),
  },
  tick: {
    letter: 'c',
    moves: false,
    pack: ({ now, submitted, splits, cut }) => {
      const ticked = splits?.map(([source, split, quiet]) => [source, split, quiets.indexOf(quiet)]);
      return packed([now, submitted, ticked, bit(cut)]);
    },
    unpack: ([now, submitted, splits, cut]) => ({
      kind: 'tick',
      ...marks(undefined, submitted),
      now: number(now),
      ...(isAbsent(splits) ? {} : { splits: unpackSplits(splits) }),
      ...(isAbsent(cut) ? {} : { cut: true }),
    }),
  },
  start: {
    letter: 'l',
    moves: false,
    pack: ({ timersPerTurn }) => packed([timersPerTurn]),
    unpack: ([timersPerTurn]) => ({
      kind: 'start',
      ...(isAbsent(timersPerTurn) ? {} : { timersPerTurn: number(timersPerTurn) }),
    }),
  },
};

// Given what they unpack.
const byLetter = new Map(Object.values(kinds).map((kind) => [kind.letter, kind as TurnKind<Turn>]));

export const packTurn = (turn: Turn): PackedTurn => {
  const kind = kinds[turn.kind] as unknown as TurnKind<Turn>; // It is the row of the turn's kind.
  return [kind.letter, ...kind.pack(turn)];
};

/** Throws `STORE_FORMAT` for a kind of turn that this version does not know. */
export const unpackTurn = ([letter, ...fields]: PackedTurn): Turn => {
  const kind = byLetter.get(String(letter));
  if (kind === undefined)
    throw new StreamError(
      'STORE_FORMAT',
      `the journal holds a turn of kind \`${String(letter)}\`, which this version does not know`,
    );
  return kind.unpack(fields as never[]); // They are of the row's kind: the letter says so.
};

/** Fields of a packed turn, whose types their row knows. */
const number = (field: unknown): number => field as number; // What `pack` was given.
const text = (field: unknown): string => field as string;

/** Whether a turn brings anything new. */
export const moves = ({ kind }: Turn): boolean => kinds[kind].moves;

/** One turn for two that follow each other, where that means the same; undefined where it does not. */
export const mergeTurns = (first: Turn, second: Turn): Turn | undefined => {
  if (first.kind !== 'records' || second.kind !== 'records') return undefined;
  if (first.source !== second.source || first.split !== second.split) return undefined;
  if (first.now !== undefined || second.now !== undefined || first.emits === true) return undefined;
  // Two lists would be copied over and over; one that submits nothing joins any other.
  if (first.submitted !== undefined && second.submitted !== undefined) return undefined;
  const { position: _, ...rest } = first;
  return { ...rest, ...second, count: first.count + second.count };
};

/** The position of a `records` turn, if it is cheap to keep: it shows that a source gives the same again. */
export const markOfPosition = (position: unknown): { readonly position?: unknown } =>
  typeof position === 'number' || (typeof position === 'string' && position.length <= 64) ? { position } : {};

const marks = (now: Timestamp | null | undefined, submitted: readonly number[] | null | undefined): Marks => {
  if (isAbsent(submitted)) return isAbsent(now) ? {} : { now };
  return isAbsent(now) ? { submitted } : { now, submitted };
};

const unpackSplits = (splits: readonly (readonly [source: number, split: string, quiet: number])[]): TickedSplit[] =>
  splits.map(([source, split, quiet]) => [source, split, quiets[quiet] ?? 'held']);

/** What is not there at the end takes no room. */
const packed = (fields: unknown[]): PackedTurn => {
  while (fields.length > 0 && fields.at(-1) === undefined) fields.pop();
  for (let at = 0; at < fields.length; at += 1) fields[at] ??= null;
  return fields;
};

const bit = (flag: true | undefined): 1 | undefined => (flag === true ? 1 : undefined);

const isAbsent = (field: unknown): field is null | undefined => field === null || field === undefined;
