/**
 * The kinds of timers that stand in the store: those of operators, by the watermark and by the clock, and those with
 * which state that has a time to live goes. The latter fire behind the former and nobody sees them.
 */
import type { TimeDomain } from '../core/timer.ts';

export type StoredDomain = TimeDomain | `${TimeDomain}-expiry`;

/** In the order of their bytes in the store. */
export const storedDomains: readonly StoredDomain[] = ['event', 'processing', 'event-expiry', 'processing-expiry'];

export const isExpiry = (domain: StoredDomain): boolean => domain === 'event-expiry' || domain === 'processing-expiry';

/** Something for each of them. */
export const byDomain = <T>(make: (domain: StoredDomain) => T): Readonly<Record<StoredDomain, T>> => ({
  event: make('event'),
  processing: make('processing'),
  'event-expiry': make('event-expiry'),
  'processing-expiry': make('processing-expiry'),
});
