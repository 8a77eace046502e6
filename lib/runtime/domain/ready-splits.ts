/**
 * Which splits have something to do: to be read, to have records accepted, to hand them over, to be ended. Looking for
 * the next one takes no time for all the others, however many there are (I20).
 */
import type { Timestamp } from '../../core/element.ts';
import { Fifo } from '../../core/fifo.ts';
import { heapPop, heapPush } from '../../state/time-heap.ts';
import type { SourceHost } from '../hosts/source-host.ts';
import type { Split } from '../hosts/split.ts';

/** A split and the source that it is one of. */
export interface HostedSplit {
  readonly host: SourceHost<unknown>;
  readonly split: Split<unknown>;
}

interface Entry extends HostedSplit {
  /** Its place in the order of sources and splits, by which those of one watermark go. */
  readonly order: number;
  /** Its watermark when it was lined up; that only grows. */
  time: Timestamp;
  isToRead: boolean;
  isToAccept: boolean;
  isLined: boolean;
}

export class ReadySplits {
  readonly #entries = new Map<Split<unknown>, Entry>();
  readonly #toRead = new Fifo<Entry>();
  readonly #toAccept = new Fifo<Entry>();
  readonly #drained = new Fifo<Entry>();
  /** Those with records: a heap, the lowest watermark first. */
  readonly #lined: Entry[] = [];

  /** Takes up splits that it does not know yet. */
  add({ host, split }: HostedSplit): void {
    if (this.#entries.has(split)) return;
    const entry = {
      host,
      split,
      order: this.#entries.size,
      time: 0,
      isToRead: false,
      isToAccept: false,
      isLined: false,
    };
    this.#entries.set(split, entry);
    this.look(split);
  }

  /** Something has happened to a split. */
  look(split: Split<unknown>): void {
    const entry = this.#entries.get(split);
    if (entry === undefined) return;
    if (split.hasUnaccepted && !entry.isToAccept) {
      entry.isToAccept = true;
      this.#toAccept.push(entry);
    }
    if (split.hasRecords) this.#line(entry);
    else if (split.isDrained) this.#drained.push(entry);
    else if (split.wantsRead && !entry.isToRead) {
      entry.isToRead = true;
      this.#toRead.push(entry);
    }
  }

  /** Whether any is to be read. */
  get wantRead(): boolean {
    return this.#toRead.size > 0;
  }

  /** The next one to read; who takes it reads it, or looks at it again later. */
  takeToRead(): HostedSplit | undefined {
    for (let entry = this.#toRead.shift(); entry !== undefined; entry = this.#toRead.shift()) {
      entry.isToRead = false;
      if (entry.split.wantsRead) return entry;
    }
    return undefined;
  }

  /** The next one to accept records of; who takes it looks at it again later. */
  takeToAccept(): HostedSplit | undefined {
    const entry = this.#toAccept.shift();
    if (entry !== undefined) entry.isToAccept = false;
    return entry;
  }

  /** The next one to end. */
  takeDrained(): HostedSplit | undefined {
    for (let entry = this.#drained.shift(); entry !== undefined; entry = this.#drained.shift())
      if (entry.split.isDrained) return entry;
    return undefined;
  }

  /** The one with the lowest watermark among those that have records; who takes it looks at it again afterwards. */
  takeLowest(): HostedSplit | undefined {
    for (let entry = this.#pop(); entry !== undefined; entry = this.#pop()) {
      if (!entry.split.hasRecords) continue;
      if (entry.split.generator.current === entry.time) return entry;
      this.#line(entry);
    }
    return undefined;
  }

  #line(entry: Entry): void {
    if (entry.isLined) return;
    entry.isLined = true;
    entry.time = entry.split.generator.current;
    heapPush(this.#lined, entry, comesBefore);
  }

  #pop(): Entry | undefined {
    const first = heapPop(this.#lined, comesBefore);
    if (first !== undefined) first.isLined = false;
    return first;
  }
}

const comesBefore = (a: Entry, b: Entry): boolean => a.time < b.time || (a.time === b.time && a.order < b.order);
