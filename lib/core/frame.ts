/**
 * The frame that every stored value carries: a checksum and a version in front of its text, so that what a disk has
 * changed and what a newer version has written are both noticed before anything is read of it.
 */
import { crc32 } from 'node:zlib';
import { StreamError } from './errors.ts';
import { asBuffer, decode, encodeText } from './serde.ts';

/** Version of the framed form. */
const frameVersion = 1;

/** Bytes before the body of a framed value: CRC-32 (big endian) of all that follows, then the version. */
const headBytes = 5;

/** The version as text, and its checksum, with which that of a body goes on. */
const versionText = String.fromCharCode(frameVersion);
const versionCrc = crc32(versionText);

/** As text, before the checksum is known. */
const headRoom = `${'\0'.repeat(headBytes - 1)}${versionText}`;

/** @internal Puts checksum and version before the body. */
export const frame = (body: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(headBytes + body.length);
  bytes.set(body, headBytes);
  bytes[4] = frameVersion;
  bytes.writeUInt32BE(crc32(body, versionCrc), 0);
  return bytes;
};

/**
 * @internal Checks the frame and returns the body, which shares memory with `bytes`. `what` names the value in errors.
 */
export const unframe = (bytes: Uint8Array, what: string): Buffer => {
  const buffer = asBuffer(bytes);
  if (buffer.length < headBytes || crc32(buffer.subarray(4)) !== buffer.readUInt32BE(0)) {
    throw new StreamError('VALUE_DAMAGED', `${what} does not match its checksum`, { details: { what } });
  }
  const version = buffer[4] as number; // the length was checked
  if (version > frameVersion) {
    throw new StreamError('STORE_FORMAT', `${what} has format ${version}, this version reads up to ${frameVersion}`, {
      details: { what, version },
    });
  }
  if (version < frameVersion)
    throw new StreamError('VALUE_DAMAGED', `${what} has format ${version}`, { details: { what, version } });
  return buffer.subarray(headBytes);
};

/** @internal `frame(encode(value))` in one allocation. */
export const frameValue = (value: unknown): Buffer => frameText(encodeText(value));

/** @internal The same of a value that is text already. */
export const frameText = (text: string): Buffer => {
  const bytes = Buffer.from(headRoom + text, 'utf8');
  bytes.writeUInt32BE(crc32(text, versionCrc), 0);
  return bytes;
};

export const unframeValue = (bytes: Uint8Array, what: string): unknown => decode(unframe(bytes, what));
