import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { frame, frameText, frameValue, unframe, unframeValue } from '../../../lib/core/frame.ts';

describe('frame', () => {
  const withCrc = (bytes: Buffer): Buffer => {
    bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
    return bytes;
  };

  test('is CRC-32, version and body', () => {
    const framed = frame(Buffer.from('body'));
    expect(framed.readUInt32BE(0)).toBe(crc32(Buffer.from('\u0001body')));
    expect(framed.subarray(4).toString()).toBe('\u0001body');
    expect(unframe(framed, 'it').toString()).toBe('body');
    expect(unframe(new Uint8Array(framed), 'it').toString()).toBe('body');
    expect(unframe(frame(new Uint8Array(0)), 'it')).toHaveLength(0);
  });

  test('of text is that of its bytes, whatever characters it has', () => {
    for (const text of ['', 'plain', 'gr\u00fc\u00df \u20ac \ud83d\ude00', 'half \ud800 a pair', 'a'.repeat(100_000)])
      expect(frameText(text)).toEqual(frame(Buffer.from(text, 'utf8')));
  });

  test('tells damage from a newer version', () => {
    const framed = frameValue({ a: 1 });
    const version = (number: number): Buffer => {
      const bytes = Buffer.from(framed);
      bytes[4] = number;
      return bytes;
    };
    expect(() => unframe(version(2), 'row 7')).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
    expect(() => unframe(withCrc(version(2)), 'row 7')).toThrow(
      expect.objectContaining({ code: 'STORE_FORMAT', message: expect.stringContaining('row 7') as unknown }),
    );
    expect(() => unframe(withCrc(version(0)), 'row 7')).toThrow(expect.objectContaining({ code: 'VALUE_DAMAGED' }));
    expect(() => unframe(Buffer.alloc(100), 'row 7')).toThrow('row 7 does not match its checksum');
    expect(() => unframeValue(frame(Buffer.from('{"a"')), 'row 7')).toThrow(
      expect.objectContaining({ code: 'VALUE_DAMAGED' }),
    );
  });
});
