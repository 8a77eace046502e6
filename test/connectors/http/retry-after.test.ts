import fc from 'fast-check';
import { expect, test } from 'vitest';
import { retryAfterMs, waitText } from '../../../connectors/http/retry-after.ts';

const now = Date.UTC(2026, 10, 30, 12);
const after = (value: string, name = 'retry-after'): number | undefined =>
  retryAfterMs(new Headers({ [name]: value }), now);

test.each([
  ['0', 0],
  ['120', 120_000],
  ['1.5', 1500],
  [' 7 ', 7000],
  ['86400', 86_400_000],
  ['1e3', 1_000_000],
  ['1e999', Number.POSITIVE_INFINITY],
  ['9'.repeat(400), Number.POSITIVE_INFINITY],
  ['Mon, 30 Nov 2026 12:00:30 GMT', 30_000],
  ['Monday, 30-Nov-26 12:00:30 GMT', 30_000],
  ['Mon Nov 30 12:00:30 2026', 30_000],
  ['2026-11-30T12:00:30Z', 30_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['Thu, 01 Jan 2099 00:00:00 GMT', Date.UTC(2099, 0, 1) - now],
])('%s', (value, ms) => {
  expect(after(value)).toBe(ms);
});

test.each([
  '',
  '-5',
  '+5',
  'soon',
  'soon 1',
  '10s',
  '10 seconds',
  '5, 10',
  'NaN',
  'Infinity',
  '0x10',
  'Mon, 99 Nov 2026 12:00:00 GMT',
  '30 Nov 2026',
])('%j says nothing', (value) => {
  expect(after(value)).toBeUndefined();
});

test('milliseconds win', () => {
  expect(retryAfterMs(new Headers({ 'retry-after-ms': '250', 'retry-after': '9' }), now)).toBe(250);
  expect(retryAfterMs(new Headers({ 'retry-after-ms': 'soon', 'retry-after': '9' }), now)).toBe(9000);
  expect(retryAfterMs(new Headers(), now)).toBeUndefined();
});

test('whatever stands there, a wait is from 0 up or none', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.double().map(String),
        fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
      ),
      (value) => {
        let headers: Headers;
        try {
          headers = new Headers({ 'retry-after': value });
        } catch {
          return; // No header can hold that.
        }
        const ms = retryAfterMs(headers, now);
        expect(ms === undefined || ms >= 0).toBe(true);
        if (ms !== undefined) expect(waitText(ms, now)).toMatch(/^(\d+|Infinity|\d+e\+\d+|\d\.\d+e\+\d+) s/);
      },
    ),
  );
});
