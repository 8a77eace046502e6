/** A recorded history on other lives: the same pipeline does it again and calls nobody; a changed one is told where. */
import {
  callbackSink,
  MemoryStorage,
  WatermarkStrategy,
  type DataStream,
  type Source,
  type StreamExecutionEnvironment,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../../../lib/core/clock.ts';
import type { JournalEntry } from '../../../../lib/core/journal.ts';
import { decodeJournalEntry, encodeWork } from '../../../../lib/runtime/journal/journal-format.ts';
import { emptyHeader } from '../../../../lib/runtime/checkpoint/header.ts';
import type { Turn } from '../../../../lib/runtime/journal/turn.ts';
import { acceptAgain, replay } from '../../../../lib/runtime/recovery/replay.ts';
import { Life, type LifeOptions } from '../life.ts';

/** Values of some splits, in batches; those of one that can't be read again are given once. */
const listed = <T>(
  splits: Readonly<Record<string, readonly T[]>>,
  { name = 'listed', replayable = true, batchSize = 3, positionOf = (index: number): unknown => index } = {},
): Source<T, number> & { readonly opened: string[] } => {
  const opened: string[] = [];
  return {
    name,
    replayable,
    opened,
    splits: async () => Object.keys(splits),
    open: async (split, position = 0) => {
      opened.push(`${split} at ${position}`);
      let next = position;
      return {
        read: async () => {
          const values = splits[split]?.slice(next, next + batchSize) ?? [];
          const first = next;
          next += values.length;
          return values.length === 0 ? undefined : { values, position: (count) => positionOf(first + count) as number };
        },
        close: async () => {},
      };
    },
  };
};

/** A pipeline whose calls and outputs are written down. */
class Written {
  readonly called: string[] = [];
  readonly out: unknown[] = [];

  /** Each value is asked about, under its first letter as key. */
  asking(
    source: Source<string, number>,
    { map = (value: string): string => value, pick = (_value: string): boolean => true, work = true } = {},
  ): (env: StreamExecutionEnvironment) => void {
    return (env) => {
      const values = env.fromSource(source).map(map).filter(pick);
      const asked = values.keyBy((value) => value[0] ?? '');
      const answers: DataStream<string> = work
        ? asked.asyncMap(async (value) => (this.called.push(value), `${value}?`)).uid('ask')
        : values;
      answers.sinkTo(callbackSink((value) => void this.out.push(value)));
    };
  }
}

const letters = ['a1', 'b1', 'a2', 'c1', 'b2', 'a3'];

/** What a life of a pipeline has recorded: all work has ended. */
const recorded = async (
  build: (env: StreamExecutionEnvironment) => void,
  live: (life: Life) => Promise<void>,
  options: LifeOptions = {},
): Promise<{ storage: MemoryStorage; turns: readonly Turn[] }> => {
  const storage = new MemoryStorage();
  const life = await Life.begun(build, { ...options, storage });
  await live(life);
  await life.quiet();
  await life.die();
  return { storage, turns: life.seen };
};

/** Another life replays what is recorded, or turns that are given instead. */
const replayed = async (
  build: (env: StreamExecutionEnvironment) => void,
  storage: MemoryStorage,
  { turns: changed, ...options }: LifeOptions & { turns?: (turns: readonly Turn[]) => readonly Turn[] } = {},
) => {
  const life = await Life.on(build, { ...options, storage });
  const turns = (changed ?? ((same) => same))(life.recovery.takeTurns());
  const found = await replay(life, turns, turns.length, options.clock ?? systemClock);
  return { life, turns, found };
};

describe('a replay by the same code', () => {
  test('does the recorded turns again and calls nobody (I8)', async () => {
    const [first, second] = [new Written(), new Written()];
    const { storage, turns } = await recorded(first.asking(listed({ s: letters })), async (life) => {
      await life.records(2);
      await life.records(3);
      await life.quiet();
      await life.records(1);
      life.end();
    });
    expect(new Set(turns.map(({ kind }) => kind))).toEqual(new Set(['split', 'records', 'work', 'end']));
    const { life, found } = await replayed(second.asking(listed({ s: letters })), storage);
    expect([found, life.failures]).toEqual([undefined, []]);
    expect(first.called).toHaveLength(letters.length);
    expect(second.called).toEqual([]);
    expect(life.openItems().size).toBe(0);
    expect(life.source('listed').split('s')).toMatchObject({ records: 6, position: 6, ended: true });
    // What it has applied is garbage when a checkpoint covers that: of each item its end, and its call where that was
    // written before.
    const garbage = life.recovery.takeGarbage().length;
    expect(garbage).toBeGreaterThanOrEqual(letters.length);
    expect(garbage).toBeLessThanOrEqual(2 * letters.length);
    expect([...life.recovery.items]).toEqual([]);
  });

  test('reads on over batches of other sizes, whatever is full by now', async () => {
    const [first, second] = [new Written(), new Written()];
    const { storage } = await recorded(first.asking(listed({ s: letters }, { batchSize: 6 })), async (life) => {
      await life.records(6);
    });
    const life = await Life.on(second.asking(listed({ s: letters }, { batchSize: 1 })), { storage });
    life.parts.places.make({ name: 'full', max: 1 }).add(1);
    const turns = life.recovery.takeTurns();
    expect(await replay(life, turns, turns.length, systemClock)).toBeUndefined();
    expect(life.source('listed').split('s').records).toBe(6);
  });

  test('goes as far as it is told, and what its turns have submitted is open then', async () => {
    const written = new Written();
    const { storage } = await recorded(written.asking(listed({ s: letters })), async (life) => {
      await life.records(3);
      await life.quiet();
    });
    const life = await Life.on(written.asking(listed({ s: letters })), { storage });
    const turns = life.recovery.takeTurns();
    const count = turns.findIndex(({ kind }) => kind === 'work') + 1;
    expect(await replay(life, turns, count, systemClock)).toBeUndefined();
    expect(life.items.map(({ item }) => (item as { value: string }).value)).toEqual(['b1', 'a2']);
  });

  test('tells its operators the recorded time', async () => {
    const times: number[] = [];
    const clocked =
      (): ((env: StreamExecutionEnvironment) => void) =>
      (env): void =>
        void env
          .fromSource(listed({ s: ['a'] }))
          .process<string>((value, ctx) => {
            times.push(ctx.now());
            ctx.emit(value);
          })
          .asyncMap(async (value) => value)
          .sinkTo(callbackSink(() => {}));
    const at = (now: number): Clock => ({ ...systemClock, now: () => now });
    const { storage } = await recorded(clocked(), (life) => life.records(1), { clock: at(7000) });
    expect((await replayed(clocked(), storage, { clock: at(9000) })).found).toBeUndefined();
    expect(times).toEqual([7000, 7000]);
  });

  test('opens a split where it appeared, and none of a source that can not be read again', async () => {
    const sources = () =>
      [listed({ a: ['a1'] }, { name: 'files' }), listed({ h: ['h1'] }, { name: 'hook', replayable: false })] as const;
    const build =
      ([files, hook]: ReturnType<typeof sources>) =>
      (env: StreamExecutionEnvironment): void =>
        void env
          .fromSource(files)
          .union(env.fromSource(hook))
          .asyncMap(async (value) => value)
          .sinkTo(callbackSink(() => {}));
    const { storage } = await recorded(build(sources()), async (life) => {
      await life.records(1, 'h', 'hook');
      life.end('h', 'hook');
      await life.records(1, 'a', 'files');
    });
    const [files, hook] = sources();
    const { life, found } = await replayed(build([files, hook]), storage);
    expect(found).toBeUndefined();
    expect([files.opened, hook.opened]).toEqual([['a at 0'], []]);
    // Its records came from the journal.
    expect(life.source('hook').split('h')).toMatchObject({ records: 1, position: 1, ended: true });
  });

  test('fires as many timers in a slice as fired', async () => {
    const fired: string[] = [];
    const build =
      (log: (key: string) => void) =>
      (env: StreamExecutionEnvironment): void =>
        void env
          .fromSource(
            listed({ s: [...'abcdefg'].map((key) => ({ key, ts: 1 })) }, { batchSize: 7 }),
            WatermarkStrategy.monotonous<{ key: string; ts: number }>().withTimestamps(({ ts }) => ts),
          )
          .keyBy(({ key }) => key)
          .process<string>({
            process: (_value, ctx) => ctx.timers.register(5),
            onTimer: (_timer, ctx) => {
              log(String(ctx.key));
              ctx.emit(String(ctx.key));
            },
          })
          .asyncMap(async (value) => value)
          .sinkTo(callbackSink(() => {}));
    const { storage, turns } = await recorded(
      build((key) => fired.push(key)),
      async (life) => {
        await life.records(7);
        life.end(); // The final watermark makes all timers due.
        while (life.parts.slices.isOpen) life.parts.slices.step();
      },
      { timersPerTurn: 2 },
    );
    const slices = turns.filter((turn) => turn.kind === 'slice').map(({ count }) => count);
    expect(slices.length).toBeGreaterThan(1);
    const again: string[] = [];
    const { life, found } = await replayed(
      build((key) => again.push(key)),
      storage,
      { timersPerTurn: 2 },
    );
    expect([found, again, life.isHeld]).toEqual([undefined, fired, false]);
  });

  test('fires as many timers in a turn as the process that has recorded it, whatever this one would', async () => {
    const build = (env: StreamExecutionEnvironment): void =>
      void env
        .fromSource(
          listed({ s: Array.from({ length: 20 }, (_, n) => n) }, { batchSize: 5 }),
          WatermarkStrategy.monotonous<number>()
            .withTimestamps((n) => n)
            .withEmitEvery(5),
        )
        .keyBy((n) => n)
        .process<number>({
          process: (n, ctx) => ctx.timers.register(n),
          onTimer: (_timer, ctx) => ctx.emit(Number(ctx.key)),
        })
        .asyncMap(async (n) => n)
        .sinkTo(callbackSink(() => {}));
    const { storage, turns } = await recorded(build, async (life) => {
      for (const timersPerTurn of [1, 3]) {
        const start = { kind: 'start', timersPerTurn } as const;
        life.turns.run(() => life.goLive(timersPerTurn), start);
        await life.records(10);
        await life.parts.slices.finish();
      }
    });
    const submitted = turns.flatMap((turn) => (turn.kind === 'records' ? [turn.submitted?.length] : []));
    expect(submitted).toEqual([1, 1, 3, 3]);
    const { life, found } = await replayed(build, storage, { timersPerTurn: 100 });
    expect([found, life.isHeld, life.parts.later.perTurn]).toEqual([undefined, false, 3]);
    const header = { ...emptyHeader(128), timersPerTurn: 7 };
    expect((await Life.on(build, { header, timersPerTurn: 100 })).parts.later.perTurn).toBe(7);
  });

  test('fires the rest where so many timers fired in one turn that are too many by now', async () => {
    const build =
      (log: unknown[]) =>
      (env: StreamExecutionEnvironment): void =>
        void env
          .fromSource(
            listed({ s: [1, 2, 3, 4, 5] }, { batchSize: 5 }),
            WatermarkStrategy.monotonous<number>().withTimestamps((n) => n),
          )
          .keyBy((n) => n)
          .process<number>({
            process: (n, ctx) => ctx.timers.register(n < 5 ? 4 : 9),
            onTimer: (_timer, ctx) => void log.push(ctx.key),
          })
          .sinkTo(callbackSink(() => {}));
    const [first, second]: [unknown[], unknown[]] = [[], []];
    const { storage, turns } = await recorded(build(first), async (life) => {
      await life.records(5);
      life.end();
      life.turns.run(
        () => {},
        () => ({ kind: 'start' }),
      );
    });
    expect([first.length, turns.some(({ kind }) => kind === 'slice')]).toEqual([5, false]);
    const { life, found } = await replayed(build(second), storage, { timersPerTurn: 1 });
    expect([found, second, life.isHeld]).toEqual([undefined, first, false]);
  });

  test('gives the event loop back, and ends with the job (I18, I20)', async () => {
    const written = new Written();
    const { storage } = await recorded(written.asking(listed({ s: letters })), async (life) => {
      for (let at = 0; at < 6; at += 1) {
        await life.records(1);
        await life.quiet();
      }
    });
    let [elapsed, deferred] = [0, 0];
    const slow: Clock = {
      ...systemClock,
      elapsed: () => (elapsed += 5),
      defer: (fn) => {
        deferred += 1;
        systemClock.defer(fn);
      },
    };
    const life = await Life.on(written.asking(listed({ s: letters })), { storage });
    const turns = life.recovery.takeTurns();
    expect(await replay(life, turns, turns.length, slow)).toBeUndefined();
    expect(deferred).toBeGreaterThanOrEqual(turns.length);
    await life.die();
    const killed = await Life.on(written.asking(listed({ s: letters })), { storage });
    const gone = new Error('stopped');
    const end = replay(killed, turns, turns.length, {
      ...slow,
      defer: (fn) => systemClock.defer(() => (killed.kill(gone), fn())),
    });
    await expect(end).rejects.toBe(gone);
  });
});

describe('a replay by other code ends where something else comes than was recorded, and says what:', () => {
  const written = new Written();
  const same = (): ((env: StreamExecutionEnvironment) => void) => written.asking(listed({ s: letters }));
  const record = (): Promise<{ storage: MemoryStorage; turns: readonly Turn[] }> =>
    recorded(same(), async (life) => {
      await life.records(3);
      await life.quiet();
      await life.records(3);
      await life.quiet();
      life.end();
      life.turns.run(
        () => {},
        () => ({ kind: 'start' }),
      );
    });
  const firstRecords = (turns: readonly Turn[]): number => turns.findIndex(({ kind }) => kind === 'records');

  const pipelines: readonly (readonly [
    what: string,
    build: () => (env: StreamExecutionEnvironment) => void,
    message: RegExp,
  ])[] = [
    [
      'an item has other content',
      () => written.asking(listed({ s: letters }), { map: (value) => `${value}!` }),
      /^operator `ask`, key "a": work 0 was recorded with other input$/,
    ],
    [
      'there is one more',
      () => (env) => {
        const source = env.fromSource(listed({ s: letters }));
        const values = source.flatMap((value) => (value === 'a2' ? [value, 'a9'] : [value])).filter(() => true);
        values
          .keyBy((value) => value[0] ?? '')
          .asyncMap(async (value) => value)
          .uid('ask')
          .sinkTo(callbackSink(() => {}));
      },
      /^operator `ask`, key "a": work 2 was recorded nowhere$/,
    ],
    [
      'there is one fewer',
      () => written.asking(listed({ s: letters }), { pick: (value) => value !== 'a2' }),
      /^split s of source `listed` has started 2 items of work, recorded were 3$/,
    ],
    [
      'the source ends early',
      () => written.asking(listed({ s: letters.slice(0, 2) })),
      /^split s of source `listed` has ended 1 records before a recorded turn$/,
    ],
    [
      'the source stands somewhere else',
      () => written.asking(listed({ s: letters }, { positionOf: (index) => index * 10 })),
      /^split s of source `listed` is at 30 behind the recorded records, which ended at 3$/,
    ],
  ];
  test.each(pipelines)('%s', async (_what, build, message) => {
    const { storage } = await record();
    const { found, turns } = await replayed(build(), storage);
    expect(found?.message).toMatch(message);
    // So many turns are done again.
    const before = turns.slice(0, found?.turns);
    expect(before.every(({ kind }) => kind === 'split' || kind === 'records')).toBe(true);
  });

  const changes: readonly (readonly [
    what: string,
    change: (turns: readonly Turn[]) => readonly Turn[],
    message: RegExp,
  ])[] = [
    [
      'a split that is not there',
      (turns) => turns.map((turn) => (turn.kind === 'records' ? { ...turn, split: 'gone' } : turn)),
      /^a recorded turn names split gone of source \d+, which the pipeline does not have$/,
    ],
    [
      'the end of a split that is not there',
      (turns) => [{ kind: 'end', source: 99, split: 's' }, ...turns],
      /^a recorded turn names split s of source 99, which the pipeline does not have$/,
    ],
    [
      'a split of a source that is not there',
      (turns) => [{ kind: 'split', source: 99, split: 's' }, ...turns],
      /^a recorded turn names source 99, which the pipeline does not have$/,
    ],
    [
      'an end of work that was not submitted',
      (turns) => turns.filter(({ kind }) => kind !== 'records'),
      /^a recorded turn ends work 0 of operator ask, which was not submitted$/,
    ],
    [
      'work of an operator that is not there',
      (turns) => turns.map((turn) => (turn.kind === 'work' ? { ...turn, work: { ...turn.work, operator: 77 } } : turn)),
      /^a recorded turn ends work 0 of operator 77, which was not submitted$/,
    ],
    [
      'one item more than it submits',
      (turns) =>
        turns.with(firstRecords(turns), {
          ...(turns[firstRecords(turns)] as Turn & { kind: 'records' }),
          submitted: [],
        }),
      /^operator `ask`, key "a": work 0 was recorded nowhere$/,
    ],
  ];
  test.each(changes)('%s', async (_what, change, message) => {
    const { storage } = await record();
    const { found, turns } = await replayed(same(), storage, { turns: change });
    expect(found?.message).toMatch(message);
    expect(found?.turns).toBeLessThan(turns.length);
  });

  test('an outcome that was journaled for other content', async () => {
    const { storage } = await record();
    const { journal, close } = await storage.open();
    const others: JournalEntry[] = [];
    for await (const entry of journal.rebuildState()) {
      const each = decodeJournalEntry(entry);
      if (each.kind === 'done') others.push(encodeWork({ ...each, digest: each.digest + 1 }));
    }
    await journal.append(others);
    await close();
    const { found } = await replayed(same(), storage);
    expect(found?.message).toMatch(
      /^work 0 of operator `ask`, key "a", was recorded with other input \(digest \d+, now \d+\)$/,
    );
  });

  test('an outcome that the journal does not hold', async () => {
    const { storage } = await record();
    const { journal, close } = await storage.open();
    const keys: Uint8Array[] = [];
    for await (const { key } of journal.rebuildState()) if (key[0] === 'j'.charCodeAt(0)) keys.push(key);
    await journal.pruneState(keys);
    await close();
    const { found } = await replayed(same(), storage);
    expect(found?.message).toMatch(/^the outcome of work 0 of operator `ask` is not in the journal$/);
  });
});

describe('of turns that are not done again', () => {
  test('what a source had accepted that can not read it again is taken, and the rest of them changes nothing', async () => {
    const hook = () => listed({ h: ['h1', 'h2', 'h3', 'h4'] }, { name: 'hook', replayable: false, batchSize: 2 });
    const files = () => listed({ f: ['f1', 'f2'] }, { name: 'files' });
    const seen: string[] = [];
    const build = (env: StreamExecutionEnvironment): void =>
      void env
        .fromSource(hook())
        .union(env.fromSource(files()))
        .map((value) => (seen.push(value), value))
        .asyncMap(async (value) => value)
        .sinkTo(callbackSink(() => {}));
    const { turns } = await recorded(build, async (life) => {
      await life.records(2, 'h', 'hook');
      await life.records(2, 'f', 'files');
      await life.records(1, 'h', 'hook');
      life.end('h', 'hook');
    });
    expect(seen.splice(0)).toEqual(['h1', 'h2', 'f1', 'f2', 'h3']);
    const life = await Life.on(build);
    expect(acceptAgain(life, turns)).toBe(0);
    const split = life.source('hook').split('h');
    expect(split).toMatchObject({ records: 0, inHand: 4, position: 4, hasRecords: true, isDrained: false });
    expect([life.source('files').splits.size, seen]).toEqual([0, []]);
    life.turns.replay(undefined, () => void life.source('hook').push(split, 2));
    life.turns.replay(undefined, () => void life.source('hook').push(split, 2));
    expect(seen).toEqual(['h1', 'h2', 'h3', 'h4']);
    expect(split.isDrained).toBe(true); // Its end was recorded.
  });

  test('records of a source that is gone, or that reads again by now, are counted', async () => {
    const source = (replayable: boolean) => listed({ h: ['h1', 'h2'] }, { name: 'hook', replayable });
    const written = new Written();
    const { turns } = await recorded(written.asking(source(false)), (life) => life.records(1));
    expect(acceptAgain(await Life.on(written.asking(source(true))), turns)).toBe(2);
    const moved = turns.map((turn) => ('source' in turn ? { ...turn, source: 99 } : turn));
    expect(acceptAgain(await Life.on(written.asking(source(false))), moved)).toBe(2);
  });
});
