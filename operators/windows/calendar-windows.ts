/**
 * Windows of the calendar: days, weeks, months and years as they are at a place. Where clocks change there, a day has
 * 23 or 25 hours, so starts and lengths come from the time zone's rules and not from arithmetic.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import { knownOptions, oneOf, refusal } from '../../lib/core/options.ts';
import type { TimeWindow, WindowAssigner } from './contract.ts';
import { EventTimeTrigger } from './time-triggers.ts';

const dayMs = 86_400_000;

/** A local date. */
interface LocalDate {
  readonly year: number;
  /** From 0. */
  readonly month: number;
  /** Days since 1970-01-01. */
  readonly days: number;
}

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

export type Weekday = (typeof weekdays)[number];

/** Longer than each period, with a day for changes of the clock. */
const longestMs = { day: 3 * dayMs, week: 9 * dayMs, month: 33 * dayMs, year: 368 * dayMs } as const;

export type CalendarUnit = keyof typeof longestMs;

/** Number of the period that a date is in: it grows with time. */
const periodOf = (unit: CalendarUnit, { year, month, days }: LocalDate, weekStart: number): number => {
  if (unit === 'year') return year;
  if (unit === 'month') return year * 12 + month;
  // 1970-01-01 was a Thursday.
  return unit === 'day' ? days : Math.floor((days + 4 - weekStart) / 7);
};

export interface CalendarWindowsOptions {
  /** A name of the IANA database, like 'Europe/Berlin'. @defaultValue 'UTC' */
  readonly timeZone?: string | undefined;
  /** Where a week begins. @defaultValue 'monday' */
  readonly weekStart?: Weekday | undefined;
}

/** Windows that are remembered: looking one up in the rules of a time zone takes about 0.1 ms. */
const rememberedMax = 64;

/** Says which window of a calendar a time is in. */
class Calendar {
  readonly #unit: CalendarUnit;
  readonly #weekStart: number;
  readonly #format: Intl.DateTimeFormat;
  /** The newest last. */
  #remembered: readonly TimeWindow[] = [];

  constructor(unit: CalendarUnit, timeZone: string, weekStart: number) {
    this.#unit = unit;
    this.#weekStart = weekStart;
    const parts = { year: 'numeric', month: 'numeric', day: 'numeric' } as const;
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...parts,
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
    });
  }

  windowOf(time: Timestamp): TimeWindow {
    const known = this.#remembered.findLast(({ start, end }) => start <= time && time < end);
    if (known !== undefined) return known;
    const period = this.#period(time);
    const longest = longestMs[this.#unit];
    const window = {
      start: this.#first(period, time - longest, time),
      end: this.#first(period + 1, time + 1, time + longest),
    };
    this.#remembered = [...this.#remembered.slice(1 - rememberedMax), window];
    return window;
  }

  /** The first time that is in this period or behind; it is behind `low - 1` and not behind `high`. */
  #first(period: number, low: Timestamp, high: Timestamp): Timestamp {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = Math.floor((from + to) / 2);
      if (this.#period(middle) >= period) to = middle;
      else from = middle + 1;
    }
    return to;
  }

  #period(time: Timestamp): number {
    const parts = this.#format.formatToParts(time);
    const numberOf = (type: 'year' | 'month' | 'day'): number =>
      Number(parts.find((part) => part.type === type)?.value);
    const [year, month] = [numberOf('year'), numberOf('month') - 1];
    const days = Date.UTC(year, month, numberOf('day')) / dayMs;
    return periodOf(this.#unit, { year, month, days }, this.#weekStart);
  }
}

/** Refuses a name that the rules of this process do not have. */
const checkedZone = (timeZone: string): string => {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone }).resolvedOptions().timeZone;
  } catch {
    throw refusal('timeZone', "a name of the IANA database, like 'Europe/Berlin'", timeZone);
  }
};

/**
 * Days, weeks, months or years of a time zone, in event time; right where clocks change.
 *
 * @example
 * const days = orders.keyBy(() => 'all').window(CalendarWindows.of('day', { timeZone: 'Europe/Berlin' }));
 * const starts = days.process((_values, { window }) => new Date(window.start).toISOString());
 * console.log(await starts.executeAndCollect()); // prints [ '1969-12-31T23:00:00.000Z' ]
 */
export const CalendarWindows = {
  of: (unit: CalendarUnit, options: CalendarWindowsOptions = {}): WindowAssigner<unknown> => {
    oneOf('unit', unit, ['day', 'week', 'month', 'year']);
    knownOptions('CalendarWindows.of', options, { timeZone: true, weekStart: true });
    const { timeZone = 'UTC', weekStart = 'monday' } = options;
    const zone = checkedZone(timeZone);
    const calendar = new Calendar(unit, zone, weekdays.indexOf(oneOf('weekStart', weekStart, weekdays)));
    return {
      time: 'event',
      defaultTrigger: EventTimeTrigger.create(),
      naming: { nameOf: ({ start }) => start, windowOf: (start) => calendar.windowOf(start) },
      assign: (_value: unknown, timestamp: Timestamp) => [calendar.windowOf(timestamp)],
      toString: () => `CalendarWindows(${unit}, ${zone})`,
    };
  },
};
