import { pino } from 'pino';
import { expect, test } from 'vitest';
import { tellLostWork } from '../../../../lib/runtime/job/lost-work.ts';
import { Gates, tasks, Working } from '../work/working.ts';

/** Lines that are logged when a life stops that keeps nothing. */
const toldOf = (working: Awaited<ReturnType<typeof Working.begun>>, more: Parameters<typeof tellLostWork>[0] = []) => {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  tellLostWork([...working.life.topology.operators, ...more], 'letters', logger);
  return lines;
};

test('work that is open is told of by operator, with how much it is', async () => {
  const gates = new Gates();
  const [one, two] = [
    await Working.begun({ tasks: tasks('a', 'b', 'c'), run: ({ name }) => gates.wait(name) }),
    await Working.begun({ tasks: tasks('a'), run: () => gates.wait('other') }),
  ];
  for (const { life } of [one, two]) await life.records(1);
  await one.life.records(2);
  await one.life.quiet();
  const others = two.life.topology.operators.map(({ workQueue }) => ({ uid: 'other', workQueue }));
  const lines = toldOf(one, others);
  expect(lines).toEqual([
    {
      level: 40,
      job: 'letters',
      open: { op: 3, other: 1 },
      msg: 'job "letters" was stopped with work open that nothing keeps without a place for state, and that is lost: 3 of `op`, 1 of `other`; see the metric workOpen',
    },
  ]);
});

test('what is done is not lost, and of an operator without any there is nothing to say', async () => {
  const working = await Working.begun({ tasks: tasks('a', 'b'), run: async () => 'done' });
  await working.life.records(2);
  await working.life.quiet();
  expect(working.applied).toHaveLength(2);
  expect(toldOf(working, [{ uid: 'map', workQueue: undefined }])).toEqual([]);
});
