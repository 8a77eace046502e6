import { LLMock } from '@copilotkit/aimock';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readOptions } from '../examples/command-line.ts';
import { linesOf, runExample, startExample, waitUntil, type CallLine } from './example-process.ts';
import { root } from './house.ts';

/** The examples as a user meets them: processes with options, output, signals and exit codes. */
const directory = mkdtempSync(join(tmpdir(), 'millrace-examples-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const pathOf = (name: string): string => join(directory, name);

interface Review {
  readonly id: string;
  readonly review: string;
  readonly ts: number;
}

interface Suggestion {
  readonly id: string;
  readonly window: { readonly start: string; readonly end: string };
  readonly reviews: number;
  readonly scoreHistogram: readonly string[];
  readonly suggestions: readonly string[];
}

const sampleReviews = linesOf<Review>(join(root, 'examples/data/reviews.jsonl'));
const jsonOf = <T>(text: string): readonly T[] =>
  text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as T] : []));

/** What a window of one day should say of its product and reviews. */
const daysOf = (reviews: readonly Review[]): ReadonlyMap<string, number> => {
  const days = new Map<string, number>();
  for (const { id, ts } of reviews) {
    const day = `${id} ${new Date(ts * 1000).toISOString().slice(0, 10)}T00:00:00.000Z`;
    days.set(day, (days.get(day) ?? 0) + 1);
  }
  return days;
};

test('one agent: a judgement of each review is printed', async () => {
  const { code, stdout, stderr } = await runExample('workflow-single-agent', { args: ['--latency', '0'] });
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^Done\. 400 reviews read, 400 model calls, 400 results in/),
  });
  const judged = jsonOf<{ readonly id: string; readonly score: number; readonly complaints: readonly string[] }>(
    stdout,
  );
  expect(judged.map(({ id }) => id).toSorted()).toEqual(sampleReviews.map(({ id }) => id).toSorted());
  expect(new Set(judged.map(({ score }) => score))).toEqual(new Set([1, 2, 3, 4, 5]));
  for (const { score, complaints } of judged) if (score === 1) expect(complaints).not.toEqual([]);
  expect(stdout).toContain('{"id":"P-1001","score":5,"complaints":["hurt my ears after an hour"]}');
});

