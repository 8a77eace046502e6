/**
 * Builds what is published: the entry points of package.json, each with what it imports of the house. Code that several of them need
 * stands in files of its own, so a process loads a handful of files instead of 150. Types are those of the sources, file by file.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'object' ? [entry.default] : []));
const typescript = createRequire(import.meta.url).resolve('typescript/package.json');

rmSync('dist', { recursive: true, force: true });
execFileSync(process.execPath, [join(dirname(typescript), 'bin', 'tsc'), '-p', '.tsconfig.build.json'], { stdio: 'inherit' });
await build({
  entryPoints: entries.map((path) => path.replace(/^\.\/dist\/(.*)\.js$/, '$1.ts')),
  bundle: true,
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  outdir: 'dist',
  outbase: '.',
  chunkNames: 'lib/shared-[hash]',
  logLevel: 'warning',
});
