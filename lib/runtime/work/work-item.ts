/**
 * One item of work, from its submission in a turn to its application in another: what names it, what tells it from
 * others (its digest, so that a replay sees the same input, I8), and which records of the journal are its own.
 */
import { crc32 } from 'node:zlib';
import { workName, type WorkId } from '../../core/journal.ts';
import { keyText, type Key } from '../../core/key.ts';
import { ownCopy } from '../../core/own-copy.ts';
import type { Worker } from '../../core/work.ts';
import { encodeText } from '../../core/serde.ts';
import type { KeyContext } from '../../state/key-context.ts';

/** The stored row of one open item. */
export interface WorkRow {
  readonly worker: string;
  readonly item: unknown;
  readonly submittedAt: number;
  readonly branch: number;
  /**
   * The key group that is part of its name: that of the time it was submitted, whatever `maxParallelism` has become.
   * Absent in rows of version 0.1.0.
   */
  readonly group?: number;
}

/** One item from its submission to its application. */
export class WorkItem {
  readonly id: WorkId;
  readonly key: Key;
  readonly keys: KeyContext;
  /** Durable calls asked for so far. */
  calls = 0;
  readonly #known: KnownWorker;
  readonly #row: WorkRow;
  #journaled: Uint8Array[] | undefined;
  #digest: number | undefined;

  constructor({
    id,
    key,
    keys,
    known,
    row,
  }: {
    id: WorkId;
    key: Key;
    keys: KeyContext;
    known: KnownWorker;
    row: WorkRow;
  }) {
    this.id = id;
    this.key = key;
    this.keys = keys;
    this.#known = known;
    this.#row = row;
  }

  get name(): string {
    return workName(this.id);
  }

  /** Names it in messages. A worker that fails to leaves them without its words, and breaks nothing. */
  get title(): string {
    const { worker, uid } = this.#known;
    const plain = `work \`${worker.name}\` of operator \`${uid}\`${this.key === '' ? '' : ` for key ${keyText(this.key)}`}`;
    try {
      return worker.describe?.(this.shown, this.key) ?? plain;
    } catch {
      return plain;
    }
  }

  /** Facts about it for errors. */
  get details(): Readonly<Record<string, unknown>> {
    return { uid: this.#known.uid, work: this.name, key: this.key };
  }

  get item(): unknown {
    return this.#row.item;
  }

  /** The item for whom it is told: its row is stored later, so a worker that does not own it gets a copy (I21). */
  get shown(): unknown {
    return this.worker.owned === true ? this.item : ownCopy(this.item);
  }

  get submittedAt(): number {
    return this.#row.submittedAt;
  }

  get worker(): Worker<unknown, unknown> {
    return this.#known.worker;
  }

  get timeoutMs(): number | undefined {
    return this.#known.timeoutMs;
  }

  /** Keys of its records in the journal. */
  get journaled(): readonly Uint8Array[] {
    return this.#journaled ?? noKeys;
  }

  addJournaled(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.addJournaledKey(key);
  }

  addJournaledKey(key: Uint8Array): void {
    (this.#journaled ??= []).push(key);
  }

  /** Digest of what tells the item from others, as it was when this was first asked for. */
  digest(): number {
    if (this.#digest === undefined) {
      const { worker } = this;
      const identity = worker.identity === undefined ? this.item : worker.identity(this.shown);
      this.#digest = crc32(typeof identity === 'string' ? identity : encodeText(identity));
    }
    return this.#digest;
  }

  /** By it a replay sees that it submits what was submitted. */
  get fingerprint(): number {
    return fingerprintOf(this.id, this.digest());
  }

  /** What every record of it carries. */
  facts(): { readonly work: WorkId; readonly key: Key; readonly digest: number } {
    return { work: this.id, key: this.key, digest: this.digest() };
  }
}

/** Of an item with this digest. Its number follows from the order of submissions, so it is left out. */
export const fingerprintOf = ({ operator, keyGroup }: WorkId, itemDigest: number): number =>
  Math.imul(Math.imul(itemDigest ^ operator, 0x9e3779b1) ^ keyGroup, 0x85ebca6b) >>> 0;

const noKeys: readonly Uint8Array[] = [];

export interface KnownWorker {
  readonly worker: Worker<unknown, unknown>;
  /** Of its operator. */
  readonly uid: string;
  readonly timeoutMs: number | undefined;
}
