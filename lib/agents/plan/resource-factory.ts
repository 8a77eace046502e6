/**
 * A resource that is made each time the job starts. Said in so many words, since a function may well be a resource
 * itself.
 */

/** Makes a resource; what it made is closed with the job. */
export interface ResourceFactory {
  readonly factory: () => unknown;
}

export const isFactory = (value: unknown): value is ResourceFactory =>
  typeof value === 'object' &&
  value !== null &&
  'factory' in value &&
  typeof value.factory === 'function' &&
  Object.keys(value).length === 1;
