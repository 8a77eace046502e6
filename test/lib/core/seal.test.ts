import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { seal, sealValue, unseal, unsealValue } from '../../../lib/core/seal.ts';

describe('seal', () => {
  const withCrc = (bytes: Buffer): Buffer => {
    bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
    return bytes;
  };

  test('is CRC-32, version and body', () => {
    const sealed = seal(Buffer.from('body'));
    expect(sealed.readUInt32BE(0)).toBe(crc32(Buffer.from('\u0001body')));
    expect(sealed.subarray(4).toString()).toBe('\u0001body');
    expect(unseal(sealed, 'it').toString()).toBe('body');
    expect(unseal(new Uint8Array(sealed), 'it').toString()).toBe('body');
    expect(unseal(seal(new Uint8Array(0)), 'it')).toHaveLength(0);
  });

  test('tells damage from a newer version', () => {
    const sealed = sealValue({ a: 1 });
    const version = (number: number): Buffer => {
      const bytes = Buffer.from(sealed);
      bytes[4] = number;
      return bytes;
    };
    expect(() => unseal(version(2), 'row 7')).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
    expect(() => unseal(withCrc(version(2)), 'row 7')).toThrow(
      expect.objectContaining({ code: 'STORE_FORMAT', message: expect.stringContaining('row 7') as unknown }),
    );
    expect(() => unseal(withCrc(version(0)), 'row 7')).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
    expect(() => unseal(Buffer.alloc(100), 'row 7')).toThrow('row 7 does not match its checksum');
    expect(() => unsealValue(seal(Buffer.from('{"a"')), 'row 7')).toThrow(
      expect.objectContaining({ code: 'VALUE_DAMAGED' }),
    );
  });
});
