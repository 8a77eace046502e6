import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../../lib/core/work.ts';
import type { CalledRecord } from '../../../../lib/runtime/journal/work-record.ts';
import { Macrotasks } from '../../../../lib/runtime/work/macrotasks.ts';
import { RecordedCalls } from '../../../../lib/runtime/work/recorded-calls.ts';
import { ManualClock, settled as macrotask } from '../../../../lib/testing/clock.ts';

const settled = async (): Promise<void> => {
  for (let rounds = 0; rounds < 20; rounds += 1) await macrotask();
};
const work = { branch: 0, operator: 1, keyGroup: 2, number: 3 };
const ok = (value: unknown): Outcome<unknown> => ({ ok: true, value });
const called = (call: number, lsn: number, id = `call-${call}`): CalledRecord => ({
  kind: 'called',
  lsn,
  work,
  key: 'k',
  digest: 7,
  call,
  id,
  args: '',
  outcome: ok(call),
});

const open = (...records: readonly CalledRecord[]) => {
  const clock = new ManualClock();
  const [told, resumed, abort]: [string[], unknown[], AbortController] = [[], [], new AbortController()];
  const calls = new RecordedCalls({
    recorded: { calls: new Map(records.map((record) => [record.call, { called: record }])), keys: [] },
    name: 'w',
    clock,
    macrotasks: new Macrotasks(clock),
    signal: abort.signal,
    diverged: (what) => told.push(`diverged: ${what}`),
    overtaken: (what) => told.push(`overtaken: ${what}`),
    liveWait: () => false,
    onDelivered: () => {},
  });
  const ask = (call: number, id = `call-${call}`): void => {
    if (calls.find(call, id, '') === 'outcome')
      calls.deliver(call, (outcome) => resumed.push(outcome.ok ? outcome.value : outcome.error));
  };
  return { clock, calls, ask, told, resumed, abort };
};

describe('an outcome that others wait for and that the body has not asked for', () => {
  test('holds them back as long as the body does something, and then lets them pass, without being lost', async () => {
    const { clock, ask, told, resumed } = open(called(2, 1), called(0, 2), called(1, 3));
    ask(0);
    await settled();
    await clock.advance(29_000);
    ask(1); // The body is slow and goes on.
    await settled();
    await clock.advance(29_000);
    expect([told, resumed]).toEqual([[], []]);
    await clock.advance(1_001);
    await settled();
    expect(told).toEqual([expect.stringMatching(/overtaken: work w has not asked for durable call 2/)]);
    expect(resumed).toEqual([0, 1]);
    ask(2); // I8: it was journaled, so it is not made again however late it is asked for.
    await settled();
    expect(resumed).toEqual([0, 1, 2]);
    expect(clock.waiting).toBe(0);
  });

  test.each([
    ['the end of the body', ({ calls }: ReturnType<typeof open>) => calls.end({ complete: false })],
    ['the end of the job', ({ abort }: ReturnType<typeof open>) => abort.abort()],
    ['being asked for', ({ ask }: ReturnType<typeof open>) => ask(1)],
  ])('has a timer, which %s takes away', async (_what, ends) => {
    const opened = open(called(1, 1), called(0, 2));
    opened.ask(0);
    await settled();
    expect(opened.clock.waiting).toBe(1);
    ends(opened);
    await settled();
    expect(opened.clock.waiting).toBe(0);
    expect(opened.told).toEqual([]);
  });

  test('was recorded for other code when the body ends without it', () => {
    const { calls, told } = open(called(0, 1), called(1, 2));
    calls.end({ complete: true });
    expect(told).toEqual([expect.stringMatching(/diverged: durable call 0 .* is not asked for again/)]);
  });
});

test('a call that differs is told once; it and those behind it have names of their own, and those before are delivered', async () => {
  const { calls, ask, told, resumed } = open(called(1, 1), called(0, 2), called(2, 3));
  ask(0);
  ask(1, 'other');
  ask(2);
  await settled();
  expect(told).toEqual([expect.stringMatching(/diverged: durable call 1 .*`other`.*recorded was `call-1`/)]);
  expect(resumed).toEqual([0]);
  expect([0, 1, 2].map((call) => calls.replaces(call))).toEqual([false, true, true]);
});

test('ten thousand recorded calls are found and delivered in the time of ten thousand', async () => {
  const count = 10_000;
  const { ask, resumed } = open(...Array.from({ length: count }, (_, call) => called(call, count - call)));
  const before = process.cpuUsage();
  for (let call = 0; call < count; call += 1) ask(call);
  // Looking through all of them each time takes seconds.
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(1500);
  await settled();
  expect(resumed.slice(0, 3)).toEqual([count - 1, count - 2, count - 3]);
});
