import { describe, expect, test } from 'vitest';
import {
  checkHeader,
  checkStates,
  emptyHeader,
  type Header,
  type NodeSnapshot,
  type StateFacts,
} from '../../../../lib/runtime/checkpoint/header.ts';

const facts = (name: string, more: Partial<StateFacts> = {}): StateFacts => ({
  name,
  kind: 'value',
  version: 1,
  indexed: true,
  state: 0,
  ...more,
});

describe('a header', () => {
  const job = { maxParallelism: 128, uids: new Set(['known']), allowUnclaimedState: false };
  const holding = (uid: string, node: Omit<NodeSnapshot, 'number'>): Header => ({
    ...emptyHeader(128),
    nodes: { [uid]: { number: 1, ...node } },
  });

  test('of a fresh job fits', () => {
    expect(() => checkHeader(emptyHeader(128), job)).not.toThrow();
  });

  test.each([
    ['another format', { ...emptyHeader(128), format: 3 as never }, 'STORE_FORMAT', /format 3, this version reads/],
    ['another maxParallelism', emptyHeader(64), 'STATE_INCOMPATIBLE', /maxParallelism 64, the job has 128/],
  ] as const)('of %s is refused', (_what, header, code, message) => {
    expect(() => checkHeader(header, job)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });

  const sink = (number: number, pending: number) => ({
    sink: {
      number,
      last: undefined,
      pending: Array.from({ length: pending }, (_, epoch) => ({ epoch, committable: 1 })),
    },
  });
  const source = { source: { splits: {}, merge: { watermark: 0, idle: false, channels: [] } } };
  const held: readonly (readonly [string, Omit<NodeSnapshot, 'number'>, RegExp])[] = [
    ['state', { states: [facts('x')] }, /holds state of "gone"/],
    ['positions', source, /holds positions of "gone"/],
    ['records in an output', sink(7, 0), /the place in the output \(7 records\) of "gone"/],
    ['an epoch that is not committed', sink(0, 1), /the place in the output \(0 records\)/],
  ];

  test.each(held)('that holds %s of a node that is gone is refused (I12)', (_what, node, message) => {
    expect(() => checkHeader(holding('gone', node), job)).toThrow(
      expect.objectContaining({ code: 'STATE_UNCLAIMED', message: expect.stringMatching(message) }),
    );
    expect(() => checkHeader(holding('known', node), job)).not.toThrow();
    expect(() => checkHeader(holding('gone', node), { ...job, allowUnclaimedState: true })).not.toThrow();
  });

  const lost: readonly (readonly [string, Omit<NodeSnapshot, 'number'>])[] = [
    ['nothing', {}],
    ['state that was given up before', { states: [facts('x', { dropped: true })] }],
    ['a sink that nothing came to', sink(0, 0)],
    ['a watermark', { valve: { watermark: 5, idle: false, channels: [] } }],
  ];
  test.each(lost)('may hold %s of a node that is gone', (_what, node) => {
    expect(() => checkHeader(holding('gone', node), job)).not.toThrow();
  });
});

describe('the states of an operator', () => {
  const check = (stored: readonly StateFacts[], declared: readonly StateFacts[], allowUnclaimedState = false): void =>
    checkStates({ uid: 'op', stored, declared, allowUnclaimedState });

  test('may be new, and read what older versions wrote', () => {
    expect(() => check([facts('x')], [facts('x', { version: 2 }), facts('y')])).not.toThrow();
  });

  test.each([
    ['is not declared any more', [], 'STATE_UNCLAIMED'],
    ['has another kind', [facts('x', { kind: 'list' })], 'STATE_INCOMPATIBLE'],
    ['belongs to the operator by now', [facts('x', { ofOperator: true })], 'STATE_INCOMPATIBLE'],
    ['has an index by now, or none', [facts('x', { indexed: false })], 'STATE_INCOMPATIBLE'],
    ['is in order by now, or in none', [facts('x', { ordered: true })], 'STATE_INCOMPATIBLE'],
    ['is of a newer version than the operator reads', [facts('x', { version: 0 })], 'STATE_INCOMPATIBLE'],
  ])('one that %s is refused', (_what, declared, code) => {
    expect(() => check([facts('x')], declared)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('"x" of "op"') }),
    );
  });

  test('one that is gone may be given up by those who say so, and then it is', () => {
    expect(() => check([facts('x')], [], true)).not.toThrow();
    expect(() => check([facts('x', { dropped: true })], [])).not.toThrow();
    expect(() => check([facts('x')], [facts('x', { kind: 'list' })], true)).toThrow(
      expect.objectContaining({ code: 'STATE_INCOMPATIBLE' }),
    );
  });
});
