/**
 * Runs an example as a command: progress on the terminal, a stop with a checkpoint on Ctrl-C and SIGTERM, errors that a
 * person can read.
 */
import { rmSync } from 'node:fs';
import { inspect } from 'node:util';
import { StreamError, type Job } from 'millrace';
import { OptionError, readOptions, usage, type Options } from './command-line.ts';
import { Progress } from './progress.ts';

/**
 * A signal behind the first one within this time is the same one: a terminal sends it to npm and to us, and npm passes
 * it on.
 */
const sameSignalMs = 500;

/**
 * Reads the options, starts the job and waits for its end. Sets the exit code: 0 ended or stopped, 1 failed, 2 wrong
 * options.
 */
export const runExample = async (start: (options: Options, progress: Progress) => Promise<Job>): Promise<void> => {
  const progress = new Progress();
  try {
    const options = readOptions(process.argv.slice(2), process.env);
    if (options === undefined) {
      process.stdout.write(usage);
      return;
    }
    if (options.isTemporary) process.once('exit', () => rmSync(options.state, { recursive: true, force: true }));
    // Whoever reads our output may have had enough (`| head`).
    process.stdout.on('error', () => process.exit());
    const stopping = onSignals();
    const job = await start(options, progress);
    progress.watch(job);
    void stopping.then(() => {
      progress.stopping();
      job.stop().catch(() => {}); // What goes wrong then, `done` says too.
    });
    await job.done;
    const goesOn = options.isTemporary ? '' : ' Start again with the same options to go on.';
    progress.end(job.status.state === 'stopped' ? `Stopped with a checkpoint.${goesOn}` : 'Done.');
  } catch (error) {
    progress.end();
    process.exitCode = error instanceof OptionError ? 2 : 1;
    process.stderr.write(explain(error));
  }
};

/** Resolves with the first signal that asks to stop; another one ends the process at once. */
const onSignals = (): Promise<void> =>
  new Promise((resolve) => {
    let firstMs: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      firstMs ??= performance.now();
      if (performance.now() - firstMs > sameSignalMs) process.exit(signal === 'SIGINT' ? 130 : 143);
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });

/** What went wrong and what to do; with `DEBUG` set, where and why. */
const explain = (error: unknown): string => {
  if (error instanceof OptionError) return `${error.message}\nTry --help\n`;
  if (!(error instanceof Error)) return `${String(error)}\n`;
  const said =
    error instanceof StreamError
      ? `${error.code}: ${error.message}\nWhat to do: ${adviceOn(error)}\n`
      : `${error.message}\n`;
  return process.env['DEBUG'] ? `${said}${inspect(error)}\n` : said;
};

/** That restarts did not help says nothing; what made them fail does. */
const adviceOn = ({ code, cause, hint }: StreamError): string =>
  code === 'RESTARTS_EXHAUSTED' && cause instanceof StreamError ? adviceOn(cause) : hint;
