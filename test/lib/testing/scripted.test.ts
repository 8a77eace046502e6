import { fixedDelay, MemoryStorage, StreamError, StreamExecutionEnvironment } from 'millrace';
import { ABORT, EOF, ManualClock, scriptedChatModel, scriptedSource, sourceSuite } from 'millrace/testing';
import { describe, expect, test } from 'vitest';
import { defineSink } from '../../../connectors/define-sink.ts';

const options = {
  signal: new AbortController().signal,
  callId: '0.1.2.3.4',
  key: 'k',
  idempotencyKey: 'job.0.1.2.3.4',
};
const ask = { messages: [{ role: 'user', content: 'how?' }] } as const;

describe('a scripted source', () => {
  for (const { name, run } of sourceSuite('scripted', async () => ({
    source: scriptedSource([0, 1, 2, 3, 4], { batchSize: 2 }),
    expected: [0, 1, 2, 3, 4],
    cleanup: async () => {},
  }))) {
    test(name, run);
  }

  const run = async (source: ReturnType<typeof scriptedSource<number>>): Promise<number[]> => {
    const storage = new MemoryStorage();
    const out: number[] = [];
    const env = StreamExecutionEnvironment.create({
      storage,
      restart: fixedDelay({ attempts: 3, delay: 1 }),
      logger: 'silent',
    });
    env
      .fromSource(source)
      .sinkTo(defineSink<number>({ guarantee: 'exactly-once', write: (values) => void out.push(...values) }));
    await env.execute();
    return out;
  };

  test('[0, 1, ABORT, 2]: the job dies there once, and what comes out is whole', async () => {
    expect(await run(scriptedSource([0, 1, ABORT, 2]))).toEqual([0, 1, 2]);
    expect(await run(scriptedSource([ABORT, 0, ABORT, 1, 2, ABORT], { batchSize: 4 }))).toEqual([0, 1, 2]);
  });

  test('an end in the middle holds for one reader', async () => {
    const source = scriptedSource([0, EOF, 1], { batchSize: 9 });
    const { signal } = options;
    const first = await source.open('scripted', undefined, signal);
    const batch = await first.read(signal);
    expect([batch?.values, batch?.position(1), await first.read(signal)]).toEqual([[0], 1, undefined]);
    const second = await source.open('scripted', 1, signal);
    const rest = await second.read(signal);
    expect([rest?.values, rest?.position(0), rest?.position(1)]).toEqual([[1], 1, 3]);
    expect(await second.read(signal)).toBeUndefined();
  });

  test('refuses nonsense', () => {
    expect(() => scriptedSource([1], { batchSize: 0 })).toThrow(
      'Expected `batchSize` to be an integer from 1 up, got `0` (number)',
    );
  });
});

describe('a scripted chat model', () => {
  test('gives its answers in order and remembers what it was asked', async () => {
    const model = scriptedChatModel([
      'one',
      { role: 'assistant', content: 'two' },
      new StreamError('MODEL_UNAVAILABLE', 'overloaded'),
    ]);
    expect(await model.chat(ask, options)).toEqual({ role: 'assistant', content: 'one' });
    expect(() => model.assertComplete()).toThrow('Expected 3 requests, got 1');
    expect((await model.chat(ask, options)).content).toBe('two');
    await expect(model.chat(ask, options)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    model.assertComplete();
    expect(model.requests).toHaveLength(3);
    expect(model.requests[0]).toMatchObject({ ...ask, callId: '0.1.2.3.4', key: 'k', idempotencyKey: 'job.0.1.2.3.4' });
    await expect(model.chat(ask, options)).rejects.toMatchObject({ code: 'MODEL_REQUEST' });
    expect(() => model.assertComplete()).toThrow('Expected 3 requests, got 4');
  });

  test('waits on its clock, and stops waiting when it is aborted', async () => {
    const clock = new ManualClock();
    const model = scriptedChatModel(
      [
        { after: '2s', answer: 'late' },
        { after: 5, answer: 'never' },
      ],
      { clock },
    );
    let answer = '';
    const asked = model.chat(ask, options).then(({ content }) => (answer = content));
    await clock.advance(1999);
    expect(answer).toBe('');
    await clock.advance(1);
    await asked;
    expect(answer).toBe('late');
    const abort = new AbortController();
    const aborted = model.chat(ask, { ...options, signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });
});
