/**
 * The body of a checkpoint header: everything about a job between two turns that is not a row of keyed state, and the
 * checks that a restored header fits the graph that is started on it (I12).
 */
import { StreamError } from '../../core/errors.ts';
import type { JournalPosition } from '../../core/journal.ts';
import type { StateKind } from '../../core/state-descriptor.ts';
import type { TimeDomain } from '../../core/timer.ts';
import type { HostSnapshot } from '../hosts/operator-host.ts';
import type { JournalState } from '../journal/journal.ts';
import type { SinkSnapshot } from '../hosts/sink-host.ts';
import type { SourceSnapshot } from '../hosts/source-host.ts';
import type { ValveSnapshot } from '../edges/watermark-merge.ts';

export interface StateFacts {
  readonly name: string;
  readonly kind: StateKind;
  readonly version: number;
  /** Of a map: whether it has an index. */
  readonly indexed: boolean;
  /** Of a map whose entries are in order. */
  readonly ordered?: true | undefined;
  /** By which time its values age, where they have a time to live. */
  readonly ttl?: TimeDomain | undefined;
  /** Of the operator, and of no key. */
  readonly ofOperator?: true | undefined;
  /** Its number in every stored key. */
  readonly state: number;
  /**
   * The operator has gone on without it: its number stays taken, and its rows belong to nobody, also when the name
   * comes back.
   */
  readonly dropped?: true | undefined;
}

/** One node of the graph; which parts it has depends on its kind. */
export interface NodeSnapshot {
  /** Its number in every stored key. */
  readonly number: number;
  readonly states?: readonly StateFacts[] | undefined;
  readonly host?: HostSnapshot | undefined;
  readonly source?: SourceSnapshot | undefined;
  readonly sink?: SinkSnapshot | undefined;
  readonly valve?: ValveSnapshot | undefined;
}

/** Where the branch before ended, for what of it may still be claimed. */
export interface LeftOverSnapshot {
  /**
   * Which recorded turns were not done again, by number: the work of other turns before the last of them is applied,
   * and nobody may claim it.
   */
  readonly left: readonly (readonly [from: number, to: number])[];
  /**
   * Names of items that stayed open when the branches parted: nobody else may claim them, when they are applied
   * neither.
   */
  readonly kept: readonly string[];
  /** Fingerprints of what the old branch had submitted later, and of which the journal holds nothing. */
  readonly unrecorded: readonly number[];
  /** How many records of each split the old branch had read. */
  readonly tail: readonly (readonly [source: number, split: string, records: number])[];
}

/**
 * 2: what sources have accepted waits in the header, and watermarks are emitted in front of a record that is behind its
 * bound.
 */
export const headerFormat = 2;

export interface Header {
  readonly format: typeof headerFormat;
  readonly maxParallelism: number;
  /** The name of the job that wrote it. */
  readonly job?: string | undefined;
  readonly branch: number;
  /** The journal as of the instant: turns it covers and the newest LSN. */
  readonly journal: JournalState;
  /** How far the journal was durable when this was written; absent where its store can't tell. */
  readonly journalPosition?: JournalPosition;
  /** What of the branch before may still be claimed; absent when nothing is. */
  readonly leftOver?: LeftOverSnapshot | undefined;
  /** How many timers a turn has fired so far: that of the process, until the next one goes live. */
  readonly timersPerTurn?: number | undefined;
  /** The input had ended and all work was done. */
  readonly finished: boolean;
  /** The next free number of the uid dictionary. */
  readonly nextNumber: number;
  readonly nodes: Readonly<Record<string, NodeSnapshot>>;
}

export const emptyHeader = (maxParallelism: number): Header => ({
  format: headerFormat,
  maxParallelism,
  branch: 0,
  journal: { lsn: 0, turns: 0 },
  finished: false,
  nextNumber: 1,
  nodes: {},
});

