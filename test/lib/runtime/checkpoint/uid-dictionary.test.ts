import { valueState } from 'millrace';
import { describe, expect, test } from 'vitest';
import { emptyHeader, type Header, type StateFacts } from '../../../../lib/runtime/checkpoint/header.ts';
import { UidDictionary } from '../../../../lib/runtime/checkpoint/uid-dictionary.ts';
import { KeyContext } from '../../../../lib/state/key-context.ts';
import { WorkingSet } from '../../../../lib/state/keyed-state.ts';
import { emptyStore } from '../../../../lib/state/store.ts';

const state = (name: string, number: number, dropped?: true): StateFacts => ({
  name,
  kind: 'value',
  version: 1,
  indexed: true,
  state: number,
  dropped,
});

const header: Header = {
  ...emptyHeader(128),
  nextNumber: 9,
  nodes: {
    kept: { number: 3, states: [state('a', 0), state('b', 1, true), state('c', 4)] },
    gone: { number: 5 },
  },
};

describe('numbers of uids (I12)', () => {
  test('stay, and new ones are behind all that were ever given', () => {
    const dictionary = new UidDictionary(header);
    expect(['kept', 'new', 'gone', 'newer', 'new'].map((uid) => dictionary.numberOf(uid))).toEqual([3, 9, 5, 10, 9]);
    expect(dictionary.nextNumber).toBe(11);
    expect(new UidDictionary(emptyHeader(1)).numberOf('first')).toBe(1);
  });
});

describe('numbers of states', () => {
  const working = (): WorkingSet => {
    const set = new WorkingSet({ store: emptyStore, maxParallelism: 128, restored: true });
    const [keys, others] = [new KeyContext(), new KeyContext()];
    set.operator(3, keys).state(valueState('a'), 0);
    set.operator(3, keys).state(valueState('d'), 5);
    set.operator(5, others).state(valueState('elsewhere'), 0);
    return set;
  };

  test('are found by name, but of those that were dropped', () => {
    const dictionary = new UidDictionary(header);
    expect([...dictionary.stateNumbersOf('kept')]).toEqual([
      ['a', 0],
      ['c', 4],
    ]);
    expect([...dictionary.stateNumbersOf('new')]).toEqual([]);
  });

  test('go on behind all, also those that were dropped', () => {
    const dictionary = new UidDictionary(header);
    expect([dictionary.nextStateOf('kept'), dictionary.nextStateOf('new')]).toEqual([5, 0]);
    const last = { ...header, nodes: { kept: { number: 3, states: [state('a', 0), state('b', 7, true)] } } };
    expect(new UidDictionary(last).nextStateOf('kept')).toBe(8);
  });

  test('are those that an operator declares, and what it has given up stays taken', () => {
    const dictionary = new UidDictionary(header);
    const set = working();
    expect(dictionary.statesOf('kept', set).map(({ name, state: number }) => [name, number])).toEqual([
      ['a', 0],
      ['d', 5],
    ]);
    expect(
      dictionary.statesEver('kept', set).map(({ name, state: number, dropped }) => [name, number, dropped]),
    ).toEqual([
      ['a', 0, undefined],
      ['d', 5, undefined],
      ['b', 1, true],
      ['c', 4, true],
    ]);
  });
});
