/**
 * Numbers and texts as bytes of stored keys: no two share theirs, and byte order is the order of numbers, and of texts
 * by their UTF-8. The bytes are part of the format of stored state, and never change.
 */

/** Where eight bytes of a number are put in order; used up within one call. */
const scratch = Buffer.alloc(8);

/**
 * Writes the double whose byte order is numeric order: positive numbers with the sign bit set, negative ones with all
 * bits turned. -0 is 0.
 */
export const writeDouble = (bytes: Buffer, value: number, at: number): void => {
  bytes.writeDoubleBE(value === 0 ? 0 : value, at);
  if (value < 0) {
    bytes.writeUInt32BE(~bytes.readUInt32BE(at) >>> 0, at);
    bytes.writeUInt32BE(~bytes.readUInt32BE(at + 4) >>> 0, at + 4);
  } else {
    bytes[at] = (bytes[at] as number) | 0x80; // inside the bounds, since the double was written
  }
};

/** Reads what `writeDouble` wrote; undefined when the bytes end before it does. */
export const readDouble = (bytes: Buffer, at: number): number | undefined => {
  if (at < 0 || bytes.length < at + 8) return undefined;
  const high = bytes.readUInt32BE(at);
  const low = bytes.readUInt32BE(at + 4);
  const positive = high >= 0x80000000;
  scratch.writeUInt32BE((positive ? high & 0x7fffffff : ~high) >>> 0, 0);
  scratch.writeUInt32BE((positive ? low : ~low) >>> 0, 4);
  return scratch.readDoubleBE(0);
};

/** First byte of a text: of one in UTF-8, and of one that UTF-8 can't hold. */
export interface TextTags {
  readonly text: number;
  readonly rawText: number;
}

/** With `u`, half of a pair is all that it matches. */
const loneSurrogate = /\p{Surrogate}/u;
const loneSurrogates = /\p{Surrogate}/gu;

/** A text behind its tag. UTF-8 can't hold a lone surrogate, so a text with one keeps its 16-bit units. */
export const textBytes = (text: string, tags: TextTags): Buffer => {
  if (loneSurrogate.test(text)) return Buffer.concat([Uint8Array.of(tags.rawText), Buffer.from(text, 'utf16le')]);
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(text));
  bytes[0] = tags.text;
  bytes.write(text, 1);
  return bytes;
};

/** Reads what `textBytes` wrote; undefined when its tag is none of the two. */
export const textFromBytes = (bytes: Buffer, tags: TextTags): string | undefined => {
  if (bytes[0] === tags.text) return bytes.toString('utf8', 1);
  return bytes[0] === tags.rawText ? bytes.toString('utf16le', 1) : undefined;
};

/** The text with U+FFFD in place of each lone surrogate, for receivers that refuse one. */
export const wellFormed = (text: string): string =>
  loneSurrogate.test(text) ? text.replaceAll(loneSurrogates, '\ufffd') : text;
