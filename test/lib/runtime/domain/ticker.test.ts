import { expect, test } from 'vitest';
import { Ticker } from '../../../../lib/runtime/domain/ticker.ts';
import { ManualClock } from '../../../../lib/testing/clock.ts';

const never = Number.POSITIVE_INFINITY;

/** A ticker whose job says when something is due; told is when it ticked, and whether the process had stood still. */
const ticking = ({ timerAt = never, changeAt = never }: { timerAt?: number; changeAt?: number } = {}) => {
  const clock = new ManualClock();
  const due = { timerAt, changeAt };
  const ticks: [at: number, stoodStill: boolean][] = [];
  const ticker = new Ticker({
    clock,
    tickMs: 200,
    timerInMs: () => due.timerAt - clock.now(),
    changeInMs: () => due.changeAt - clock.now(),
    tick: (stoodStill) => {
      ticks.push([clock.now(), stoodStill]);
      if (clock.now() >= due.timerAt) due.timerAt = never;
      if (clock.now() >= due.changeAt) due.changeAt = never;
    },
  });
  ticker.start();
  return { clock, due, ticks, ticker };
};

test('a job in which nothing is due is looked at once, and then no timer runs', async () => {
  const { clock, ticks } = ticking();
  await clock.advance(3_600_000);
  expect([ticks, clock.waiting]).toEqual([[[200, false]], 0]);
});

test('a turn makes it look again within a tick', async () => {
  const { clock, ticks, ticker } = ticking();
  await clock.advance(1000);
  ticker.moved();
  ticker.moved();
  await clock.advance(1000);
  expect(ticks).toEqual([
    [200, false],
    [1200, false],
  ]);
});

test('it sleeps until a timer is due, and looks at the clock once a minute, since it may be set', async () => {
  const { clock, ticks } = ticking({ timerAt: 150_000 });
  await clock.advance(200_000);
  expect(ticks.map(([at]) => at)).toEqual([200, 60_200, 120_200, 150_000]);
});

test('it looks once more shortly before a split is due', async () => {
  const { clock, ticks } = ticking({ changeAt: 5000 });
  await clock.advance(10_000);
  expect(ticks.map(([at]) => at)).toEqual([200, 4800, 5000]);
});

test('a process that stood still is told, whichever clock shows it, and whenever it happened', async () => {
  const late = ticking({ changeAt: 5000 });
  await late.clock.advance(1000);
  late.clock.jumpTo(60_000);
  await late.clock.advance(0);
  expect(late.ticks.at(-1)).toEqual([60_000, true]);
  const short = ticking({ changeAt: 5000 });
  await short.clock.advance(1000);
  short.clock.jumpTo(4900); // A hundred milliseconds late: that says nothing.
  await short.clock.advance(0);
  expect(short.ticks.at(-1)).toEqual([4900, false]);
});

test('a stop ends it, before and in a tick', async () => {
  const { clock, ticks, ticker } = ticking({ changeAt: 100_000 });
  ticker.stop();
  ticker.moved();
  await clock.advance(200_000);
  expect([ticks, clock.waiting]).toEqual([[], 0]);
});
