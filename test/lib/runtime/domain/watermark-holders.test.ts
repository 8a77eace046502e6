import { pino } from 'pino';
import { expect, it } from 'vitest';
import { WatermarkHolders } from '../../../../lib/runtime/domain/watermark-holders.ts';
import { StepClock } from '../../../connectors/manual-clock.ts';

it('says who holds a watermark and for how long, and once in the log when that is a minute', () => {
  const lines: string[] = [];
  const clock = new StepClock();
  const valve = { slowest: 'b' as string | undefined, current: 10 };
  const operator = { uid: 'review', slowestInput: undefined, currentWatermark: 3, holdQueue: undefined as unknown };
  const topology = { sources: [], valves: new Map([['union', valve]]), operators: [operator] };
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  // What is looked at of a topology.
  const holders = new WatermarkHolders({ topology: topology as never, clock, logger });
  const looksAt = (seconds: number): number => {
    clock.advance(seconds * 1000 - clock.elapsed());
    holders.look();
    return lines.length;
  };
  expect(looksAt(0)).toBe(0);
  expect(looksAt(59)).toBe(0);
  expect(holders.list()).toEqual([{ operator: 'union', channel: 'b', watermark: 10, waiting: 0, heldMs: 59_000 }]);
  valve.current = 11; // It has moved.
  expect(looksAt(61)).toBe(0);
  expect(looksAt(120)).toBe(0);
  expect(looksAt(122)).toBe(1);
  expect(lines[0]).toContain('the watermark of `union` stands still for 61 s, held by `b`');
  expect(looksAt(300)).toBe(1); // It is told.
  operator.holdQueue = { waiting: 2, oldestKey: 'ann' };
  looksAt(310);
  expect(looksAt(371)).toBe(2);
  expect(lines[1]).toContain('work of key \\"ann\\"');
  valve.slowest = undefined;
  operator.holdQueue = undefined;
  expect(holders.look()).toBe(false);
  expect(holders.list()).toEqual([]);
});
