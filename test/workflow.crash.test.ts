import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  countLines,
  delay,
  journaledCallsIn,
  linesOf,
  runExample,
  startExample,
  waitUntil,
  type CallLine,
} from './example-process.ts';
import { root } from './house.ts';

/**
 * The multi-agent example, killed with SIGKILL at random moments and started again. `MILLRACE_KILLS` says how often,
 * `MILLRACE_SEED` which moments. What must hold is said where it is checked.
 */
const kills = Number(process.env['MILLRACE_KILLS'] ?? 10);
const seed = Number(process.env['MILLRACE_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const latencyMs = 20;

const random = ((): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
})();

// the index is within the list
const oneOf = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;

const directory = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The sample reviews, over and over, a week later each time: for many kills to land there must be much to do. */
const input = join(directory, 'reviews.jsonl');
const sample = linesOf<{ readonly id: string; readonly review: string; readonly ts: number }>(
  join(root, 'examples/data/reviews.jsonl'),
);
const weeks = Array.from({ length: Math.ceil(kills / 8) }, (_, week) =>
  sample.map(({ id, review, ts }) => `${JSON.stringify({ id, review, ts: ts + week * 604_800 })}\n`).join(''),
);
writeFileSync(input, weeks.join(''));

/**
 * What may differ from one life to the next: time between checkpoints, and reviews per second (undefined: as fast as
 * they can be read).
 */
interface Life {
  readonly interval: string;
  readonly pace?: string | undefined;
}

const argsOf = (name: string, { interval, pace }: Life): readonly string[] => {
  const files = { output: `${name}.jsonl`, calls: `${name}.calls`, state: name, input: 'reviews.jsonl' };
  const paths = Object.entries(files).flatMap(([option, file]) => [`--${option}`, join(directory, file)]);
  return [
    ...paths,
    '--latency',
    `${latencyMs}`,
    '--interval',
    interval,
    ...(pace === undefined ? [] : ['--pace', pace]),
  ];
};
const outputOf = (name: string): string => {
  const path = join(directory, `${name}.jsonl`);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};
const callCount = (name: string): number => countLines(join(directory, `${name}.calls`));
const callsOf = (name: string): readonly CallLine[] => linesOf<CallLine>(join(directory, `${name}.calls`));

/**
 * One agent works on one input of a key at a time, so only the last call of each agent and key can have been in flight.
 */
const inFlight = (calls: readonly CallLine[]): Set<string> =>
  new Set(new Map(calls.map(({ call, key }) => [`${call.split('.')[1]} ${key}`, call])).values());

test(`${kills} kills at random moments (MILLRACE_SEED=${seed})`, { timeout: 120_000 + kills * 15_000 }, async () => {
  const started = performance.now();
  const whole = startExample('workflow-multiple-agent', { args: argsOf('whole', { interval: '1s', pace: '1000' }) });
  await waitUntil(whole, () => callCount('whole') > 0);
  const startMs = performance.now() - started;
  expect(await whole.exit).toMatchObject({ code: 0 });
  const expected = outputOf('whole');
  const total = callsOf('whole').length;
  expect(total).toBeGreaterThan(400);

  const journaled = new Set<string>();
  let before: readonly CallLine[] = [];
  let repeats = 0;
  let landed = 0;
  /** Checks what the process has asked since it was started. */
  const checkCalls = (story: string): void => {
    const calls = callsOf('killed');
    const seen = new Set(before.map(({ call }) => call));
    const mayRepeat = inFlight(before);
    for (const { call } of calls.slice(before.length)) {
      expect(journaled.has(call), `${story}: call ${call} was paid again, though its outcome was journaled`).toBe(
        false,
      );
      if (!seen.has(call)) {
        seen.add(call);
        continue;
      }
      repeats += 1;
      // Once per kill.
      expect(mayRepeat.delete(call), `${story}: call ${call} was paid again, though it was not in flight`).toBe(true);
    }
    before = calls;
  };

  for (let kill = 1; kill <= kills && outputOf('killed') !== expected; kill += 1) {
    const life: Life = { interval: oneOf(['40ms', '300ms', '10s']), pace: oneOf(['400', '2000', undefined]) };
    const run = startExample('workflow-multiple-agent', { args: argsOf('killed', life) });
    // Every fourth kill comes while it starts or recovers; the others after so many calls that all can land before the
    // end.
    const atStart = random() < 0.25;
    const left = total - new Set(before.map(({ call }) => call)).size;
    const calls = Math.floor((random() * left) / (kills - kill + 1));
    if (!atStart) await waitUntil(run, () => callCount('killed') > before.length + calls);
    await delay(random() * (atStart ? 1.2 * startMs : 2 * latencyMs));
    run.child.kill('SIGKILL');
    const { signal, stderr } = await run.exit;
    const story = `kill ${kill} of seed ${seed} (${atStart ? 'at the start' : `after ${calls} calls`}, ${JSON.stringify(life)})`;
    if (signal === 'SIGKILL') landed += 1;
    else expect(stderr, story).toMatch(/^Done\./);
    expect(stderr, story).not.toMatch(/^Warning/m); // No divergence, no failure.
    checkCalls(story);
    for (const call of await journaledCallsIn(join(directory, 'killed'))) journaled.add(call);
    expect(expected.startsWith(outputOf('killed')), `${story}: the output is a beginning of the whole one`).toBe(true);
  }
  expect(await runExample('workflow-multiple-agent', { args: argsOf('killed', { interval: '1s' }) })).toMatchObject({
    code: 0,
  });
  checkCalls('the last run');
  expect(outputOf('killed')).toBe(expected);
  // The same questions were asked, under the same ids, whatever the agents' schedule was.
  const asked = (calls: readonly CallLine[]): readonly string[] =>
    [...new Set(calls.map((line) => JSON.stringify(line)))].toSorted();
  expect(asked(callsOf('killed'))).toEqual(asked(callsOf('whole')));
  expect(callsOf('killed')).toHaveLength(total + repeats);
  // What lands nowhere and sees nothing shows nothing.
  expect(landed).toBeGreaterThanOrEqual(kills / 2);
  expect(journaled.size).toBeGreaterThan(0);
  console.log(
    `seed ${seed}: ${landed} kills, ${total} calls, ${journaled.size} seen in the journal, ${repeats} in flight at a kill and made again`,
  );
});
