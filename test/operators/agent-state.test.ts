import { listState, type OperatorContext } from 'millrace';
import { OperatorHarness } from 'millrace/testing';
import { describe, expect, it } from 'vitest';
import { Event } from '../../lib/agents/events/event.ts';
import { Run } from '../../operators/agent-run.ts';
import { AgentState } from '../../operators/agent-state.ts';

type Body = (state: AgentState<string>, context: OperatorContext<never>) => void;

/** State of an agent, used in turns of one key. */
const open = async (): Promise<{ turn: (body: Body) => void; harness: OperatorHarness<Body, never> }> => {
  const harness = await OperatorHarness.open<Body, never>(
    (context) => {
      const state = new AgentState<string>(context, new Map());
      return { process: (body) => body(state, context) };
    },
    { keyOf: () => 'k' },
  );
  return { harness, turn: (body) => void harness.element(body) };
};

const runOf = (id = 'run'): Run<string> =>
  new Run({ id, planHash: 'plan', input: { number: 1, key: 'k', value: 'input', timestamp: 5, hold: undefined } });

const set = (
  path: string,
  value: unknown,
): { shortTermChanges: [{ path: string; value: unknown }]; sensoryChanges: []; events: [] } => ({
  shortTermChanges: [{ path, value }],
  sensoryChanges: [],
  events: [],
});

const eventOf = (n: number): Event => new Event('next', { n });

describe('a run that is kept', () => {
  it('comes back as it was after a restart: counters, changes, and the events that wait in their order', async () => {
    const { harness, turn } = await open();
    turn((state) => {
      const run = Object.assign(runOf(), { open: 2, steps: 7, events: 9, hold: 3 });
      run.take(set('a', 1));
      run.take({ shortTermChanges: [], sensoryChanges: [{ path: 's', value: 2 }], events: [] });
      for (let n = 0; n < 200; n += 1) state.enqueue(run, eventOf(n));
      expect(state.dequeue(run)?.attributes).toEqual({ n: 0 });
      state.keep(run);
    });
    await harness.restore(await harness.snapshot());
    turn((state) => {
      const run = state.resume();
      expect(run).toMatchObject({
        id: 'run',
        open: 2,
        steps: 7,
        events: 9,
        hold: 3,
        kept: true,
        planHash: 'plan',
        input: { value: 'input', timestamp: 5 },
      });
      expect([run?.shortTerm?.changes, run?.sensory?.changes]).toEqual([
        [{ path: 'a', value: 1 }],
        [{ path: 's', value: 2 }],
      ]);
      const waiting: unknown[] = [];
      if (run !== undefined)
        for (let event = state.dequeue(run); event !== undefined; event = state.dequeue(run))
          waiting.push(event.attributes['n']);
      expect(waiting).toEqual(Array.from({ length: 199 }, (_, n) => n + 1));
    });
  });

  it('adds to its lists what is new and writes nothing of them again', async () => {
    const { harness, turn } = await open();
    const run = runOf();
    for (let n = 0; n < 5; n += 1) {
      turn((state) => {
        run.take(set(`p${n}`, n));
        state.keep(run);
        state.keep(run);
      });
    }
    const kept = harness.read('k', listState<{ value: number }>('run-short-term'), (list) =>
      [...list.values()].map(({ value }) => value),
    );
    expect(kept).toEqual([0, 1, 2, 3, 4]);
  });

  it('leaves nothing behind when it is forgotten, and a run that was not kept has nothing to forget', async () => {
    const { harness, turn } = await open();
    turn((state) => {
      const run = runOf();
      run.take(set('a', 1));
      state.enqueue(run, eventOf(1));
      state.keep(run);
    });
    expect((await harness.snapshot()).rows.length).toBeGreaterThan(2);
    turn((state) => {
      const run = state.resume();
      if (run !== undefined) state.forget(run);
      state.forget(runOf('other'));
    });
    expect((await harness.snapshot()).rows).toEqual([]);
  });
});

it('an event that waits is stored as it was, whatever becomes of it (I21)', async () => {
  const { harness, turn } = await open();
  turn((state) => {
    const run = runOf();
    const event = new Event('next', { list: [1] });
    state.enqueue(run, event);
    (event.attributes['list'] as number[]).push(2);
    state.keep(run);
  });
  await harness.restore(await harness.snapshot());
  turn((state) => {
    const run = state.resume();
    expect(run && state.dequeue(run)?.attributes).toEqual({ list: [1] });
  });
});

describe('memory', () => {
  it('is changed when the run has ended, and conflicts are told', async () => {
    const { turn } = await open();
    const conflicts: string[] = [];
    turn((state) => {
      const run = runOf();
      run.take(set('a', 1));
      run.take(set('a.b', 2));
      expect([...state.memoryOf(run, undefined).keys()]).toEqual([]);
      state.remember(run, (path) => void conflicts.push(path));
      expect([state.memoryOf(run, undefined).get('a.b'), conflicts]).toEqual([2, ['a']]);
    });
  });
});
