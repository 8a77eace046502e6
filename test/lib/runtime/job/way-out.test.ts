import { describe, expect, test } from 'vitest';
import { WayOut } from '../../../../lib/runtime/job/way-out.ts';
import { ManualClock } from '../../../../lib/testing/clock.ts';

const never = new Promise<void>(() => {});

/** What a wait has come to, once everything that is ready has run. */
const state = async (waited: Promise<boolean>): Promise<unknown> => {
  let result: unknown = 'waits';
  waited.then(
    (value) => (result = value),
    (error: Error) => (result = error.message),
  );
  for (let round = 0; round < 20; round += 1) await Promise.resolve();
  return result;
};

const setUp = (): { readonly clock: ManualClock; readonly wayOut: WayOut } => {
  const clock = new ManualClock();
  return { clock, wayOut: new WayOut(clock) };
};

describe('what is waited for', () => {
  test('has no limit while nobody asks the job to leave', async () => {
    const { clock, wayOut } = setUp();
    const waited = wayOut.inTime(never);
    await clock.advance(1_000_000_000);
    expect(await state(waited)).toBe('waits');
  });

  test('has what a stop gives it, from when the stop was asked for', async () => {
    const { clock, wayOut } = setUp();
    const waited = wayOut.inTime(never);
    await clock.advance(500);
    wayOut.stop(100);
    await state(waited);
    await clock.advance(99);
    expect(await state(waited)).toBe('waits');
    await clock.advance(1);
    expect(await state(waited)).toBe(false);
  });

  test('has no more when it begins later, but what it needs at least', async () => {
    const { clock, wayOut } = setUp();
    wayOut.stop(100);
    await clock.advance(90);
    const [late, atLeast] = [wayOut.inTime(never), wayOut.inTime(never, 50)];
    await state(late);
    await clock.advance(10);
    expect([await state(late), await state(atLeast)]).toEqual([false, 'waits']);
    await clock.advance(40);
    expect(await state(atLeast)).toBe(false);
  });

  test('ends at once when the stop becomes a cancel; a longer second stop changes nothing', async () => {
    const { clock, wayOut } = setUp();
    const waited = wayOut.inTime(never);
    wayOut.stop(100);
    wayOut.stop(10_000);
    await state(waited);
    wayOut.cancel();
    expect(await state(waited)).toBe(false);
    wayOut.stop(10_000);
    expect(wayOut.wanted).toBe('cancel');
    expect(await state(wayOut.inTime(never))).toBe(false);
    expect(clock.waiting).toBe(0);
  });

  test('settles as it does when it comes in time, and leaves no timer', async () => {
    const { clock, wayOut } = setUp();
    wayOut.stop(100);
    expect(await state(wayOut.inTime(Promise.resolve()))).toBe(true);
    expect(await state(wayOut.inTime(Promise.reject(new Error('no'))))).toBe('no');
    expect(clock.waiting).toBe(0);
  });
});

describe('what closes', () => {
  test('has its limit, whether the job was asked to leave or not', async () => {
    const { clock, wayOut } = setUp();
    const waited = wayOut.closed(never, 1000);
    await state(waited);
    await clock.advance(999);
    expect(await state(waited)).toBe('waits');
    await clock.advance(1);
    expect(await state(waited)).toBe(false);
  });

  test('has a short while even after a cancel', async () => {
    const { clock, wayOut } = setUp();
    wayOut.cancel();
    const waited = wayOut.closed(never, 0);
    await state(waited);
    await clock.advance(249);
    expect(await state(waited)).toBe('waits');
    await clock.advance(1);
    expect(await state(waited)).toBe(false);
  });
});
