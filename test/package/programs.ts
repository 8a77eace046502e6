/** What users write: programs that the packed package must compile and run. */
import { readFileSync } from 'node:fs';
import { root } from '../house.ts';
import { blocksOf, type Block } from '../readme-blocks.ts';

const firstBlock = (heading: string): Block => {
  const page = readFileSync(`${root}README.md`, 'utf8');
  const line = page.split('\n').indexOf(`## ${heading}`) + 1;
  const block = blocksOf('README.md', page).find((each) => line > 0 && each.line > line);
  if (block === undefined) throw new Error(`README.md has no block below '${heading}'`);
  return block;
};

/** The guide's first pipeline, and what it prints. It says no types, so it is JavaScript as it stands. */
export const firstPipeline = firstBlock('A first pipeline');

/** A pipeline with agents of both makes, a schema, RxJS, a logger, metrics and state on disk. */
export const manyParts = `
import { Action, Agent, agent, InputEvent, OutputEvent, StreamExecutionEnvironment, Tool, WatermarkStrategy } from 'millrace';
import type { Logger, RunnerContext, ServiceContainer } from 'millrace';
import { ManualClock, scriptedChatModel } from 'millrace/testing';
import { offlineChatModel } from 'millrace/connectors/offline-chat-model';
import { openAIChatModel } from 'millrace/connectors/openai-chat-model';
import { map, of, type Observable } from 'rxjs';
import * as z from 'zod';

class Doubler extends Agent<number, number> {
  @Tool({ description: 'adds', parameters: z.object({ a: z.number(), b: z.number() }) })
  add({ a, b }: { a: number; b: number }): number {
    return a + b;
  }

  @Action(InputEvent)
  async double(event: InputEvent<number>, ctx: RunnerContext<number>): Promise<void> {
    const doubled = await ctx.durableExecute('double', () => this.add({ a: event.input, b: event.input }));
    ctx.sendEvent(new OutputEvent(doubled));
  }
}

const spelled = agent<number, string>('spelled').on(InputEvent, ({ input }, ctx) => {
  ctx.sendEvent(new OutputEvent(String(input)));
});
const numbers: Observable<number> = of(1, 2, 3);
const lines: string[] = [];
const line = (facts: object, message?: string): void => void lines.push(message ?? JSON.stringify(facts));
const logger: Logger = { trace: line, debug: line, info: line, warn: line, error: line, fatal: line, child: () => logger };
const configure = (container: ServiceContainer): void => void container.bind<number>('n').toConstantValue(1);

const directory = process.argv[2];
const env = StreamExecutionEnvironment.create({ logger, ...(directory === undefined ? {} : { checkpoint: { directory } }) });
const results = env
  .fromObservable(numbers, {}, WatermarkStrategy.none())
  .keyBy((value) => value % 2)
  .applyAgent(Doubler)
  .keyBy((value) => value)
  .applyAgent(spelled)
  .pipe(map((text) => text.length === 1 ? text : '?'), { stateless: true });
console.log((await results.executeAndCollect()).sort().join());
if (typeof openAIChatModel !== 'function' || typeof offlineChatModel !== 'function' || typeof configure !== 'function') throw new Error();
console.log(scriptedChatModel(['yes']).requests.length, new ManualClock().now() >= 0);
declare const process: { readonly argv: readonly string[] };
declare const console: { log(...values: unknown[]): void };
`;