test('two agents: one line for each product and day', async () => {
  const calls = pathOf('two.calls');
  const { code, stdout, stderr } = await runExample('workflow-multiple-agent', {
    args: ['--latency', '0', '--calls', calls],
  });
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^Done\. 400 reviews read, 471 model calls, 71 results in/),
  });
  const suggestions = jsonOf<Suggestion>(stdout);
  expect(new Map(suggestions.map(({ id, window, reviews }) => [`${id} ${window.start}`, reviews]))).toEqual(
    daysOf(sampleReviews),
  );
  expect(suggestions).toHaveLength(71);
  for (const { window, scoreHistogram, reviews, suggestions: texts } of suggestions) {
    expect(Date.parse(window.end) - Date.parse(window.start)).toBe(86_400_000);
    expect(scoreHistogram).toHaveLength(5);
    for (const share of scoreHistogram) expect(share).toMatch(/^\d+\.\d%$/);
    const counts = scoreHistogram.map((share) => (Number.parseFloat(share) / 100) * reviews);
    expect(Math.round(counts.reduce((sum, count) => sum + Math.round(count), 0))).toBe(reviews);
    expect(texts.length).toBeLessThanOrEqual(3);
  }
  const battery = suggestions.find(({ id }) => id === 'P-1001')?.suggestions[0] ?? '';
  expect(battery).toMatch(/^Fit a larger battery .*: 2 of 4 complaints mention battery \(e\.g\. "battery died/);
  const lines = linesOf<CallLine>(calls);
  expect(new Set(lines.map(({ call }) => call)).size).toBe(471);
  expect(lines[0]).toEqual({
    call: expect.stringMatching(/^\d+(\.\d+){4}$/),
    key: 'P-1004',
    prompt: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('over the wire, with a server that is down for a moment', async () => {
  const mock = new LLMock({ port: 0 });
  await mock.start();
  try {
    mock.onMessage(/^Review of product/, { content: '```json\n{"score": 2, "complaints": ["lid leaks"]}\n```' });
    mock.onMessage(/scoreHistogram/, { content: '{"suggestions": ["Mend the lid"]}' });
    mock.nextRequestError(503, { message: 'come back later' });
    const input = pathOf('wire.jsonl');
    const reviews = sampleReviews.slice(0, 12);
    writeFileSync(input, reviews.map((review) => `${JSON.stringify(review)}\n`).join(''));
    const environment = {
      MILLRACE_BASE_URL: `${mock.url}/v1`,
      MILLRACE_MODEL: 'tiny',
      MILLRACE_API_KEY: 'sk-not-to-be-seen',
    };
    const { code, stdout, stderr } = await runExample('workflow-multiple-agent', {
      args: ['--input', input],
      environment,
    });
    const products = new Set(reviews.map(({ id }) => id)).size;
    const numbers = `Done. 12 reviews read, ${13 + products} model calls, ${products} results`;
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(numbers) });
    for (const { scoreHistogram, suggestions } of jsonOf<Suggestion>(stdout)) {
      expect({ scoreHistogram, suggestions }).toEqual({
        scoreHistogram: ['0.0%', '100.0%', '0.0%', '0.0%', '0.0%'],
        suggestions: ['Mend the lid'],
      });
    }
    const body = mock.getRequests().at(-1)?.body as {
      readonly model: string;
      readonly response_format: { readonly type: string };
    };
    expect(body).toMatchObject({ model: 'tiny', response_format: { type: 'json_schema' } });
    const sent = mock.getRequests().map(({ headers }) => headers['idempotency-key']);
    expect(new Set(sent).size).toBe(12 + products);
    expect(stdout + stderr).not.toContain('sk-not-to-be-seen');
  } finally {
    await mock.stop();
  }
});

describe('signals', () => {
  const argsOf = (name: string): readonly string[] => [
    '--output',
    pathOf(`${name}.jsonl`),
    '--calls',
    pathOf(`${name}.calls`),
    '--state',
    pathOf(name),
  ];

  test('SIGTERM to npm, then SIGINT, then a run to the end: the same output, and no call twice', async () => {
    const whole = await runExample('workflow-multiple-agent', { args: [...argsOf('whole'), '--latency', '0'] });
    expect(whole.code).toBe(0);
    const npm = startExample('workflow-multiple-agent', {
      command: ['npm', 'start', '--', ...argsOf('stopped'), '--pace', '100'],
    });
    await waitUntil(npm, () => linesOf(pathOf('stopped.calls')).length > 60);
    npm.child.kill('SIGTERM');
    expect(await npm.exit).toMatchObject({
      code: 0,
      signal: null,
      stderr: expect.stringContaining('Stopped with a checkpoint'),
    });
    const again = startExample('workflow-multiple-agent', {
      args: [...argsOf('stopped'), '--pace', '100', '--interval', '100ms'],
    });
    await waitUntil(again, () => linesOf(pathOf('stopped.calls')).length > 160);
    again.child.kill('SIGINT');
    expect(await again.exit).toMatchObject({
      code: 0,
      signal: null,
      stderr: expect.stringContaining('Start again with the same options'),
    });
    expect(linesOf(pathOf('stopped.calls')).length).toBeLessThan(400);
    const last = await runExample('workflow-multiple-agent', { args: [...argsOf('stopped'), '--latency', '0'] });
    expect(last).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^Done\. 400 reviews read, \d+ model calls, 71 results in/),
    });
    expect(readFileSync(pathOf('stopped.jsonl'), 'utf8')).toBe(readFileSync(pathOf('whole.jsonl'), 'utf8'));
    const sorted = (name: string): readonly string[] =>
      linesOf<CallLine>(pathOf(name))
        .map((line) => JSON.stringify(line))
        .toSorted();
    expect(sorted('stopped.calls')).toEqual(sorted('whole.calls'));
    const ended = await runExample('workflow-multiple-agent', { args: argsOf('stopped') });
    expect(ended.code).toBe(0);
    expect(ended.stderr).toMatch(
      /^Warning: job "[a-z-]+" has finished before with this state: there is nothing to do\nDone\.\n$/,
    );
  });

  test('a second one ends at once; a temporary state directory goes with the process', async () => {
    const environment = { TMPDIR: mkdtempSync(pathOf('temporary-')) };
    const calls = pathOf('slow.calls');
    const slow = startExample('workflow-multiple-agent', {
      args: ['--latency', '60000', '--calls', calls],
      environment,
    });
    await waitUntil(slow, () => linesOf(calls).length > 3);
    const ours = (): readonly string[] =>
      readdirSync(environment.TMPDIR).filter((name) => name.startsWith('millrace-'));
    expect(ours()).toHaveLength(1);
    slow.child.kill('SIGTERM');
    // One that comes soon behind another is the same, and a process that gets no time hears two as one.
    const again = setInterval(() => slow.child.kill('SIGTERM'), 700);
    expect(await slow.exit).toMatchObject({ code: 143, stdout: '' });
    clearInterval(again);
    expect(ours()).toEqual([]);
  });
});

