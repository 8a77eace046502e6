import fc from 'fast-check';
import { MIN_TIMESTAMP, type HoldOptions, type Holds, type Operator, type Timestamp } from 'millrace';
import { OperatorHarness, type HarnessOutput } from 'millrace/testing';
import { expect, test } from 'vitest';
import { WatermarkValve } from '../../../../lib/runtime/edges/watermark-merge.ts';

/** An operator that takes a hold for each record; the test emits and releases by hand. */
const holding =
  (options: HoldOptions, use: (holds: Holds<string>, taken?: number) => void): Operator<string, string> =>
  (context) => {
    const holds = context.holds(options);
    use(holds);
    return { process: () => use(holds, holds.take()) };
  };

/** What happens to an operator with holds; numbers choose among the holds that are open. */
type Step =
  | { readonly kind: 'take'; readonly key: string }
  /** `offset` from the watermark; null: no timestamp. */
  | { readonly kind: 'emit'; readonly which: number; readonly offset: number | null }
  | { readonly kind: 'release'; readonly which: number }
  | { readonly kind: 'watermark'; readonly step: number }
  | { readonly kind: 'status'; readonly idle: boolean }
  | { readonly kind: 'restore' };

const emits = fc.record({
  kind: fc.constant('emit' as const),
  which: fc.nat(20),
  offset: fc.option(fc.integer({ min: -4, max: 4 })),
});

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('take' as const), key: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 4, arbitrary: emits },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat(20) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('watermark' as const), step: fc.integer({ min: -2, max: 5 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('status' as const), idle: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
  ),
  { maxLength: 60, size: 'max' },
);

interface OpenHold {
  readonly hold: number;
  readonly key: string;
  readonly order: number;
  /** The watermark when the hold was taken: its results must leave while that is the last one that left. */
  readonly watermark: Timestamp;
}

interface Sent {
  readonly name: string;
  readonly key: string;
  readonly order: number;
  readonly watermark: Timestamp;
  readonly timestamp: Timestamp;
  /** It left in the step that sent it. */
  readonly atOnce: boolean;
  /** A late result of its key waited when it was sent. */
  readonly waited: boolean;
}

interface Driven {
  readonly out: readonly HarnessOutput<string>[];
  readonly sent: readonly Sent[];
  readonly watermark: Timestamp;
  readonly idle: boolean;
}

/** The first open hold of each key: who may emit where the results of a key are emitted in the order of its holds. */
const firstOfKeys = (open: readonly OpenHold[]): OpenHold[] =>
  open.filter(({ key }, at) => open.findIndex((each) => each.key === key) === at);

/**
 * Drives the steps, then releases what is open. Gives what came out and what was sent. With `keyOrder` a key emits in
 * its first hold.
 */
const drive = async (options: HoldOptions, made: readonly Step[]): Promise<Driven> => {
  let [holds, taken]: [Holds<string> | undefined, number | undefined] = [undefined, undefined];
  const operator = holding(options, (made, hold) => {
    [holds, taken] = [made, hold];
  });
  const harness = await OperatorHarness.open(operator, { keyOf: (value: string) => value });
  const [out, sent, open]: [HarnessOutput<string>[], Sent[], OpenHold[]] = [[], [], []];
  let [watermark, idle, count]: [Timestamp, boolean, number] = [MIN_TIMESTAMP, false, 0];
  const release = (which: number): void => {
    const [held] = open.splice(which % open.length, 1);
    if (held !== undefined) out.push(...harness.turn(() => holds?.release(held.hold)));
  };
  const emit = (held: OpenHold, offset: number | null): void => {
    const name = `${held.order}.${sent.length}`;
    const timestamp = offset === null ? MIN_TIMESTAMP : Math.max(watermark, -1) + offset;
    const gone = new Set(recordsOf(out));
    const waits = (each: Sent): boolean =>
      each.timestamp <= each.watermark && each.timestamp !== MIN_TIMESTAMP && !gone.has(each.name);
    const waited = sent.some((each) => each.key === held.key && waits(each));
    const before = out.length;
    out.push(...harness.turn(() => holds?.emit(held.hold, name, timestamp)));
    const atOnce = out.length > before;
    sent.push({ name, key: held.key, order: held.order, watermark: held.watermark, timestamp, atOnce, waited });
  };
  for (const step of made) {
    if (step.kind === 'take') {
      out.push(...harness.element(step.key, 0));
      open.push({ hold: taken ?? -1, key: step.key, order: (count += 1), watermark });
    } else if (step.kind === 'watermark') {
      const next = (watermark === MIN_TIMESTAMP ? 0 : watermark) + step.step;
      out.push(...harness.watermark(next));
      watermark = Math.max(watermark, next);
    } else if (step.kind === 'status') {
      idle = step.idle;
      out.push(...harness.status(idle));
    } else if (step.kind === 'restore') await harness.restore(await harness.snapshot());
    else if (open.length > 0 && step.kind === 'release') release(step.which);
    else if (open.length > 0 && step.kind === 'emit') {
      const mayEmit = options.keyOrder === true ? firstOfKeys(open) : open;
      emit(mayEmit[step.which % mayEmit.length] as OpenHold, step.offset); // the index is inside
    }
  }
  while (open.length > 0) release(0);
  expect((await harness.snapshot()).rows).toEqual([]);
  return { out, sent, watermark, idle };
};

