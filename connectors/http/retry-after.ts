/** Reads how long a server asks to wait. What can not be read says nothing: then the caller's own back-off counts. */

/** `5`, `1.5`, also larger than any number; no sign, no unit. */
const secondsForm = /^\d+(\.\d+)?(e\+?\d+)?$/i;

/**
 * The three dates of HTTP (RFC 9110, 5.6.7), and ISO 8601 in UTC, which some servers send. `Date.parse` alone takes
 * `soon 1` for a date.
 */
const dateForms = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/,
];
const asctimeForm = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/**
 * Milliseconds from `nowMs` that `retry-after-ms` or `retry-after` ask for, from 0; a time that has passed is 0.
 * Undefined when neither is there in a form that says something.
 */
export const retryAfterMs = (headers: Headers, nowMs: number): number | undefined => {
  const ms = headers.get('retry-after-ms')?.trim();
  if (ms !== undefined && secondsForm.test(ms)) return Number(ms);
  const value = headers.get('retry-after')?.trim();
  if (value === undefined) return undefined;
  if (secondsForm.test(value)) return Math.round(Number(value) * 1000);
  const date = asctimeForm.test(value) ? `${value} GMT` : dateForms.some((form) => form.test(value)) ? value : '';
  const at = Date.parse(date);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
};

/** A wait as messages name it, with its end where a date can hold it. */
export const waitText = (waitMs: number, nowMs: number): string => {
  const end = new Date(nowMs + waitMs);
  const until = Number.isNaN(end.getTime()) ? '' : ` (until ${end.toISOString()})`;
  return `${Math.ceil(waitMs / 1000)} s${until}`;
};
