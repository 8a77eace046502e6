import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_TIMESTAMP } from '../../../../lib/core/element.ts';
import { Later } from '../../../../lib/runtime/edges/later.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { Advances } from '../../../../lib/runtime/hosts/advances.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';
import { TimerService } from '../../../../lib/state/timers.ts';

/** What comes to an operator, one after the other; `slice` is what goes on with timers that are left. */
type Step =
  | { readonly kind: 'record'; readonly key: string; readonly at: number }
  | { readonly kind: 'watermark'; readonly by: number }
  | { readonly kind: 'clock'; readonly by: number }
  | { readonly kind: 'idle'; readonly idle: boolean }
  | { readonly kind: 'slice'; readonly max: number };

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('record' as const),
        key: fc.constantFrom('a', 'b', 'c', 'd'),
        at: fc.nat(30),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('watermark' as const), by: fc.integer({ min: 1, max: 12 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clock' as const), by: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('idle' as const), idle: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('slice' as const), max: fc.integer({ min: 1, max: 4 }) }) },
  ),
  { maxLength: 60 },
);

const laterOf = (perTurn: number): Later => new Later(new Places().make({ name: 'later', max: 1 }), perTurn);

/** Everything that can be seen of an operator whose timers register others while they fire. */
const run = (history: readonly Step[], timersPerTurn: number, derived: boolean): { log: string[]; sliced: number } => {
  const log: string[] = [];
  const keys = new KeyContext();
  const fire = ({ timestamp, namespace }: { timestamp: number; namespace: number }): void => {
    log.push(`${keys.mapKey}@${timestamp} at ${timers.watermark}`);
    if (namespace < 2 && timestamp % 3 === 0) register(timestamp + 5, namespace + 1);
  };
  const timers = new TimerService({ keys, fire, op: 1, maxParallelism: 8, unique: !derived });
  const registered = new Set<string>();
  const register = (at: number, namespace: number): void => {
    // Derived timers are registered once each.
    const name = `${keys.mapKey} ${at} ${namespace}`;
    if (derived && registered.has(name)) return;
    registered.add(name);
    timers.register(at, namespace, 'event');
    if (!derived && at % 2 === 0) timers.register(at, namespace, 'processing');
  };
  const later = laterOf(timersPerTurn);
  const advances = new Advances({ timers, passOn: (advance) => log.push(JSON.stringify(advance)), later });
  let [watermark, clock, sliced] = [0, 0, 0];
  for (const step of history) {
    expect(later.isOpen).toBe(advances.gate.isClosed);
    switch (step.kind) {
      case 'record':
        if (advances.gate.isClosed) advances.gate.finish();
        log.push(`record ${step.key}`);
        keys.enter(step.key);
        register(watermark + step.at, 0);
        keys.leave();
        break;
      case 'watermark':
        advances.add({ kind: 'event', to: (watermark += step.by) });
        break;
      case 'clock':
        if (!derived) advances.add({ kind: 'processing', to: (clock += step.by) });
        break;
      case 'idle':
        advances.add({ kind: 'status', idle: step.idle });
        break;
      case 'slice': {
        const fired = advances.goOn(step.max, () => true);
        expect(fired).toBeLessThanOrEqual(step.max);
        sliced += fired;
        break;
      }
    }
  }
  advances.add({ kind: 'event', to: MAX_TIMESTAMP });
  while (advances.gate.isClosed) sliced += advances.goOn(3);
  return { log, sliced };
};

test.each([false, true])(
  'what is seen of an operator does not depend on the parts in which its timers fire (derived: %s)',
  (derived) => {
    let sliced = 0;
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 5 }), (history, timersPerTurn) => {
        const whole = run(history, Number.POSITIVE_INFINITY, derived);
        const parts = run(history, timersPerTurn, derived);
        // A clock that finds nothing due says nothing, so only what fires and what goes on is compared.
        const seen = ({ log }: { log: string[] }): string[] => log.filter((line) => !line.includes('processing'));
        expect(seen(parts)).toEqual(seen(whole));
        expect(whole.sliced).toBe(0);
        sliced += parts.sliced;
      }),
    );
    expect(sliced).toBeGreaterThan(30);
  },
);

test('a great many timers of one time are put in order outside a turn, in steps, before the first fires', () => {
  const keys = new KeyContext();
  const fired: string[] = [];
  const timers = new TimerService({
    op: 1,
    keys,
    maxParallelism: 128,
    unique: false,
    fire: () => void fired.push(`${keys.key}`),
  });
  const names = Array.from({ length: 10_000 }, (_, index) => `key-${(index * 7919) % 10_000}`);
  for (const name of names) {
    keys.enter(name);
    timers.register(10, 0);
    keys.leave();
  }
  const advances = new Advances({ timers, later: laterOf(100), passOn: () => {} });
  advances.add({ kind: 'event', to: 10 });
  expect(fired.length).toBe(0);
  let preparing = 0;
  for (; !advances.isReady; preparing += 1) advances.prepare();
  expect(preparing).toBeGreaterThan(100);
  let slices = 0;
  for (; advances.gate.isClosed; slices += 1) advances.goOn(100, () => true);
  expect(slices).toBe(100);
  expect(fired).toEqual(names.toSorted());
});

test.each(['derived', 'registered'])(
  'the order of some thousand timers of one time is not worked out in the turn that makes them due (I20): %s',
  (kind) => {
    const keys = new KeyContext();
    let fired = 0;
    const fire = (): void => void (fired += 1);
    const timers = new TimerService({ op: 1, keys, maxParallelism: 128, fire, unique: kind !== 'derived' });
    for (let n = 0; n < 2000; n += 1) {
      keys.enter(['tuple', n]);
      timers.register(10, 0, 'event');
      keys.leave();
    }
    const advances = new Advances({ timers, later: laterOf(100), passOn: () => {} });
    advances.add({ kind: 'event', to: 10 });
    expect(fired).toBe(0);
    let preparing = 0;
    for (; !advances.isReady; preparing += 1) advances.prepare();
    expect(preparing).toBeGreaterThan(10);
    expect(advances.goOn(100, () => true)).toBe(100);
  },
);
