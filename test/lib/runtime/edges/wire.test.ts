/**
 * What passes between operators. At a keyed edge a key belongs to the code that made it, and the engine works by a copy
 * of its own (I21).
 */
import { describe, expect, test } from 'vitest';
import type { Key } from '../../../../lib/core/key.ts';
import { openGate, type Receiver } from '../../../../lib/runtime/edges/receiver.ts';
import { WatermarkValve } from '../../../../lib/runtime/edges/watermark-merge.ts';
import { forward, keyedEdge, mergedInput, Wire } from '../../../../lib/runtime/edges/wire.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';

/** The keys that stand behind an edge when records pass it. */
const keysBehind = <T>(keyOf: (value: T) => Key, values: readonly T[]): readonly Key[] => {
  const keys = new KeyContext();
  const seen: Key[] = [];
  const edge = keyedEdge<T>({
    uid: 'op',
    keyOf,
    keys,
    to: { record: () => void seen.push(keys.key), watermark: () => {}, status: () => {} },
    gate: { isClosed: false, finish: () => {} },
    counter: new Float64Array(1),
    serialise: false,
  });
  for (const value of values) edge.record(value, 0);
  return seen;
};

describe('the key behind a keyed edge', () => {
  test('is the one of its record, though `keyOf` gives one list again and again', () => {
    const list = ['t', 0];
    const keyOf = (n: number): Key => {
      list[1] = n;
      return list;
    };
    expect(keysBehind(keyOf, [1, 2, 3])).toEqual([
      ['t', 1],
      ['t', 2],
      ['t', 3],
    ]);
  });

  test('stays when the record that it was taken from changes', () => {
    const record = { path: ['a', 'b'] };
    const keys = keysBehind(({ path }: typeof record) => path, [record]);
    record.path.push('c');
    expect(keys).toEqual([['a', 'b']]);
  });

  test('can not be changed by who is told it', () => {
    const [key] = keysBehind(() => ['a', 1], [0]);
    expect(() => (key as unknown[]).push('x')).toThrow(TypeError); // As code without types would.
  });

  test('is read once, whatever a proxy or a getter would say next', () => {
    let reads = 0;
    const counting = Object.defineProperty(['t', 0], 1, { get: () => (reads += 1) });
    const proxy = new Proxy(['t', 0], { get: (list, name) => (name === '1' ? (reads += 1) : Reflect.get(list, name)) });
    expect(keysBehind<Key>((key) => key, [counting, proxy])).toEqual([
      ['t', 1],
      ['t', 2],
    ]);
  });

  test.each(['a', '', 1, 3n, true])('is what it was for a primitive: %s', (key) => {
    expect(keysBehind<Key>((same) => same, [key])).toEqual([key]);
  });

  test.each([
    ['a hole', Array(2)],
    ['a list in it', ['a', ['b']]],
    ['no number', ['a', NaN]],
    ['no list', { a: 1 }],
    ['null', null],
  ])('is refused: %s', (_, key) => {
    // As code without types would give it.
    expect(() => keysBehind(() => key as Key, [0])).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }));
  });
});

/** Writes down what comes. */
const noting = <T>(log: unknown[], name = ''): Receiver<T> => ({
  record: (value, timestamp) => void log.push([name, value, timestamp]),
  watermark: (timestamp) => void log.push([name, 'watermark', timestamp]),
  status: (idle) => void log.push([name, idle ? 'idle' : 'active']),
});

