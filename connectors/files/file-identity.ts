/**
 * One text for one file, by whatever path, link or spelling it is reached, so that it is noticed when two write to it.
 * A file that is not there yet is known by its directory and its name.
 */
import type { BigIntStats } from 'node:fs';
import { readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/** Links that are followed, as many as Linux does. */
const linksMax = 40;

/** @internal @example fileIdentity('out.jsonl') === fileIdentity('./x/../out.jsonl') */
export const fileIdentity = (path: string): string => {
  const real = realPath(path);
  const own = infoOf(real);
  if (own !== undefined) return `file ${own.dev}:${own.ino}`;
  const directory = infoOf(dirname(real));
  if (directory === undefined) return `file ${real}`;
  const name = foldsCase(dirname(real)) ? basename(real).normalize('NFC').toLowerCase() : basename(real);
  return `file ${name} in ${directory.dev}:${directory.ino}`;
};

/**
 * @internal The absolute path without links, also of a file that is not there: the last link may lead to where one will
 * be.
 */
export const realPath = (path: string): string => withoutLinks(resolve(path), linksMax);

const withoutLinks = (path: string, links: number): string => {
  const whole = attempt(() => realpathSync.native(path));
  if (whole !== undefined || dirname(path) === path) return whole ?? path;
  const target = links === 0 ? undefined : attempt(() => readlinkSync(path));
  if (target !== undefined) return withoutLinks(resolve(dirname(path), target), links - 1);
  return join(withoutLinks(dirname(path), links), basename(path));
};

/**
 * Whether names that differ in case alone are one file there: told by the directory's own name, spelt the other way.
 */
const foldsCase = (directory: string): boolean => {
  for (let at = directory; dirname(at) !== at; at = dirname(at)) {
    const name = basename(at);
    const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
    if (other === name) continue;
    const [here, there] = [infoOf(at), infoOf(join(dirname(at), other))];
    return here !== undefined && here.ino === there?.ino && here.dev === there.dev;
  }
  return false;
};

const infoOf = (path: string): BigIntStats | undefined => attempt(() => statSync(path, { bigint: true }));

const attempt = <T>(look: () => T): T | undefined => {
  try {
    return look();
  } catch {
    return undefined; // What can't be looked at is told by whoever opens it.
  }
};
