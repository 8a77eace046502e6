/** Numbers and bytes behind each other in little room: a small number takes one byte. */
import { StreamError } from '../core/errors.ts';
import { asBuffer } from '../core/serde.ts';

/** Bytes that are copied one by one. */
const shortMax = 32;

export class PackedWriter {
  #bytes: Buffer;
  #end = 0;

  /** `room`: bytes that are expected. */
  constructor(room: number) {
    this.#bytes = Buffer.allocUnsafe(room);
  }

  /** A whole number from 0. */
  whole(value: number): void {
    this.#room(8);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#end++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#end++] = rest;
  }

  double(value: number): void {
    this.#room(8);
    this.#end = this.#bytes.writeDoubleBE(value, this.#end);
  }

  bytes(value: Uint8Array): void {
    this.whole(value.length);
    this.#room(value.length);
    // Most are short, and then a call costs more than a loop.
    if (value.length > shortMax) this.#bytes.set(value, this.#end);
    else for (let at = 0; at < value.length; at += 1) this.#bytes[this.#end + at] = value[at] ?? 0;
    this.#end += value.length;
  }

  /** Numbers that mostly grow by little. */
  doubles(values: readonly number[]): void {
    this.whole(values.length);
    const isGrowing = values.every((value, at) => Number.isSafeInteger(value) && value >= (values[at - 1] ?? value));
    this.whole(isGrowing ? 1 : 0);
    let before = 0;
    for (const [at, value] of values.entries()) {
      if (isGrowing && at > 0) this.whole(value - before);
      else this.double(value);
      before = value;
    }
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  #room(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    const bytes = Buffer.allocUnsafe(2 * this.#bytes.length + length);
    bytes.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = bytes;
  }
}

/** Reads what a `PackedWriter` wrote. */
export class PackedReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = asBuffer(bytes);
  }

  whole(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw cutOff();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  double(): number {
    if (this.#at + 8 > this.#bytes.length) throw cutOff();
    const value = this.#bytes.readDoubleBE(this.#at);
    this.#at += 8;
    return value;
  }

  bytes(): Uint8Array {
    const length = this.whole();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw cutOff();
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  doubles(): number[] {
    const values: number[] = [];
    const length = this.whole();
    const isGrowing = this.whole() === 1;
    for (let at = 0; at < length; at += 1)
      values.push(isGrowing && at > 0 ? (values[at - 1] ?? 0) + this.whole() : this.double());
    return values;
  }
}

const cutOff = (): StreamError => new StreamError('VALUE_DAMAGED', 'a stored value ends before it should');