const recordsOf = (out: readonly HarnessOutput<string>[]): string[] =>
  out.flatMap((each) => (each.kind === 'record' ? [each.value] : []));

/** The watermark that had left before each record. */
const watermarksBefore = (out: readonly HarnessOutput<string>[]): Map<string, Timestamp> => {
  const before = new Map<string, Timestamp>();
  let watermark: Timestamp = MIN_TIMESTAMP;
  for (const each of out) {
    if (each.kind === 'record') before.set(each.value, watermark);
    if (each.kind === 'watermark') {
      expect(each.timestamp).toBeGreaterThan(watermark); // I3
      watermark = each.timestamp;
    }
  }
  return before;
};

const overtaking: HoldOptions = { overtakeWatermarks: true };
const inKeyOrder: HoldOptions = { overtakeWatermarks: true, keyOrder: true };
const ways: readonly HoldOptions[] = [{ order: 'completion' }, { order: 'arrival' }, overtaking, inKeyOrder];

const lastOf = <T>(values: readonly T[], otherwise: T): T => values.at(-1) ?? otherwise;

test.each(ways)('I3, %o: nothing is lost, and the last watermark and status leave', async (options) => {
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const { out, sent, watermark, idle } = await drive(options, made);
      expect(recordsOf(out).toSorted()).toEqual(sent.map(({ name }) => name).toSorted());
      expect(
        lastOf(
          out.flatMap((each) => (each.kind === 'watermark' ? [each.timestamp] : [])),
          MIN_TIMESTAMP,
        ),
      ).toBe(watermark);
      expect(
        lastOf(
          out.flatMap((each) => (each.kind === 'status' ? [each.idle] : [])),
          false,
        ),
      ).toBe(idle);
    }),
    { numRuns: 1000 },
  );
});

test.each(ways.slice(0, 2))('%o: no result crosses a watermark in either direction', async (options) => {
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const { out, sent } = await drive(options, made);
      const before = watermarksBefore(out);
      for (const each of sent) expect([each.name, before.get(each.name)]).toEqual([each.name, each.watermark]);
    }),
    { numRuns: 1000 },
  );
});

test('I17, results that overtake: at once unless late, never behind a watermark that came after the input, as late as without waiting', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const { out, sent } = await drive(overtaking, made);
      const before = watermarksBefore(out);
      for (const { name, watermark, timestamp, atOnce } of sent) {
        const left = before.get(name) ?? Number.NaN;
        const isLate = timestamp !== MIN_TIMESTAMP && timestamp <= watermark;
        expect([name, timestamp !== MIN_TIMESTAMP && timestamp <= left]).toEqual([name, isLate]);
        if (isLate) expect([name, left]).toEqual([name, watermark]);
        else expect([name, atOnce, left <= watermark]).toEqual([name, true, true]);
      }
    }),
    { numRuns: 1500 },
  );
});

test('I1 and I17, in the order of keys: a key keeps its order, what overtakes waits for its key alone, and as late as without waiting', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const { out, sent } = await drive(inKeyOrder, made);
      const left = recordsOf(out);
      for (const key of ['a', 'b', 'c']) {
        const ofKey = sent.filter((each) => each.key === key).map(({ name }) => name);
        expect(left.filter((name) => ofKey.includes(name))).toEqual(ofKey);
      }
      const before = watermarksBefore(out);
      for (const { name, watermark, timestamp, atOnce, waited } of sent) {
        const behind = before.get(name) ?? Number.NaN;
        const isLate = timestamp !== MIN_TIMESTAMP && timestamp <= watermark;
        expect([name, timestamp !== MIN_TIMESTAMP && timestamp <= behind]).toEqual([name, isLate]);
        expect([name, behind <= watermark]).toEqual([name, true]);
        if (!isLate) expect([name, atOnce || waited]).toEqual([name, true]);
      }
    }),
    { numRuns: 1500 },
  );
});