/** Refuses a header that this job, with these uids and settings, can't go on from. */
export const checkHeader = (
  header: Header,
  job: { readonly maxParallelism: number; readonly uids: ReadonlySet<string>; readonly allowUnclaimedState: boolean },
): void => {
  if (header.format !== headerFormat) {
    throw new StreamError(
      'STORE_FORMAT',
      `the checkpoint has format ${String(header.format)}, this version reads format ${headerFormat}`,
    );
  }
  if (header.maxParallelism !== job.maxParallelism) {
    throw new StreamError(
      'STATE_INCOMPATIBLE',
      `the state was written with maxParallelism ${header.maxParallelism}, the job has ${job.maxParallelism}`,
      { hint: `set \`maxParallelism\` to ${header.maxParallelism}: it is fixed for the life of the state` },
    );
  }
  for (const [uid, node] of Object.entries(header.nodes)) {
    const held = heldOf(node);
    if (held !== undefined && !job.uids.has(uid) && !job.allowUnclaimedState) {
      throw new StreamError(
        'STATE_UNCLAIMED',
        `the checkpoint holds ${held} of "${uid}", which is no operator of this pipeline`,
      );
    }
  }
};

/**
 * What would be lost with a node, in words. The records of a sink are numbered and its output has an end: another sink
 * must not go on there.
 */
const heldOf = ({ states = [], source, sink }: NodeSnapshot): string | undefined => {
  if (states.some(({ dropped }) => dropped !== true)) return 'state';
  if (source !== undefined) return 'positions';
  if (sink !== undefined && (sink.number > 0 || sink.pending.length > 0))
    return `the place in the output (${sink.number} records)`;
  return undefined;
};

export interface StatesOfOperator {
  readonly uid: string;
  readonly stored: readonly StateFacts[];
  readonly declared: readonly StateFacts[];
  readonly allowUnclaimedState: boolean;
}

const renameHint = 'declare it as it was, or give the new state another name and set `allowUnclaimedState` once';

const lifeOf = ({ ttl }: StateFacts): string =>
  ttl === undefined ? 'no time to live' : `a time to live by ${ttl} time`;

const ownerOf = ({ ofOperator }: StateFacts): string => (ofOperator === true ? 'state of the operator' : 'keyed state');

/** Refuses state that is no longer declared, whose kind changed or that a newer version wrote. */
export const checkStates = ({ uid, stored, declared, allowUnclaimedState }: StatesOfOperator): void => {
  for (const before of stored) {
    if (before.dropped === true) continue;
    const now = declared.find(({ name }) => name === before.name);
    if (now === undefined) {
      if (allowUnclaimedState) continue;
      throw new StreamError(
        'STATE_UNCLAIMED',
        `the checkpoint holds state "${before.name}" of "${uid}", which the operator does not declare`,
      );
    }
    if (now.kind !== before.kind) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `state "${before.name}" of "${uid}" was a ${before.kind} state and is declared as ${now.kind}`,
        { hint: renameHint },
      );
    }
    if (now.indexed !== before.indexed) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `map state "${before.name}" of "${uid}" was ${before.indexed ? '' : 'not '}indexed, and is declared otherwise`,
        { hint: renameHint },
      );
    }
    if (now.ttl !== before.ttl) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `state "${before.name}" of "${uid}" had ${lifeOf(before)} and is declared with ${lifeOf(now)}`,
        { hint: renameHint },
      );
    }
    if (now.ofOperator !== before.ofOperator) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `state "${before.name}" of "${uid}" was ${ownerOf(before)} and is declared as ${ownerOf(now)}`,
        { hint: renameHint },
      );
    }
    if (now.ordered !== before.ordered) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `map state "${before.name}" of "${uid}" was ${before.ordered === true ? '' : 'not '}ordered, and is declared otherwise`,
        { hint: renameHint },
      );
    }
    if (now.version < before.version) {
      throw new StreamError(
        'STATE_INCOMPATIBLE',
        `state "${before.name}" of "${uid}" has version ${before.version}, the operator reads up to ${now.version}`,
        { hint: 'start the newer code, or give its descriptor the same `version`' },
      );
    }
  }
};
