/**
 * The line at the bottom of a terminal that says how far the job is. Written to standard error; without a terminal only
 * the last word is.
 */
import type { Job } from 'millrace';
import { pino } from 'pino';

const everyMs = 250;

export class Progress {
  #calls = 0;
  #read = 0;
  #results = 0;
  #late = 0;
  #shown = false;
  #ran = false;
  #note = '';
  #stop: () => void = () => {};
  readonly #startMs = performance.now();

  /** A request goes to the model. */
  call = (): void => {
    this.#calls += 1;
  };

  /** What the job has to warn of, as a line for a person. */
  readonly logger = pino({ level: 'warn' }, { write: (line: string) => this.#warn(line) });

  /** Prints a result above the line. */
  print = (text: string): void => {
    this.#clear();
    process.stdout.write(text);
    this.#show();
  };

  /** Follows a job until its end. */
  watch(job: Job): void {
    const look = async (): Promise<void> => {
      const numbers = await job.metrics.snapshot();
      this.#read = numbers['operator.reviews.numRecordsOut'] ?? this.#read;
      this.#results = numbers['operator.results.numRecordsIn'] ?? this.#results;
      const late = Object.entries(numbers).find(([name]) => name.endsWith('.numLateRecordsDropped'));
      this.#late = late?.[1] ?? this.#late;
      this.#show();
    };
    const timer = setInterval(() => void look(), everyMs);
    const watching = job.checkpoints$.subscribe(() => void look());
    watching.add(job.status$.subscribe(({ state }) => (this.#ran ||= state === 'running')));
    this.#stop = () => {
      clearInterval(timer);
      watching.unsubscribe();
    };
  }

  /** Started calls are paid, so the job waits for their answers. */
  stopping(): void {
    this.#note = '; stopping when the open calls have ended (again: at once)';
    this.#show();
  }

  /** The last word: what became of the job, and its numbers. */
  end(word?: string): void {
    this.#stop();
    this.#clear();
    if (word === undefined) return;
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1);
    process.stderr.write(this.#ran ? `${word} ${this.#numbers()} in ${seconds} s\n` : `${word}\n`);
  }

  #warn(line: string): void {
    const { msg } = JSON.parse(line) as { readonly msg: string };
    this.#clear();
    process.stderr.write(`Warning: ${msg}\n`);
    this.#show();
  }

  #numbers(): string {
    const late = this.#late === 0 ? '' : `, ${this.#late} too late for their window`;
    return `${this.#read} reviews read${late}, ${this.#calls} model calls, ${this.#results} results`;
  }

  #show(): void {
    if (!process.stderr.isTTY) return;
    this.#clear();
    process.stderr.write(`${this.#numbers()}${this.#note}`);
    this.#shown = true;
  }

  #clear(): void {
    if (this.#shown) process.stderr.write('\r\u001b[2K');
    this.#shown = false;
  }
}
