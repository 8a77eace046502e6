/** One worker by hand: a life in which each value that comes is submitted to it, on a journal that can be held up. */
import { callbackSink, MemoryStorage, type Operator, type Source } from 'millrace';
import { expect } from 'vitest';
import { systemClock } from '../../../../lib/core/clock.ts';
import type { Outcome, Worker, WorkContext, WorkOptions } from '../../../../lib/core/work.ts';
import { replay } from '../../../../lib/runtime/recovery/replay.ts';
import type { OpenStorage, Storage } from '../../../../lib/state/store.ts';
import { Life, type LifeOptions } from '../life.ts';

/** A storage whose journal writes wait while it is held up. */
export class HeldStorage implements Storage {
  readonly name = 'held';
  readonly #memory = new MemoryStorage();
  #held: Promise<void> | undefined;
  #release: () => void = () => {};
  /** Writes that pass before the others wait. */
  #passing = 0;

  /** From now on writes wait, but for the first few. @defaultValue passing none */
  hold({ passing = 0 } = {}): void {
    this.#passing = passing;
    this.#held = new Promise((resolve) => (this.#release = resolve));
  }

  release(): void {
    this.#held = undefined;
    this.#release();
  }

  async open(): Promise<OpenStorage> {
    const opened = await this.#memory.open();
    const { journal } = opened;
    const append = journal.append.bind(journal);
    journal.append = async (entries) => {
      if (this.#passing > 0) this.#passing -= 1;
      else await this.#held;
      await append(entries);
    };
    return opened;
  }
}

export interface Task {
  readonly key: string;
  readonly name: string;
  /** Anything more, which user code may change. */
  readonly list?: unknown[];
}

export interface WorkingOptions extends LifeOptions {
  readonly run: (item: Task, context: WorkContext) => Promise<unknown>;
  readonly worker?: Partial<Worker<Task, unknown>>;
  readonly work?: WorkOptions;
  /** What comes. @defaultValue tasks `a` to `j` of one key each */
  readonly tasks?: readonly Task[];
  /** Does more in the turn that has submitted an item. */
  readonly after?: (item: Task) => void;
}

export const tasks = (...names: readonly string[]): Task[] => names.map((name) => ({ key: name[0] ?? '', name }));

const source = (values: readonly Task[]): Source<Task, number> => ({
  name: 'tasks',
  replayable: true,
  splits: async () => ['s'],
  open: async (_split, position = 0) => {
    let next = position;
    return {
      read: async () => {
        const first = next;
        next = values.length;
        return first >= next ? undefined : { values: values.slice(first), position: (count) => first + count };
      },
      close: async () => {},
    };
  },
});

/** A life of that worker, and what its turns have applied: under which key, to which item, with which outcome. */
export class Working {
  readonly applied: { readonly key: unknown; readonly item: Task; readonly outcome: Outcome<unknown> }[] = [];
  /** Its splits are there and open. */
  static begun(options: WorkingOptions): Promise<Begun> {
    return Working.#made(options, Life.begun);
  }

  /** On what a storage holds; nothing is open yet. */
  static on(options: WorkingOptions): Promise<Begun> {
    return Working.#made(options, Life.on);
  }

  static async #made(options: WorkingOptions, make: typeof Life.on): Promise<Begun> {
    const working = new Working();
    const { tasks: given = tasks('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j') } = options;
    const operator: Operator<Task, never> = (context) => {
      const work = context.work<Task, unknown>(
        {
          name: 'worker',
          run: options.run,
          apply: (item, outcome) => void working.applied.push({ key: context.currentKey(), item, outcome }),
          ...options.worker,
        },
        options.work,
      );
      return {
        process: (value) => {
          work.submit(value);
          options.after?.(value);
        },
      };
    };
    const life = await make((env) => {
      env
        .fromSource(source(given))
        .keyBy(({ key }) => key)
        .transform('op', operator)
        .sinkTo(callbackSink(() => {}));
    }, options);
    return Object.assign(working, { life });
  }

  /** Names of the items and what came of them, in order. */
  get told(): readonly unknown[] {
    return this.applied.map(({ item, outcome }) => [item.name, outcome.ok ? outcome.value : String(outcome.error)]);
  }
}

type Begun = Working & { readonly life: Life };

/** Promises that a test settles by name. */
export class Gates {
  readonly started: string[] = [];
  readonly #open = new Map<string, (value: unknown) => void>();

  wait(name: string): Promise<unknown> {
    this.started.push(name);
    return new Promise((resolve) => this.#open.set(name, resolve));
  }

  open(name: string, value: unknown = name): void {
    this.#open.get(name)?.(value);
  }
}

/** Another life of the same worker: it replays what is recorded, and then goes on. */
export const again = async (options: WorkingOptions): Promise<Begun> => {
  const working = await Working.on(options);
  const { life } = working;
  const turns = life.recovery.takeTurns();
  expect(await replay(life, turns, turns.length, systemClock)).toBeUndefined();
  life.recovery.endReplay(life.openItems());
  life.parts.work.resume(life.queues());
  await life.quiet();
  return working;
};
