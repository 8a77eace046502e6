/** The offline model as an agent meets it: prompts in several forms, schemas of several kinds, waits. */
import type { ChatMessage } from '../../../lib/core/model.ts';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { offlineChatModel } from '../../../connectors/models/offline-chat-model.ts';
import { StepClock } from '../manual-clock.ts';

const options = { signal: new AbortController().signal, callId: 'c', key: 'k', idempotencyKey: 'i' };
const review =
  'The sound is great, but the battery died after two days and the case arrived cracked. Not worth the money!';
const complaints = ['battery died after two days', 'case arrived cracked', 'not worth the money'];

const ask = async (
  prompt: string | readonly ChatMessage[],
  outputSchema?: Readonly<Record<string, unknown>>,
): Promise<unknown> => {
  const messages = typeof prompt === 'string' ? [{ role: 'user' as const, content: prompt }] : prompt;
  const { content } = await offlineChatModel().chat({ messages, outputSchema }, options);
  return outputSchema === undefined && !content.startsWith('{') ? content : (JSON.parse(content) as unknown);
};

test('a schema is filled by name and type', async () => {
  const schema = z.object({
    id: z.string(),
    score: z.int().min(1).max(5),
    complaints: z.array(z.string()).max(2),
    praises: z.array(z.string()),
    summary: z.string(),
    sentiment: z.enum(['negative', 'neutral', 'positive']),
    confidence: z.number().min(0).max(1),
    satisfied: z.boolean(),
    theme: z.string().nullable(),
    issues: z.array(z.object({ theme: z.string(), text: z.string() })),
    version: z.literal(1),
  });
  const prompt = `Score this review of P-1001 from 1 to 5 and list complaints: ${review}`;
  const answer = schema.parse(await ask(prompt, z.toJSONSchema(schema)));
  expect(answer).toMatchObject({
    id: 'P-1001',
    score: 1,
    complaints: complaints.slice(0, 2),
    praises: ['sound is great'],
    sentiment: 'negative',
    satisfied: false,
  });
  expect(answer.issues).toHaveLength(3);
  expect(answer.issues[0]).toEqual({ theme: 'battery', text: 'battery died after two days' });
});

test('the instruction itself is no complaint', async () => {
  const schema = z.toJSONSchema(z.object({ score: z.int(), complaints: z.array(z.string()) }));
  const answer = await ask(
    'Score this review of P-1 from 1 to 5 and list complaints and problems: I love it, perfect!',
    schema,
  );
  expect(answer).toEqual({ score: 5, complaints: [] });
});

test('without a schema, the JSON that the prompt shows is filled', async () => {
  const prompt = `Review of P-7: ${review}\nAnswer with JSON like {"id": "P-1", "score": 1-5, "reasons": ["..."]}.`;
  expect(await ask(prompt)).toEqual({ id: 'P-7', score: 1, reasons: complaints });
});

test('instructions in a system message with two examples, the data as JSON', async () => {
  const system = `Rate the satisfaction of the buyer (1-5) and give reasons for dissatisfaction.
Example input format: {"id": "12345", "review": "They broke after one week. Very poor quality."}
Your response must be JSON in this format:
{
  "id": "12345",
  "score": 1,
  "reasons": ["poor quality"]
}`;
  const messages = [
    { role: 'system' as const, content: system },
    { role: 'user' as const, content: JSON.stringify({ id: 'P-9', review }) },
  ];
  expect(await ask(messages)).toEqual({ id: 'P-9', score: 1, reasons: complaints });
});

const listed = ['battery died', 'arrived late', 'battery drains fast'];

