/**
 * What only listens decides nothing: a listener that throws, or whose promise rejects, is told of once, and the job
 * goes on as if it had not been there. An unhandled rejection would fail the run of these tests.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import {
  callbackSink,
  jsonLines,
  keyedConcatMap,
  StreamExecutionEnvironment,
  StreamError,
  type Logger,
  type Sink,
  type Source,
} from 'millrace';
import { firstValueFrom, from, of, toArray } from 'rxjs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { harmless } from '../lib/core/listener.ts';
import { freshDirectory } from './stories/story.ts';

type Listener = () => unknown;

const ways: Readonly<Record<string, Listener>> = {
  throws: () => {
    throw new Error('boom');
  },
  rejects: async () => Promise.reject(new Error('boom')),
  'rejects, of another realm': () => runInNewContext('Promise.reject(new Error("boom"))') as unknown,
};

/** Something that is told from outside. */
const signalOf = (): { readonly told: Promise<undefined>; tell(): void } => {
  let tell = (): void => {};
  const told = new Promise<undefined>((resolve) => (tell = () => resolve(undefined)));
  return { told, tell: () => tell() };
};

const warnings: string[] = [];

beforeEach(() => {
  warnings.length = 0;
  vi.spyOn(process, 'emitWarning').mockImplementation((text) => void warnings.push(String(text)));
});

afterEach(() => vi.restoreAllMocks());

const create = (logger: Logger | 'silent' = 'silent'): StreamExecutionEnvironment =>
  StreamExecutionEnvironment.create({ logger });

const loggerOf = (listen: Listener): Logger => ({
  trace: listen,
  debug: listen,
  info: listen,
  warn: listen,
  error: listen,
  fatal: listen,
  child: () => loggerOf(listen),
});

/** A source of 1 and 2 that waits then, until it is told to end, and goes on whatever comes of telling it. */
const endless = (listen: Listener): Source<number> => ({
  name: 'endless',
  replayable: false,
  splits: async () => ['all'],
  async open() {
    const over = signalOf();
    let given = false;
    return {
      async read() {
        if (given) return over.told;
        given = true;
        return { values: [1, 2], position: (count) => count };
      },
      end() {
        over.tell();
        return listen() as undefined; // Code without types may return anything.
      },
      close: async () => {},
    };
  },
});

interface Member {
  /** Runs to its end with the listener in its place, and gives what came out. */
  readonly run: (listen: Listener) => Promise<unknown>;
  readonly gives: unknown;
  /** What is told, once. */
  readonly named: string;
}

const members: Readonly<Record<string, Member>> = {
  'onSkipped of jsonLines': {
    named: '`onSkipped` of `jsonLines`',
    gives: [1, 2],
    async run(listen) {
      const path = join(await freshDirectory(), 'lines.jsonl');
      await writeFile(path, '1\nno\nnot\n2\n');
      return create().fromSource(jsonLines(path, { onMalformed: 'skip', onSkipped: listen })).executeAndCollect();
    },
  },
  'onBusyKeys of keyedConcatMap': {
    named: '`onBusyKeys` of `keyedConcatMap`',
    gives: [1, 2],
    run: (listen) =>
      firstValueFrom(
        from([1, 2]).pipe(
          keyedConcatMap(
            (n) => n,
            (n) => of(n),
            { onBusyKeys: listen },
          ),
          toArray(),
        ),
      ),
  },
  'a logger': {
    named: 'the logger of a job',
    gives: [1],
    run: (listen) => create(loggerOf(listen)).fromCollection([1]).executeAndCollect(),
  },
  'end of a reader': {
    named: '`end` of source `endless`',
    gives: [1, 2],
    async run(listen) {
      const seen: number[] = [];
      const both = signalOf();
      const env = create();
      const sink = callbackSink((n: number) => {
        seen.push(n);
        if (seen.length === 2) both.tell();
      });
      env.fromSource(endless(listen)).sinkTo(sink);
      const job = await env.executeAsync();
      await both.told;
      await job.stop({ timeout: '1m' });
      return seen;
    },
  },
};

describe.each(Object.entries(members))('%s', (_name, { run, gives, named }) => {
  test.each(Object.entries(ways))('%s', async (_way, listen) => {
    expect(await run(listen)).toEqual(gives);
    // A rejection is known a moment later.
    await vi.waitFor(() => expect(warnings).toEqual([`${named} threw: boom`]), { timeout: 30_000 });
  });
});

test('what is started by who asks for it is left alone', () => {
  const then = vi.fn();
  // As query builders are.
  const lazy = Object.defineProperty({}, 'then', { value: then });
  harmless('it', () => lazy)();
  expect([then.mock.calls.length, warnings]).toEqual([0, []]);
});

test('`outputs` of a sink is no listener: a promise is refused, and ends nothing else', async () => {
  const env = create();
  const sink = {
    name: 'mine',
    guarantee: 'at-least-once',
    outputs: async () => Promise.reject(new Error('boom')),
    open: () => Promise.reject(new Error('never')),
  } as unknown as Sink<number>; // Code without types may return anything.
  env.fromCollection([1]).sinkTo(sink);
  const error: unknown = await env.execute().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(StreamError);
  expect(error).toMatchObject({ code: 'ASYNC_IN_TURN', details: { uid: 'mine' } });
});
