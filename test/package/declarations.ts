/** The type declarations that users see: those of the entry points and what they reach. */
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { manifest } from './project.ts';

export interface Declarations {
  /** Their texts without comments, by path in the package. */
  readonly texts: ReadonlyMap<string, string>;
  /** What they import that is not in the package. */
  readonly packages: ReadonlySet<string>;
}

const importPattern = /(?:\bfrom|\bimport\(|\bimport) ?["']([^"']+)["']/g;

export const declarationsOf = async (unpacked: string): Promise<Declarations> => {
  const texts = new Map<string, string>();
  const packages = new Set<string>();
  const queue = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [entry.types.replace('./', '')],
  );
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (texts.has(path)) continue;
    const text = (await readFile(join(unpacked, path), 'utf8')).replaceAll(/\/\*[\s\S]*?\*\//g, '');
    texts.set(path, text);
    for (const [, specifier = ''] of text.matchAll(importPattern)) {
      if (specifier.startsWith('.'))
        queue.push(posix.join(posix.dirname(path), specifier).replace(/\.(js|ts)$/, '.d.ts'));
      else packages.add(specifier);
    }
  }
  return { texts, packages };
};
