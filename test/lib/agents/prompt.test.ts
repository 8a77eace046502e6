import { describe, expect, it } from 'vitest';
import { Prompt } from '../../../lib/agents/prompt.ts';

describe('Prompt', () => {
  it.each([
    ['{a} and {b}', { a: 1, b: true }, '1 and true'],
    ['{missing} stays', {}, '{missing} stays'],
    ['[{none}{nothing}]', { none: null, nothing: undefined }, '[]'],
    ['once: {a}', { a: '{b}', b: 'no' }, 'once: {b}'],
    ['{{a}}', { a: 'x' }, '{x}'],
    ['{a.b} {a b}', { 'a.b': 1, 'a b': 2 }, '1 2'],
    ['{toString} {constructor}', {}, '{toString} {constructor}'],
    ['{o} {l}', { o: { n: 1 }, l: [1, 2] }, '{"n":1} [1,2]'],
    ['{a}', { a: '$& $1' }, '$& $1'],
    ['{}', { '': 'x' }, '{}'],
  ])('%j with %j', (text, args, expected) => {
    expect(Prompt.fromText(text).formatString(args)).toBe(expected);
  });

  it('formats messages and keeps their roles; text takes the default role', () => {
    const prompt = Prompt.fromMessages([
      { role: 'system', content: 'You are {who}.' },
      { role: 'user', content: '{text}' },
    ]);
    expect(prompt.formatMessages('assistant', { who: 'kind', text: 'hi' })).toEqual([
      { role: 'system', content: 'You are kind.' },
      { role: 'user', content: 'hi' },
    ]);
    expect(prompt.formatString({ who: 'x' })).toBe('system: You are x.\nuser: {text}');
    expect(Prompt.fromText('{a}').formatMessages('system', { a: 1 })).toEqual([{ role: 'system', content: '1' }]);
    expect(Prompt.fromText('a').formatMessages()).toEqual([{ role: 'user', content: 'a' }]);
  });

  it('refuses nothing', () => {
    expect(() => Prompt.fromText('')).toThrow(/`text`/);
    expect(() => Prompt.fromMessages([])).toThrow(/`messages`/);
  });
});
