/**
 * The journal's contract with whatever keeps it: an ordered log of small keyed records, written in groups. LevelDB by
 * default, memory for tests; a compacted Kafka topic fits too, so every operation is asynchronous and a position is
 * opaque. Keeps I8 and I14: what `append` acknowledged is there after a crash, and what is there is always a prefix of
 * what was appended.
 */

/** Where a record stands in the log. Opaque outside its store: a number for LevelDB, an offset map for Kafka. */
export type JournalPosition = unknown;

export interface JournalEntry {
  readonly key: Uint8Array;
  /** CRC-32, version and body; see `lib/runtime/journal/journal-format.ts`. */
  readonly value: Uint8Array;
}

export interface ActionStateStore {
  /**
   * Writes the entries as one unit and resolves when it is durable. A later entry with the same key replaces an earlier
   * one.
   */
  append(entries: readonly JournalEntry[]): Promise<void>;
  /** One entry, or undefined. Recovery reads all entries at once; this is for tools that look for one call. */
  get(key: Uint8Array): Promise<JournalEntry | undefined>;
  /** The position behind everything durable. */
  getRecoveryMarker(): Promise<JournalPosition>;
  /**
   * Whether the log reaches to a position that it gave in any life before. It does unless it was exchanged for an older
   * copy of itself, which would make paid calls again. Absent where a store can't tell.
   */
  reaches?(marker: JournalPosition): Promise<boolean>;
  /**
   * Every entry that may matter since the marker (undefined: all there is), in the order of their keys. May give more,
   * never less. Recovery asks for all: what is pruned is gone, and what remains is small. A marker is for who keeps a
   * log that is read from a position, like a topic.
   */
  rebuildState(marker?: JournalPosition): AsyncIterable<JournalEntry>;
  /** Forgets these keys. Not urgent and not atomic: what remains is recognised as garbage. */
  pruneState(keys: readonly Uint8Array[]): Promise<void>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** Names one item of work: the `number`-th of its key group at its operator, counted in branch `branch`. */
export interface WorkId {
  readonly branch: number;
  readonly operator: number;
  readonly keyGroup: number;
  readonly number: number;
}

/**
 * The unique name of the `call`-th durable call of an item of work.
 *
 * @example
 * console.log(callName({ branch: 0, operator: 2, keyGroup: 17, number: 5 }, 1)); // prints 0.2.17.5.1
 */
export const callName = (work: WorkId, call: number): string => `${workName(work)}.${call}`;

export const workName = ({ branch, operator, keyGroup, number }: WorkId): string =>
  `${branch}.${operator}.${keyGroup}.${number}`;