test('a key whose result waits blocks what is emitted without a hold, other keys do not, also after a restart', async () => {
  let holds: Holds<string> | undefined;
  const blocked: boolean[] = [];
  const harness = await OperatorHarness.open<string, string>(
    (context) => {
      holds = context.holds(inKeyOrder);
      const made = holds;
      return { process: (value) => void (value.endsWith('?') ? blocked.push(made.blocks(9)) : made.take()) };
    },
    { keyOf: (value) => value.slice(0, 1) },
  );
  harness.element('slow', 0);
  harness.watermark(5);
  harness.element('key', 0);
  harness.element('k?', 0);
  harness.turn(() => holds?.emit(1, 'late', 1));
  harness.element('k?', 0);
  harness.element('o?', 0);
  await harness.restore(await harness.snapshot());
  harness.element('k?', 0);
  harness.element('o?', 0);
  harness.turn(() => holds?.release(0));
  harness.element('k?', 0);
  expect(blocked).toEqual([false, true, false, true, false, false]);
});

test('in the order of keys: one late result keeps those behind it as long as it waits, and no longer, however others overlap', async () => {
  let [holds, taken]: [Holds<string> | undefined, number] = [undefined, -1];
  const operator = holding(inKeyOrder, (made, hold) => {
    [holds, taken] = [made, hold ?? -1];
  });
  const harness = await OperatorHarness.open(operator, { keyOf: (value: string) => value });
  const kept: number[] = [];
  let slow: number | undefined;
  for (let n = 0; n < 20; n += 1) {
    harness.element('slow', n * 10);
    const next = taken;
    harness.watermark(n * 10);
    harness.element('key', n * 10 + 5);
    const out = harness.turn(() => {
      holds?.emit(taken, `${n}`, n === 5 ? 0 : n * 10 + 5);
      holds?.release(taken);
    });
    if (!recordsOf(out).includes(`${n}`)) kept.push(n);
    const before = slow;
    if (before !== undefined) harness.turn(() => holds?.release(before));
    slow = next;
  }
  expect(kept).toEqual([5, 6]);
});

test("with order 'arrival' the results leave in the order of their holds", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (made) => {
      const { out, sent } = await drive({ order: 'arrival' }, made);
      const inOrder = sent.toSorted((a, b) => a.order - b.order).map(({ name }) => name);
      expect(recordsOf(out)).toEqual(inOrder);
    }),
    { numRuns: 1500 },
  );
});

test('a restart between any two steps changes nothing of what comes out', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ways), steps, async (options, made) => {
      const straight = await drive(
        options,
        made.filter(({ kind }) => kind !== 'restore'),
      );
      const restored = await drive(
        options,
        made.flatMap((step) => (step.kind === 'restore' ? [step] : [step, { kind: 'restore' as const }])),
      );
      expect(restored.out).toEqual(straight.out);
    }),
    { numRuns: 500 },
  );
});

test('a union behind it sees every watermark, also when the stream was idle until just before it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ways), steps, async (options, made) => {
      const { out, watermark, idle } = await drive(options, [
        ...made,
        { kind: 'status', idle: false },
        { kind: 'watermark', step: 1 },
      ]);
      const valve = new WatermarkValve();
      valve.add('only');
      for (const each of out) {
        if (each.kind === 'watermark') valve.watermark('only', each.timestamp);
        if (each.kind === 'status') valve.status('only', each.idle);
      }
      expect([valve.current, valve.idle]).toEqual([watermark, idle]);
    }),
    { numRuns: 1500 },
  );
});

test('a hold that was released, or never taken, is refused', async () => {
  let holds: Holds<string> | undefined;
  const harness = await OperatorHarness.open(
    holding({}, (made) => void (holds = made)),
    { keyOf: (value: string) => value },
  );
  harness.element('a', 0);
  harness.turn(() => holds?.release(0));
  expect(() => harness.turn(() => holds?.emit(0, 'late', 0))).toThrow(TypeError);
  expect(() => harness.turn(() => holds?.release(0))).toThrow(/`hold`.*got `0`/);
  expect(() => harness.turn(() => holds?.release(7))).toThrow(TypeError);
});

test("results that overtake are refused together with order 'arrival'", async () => {
  const opened = OperatorHarness.open(
    holding({ order: 'arrival', overtakeWatermarks: true }, () => {}),
    { keyOf: (value: string) => value },
  );
  await expect(opened).rejects.toThrow(/`overtakeWatermarks`.*got `true`/);
});

test('watermarks that wait together with nothing between them leave as one, however many there were', async () => {
  let [holds, slow]: [Holds<string> | undefined, number | undefined] = [undefined, undefined];
  const harness = await OperatorHarness.open(
    holding(overtaking, (made, hold) => {
      holds = made;
      slow ??= hold;
      if (hold !== undefined && hold !== slow) made.release(hold);
    }),
    { keyOf: (value: string) => value },
  );
  harness.element('slow', 0);
  for (let at = 1; at <= 1000; at += 1) {
    harness.watermark(at);
    harness.element('fast', at + 1);
  }
  expect(harness.host.holdQueue?.waiting).toBe(1);
  expect(harness.turn(() => holds?.release(slow ?? -1))).toEqual([{ kind: 'watermark', timestamp: 1000 }]);
});
