import { callbackSink, systemClock, type Source, type StreamExecutionEnvironment } from 'millrace';
import { expect, test } from 'vitest';
import { openKnownSplits, openNewSplits } from '../../../../lib/runtime/recovery/open-splits.ts';
import { Life } from '../life.ts';

/** Says where its splits were opened. */
const source = (
  name: string,
  replayable: boolean,
  splits: readonly string[],
  opened: string[],
): Source<number, number> => ({
  name,
  replayable,
  splits: async () => splits,
  open: async (split, position) => {
    opened.push(`${name} ${split} at ${position}`);
    return { read: async () => ({ values: [1, 2], position: (count) => count }), close: async () => {} };
  },
});

const pipeline =
  (opened: string[], files: readonly string[]) =>
  (env: StreamExecutionEnvironment): void =>
    void env
      .fromSource(source('files', true, files, opened))
      .union(env.fromSource(source('hook', false, ['h'], opened)))
      .sinkTo(callbackSink(() => {}));

test('what is new appears in a turn each, and is opened at its beginning', async () => {
  const opened: string[] = [];
  const life = await Life.on(pipeline(opened, ['a', 'b']));
  life.turns.run(
    () => void life.source('files').addSplit('a'),
    () => ({ kind: 'start' }),
  );
  await openNewSplits(life, systemClock);
  // `a` is known: its reader is opened where that is restored.
  expect(opened).toEqual(['files b at undefined', 'hook h at undefined']);
  expect(life.seen.slice(1)).toEqual([
    { kind: 'split', source: life.source('files').number, split: 'b' },
    { kind: 'split', source: life.source('hook').number, split: 'h' },
  ]);
});

test('what is known is opened at its position, sources that can be read again by themselves, and no ended one', async () => {
  const opened: string[] = [];
  const life = await Life.begun(pipeline([], ['a', 'b', 'c']));
  await life.records(2, 'a', 'files');
  await life.records(1, 'b', 'files');
  life.end('c', 'files');
  await life.records(2, 'h', 'hook');
  const next = await Life.on(pipeline(opened, ['a', 'b', 'c', 'd']));
  for (const uid of ['files', 'hook']) next.source(uid).restore(life.source(uid).snapshot());
  await openKnownSplits(next, systemClock, { replayable: true });
  expect(opened.splice(0)).toEqual(['files a at 2', 'files b at 1']);
  await openKnownSplits(next, systemClock, { replayable: false });
  expect(opened).toEqual(['hook h at 2']);
});

test('nothing is opened any more when the job has ended (I18)', async () => {
  const opened: string[] = [];
  const life = await Life.on(pipeline(opened, ['a', 'b']));
  life.source('files').addSplit('a');
  const gone = new Error('stopped');
  life.kill(gone);
  await expect(openKnownSplits(life, systemClock, { replayable: true })).rejects.toBe(gone);
  await expect(openNewSplits(life, systemClock)).rejects.toBe(gone);
  expect([opened, life.seen]).toEqual([[], []]);
});