describe('a keyed edge', () => {
  const edge = (more: Partial<Parameters<typeof keyedEdge<unknown>>[0]> = {}) => {
    const [log, counter, keys]: [unknown[], Float64Array, KeyContext] = [[], new Float64Array(1), new KeyContext()];
    const made = keyedEdge<unknown>({
      uid: 'op',
      keyOf: () => 'k',
      keys,
      to: noting(log),
      gate: openGate,
      counter,
      serialise: false,
      ...more,
    });
    return { edge: made, log, counter, keys };
  };

  test('counts records, and lets watermarks and idleness pass', () => {
    const { edge: to, log, counter } = edge();
    to.record('a', 1);
    to.watermark(5);
    to.status(true);
    to.record('b', 6);
    expect(log).toEqual([
      ['', 'a', 1],
      ['', 'watermark', 5],
      ['', 'idle'],
      ['', 'b', 6],
    ]);
    expect(counter[0]).toBe(2);
  });

  test('lets what came before a record be finished first', () => {
    const log: unknown[] = [];
    const gate = { isClosed: true, finish: () => ((gate.isClosed = false), void log.push('finished')) };
    const { edge: to } = edge({ gate, to: noting(log) });
    to.record('a', 1);
    to.record('b', 2);
    expect(log).toEqual(['finished', ['', 'a', 1], ['', 'b', 2]]);
  });

  test('gives what another process would be given, in the test mode', () => {
    const given: unknown[] = [];
    const value = { at: new Date(5), gone: undefined };
    const { edge: to } = edge({ serialise: true, to: { ...noting([]), record: (each) => void given.push(each) } });
    to.record(value, 1);
    expect(given).toEqual([value]);
    expect(given[0]).not.toBe(value);
    expect(() => to.record({ call: () => 1 }, 1)).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE' }));
  });

  test.each([
    ['the key', { keyOf: () => expect.fail('no key') }],
    ['the operator', { to: { ...noting<unknown>([]), record: () => expect.fail('no key') } }],
  ])('says which operator when %s throws', (_what, more) => {
    expect(() => edge(more).edge.record('a', 1)).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED', message: expect.stringContaining('`op`') }),
    );
  });

  test('leaves no key behind it', () => {
    const { edge: to, keys } = edge();
    to.record('a', 1);
    expect(() => keys.key).toThrow();
  });
});

describe('a wire', () => {
  test('gives all consumers the same in their order, each but the last a copy of a record (I21)', () => {
    const [log, given]: [unknown[], object[]] = [[], []];
    const wire = new Wire<{ n: number }>();
    for (const name of ['a', 'b'])
      wire.to({ ...noting(log, name), record: (value) => void (given.push(value), log.push([name, value.n])) });
    const value = { n: 1 };
    wire.record(value, 7);
    wire.watermark(9);
    wire.status(true);
    expect(log).toEqual([
      ['a', 1],
      ['b', 1],
      ['a', 'watermark', 9],
      ['b', 'watermark', 9],
      ['a', 'idle'],
      ['b', 'idle'],
    ]);
    expect([given[0] === value, given[1] === value]).toEqual([false, true]);
  });

  test('is an Observable of elements, which may come and go', () => {
    const log: unknown[] = [];
    const wire = new Wire<string>();
    wire.to(noting(log, 'chain'));
    const seen: unknown[] = [];
    const subscription = wire.elements.subscribe((element) => seen.push(element));
    wire.record('x', 1);
    subscription.unsubscribe();
    wire.record('y', 2);
    expect(seen).toEqual([{ kind: 'record', value: 'x', timestamp: 1 }]);
    expect(log).toEqual([
      ['chain', 'x', 1],
      ['chain', 'y', 2],
    ]);
  });

  test('brings what a consumer throws back to who pushed the record', () => {
    const wire = new Wire<string>();
    const boom = new RangeError('boom');
    wire.to({
      ...noting([]),
      record: () => {
        throw boom;
      },
    });
    wire.to(noting([]));
    expect(() => wire.record('x', 1)).toThrow(boom);
  });
});

describe('the inputs of a union', () => {
  test('hand records on, and hold the watermark back until all have passed it', () => {
    const log: unknown[] = [];
    const valve = new WatermarkValve();
    const [left, right] = ['left', 'right'].map((channel) => mergedInput(channel, valve, noting<string>(log)));
    left?.record('a', 1);
    left?.watermark(10);
    right?.watermark(4);
    right?.status(true);
    left?.status(true);
    right?.status(false);
    expect(log).toEqual([
      ['', 'a', 1],
      ['', 'watermark', 4],
      ['', 'watermark', 10], // The other one is idle.
      ['', 'idle'],
      ['', 'active'],
    ]);
    expect(() => mergedInput('left', valve, noting([]))).toThrow(TypeError);
  });

  test.each([
    [{ watermark: 5, idle: undefined }, [['', 'watermark', 5]]],
    [
      { watermark: 5, idle: true },
      [
        ['', 'watermark', 5],
        ['', 'idle'],
      ],
    ],
    [
      { watermark: 5, idle: false },
      [
        ['', 'active'],
        ['', 'watermark', 5],
      ],
    ],
    [{ watermark: undefined, idle: undefined }, []],
  ])('a change is told in the order in which it is true: %j', (change, told) => {
    const log: unknown[] = [];
    forward(change, noting(log));
    expect(log).toEqual(told);
  });
});