/** What needs packages that not everybody has: each says the code of its error, or what it got. */
export const optionalParts = `
import { agent, InputEvent, OutputEvent, StreamExecutionEnvironment } from 'millrace';
import { cron } from 'millrace/connectors/cron';
import { csv } from 'millrace/connectors/csv';
import { offlineChatModel } from 'millrace/connectors/offline-chat-model';
import { postgresSink } from 'millrace/connectors/postgres';
import { serverSentEvents } from 'millrace/connectors/server-sent-events';
import { webSocketSource } from 'millrace/connectors/web-socket';
import { webhook } from 'millrace/connectors/webhook';

const said = async (what, fn) => console.log(what, await fn().then((value) => value, (error) => error.code + ' ' + error.hint));
const run = async (configure) => {
  const env = StreamExecutionEnvironment.create({ logger: 'silent' });
  configure(env);
  const echo = agent('echo').on(InputEvent, ({ input }, ctx) => ctx.sendEvent(new OutputEvent(input)));
  env.fromCollection([1]).keyBy((value) => value).applyAgent(echo).print();
  const job = await env.executeAsync('echo');
  await job.done;
  return job;
};
await said('no services:', async () => (await run(() => {})).status.state);
await said('services:', async () => (await run((env) => env.services((container) => void container.bind('n').toConstantValue(1)))).status.state);
await said('text:', async () => (await (await run(() => {})).metrics.text()).match(/numRestarts.job="echo". 0/)?.length);
const call = { signal: new AbortController().signal, callId: 'c', key: 'k', idempotencyKey: 'i' };
await said('offline:', async () => (await offlineChatModel().chat({ messages: [{ role: 'user', content: 'Great!' }] }, call)).role);
await said('csv:', async () => (await (await csv('package.json', { header: false }).open('package.json', undefined, call.signal)).close()) ?? 'opened');
const opened = async (source) => ((await (await source.open('', undefined, call.signal)).close(), await source.close?.()) ?? 'opened');
await said('cron:', () => opened(cron('* * * * *')));
await said('events:', () => opened(serverSentEvents({ baseUrl: 'http://localhost:1' })));
const postgres = postgresSink({ connection: { host: '/nowhere' }, table: 'a', columns: { a: (value) => value } });
const context = { sinkId: 'a', pending: [], epoch: 1, last: undefined, signal: call.signal };
await said('postgres:', () => postgres.open(context).catch((error) => error.code === 'SINK_FAILED' ? error.code : Promise.reject(error)));
await said('socket:', () => opened(webSocketSource('ws://localhost:1')));
await said('webhook:', () => opened(webhook({ port: 0 })));
`;

/** A user's own suite, with legacy decorators and the test kit. */
export const suite = `
import { Action, Agent, InputEvent, OutputEvent, StreamExecutionEnvironment, type RunnerContext } from 'millrace';
import { AgentHarness } from 'millrace/testing';
import { expect, test } from 'vitest';

class Doubler extends Agent<number, number> {
  @Action(InputEvent)
  double(event: InputEvent<number>, ctx: RunnerContext<number>): void {
    ctx.sendEvent(new OutputEvent(event.input * 2));
  }
}

test('an agent in a pipeline', async () => {
  const env = StreamExecutionEnvironment.create();
  const doubled = env.fromCollection([1, 2]).keyBy((value) => value).applyAgent(Doubler);
  expect((await doubled.executeAndCollect()).toSorted()).toEqual([2, 4]);
});

test('an agent by hand', async () => {
  expect(typeof AgentHarness).toBe('function');
});
`;

/** A CommonJS module with types. */
export const commonJs = `
import millrace = require('millrace');
import testing = require('millrace/testing');

const env: millrace.StreamExecutionEnvironment = millrace.StreamExecutionEnvironment.create();
const clock: testing.ManualClock = new testing.ManualClock();
env.fromCollection([1, 2]).map((value: number) => value + clock.now() * 0).print();
void env.execute('cjs');
`;

/** An agent whose services are injected, with inversify's own types. */
export const services = `
import { inject, injectable, type Container } from 'inversify';
import { Action, Agent, InputEvent, OutputEvent, StreamExecutionEnvironment, type RunnerContext } from 'millrace';

@injectable()
class Rates {
  of(currency: string): number {
    return currency === 'GBP' ? 1.2 : 1;
  }
}

class Exchange extends Agent<{ currency: string; sum: number }, number> {
  constructor(@inject(Rates) private readonly rates: Rates) {
    super();
  }

  @Action(InputEvent)
  convert({ input }: InputEvent<{ currency: string; sum: number }>, ctx: RunnerContext<number>): void {
    ctx.sendEvent(new OutputEvent(input.sum * this.rates.of(input.currency)));
  }
}

const env = StreamExecutionEnvironment.create();
env.services((container: Container) => void container.bind(Rates).toSelf().inSingletonScope());
env.fromCollection([{ currency: 'GBP', sum: 10 }]).keyBy(({ currency }) => currency).applyAgent(Exchange).print();
await env.execute('exchange');
`;
