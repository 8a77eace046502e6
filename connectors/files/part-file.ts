/** One part while it is written: where it goes, and how much is in it. */
import { PendingFile } from './pending-file.ts';

/** Where a part belongs: which of its epoch it is, and the directory it goes to, below that of the sink. */
export interface PartPlace {
  readonly epoch: number;
  readonly index: number;
  readonly place: string;
}

/** A part that is on the disk. */
export interface SealedPart {
  readonly index: number;
  readonly place: string;
  readonly bytes: number;
  /** CRC-32 of the bytes. */
  readonly crc: number;
}

/** Parts are read by whoever may read the directory, once they are there. */
const partMode = 0o666;

export class PartFile {
  readonly place: string;
  readonly #index: number;
  readonly #file: PendingFile;
  #bytes = 0;
  #records = 0;
  #sealed: Promise<SealedPart> | undefined;

  constructor(path: string, { epoch, index, place }: PartPlace) {
    this.place = place;
    this.#index = index;
    this.#file = new PendingFile(path, epoch, partMode);
  }

  get bytes(): number {
    return this.#bytes;
  }

  get records(): number {
    return this.#records;
  }

  get waitingBytes(): number {
    return this.#file.waitingBytes;
  }

  /** Writes what stands in front of the records. */
  begin(header: string): void {
    this.#file.add(header);
    this.#bytes += Buffer.byteLength(header);
  }

  add(text: string): void {
    this.#file.add(text);
    this.#bytes += Buffer.byteLength(text);
    this.#records += 1;
  }

  /** Makes it durable; the same promise at each call. Nothing is added any more. */
  seal(): Promise<SealedPart> {
    this.#sealed ??= this.#seal();
    return this.#sealed;
  }

  async #seal(): Promise<SealedPart> {
    const bytes = this.#file.end();
    const { crc } = this.#file;
    await this.#file.seal();
    return { index: this.#index, place: this.place, bytes, crc };
  }

  discard(): Promise<void> {
    return this.#file.discard();
  }
}
