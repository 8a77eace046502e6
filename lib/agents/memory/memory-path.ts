/**
 * Paths into an agent's memory. A text is names joined by dots; a list holds names as they are, so that one which comes
 * from data may hold anything, dots too. Stored, both are names joined by dots in which a dot and a `%` of a name are
 * written `%2E` and `%25`, and an empty name `%`.
 */
import { refusal } from '../../core/options.ts';

/** Names joined by dots, like `order.items`, or a list of names, each as it is. */
export type MemoryPath = string | readonly string[];

/** The path as memory stores it. Throws a `TypeError` for what is no path. */
export const storedPath = (path: MemoryPath): string => {
  if (typeof path === 'string') {
    if (path !== '' && !path.startsWith('.') && !path.endsWith('.') && !path.includes('..'))
      return path.replaceAll('%', '%25');
  } else if (Array.isArray(path) && path.length > 0 && path.every((name) => typeof name === 'string')) {
    return path.map(storedName).join('.');
  }
  throw refusal('path', "names joined by dots, like 'order.items', or a list of names, like ['seen', '3.5 mm']", path);
};

const storedName = (name: string): string => (name === '' ? '%' : name.replaceAll('%', '%25').replaceAll('.', '%2E'));

/** The name that is stored so. */
export const nameOf = (stored: string): string =>
  stored === '%' ? '' : stored.replaceAll('%2E', '.').replaceAll('%25', '%');

/** A stored path for people. */
export const shownPath = (stored: string): string => stored.split('.').map(nameOf).join('.');
