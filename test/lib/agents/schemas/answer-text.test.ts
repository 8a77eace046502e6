import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidates, withoutThinking } from '../../../../lib/agents/schemas/answer-text.ts';

/** The last candidate that is an object with a score, as a check by a schema would take it. */
const scoreIn = (text: string): unknown => {
  for (const each of candidates(text)) {
    try {
      const value = JSON.parse(each) as { score?: unknown };
      if (typeof value.score === 'number') return value.score;
    } catch {
      // The next one.
    }
  }
  return undefined;
};

const fence = (text: string, language = 'json'): string => `\`\`\`${language}\n${text}\n\`\`\``;

describe('the answer in what a model says', () => {
  it.each([
    ['bare', '{"score": 5}', 5],
    ['words around', 'Here you go: {"score": 5}. Anything else?', 5],
    ['a fence', `Sure!\n${fence('{"score": 5}')}\nDone.`, 5],
    ['a fence that never ends', '```json\n{"score": 5}', 5],
    ['a draft in a think block', `<think>draft: ${fence('{"score": 1}')} no</think>${fence('{"score": 5}')}`, 5],
    ['a draft and no answer', '<think>maybe {"score": 1}</think>I can not say.', undefined],
    ['thinking that was cut off', '<think>maybe {"score": 1} or', undefined],
    ['a block that began in the prompt', 'maybe {"score": 1}\n</think>\n{"score": 5}', 5],
    ['two blocks', '<thinking>{"score": 1}</thinking>{"score": 2}<thinking>no, {"score": 3}</thinking>{"score": 5}', 5],
    ['a block of Mistral', '[THINK]{"score": 1}[/THINK]{"score": 5}', 5],
    ['a correction', `${fence('{"score": 1}')} That ignores the battery. ${fence('{"score": 5}')}`, 5],
    ['the schema, then the answer', `${fence('{"type":"object"}')}\n${fence('{"score": 5}')}`, 5],
    ['the answer, then an example of something else', '{"score": 5} (the form is {"type": "object"})', 5],
    ['a shell fence', `${fence('ls', 'bash')} ${fence('{"score": 5}')}`, 5],
    ['a fence within a text', `{"text": "use ${'```'}ts", "score": 5}`, 5],
    ['a think block within a text', '{"text": "<think>not one</think>", "score": 5}', 5],
    ['a bracket of words before', 'as {see above, the answer is {"score": 5}', 5],
    ['a quotation mark astray', 'The set {a, "b} is wrong. Answer: {"score": 5}', 5],
    ['an answer in braces', '{Answer: {"score": 5}}', 5],
    ['brackets in texts', '{"a": "}{][", "score": 5} so', 5],
    ['footnotes behind', '{"score": 5}\n[1] a source', 5],
    ['cut off', '{"items": [{"score": 1}, {"score": 2}', undefined],
    ['cut off in a fence', '```json\n{"items": [{"score": 1}, {"sc', undefined],
    ['empty', '', undefined],
  ])('%s', (_what, text, score) => {
    expect(scoreIn(text)).toBe(score);
  });

  it('whatever stands around it and is no JSON', () => {
    const words = fc.stringMatching(/^[a-z .,:;!?'()\n]{0,60}$/);
    fc.assert(
      fc.property(words, words, fc.integer(), fc.jsonValue(), fc.boolean(), (before, after, score, more, isFenced) => {
        const json = JSON.stringify({ more, score });
        expect(scoreIn(`<think>${before}{"score": "x"}</think>${before}${isFenced ? fence(json) : json}${after}`)).toBe(
          score,
        );
      }),
    );
  });

  it('takes a number of passes over a text that does not grow with it', () => {
    const long = 200_000;
    for (const text of [
      '{',
      '[',
      '{"a":',
      '<think>',
      '</think>',
      '```',
      '"',
      '\\"{',
      '[1',
      '{"',
      '{}',
      '<think></think>',
      '[think]{"',
    ]) {
      const whole = text.repeat(long / text.length);
      const start = process.cpuUsage();
      expect([...candidates(whole)].length).toBeLessThanOrEqual(60);
      const { user, system } = process.cpuUsage(start);
      // A quadratic scan takes minutes.
      expect((user + system) / 1000, `CPU milliseconds of ${text}...`).toBeLessThan(1500);
    }
  });

  it('what is thought aloud is gone from a text too', () => {
    expect(withoutThinking('<think>a</think> b <reasoning>c</reasoning>')).toBe('b');
    expect(withoutThinking('a < b and <b>bold</b>')).toBe('a < b and <b>bold</b>');
  });
});
