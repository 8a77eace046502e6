import { callbackSink, defineSink, valueState, type Source, type StreamExecutionEnvironment } from 'millrace';
import { expect, test } from 'vitest';
import { cutTopology, type TopologyCut } from '../../../../lib/runtime/checkpoint/topology-cut.ts';
import { Life } from '../life.ts';

/** Tells what it is told of. */
const source = (told: unknown[]): Source<number, number> => ({
  name: 'numbers',
  replayable: true,
  splits: async () => ['s'],
  open: async () => ({
    read: async () => ({ values: [1, 2, 3], position: (count) => count }),
    committed: async (position) => void told.push(`position ${position}`),
    close: async () => {},
  }),
});

const pipeline =
  (told: unknown[]) =>
  (env: StreamExecutionEnvironment): void => {
    const numbers = env.fromSource(source(told)).uid('in');
    numbers
      .keyBy((n) => n)
      .process<number, { last: ReturnType<typeof valueState<number>> }>({
        state: { last: valueState<number>('last') },
        process: (n, ctx) => {
          ctx.state.last.update(n);
          ctx.emit(n);
        },
      })
      .uid('op')
      .union(numbers)
      .uid('both')
      .sinkTo(defineSink<number>({ guarantee: 'exactly-once', write: (values) => void told.push(values) }))
      .uid('out');
  };

const cut = (life: Life, epoch: number): TopologyCut =>
  cutTopology({
    topology: life.topology,
    workingSet: life.parts.workingSet,
    statesOf: (uid) => life.parts.dictionary.statesEver(uid, life.parts.workingSet),
    numberOf: (uid) => life.parts.dictionary.numberOf(uid),
    epoch,
  });

test('the instant holds what came before it and nothing of what comes after (I4)', async () => {
  const told: unknown[] = [];
  const life = await Life.begun(pipeline(told));
  await life.records(2);
  const at = cut(life, 1);
  await life.records(1);
  const sealed = await Promise.all(at.seals);
  const nodes = at.nodes(sealed);
  expect(Object.keys(nodes).toSorted()).toEqual(['both', 'in', 'op', 'out']);
  expect(nodes['in']?.source?.splits['s']).toMatchObject({ position: 2, records: 2 });
  expect(nodes['op']?.states?.map(({ name }) => name)).toEqual(['last']);
  expect(nodes['both']?.valve?.channels.map(([channel]) => channel)).toEqual(['op', 'in']);
  expect(nodes['out']?.sink).toMatchObject({ number: 4, pending: [{ epoch: 1 }] });
  expect(told).toEqual([]); // What was sealed is not visible yet (I7).
  await at.commit(sealed);
  expect(told).toEqual([[1, 1, 2, 2]]);
  await at.acknowledge();
  expect(told.at(-1)).toBe('position 2'); // Not 3, where the split is by now.
});

test('where nothing is stored no state is cut, and a checkpoint commits all the same', async () => {
  const told: unknown[] = [];
  const life = await Life.begun(pipeline(told));
  await life.records(1);
  const at = cutTopology({
    topology: life.topology,
    workingSet: undefined,
    statesOf: () => [],
    numberOf: () => 1,
    epoch: 1,
  });
  expect(at.state).toEqual([]);
  await at.commit(await Promise.all(at.seals));
  expect(told).toEqual([[1, 1]]);
});

test('an epoch in which a sink was given nothing leaves nothing pending', async () => {
  const life = await Life.begun((env) => {
    env
      .fromSource(source([]))
      .sinkTo(callbackSink(() => {}))
      .uid('out');
  });
  const at = cut(life, 1);
  const sealed = await Promise.all(at.seals);
  expect([sealed, at.nodes(sealed)['out']?.sink?.pending]).toEqual([[undefined], []]);
});
