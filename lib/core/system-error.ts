/**
 * Errors of the operating system, as a user may meet them: with a code of ours, what to do about it, the cause, and
 * whether waiting can help. A path that is wrong stays wrong, so it is told at once; a disk that is full may have room
 * again.
 */
import type { ErrorCode } from './errors.ts';
import { asMistake, messageOf, StreamError } from './errors.ts';

/** What was opened is there and is no regular file. Node has no code for that. */
export const notRegular = 'ERR_NOT_REGULAR';

interface SystemEntry {
  /** Whether the same call can succeed later without a change of the path, the program or the permissions. */
  readonly passes: boolean;
  readonly hint: string;
}

const lasts = (hint: string): SystemEntry => ({ passes: false, hint });
const passes = (hint: string): SystemEntry => ({ passes: true, hint });

const systemTable: Readonly<Record<string, SystemEntry>> = {
  ENOENT: lasts('correct the path, or create what it names'),
  ENOTDIR: lasts('correct the path: a part of it is no directory'),
  EISDIR: lasts('give the path of a file: this is a directory'),
  EEXIST: lasts('correct the path: something else stands there'),
  EACCES: lasts('let this process read and write there, or give another path'),
  EPERM: lasts('let this process read and write there, or give another path'),
  EROFS: lasts('the file system is read-only: give another path'),
  ENAMETOOLONG: lasts('give a shorter name'),
  ELOOP: lasts('correct the path: its links lead in a circle'),
  EINVAL: lasts('correct the path: the file system does not take it'),
  ENXIO: lasts('give the path of a regular file'),
  ENODEV: lasts('give the path of a regular file'),
  EPIPE: lasts('whoever read it has gone away'),
  EXDEV: lasts('give paths on one file system'),
  EFBIG: lasts('the file has grown to the limit of its file system: give another one'),
  ENOSYS: lasts('the file system can not do this: give a path on another one'),
  ENOTSUP: lasts('the file system can not do this: give a path on another one'),
  EOPNOTSUPP: lasts('the file system can not do this: give a path on another one'),
  ERR_INVALID_ARG_VALUE: lasts('correct the path: it holds a character that no path has'),
  [notRegular]: lasts('give the path of a regular file'),
  ENOSPC: passes('make room on the disk'),
  EDQUOT: passes('the quota is used up: make room, or raise it'),
  EIO: passes('look at the disk and at the log of the system'),
  EMFILE: passes('this process has too many files open: close some, or raise its limit'),
  ENFILE: passes('the system has too many files open: close some, or raise its limit'),
  EBUSY: passes('something else uses it'),
};

/** The code of an error of the operating system, `ENOSPC` say; undefined for any other value. */
export const systemCodeOf = (error: unknown): string | undefined => {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code in systemTable || 'errno' in error || 'syscall' in error ? error.code : undefined;
};

/** Whether an error of the operating system comes back however often the same is tried. False for what is not known. */
export const lastingSystemError = (error: unknown): boolean => {
  const code = systemCodeOf(error);
  return code !== undefined && systemTable[code]?.passes === false;
};

/** For `catch`: what is not there is undefined, and any other error is thrown on. */
export const noneIfAbsent = (error: unknown): undefined => {
  if (systemCodeOf(error) === 'ENOENT') return undefined;
  throw error;
};

export interface SystemErrorOptions {
  /** Better advice than that of the table. */
  readonly hint?: string | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** `cause` as an error with a code of ours; one that has a code of ours already is given back as it is. */
export const systemError = (
  code: ErrorCode,
  message: string,
  cause: unknown,
  options: SystemErrorOptions = {},
): StreamError => {
  if (cause instanceof StreamError) return cause;
  const system = systemCodeOf(cause);
  const known = system === undefined ? undefined : systemTable[system];
  return new StreamError(code, `${message}: ${messageOf(cause)}`, {
    cause,
    ...asMistake(cause),
    ...(known === undefined ? {} : { retryable: known.passes, hint: known.hint }),
    ...(options.hint === undefined ? {} : { hint: options.hint }),
    details: { ...options.details, ...(system === undefined ? {} : { systemCode: system }) },
  });
};
