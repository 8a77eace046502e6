/** Runs an example as a command: progress on the terminal, a stop with a checkpoint on Ctrl-C and SIGTERM, errors that a person can read. */
import { rmSync } from 'node:fs';
import { StreamError, type Job } from 'millrace';
import { OptionError, readOptions, usage, type Options } from './command-line.ts';
import { Progress } from './progress.ts';

/** A signal behind the first one within this time is the same one: a terminal sends it to npm and to us, and npm passes it on. */
const sameSignalMs = 500;

/** Reads the options, starts the job and waits for its end. Sets the exit code: 0 ended or stopped, 1 failed, 2 wrong options. */
export const runExample = async (start: (options: Options, progress: Progress) => Promise<Job>): Promise<void> => {
  let options: Options | undefined;
  const progress = new Progress();
  try {
    options = readOptions(process.argv.slice(2), process.env);
    if (options === undefined) {
      process.stdout.write(usage);
      return;
    }
    const job = await start(options, progress);
    progress.watch(job);
    stopOnSignal(job);
    await job.done;
    const again = job.status.state !== 'stopped' || options.isTemporary ? '' : ' Start again with the same options to go on.';
    progress.end(job.status.state === 'stopped' ? `Stopped with a checkpoint.${again}` : 'Done.');
  } catch (error) {
    progress.end();
    process.exitCode = error instanceof OptionError ? 2 : 1;
    process.stderr.write(explain(error));
  } finally {
    if (options?.isTemporary === true) rmSync(options.state, { recursive: true, force: true });
  }
};

const stopOnSignal = (job: Job): void => {
  let firstMs: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const nowMs = performance.now();
    firstMs ??= nowMs;
    if (nowMs === firstMs) job.stop().catch(() => {}); // Whoever awaits the job sees it.
    else if (nowMs - firstMs > sameSignalMs) process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const off = (): void => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  job.done.then(off, off);
};

/** What went wrong and what to do; with `DEBUG` set, where. */
const explain = (error: unknown): string => {
  if (error instanceof OptionError) return `${error.message}\nTry --help\n`;
  if (!(error instanceof Error)) return `${String(error)}\n`;
  const said = error instanceof StreamError ? `${error.code}: ${error.message}\nWhat to do: ${error.hint}\n` : `${error.message}\n`;
  return process.env['DEBUG'] ? `${said}${error.stack ?? ''}\n` : said;
};
