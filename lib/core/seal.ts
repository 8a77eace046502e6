/**
 * The seal that every stored value carries: a checksum and a version in front of its text, so that what a disk has
 * changed and what a newer version has written are both noticed before anything is read of it.
 */
import { crc32 } from 'node:zlib';
import { StreamError } from './errors.ts';
import { asBuffer, decode, encodeText } from './serde.ts';

/** Version of the sealed form. */
const sealVersion = 1;

/** Bytes before the body of a sealed value: CRC-32 (big endian) of all that follows, then the version. */
const sealBytes = 5;

/** @internal Puts checksum and version before the body. */
export const seal = (body: Uint8Array): Buffer => {
  const bytes = Buffer.allocUnsafe(sealBytes + body.length);
  bytes.set(body, sealBytes);
  return closeSeal(bytes);
};

/**
 * @internal Checks the seal and returns the body, which shares memory with `bytes`. `what` names the value in errors.
 */
export const unseal = (bytes: Uint8Array, what: string): Buffer => {
  const buffer = asBuffer(bytes);
  if (buffer.length < sealBytes || crc32(buffer.subarray(4)) !== buffer.readUInt32BE(0)) {
    throw new StreamError('VALUE_DAMAGED', `${what} does not match its checksum`, { details: { what } });
  }
  const version = buffer[4] as number; // the length was checked
  if (version > sealVersion) {
    throw new StreamError('STORE_FORMAT', `${what} has format ${version}, this version reads up to ${sealVersion}`, {
      details: { what, version },
    });
  }
  if (version < sealVersion)
    throw new StreamError('VALUE_DAMAGED', `${what} has format ${version}`, { details: { what, version } });
  return buffer.subarray(sealBytes);
};

/** @internal `seal(encode(value))` in one allocation. */
export const sealValue = (value: unknown): Buffer => sealText(encodeText(value));

/** @internal The same of a value that is text already. */
export const sealText = (text: string): Buffer => {
  const bytes = Buffer.allocUnsafe(sealBytes + Buffer.byteLength(text));
  bytes.write(text, sealBytes, 'utf8');
  return closeSeal(bytes);
};

export const unsealValue = (bytes: Uint8Array, what: string): unknown => decode(unseal(bytes, what));

const closeSeal = (bytes: Buffer): Buffer => {
  bytes[4] = sealVersion;
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
};