test.each([
  [
    'JSON data',
    `Suggest improvements. Input: ${JSON.stringify({ id: 'P-5', scoreHist: ['50%', '20%', '0%', '10%', '20%'], complaints: listed })}`,
  ],
  [
    'an array',
    `Product P-5, score histogram (1 to 5): [5, 2, 0, 1, 2]. Complaints: ${JSON.stringify(listed)}. Suggest up to three improvements.`,
  ],
  [
    'bullets',
    `Product P-5. Scores: 1: 5, 2: 2, 3: 0, 4: 1, 5: 2\nComplaints:\n${listed.map((text) => `- ${text}`).join('\n')}\nSuggest up to three improvements.`,
  ],
  [
    'one line',
    `Suggest improvements for product P-5. Histogram {"1":5,"2":2,"3":0,"4":1,"5":2}. Complaints: ${listed.join('; ')}`,
  ],
])('suggestions from complaints as %s', async (_form, prompt) => {
  const schema = z.object({
    id: z.string(),
    suggestions: z.array(z.string()),
    mean: z.number(),
    histogram: z.array(z.number()),
  });
  const { id, suggestions, histogram } = schema.parse(await ask(prompt, z.toJSONSchema(schema)));
  expect(id).toBe('P-5');
  expect(suggestions).toHaveLength(2);
  expect(suggestions[0]).toContain('2 of 3 complaints mention battery');
  expect(histogram).toEqual([0.5, 0.2, 0, 0.1, 0.2]);
});

test('no complaints and good scores: nothing to suggest', async () => {
  const schema = z.toJSONSchema(z.object({ suggestions: z.array(z.string()) }));
  expect(await ask('Suggest improvements for P-1. Histogram: [0,0,0,1,9]. Complaints: []', schema)).toEqual({
    suggestions: [],
  });
  const scoreHistogram = ['0.0%', '0.0%', '0.0%', '0.0%', '100.0%'];
  expect(await ask(JSON.stringify({ id: 'P-1', scoreHistogram, complaints: [] }), schema)).toEqual({ suggestions: [] });
});

test('an empty list beside a text does not stand for it', async () => {
  const schema = z.toJSONSchema(z.object({ complaints: z.array(z.string()) }));
  expect(await ask(JSON.stringify({ id: 'P-1', review, tags: [] }), schema)).toEqual({ complaints });
});

test('a question in plain words gets a sentence', async () => {
  expect(await ask('I love this mug.')).toBe('Positive, 4 of 5: love this mug');
});

test('model name and token counts', async () => {
  const { role, extra_args } = await offlineChatModel().chat(
    { messages: [{ role: 'user', content: 'one two three' }] },
    options,
  );
  expect(role).toBe('assistant');
  expect(extra_args).toEqual({ model_name: 'offline', promptTokens: 4, completionTokens: expect.any(Number) });
});

test('the wait varies with prompt and seed, and is the same for the same', async () => {
  const waitOf = async (content: string, seed: number, jitter = 0.5): Promise<number> => {
    const clock = new StepClock();
    const answer = offlineChatModel({ latencyMs: 100, seed, jitter, clock }).chat(
      { messages: [{ role: 'user', content }] },
      { ...options, signal: new AbortController().signal },
    );
    const waitedMs = await clock.step();
    await answer;
    return waitedMs;
  };
  const waits = await Promise.all(Array.from({ length: 200 }, (_, index) => waitOf(`prompt ${index}`, 1)));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(50);
  expect(Math.min(...waits)).toBeLessThan(60);
  expect(Math.max(...waits)).toBeGreaterThan(140);
  expect(Math.max(...waits)).toBeLessThan(150);
  expect(await waitOf('prompt 7', 1)).toBe(waits[7]);
  expect(await waitOf('prompt 7', 2)).not.toBe(waits[7]);
  expect(await waitOf('prompt 7', 1, 0)).toBe(100);
});

test('the wait ends with the signal', async () => {
  const clock = new StepClock();
  const controller = new AbortController();
  const model = offlineChatModel({ latencyMs: 1000, clock });
  const answer = model.chat({ messages: [{ role: 'user', content: 'x' }] }, { ...options, signal: controller.signal });
  controller.abort(new Error('stop'));
  await expect(answer).rejects.toThrow('stop');
  expect(clock.waiting).toBe(0);
});

test('bad requests and options', async () => {
  await expect(offlineChatModel().chat({ messages: [] }, options)).rejects.toMatchObject({ code: 'MODEL_REQUEST' });
  expect(() => offlineChatModel({ latencyMs: -1 })).toThrow('latencyMs');
  expect(() => offlineChatModel({ jitter: 2 })).toThrow(
    'Expected `jitter` to be a number from 0 to 1, got `2` (number)',
  );
});
