import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CalendarWindows,
  type CalendarUnit,
  type CalendarWindowsOptions,
} from '../../../operators/windows/calendar-windows.ts';

const hourMs = 3_600_000;

const windowOf = (
  unit: CalendarUnit,
  options: CalendarWindowsOptions,
  at: string,
): readonly [string, string, number] => {
  const [window] = [...CalendarWindows.of(unit, options).assign(undefined, Date.parse(at), { now: () => 0 })];
  if (window === undefined) throw new Error('Expected a window');
  const { start, end } = window;
  return [new Date(start).toISOString(), new Date(end).toISOString(), (end - start) / hourMs];
};

describe('CalendarWindows', () => {
  it('are days of a place, 23 and 25 hours long where clocks change', () => {
    const timeZone = 'Europe/Berlin';
    expect(windowOf('day', { timeZone }, '2026-01-15T12:00:00Z')).toEqual([
      '2026-01-14T23:00:00.000Z',
      '2026-01-15T23:00:00.000Z',
      24,
    ]);
    expect(windowOf('day', { timeZone }, '2026-03-29T12:00:00Z')).toEqual([
      '2026-03-28T23:00:00.000Z',
      '2026-03-29T22:00:00.000Z',
      23,
    ]);
    expect(windowOf('day', { timeZone }, '2026-10-25T12:00:00Z')).toEqual([
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
      25,
    ]);
  });

  it('begin when the clock is put forward at midnight, and once where it is put back over it', () => {
    // Clocks go from 0:00 to 1:00, so the day begins at 1:00.
    expect(windowOf('day', { timeZone: 'Asia/Beirut' }, '2024-03-31T12:00:00Z')).toEqual([
      '2024-03-30T22:00:00.000Z',
      '2024-03-31T21:00:00.000Z',
      23,
    ]);
    // Clocks go from 1:00 to 0:00: the hour comes twice, the day begins with the first.
    expect(windowOf('day', { timeZone: 'America/Havana' }, '2024-11-03T12:00:00Z')).toEqual([
      '2024-11-03T04:00:00.000Z',
      '2024-11-04T05:00:00.000Z',
      25,
    ]);
  });

  it('are weeks from the day that is wanted, months and years', () => {
    expect(windowOf('week', {}, '2026-11-30T00:00:00Z').slice(0, 2)).toEqual([
      '2026-11-30T00:00:00.000Z',
      '2026-12-07T00:00:00.000Z',
    ]);
    expect(windowOf('week', { weekStart: 'sunday' }, '2026-11-30T00:00:00Z').slice(0, 2)).toEqual([
      '2026-11-29T00:00:00.000Z',
      '2026-12-06T00:00:00.000Z',
    ]);
    expect(windowOf('month', { timeZone: 'America/New_York' }, '2024-02-29T12:00:00Z')).toEqual([
      '2024-02-01T05:00:00.000Z',
      '2024-03-01T05:00:00.000Z',
      29 * 24,
    ]);
    expect(windowOf('year', {}, '1960-06-01T00:00:00Z')[2]).toBe(366 * 24);
  });

  it('hold each time once, whatever the zone', () => {
    const units = fc.constantFrom<CalendarUnit>('day', 'week', 'month', 'year');
    const zones = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
      'America/Havana',
      'Pacific/Apia', // left out 2011-12-30
      'Africa/Cairo',
    );
    const times = fc.integer({ min: Date.UTC(1975, 0), max: Date.UTC(2035, 0) });
    fc.assert(
      fc.property(units, zones, times, (unit, timeZone, time) => {
        const assigner = CalendarWindows.of(unit, { timeZone });
        const at = (timestamp: number) => [...assigner.assign(undefined, timestamp, { now: () => 0 })][0];
        const window = at(time);
        if (window === undefined) throw new Error('Expected a window');
        expect(window.start <= time && time < window.end).toBe(true);
        expect(at(window.start)).toEqual(window);
        expect(at(window.end - 1)).toEqual(window);
        expect(at(window.end)?.start).toBe(window.end);
        expect(at(window.start - 1)?.end).toBe(window.start);
        expect(assigner.naming?.windowOf(window.start)).toEqual(window);
      }),
      { numRuns: 150 },
    );
  });

  it('refuse what is no unit, no zone, no weekday', () => {
    expect(() => CalendarWindows.of('hour' as never)).toThrow('`unit`');
    expect(() => CalendarWindows.of('day', { timeZone: 'Berlin' })).toThrow("like 'Europe/Berlin'");
    expect(() => CalendarWindows.of('week', { weekStart: 'Monday' as never })).toThrow('`weekStart`');
    expect(() => CalendarWindows.of('week', { zone: 'UTC' } as never)).toThrow('`zone`');
    expect(`${CalendarWindows.of('day', { timeZone: 'Europe/Berlin' })}`).toBe('CalendarWindows(day, Europe/Berlin)');
  });
});