describe('refusals', () => {
  test.each([
    [
      ['--window', '3'],
      "Expected --window to be a number with a unit, at least 1 ms, such as '30m', '12h' or '1d', got `3`",
    ],
    [['--interval', '0s'], 'Expected --interval to be'],
    [['--latency=-5'], 'Expected --latency to be a number of milliseconds from 0 up, got `-5`'],
    [['--pace', 'fast'], 'Expected --pace to be a number of reviews per second above 0, got `fast`'],
    [['--pace', '0'], 'got `0`'],
    [['--state', ''], 'Expected --state to be not empty, got ``'],
    [['--input'], "Option '--input <value>' argument missing"],
    [['--outptu', 'x'], "Unknown option '--outptu'"],
    [['x'], "Unexpected argument 'x'"],
  ])('%j', (args, message) => expect(() => readOptions(args, {})).toThrow(message));

  test.each([
    [{ MILLRACE_MODEL: 'm' }, 'Expected MILLRACE_BASE_URL to be set beside MILLRACE_MODEL, which is `m`'],
    [{ MILLRACE_BASE_URL: 'http://x' }, 'Expected MILLRACE_MODEL to be set beside MILLRACE_BASE_URL'],
    [
      { MILLRACE_BASE_URL: 'x', MILLRACE_MODEL: 'm' },
      'MILLRACE_BASE_URL and MILLRACE_API_KEY: Expected `baseUrl` to be an http or https URL',
    ],
    [
      { MILLRACE_BASE_URL: 'http://a:b@x', MILLRACE_MODEL: 'm' },
      'Expected `baseUrl` to be without a user name and password',
    ],
    [{ MILLRACE_BASE_URL: 'http://x', MILLRACE_MODEL: 'm', MILLRACE_API_KEY: 'a b' }, 'Expected `apiKey` to be a text'],
  ])('%j', (environment, message) => expect(() => readOptions(['--state', 's'], environment)).toThrow(message));

  test('defaults', () => {
    expect(readOptions(['--state', 's', '--input', '/in'], {})).toEqual({
      input: '/in',
      output: undefined,
      state: 's',
      isTemporary: false,
      calls: undefined,
      windowMs: 86_400_000,
      intervalMs: 1000,
      pace: undefined,
      latencyMs: 20,
      model: undefined,
    });
    expect(readOptions(['--help'], {})).toBeUndefined();
  });

  test('exit codes', async () => {
    const [wrong, missing, help] = await Promise.all([
      runExample('workflow-multiple-agent', { args: ['--window', 'x'] }),
      runExample('workflow-single-agent', { args: ['--input', pathOf('nowhere.jsonl')] }),
      runExample('workflow-single-agent', { args: ['--help'] }),
    ]);
    expect(wrong).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^Expected --window .* got `x`\nTry --help\n$/),
    });
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^INPUT_NOT_FOUND: .*nowhere\.jsonl.*\nWhat to do: correct the path.*\n$/),
    });
    expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('--calls FILE') });
  });

  test('windows of another size than those that are open', async () => {
    const args = [
      '--output',
      pathOf('resized.jsonl'),
      '--state',
      pathOf('resized'),
      '--calls',
      pathOf('resized.calls'),
      '--pace',
      '100',
    ];
    const first = startExample('workflow-multiple-agent', { args });
    await waitUntil(first, () => linesOf(pathOf('resized.calls')).length > 20);
    first.child.kill('SIGTERM');
    expect(await first.exit).toMatchObject({ code: 0 });
    const second = await runExample('workflow-multiple-agent', { args: [...args, '--window', '12h'] });
    expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/^STATE_UNCLAIMED: .*window-86400000/) });
  });
});
