/**
 * I19: a minified build of a program goes on where the other was: state is opened, the journal is claimed, and no paid
 * call is made again.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
mkdirSync(join(root, 'node_modules/.cache'), { recursive: true });
// Within the project, so that the bundles find the packages that are left out of them.
const builds = mkdtempSync(join(root, 'node_modules/.cache/minified-'));
const directory = mkdtempSync(join(tmpdir(), 'millrace-minified-'));
afterAll(() => {
  rmSync(builds, { recursive: true, force: true });
  rmSync(directory, { recursive: true, force: true });
});

/** Handlers, classes and durable functions have names, all of which a minifier takes away. */
const program = `
import { appendFileSync } from 'node:fs';
import * as z from 'zod';
import { Action, agent, Agent, callbackSink, ChatRequestEvent, ChatResponseEvent, InputEvent, StreamExecutionEnvironment } from '${join(root, 'lib/index.ts')}';
const [, , directory, calls, life] = process.argv;
const note = (what) => appendFileSync(calls, what + '\\n');
const Verdict = z.object({ good: z.boolean() });
async function chargeCustomer({ input }, ctx) {
  ctx.output(await ctx.durableExecute('charge', async function paidCall() { note('charge ' + input); return input; }, { args: input }));
}
class ReviewingAgent extends Agent {
  model = { connection: 'default', outputSchema: Verdict };
  askModel({ input }, ctx) { ctx.sendEvent(new ChatRequestEvent({ model: 'model', messages: [{ role: 'user', content: String(input) }] })); }
  takeAnswer({ output }, ctx) { ctx.output(output.good ? 1 : 0); }
}
const at = (target, name, decorator) => decorator(target, name, Object.getOwnPropertyDescriptor(target, name));
import { ChatModel } from '${join(root, 'lib/index.ts')}';
at(ReviewingAgent.prototype, 'askModel', Action(InputEvent));
at(ReviewingAgent.prototype, 'takeAnswer', Action(ChatResponseEvent));
ChatModel()(ReviewingAgent.prototype, 'model');
class OfflineModel { async chat({ messages }) { note('chat ' + messages[0].content); return { role: 'assistant', content: '{"good":true}' }; } }
const env = StreamExecutionEnvironment.create({ checkpoint: { directory, interval: '1h' }, logger: 'warn' });
env.addResource('chat_model_connection', 'default', new OfflineModel());
const numbers = env.generate({ generate: function numberOf(index) { return index; }, count: 40, perSecond: life === 'first' ? 400 : 4000 });
const paid = numbers.keyBy(function keyOf(n) { return n % 5; }).applyAgent(agent('pay').on(InputEvent, chargeCustomer));
let seen = 0;
paid.keyBy((n) => n % 3).applyAgent(ReviewingAgent).sinkTo(callbackSink(function take() {
  seen += 1;
  if (life === 'first' && seen === 20) process.kill(process.pid, 'SIGKILL');
}));
await env.execute('minified');
console.log('done');
`;

/** What of code could reach the stored form of an error, the hash of a plan and the digest of a call. */
const stored = `
import { agent, AgentPlan, CallNotExecuted, InputEvent, InvariantError, registerErrorType, StreamError } from '${join(root, 'lib/index.ts')}';
import { digest, encodeText } from '${join(root, 'lib/core/serde.ts')}';
class CardDeclined extends Error {}
class LimitReached extends CardDeclined {}
registerErrorType('bank.CardDeclined', CardDeclined);
const errors = [StreamError, InvariantError, CallNotExecuted, CardDeclined, LimitReached, Error, TypeError];
const made = errors.map((type) => type === StreamError ? new type('SINK_FAILED', 'm') : new type('m'));
console.log(encodeText(made));
console.log(digest(encodeText({ args: made })));
console.log(AgentPlan.compile(agent('pay').on(InputEvent, async function named() {})).hash);
`;

const bundle = async (minify: boolean, source = program, name = 'program'): Promise<string> => {
  const outfile = join(builds, `${name}-${minify ? 'small' : 'plain'}.mjs`);
  const entry = join(builds, `${name}.mjs`);
  writeFileSync(entry, source);
  const target = { platform: 'node', format: 'esm', target: 'node20', packages: 'external' } as const;
  await build({ entryPoints: [entry], outfile, bundle: true, minify, logLevel: 'error', ...target });
  return outfile;
};

const run = promisify(execFile);

test.each([
  ['a minified build goes on where the plain one was', [false, true]],
  ['and the other way about', [true, false]],
])('%s', async (_what, [first, second]) => {
  const [state, calls] = [join(directory, `state-${String(first)}`), join(directory, `calls-${String(first)}`)];
  const before = await run(process.execPath, [await bundle(first === true), state, calls, 'first']).catch(
    (error: unknown) => error,
  );
  expect(before).toMatchObject({ signal: 'SIGKILL' });
  const paid = readFileSync(calls, 'utf8').trim().split('\n');
  expect(paid.length).toBeGreaterThan(30);
  const { stdout, stderr } = await run(process.execPath, [await bundle(second === true), state, calls, 'second']);
  expect(stdout).toContain('done');
  expect(stderr + stdout).not.toMatch(/diverge|DIVERGED|dropped/i);
  const all = readFileSync(calls, 'utf8').trim().split('\n');
  expect(new Set(all).size).toBe(80);
  // Calls that were under way when the process died may be made again: no more than those of the keys that had one
  // open.
  expect(all.length - 80).toBeLessThanOrEqual(8);
  // What had left the job was paid for once.
  const twice = all.filter((each, index) => all.indexOf(each) !== index);
  expect(twice.filter((each) => paid.indexOf(each) < paid.length - 10)).toEqual([]);
});

test('what a minified build stores is what the plain one stores', async () => {
  const [plain, small] = await Promise.all(
    [false, true].map(async (minify) => (await run(process.execPath, [await bundle(minify, stored, 'stored')])).stdout),
  );
  expect(small).toBe(plain);
  for (const name of ['StreamError', 'InvariantError', 'CallNotExecuted', 'bank.CardDeclined', 'TypeError'])
    expect(small).toContain(`"type":"${name}"`);
});
