/** Sinks made of a function: defined ones of both guarantees, the callback sink and the print sink. */
import { spawn } from 'node:child_process';
import type { SinkCall } from '../../connectors/define-sink.ts';
import { expect, test } from 'vitest';
import { callbackSink } from '../../connectors/callback-sink.ts';
import { defineSink } from '../../connectors/define-sink.ts';
import { printSink } from '../../connectors/print.ts';
import { sinkSuite } from '../../lib/core/sink-suite.ts';

const { signal } = new AbortController();
const values = ['a', 'b', 'c', 'd', 'e', 'f'];
const fresh = { sinkId: 'job.sink.1', pending: [], epoch: 1, last: undefined, signal };
const cleanup = async (): Promise<void> => {};

const suites = {
  'defined, at least once': async () => {
    const seen: string[] = [];
    return {
      sink: defineSink<string>({ write: async (part) => void seen.push(...part) }),
      values,
      visible: async () => seen,
      cleanup,
    };
  },
  'defined, exactly once': async () => {
    // A receiver that knows what it has, by number.
    const seen: string[] = [];
    const write = (part: readonly string[], { firstNumber }: SinkCall): void =>
      void seen.splice(firstNumber, part.length, ...part);
    return {
      sink: defineSink<string>({ guarantee: 'exactly-once', write }),
      values,
      visible: async () => seen,
      cleanup,
    };
  },
  callback: async () => {
    const seen: string[] = [];
    return { sink: callbackSink<string>((value) => void seen.push(value)), values, visible: async () => seen, cleanup };
  },
  print: async () => {
    let text = '';
    const sink = printSink<string>({ prefix: '> ', write: (part) => void (text += part) });
    return {
      sink,
      values,
      visible: async () =>
        text
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => line.slice(2)),
      cleanup,
    };
  },
};

for (const [name, make] of Object.entries(suites))
  for (const { name: title, run } of sinkSuite(name, make)) test(title, run);

test('a call gets the values of one epoch, the number of the first, and its turn', async () => {
  const calls: [readonly string[], number, number][] = [];
  let busy = 0;
  const sink = defineSink<string>({
    async write(part, { epoch, firstNumber }) {
      busy += 1;
      expect(busy).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      calls.push([part, epoch, firstNumber]);
      busy -= 1;
    },
  });
  const writer = await sink.open({ ...fresh, epoch: 4 });
  writer.write('a', 0, 10);
  writer.write('b', 0, 11);
  const flush = writer.flush?.(signal);
  writer.write('c', 0, 12);
  const seal = writer.seal(4);
  writer.write('d', 0, 13);
  await Promise.all([flush, seal]);
  expect(calls).toEqual([
    [['a', 'b'], 4, 10],
    [['c'], 4, 12],
  ]);
  await writer.flush?.(signal);
  expect(calls.at(-1)).toEqual([['d'], 5, 13]);
});

test('what could not be sent is sent first by the next flush', async () => {
  const seen: string[] = [];
  let down = true;
  const sink = defineSink<string>({
    name: 'api',
    write(part) {
      if (down) throw new Error('503');
      seen.push(...part);
    },
  });
  const writer = await sink.open(fresh);
  writer.write('a', 0, 0);
  writer.write('b', 0, 1);
  await expect(writer.flush?.(signal)).rejects.toMatchObject({
    code: 'SINK_FAILED',
    retryable: true,
    message: 'sink "api" failed with records 0 to 1: 503',
  });
  down = false;
  writer.write('c', 0, 2);
  await writer.seal(1);
  expect(seen).toEqual(['a', 'b', 'c']);
});

test.each(['at-least-once', 'exactly-once'] as const)(
  '%s: full at its bound, and not behind the seal',
  async (guarantee) => {
    const writer = await defineSink<string>({ guarantee, pendingMax: 2, write: () => {} }).open(fresh);
    writer.write('a', 0, 0);
    expect(writer.full).toBe(false);
    writer.write('b', 0, 1);
    expect(writer.full).toBe(true);
    await writer.seal(1);
    expect(writer.full).toBe(false);
  },
);

test('close aborts what is being sent and sends nothing more', async () => {
  const seen: string[] = [];
  const sink = defineSink<string>({
    write: (part, { signal }) =>
      new Promise((_resolve, reject) => {
        seen.push(...part);
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
  });
  const writer = await sink.open(fresh);
  writer.write('a', 0, 0);
  const flush = writer.flush?.(signal);
  const rejected = expect(flush).rejects.toMatchObject({ code: 'WORK_ABORTED' });
  writer.write('b', 0, 1);
  await new Promise((resolve) => setImmediate(resolve));
  await writer.close();
  await rejected;
  expect(seen).toEqual(['a']);
});

test('the callback gets numbers and is awaited', async () => {
  const seen: [string, number][] = [];
  const sink = callbackSink<string>(async (value, { number }) => {
    await new Promise((resolve) => setImmediate(resolve));
    seen.push([value, number]);
  });
  const writer = await sink.open(fresh);
  for (const [index, value] of ['x', 'y'].entries()) writer.write(value, 0, 5 + index);
  await writer.seal(1);
  expect(seen).toEqual([
    ['x', 5],
    ['y', 6],
  ]);
});

test('print: strings as they are, the rest as JSON, and what has none as text', async () => {
  let text = '';
  const writer = await printSink<unknown>({ write: (part) => void (text += part) }).open(fresh);
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  for (const [index, value] of ['s', { a: [1] }, undefined, 3n, null, new Map([['mug', 3n]]), loop].entries())
    writer.write(value, 0, index);
  await writer.seal(1);
  expect(text).toBe('s\n{"a":[1]}\nundefined\n"3"\nnull\n{"mug":"3"}\n<ref *1> { self: [Circular *1] }\n');
});

test('print: a reader that goes away fails the sink, and does not end the process', async () => {
  const program = `
    import { callbackSink, printSink, StreamExecutionEnvironment } from 'millrace';
    const env = StreamExecutionEnvironment.create({ logger: 'silent' });
    env.generate({ generate: (index) => 'x'.repeat(1000) + index, count: 100_000 }).sinkTo(printSink());
    await env.execute().catch((error) => console.error(error.code, error.cause?.code));
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.once('data', () => child.stdout.destroy());
  let told = '';
  child.stderr.on('data', (part: Buffer) => (told += part.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  expect(told.trim()).toBe('SINK_FAILED EPIPE');
});

test('options that make no sense are refused', () => {
  expect(() => defineSink({ write: 1 as unknown as () => void })).toThrow('write');
  expect(() => defineSink({ write: () => {}, guarantee: 'at-most-once' as 'exactly-once' })).toThrow('guarantee');
  expect(() => defineSink({ write: () => {}, pendingMax: 0 })).toThrow('pendingMax');
  expect(() => callbackSink(undefined as unknown as () => void)).toThrow('fn');
  expect(() => printSink({ prefx: '' } as object)).toThrow('prefx');
});
