/**
 * A source of the records of files: a split for each, positions that are byte offsets, and a policy for what is no
 * record. Text, CSV and JSON Lines are this with a format of their own.
 */
import type { Source } from '../../lib/core/connector.ts';
import { harmless } from '../../lib/core/listener.ts';
import { callable, integer, oneOf, refusal } from '../../lib/core/options.ts';
import { openInput } from './byte-input.ts';
import { compressions, contentOf, type Compression } from './compression.ts';
import type { FilePosition } from './file-position.ts';
import { FileReader, type FileReaderOptions } from './file-reader.ts';
import type { MalformedLine, RecordSchema } from './malformed.ts';
import type { LineFormat } from './record-format.ts';

/** What every format of files takes. */
export interface FileSourceOptions {
  /**
   * What a record does that is none (no UTF-8, not of its format, too long, refused by the schema): reject the read
   * after the records before it were handed out, be counted and left out, or go to the side output `malformedLines`.
   * @defaultValue 'fail'
   */
  readonly onMalformed?: 'fail' | 'skip' | 'side-output' | undefined;
  /**
   * Called for each skipped record, also again when a restart reads it again. Nobody waits for it; that it throws is
   * told once, as a warning of the process. @defaultValue none: they are counted
   */
  readonly onSkipped?: ((line: MalformedLine) => unknown) | undefined;
  /** Records per batch, from 1. @defaultValue 256 */
  readonly batchSize?: number | undefined;
  /**
   * Bytes that a record may have, from 1; a longer one is malformed. @defaultValue 256 MiB, and of CSV 1 MiB
   */
  readonly lineBytesMax?: number | undefined;
  /**
   * What a last line without newline is: a record, or one that is still being written, which waits for whoever reads
   * the file again from there. @defaultValue 'take'
   */
  readonly lastLine?: 'take' | 'wait' | undefined;
  /**
   * How the files are compressed: `auto` goes by their names (`.gz`, `.zst`). A position counts bytes of content, and a
   * restart reads a compressed file again from its start up to there. zstd needs the package `fzstd`, which does not
   * compare checksums. @defaultValue 'auto'
   */
  readonly compression?: Compression | undefined;
}

/** What a format with values of any shape takes. */
export interface SchemaOptions<T> {
  /**
   * Checks and shapes a value, as a zod schema does. What it refuses is a malformed line. A mistake in it is none: a
   * `TypeError` or `ReferenceError` of a transform, a promise, and what a library's schema throws beside its own errors
   * fail the job, whatever `onMalformed` says. @defaultValue none: every value is taken
   */
  readonly schema?: RecordSchema<T> | undefined;
}

export interface FileSource<T> extends Source<T, FilePosition> {
  /** Records skipped by all readers since the source was made; one read again after a restart counts again. */
  readonly skipped: number;
  /** The same, as the engine counts it. */
  readonly dropped: number;
}

/** @internal The names of `FileSourceOptions`, for `knownOptions`. */
export const fileOptionNames = {
  onMalformed: true,
  onSkipped: true,
  batchSize: true,
  lineBytesMax: true,
  lastLine: true,
  compression: true,
} as const;

interface FileSourceParts<T> extends FileSourceOptions {
  /** Of the function that users call, and of the source. */
  readonly user: string;
  readonly name: string;
  readonly path: string | readonly string[];
  readonly format: LineFormat<T>;
}

const defaultLineBytesMax = 256 * 1024 * 1024;

/** @internal */
export const fileSource = <T>(parts: FileSourceParts<T>): FileSource<T> => {
  const { user, name, path, format, compression = 'auto', lastLine = 'take' } = parts;
  const { settings, skipped } = readerSettings(user, parts);
  oneOf('compression', compression, compressions);
  oneOf('lastLine', lastLine, ['take', 'wait']);
  const paths = pathsOf(path);
  return {
    name,
    replayable: true,
    get skipped() {
      return skipped();
    },
    get dropped() {
      return skipped();
    },
    splits: async () => paths,
    async open(file, position, signal) {
      signal.throwIfAborted();
      const parser = await format.open(file);
      const input = await contentOf(file, await openInput(file), compression);
      const options = { ...settings, file, takesPartial: lastLine === 'take' };
      return FileReader.open(options, { input, parser }, position, signal);
    },
  };
};

/** @internal The options of `user` as its readers take them, and how many records they have skipped. */
export const readerSettings = (
  user: string,
  options: FileSourceOptions,
): { readonly settings: Omit<FileReaderOptions, 'file'>; readonly skipped: () => number } => {
  const { onMalformed = 'fail', onSkipped, batchSize = 256, lineBytesMax = defaultLineBytesMax } = options;
  oneOf('onMalformed', onMalformed, ['fail', 'skip', 'side-output']);
  integer('batchSize', batchSize, { min: 1 });
  integer('lineBytesMax', lineBytesMax, { min: 1, max: defaultLineBytesMax });
  const tell = onSkipped && harmless(`\`onSkipped\` of \`${user}\``, callable('onSkipped', onSkipped));
  let skipped = 0;
  const skip = (line: MalformedLine): void => {
    skipped += 1;
    tell?.(line);
  };
  return { settings: { onMalformed, skip, batchSize, lineBytesMax }, skipped: () => skipped };
};

/** @internal */
export const checkSchema = (schema: RecordSchema<unknown> | undefined): void => {
  if (schema !== undefined && typeof schema?.parse !== 'function')
    throw refusal('schema', 'an object with `parse`, such as a zod schema', schema);
};

const pathsOf = (path: string | readonly string[]): readonly string[] => {
  const paths = typeof path === 'string' ? [path] : Array.isArray(path) ? [...path] : [];
  const isPath = (each: unknown): boolean => typeof each === 'string' && each !== '' && !each.includes('\0');
  if (paths.length > 0 && paths.every(isPath) && new Set(paths).size === paths.length) return paths;
  throw refusal('path', 'one path or more, none of them empty or given twice', path);
};
