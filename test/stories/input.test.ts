import { appendFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  exponentialDelay,
  jsonLines,
  jsonLinesSink,
  malformedLines,
  LevelStorage,
  StreamExecutionEnvironment,
  valueState,
  type MalformedLine,
} from 'millrace';
import { describe, expect, test } from 'vitest';
import { failure, freshDirectory, Ledger, once, Sluice, until } from './story.ts';

interface Order {
  readonly id: string;
  readonly sum: number;
}

const orders: readonly Order[] = Array.from({ length: 600 }, (_, n) => ({ id: `k${n % 5}`, sum: n }));
const lines = orders.map((order) => `${JSON.stringify(order)}\n`);
const bad = 431;

/** Running sums per id, as the job writes them. */
const expected = (some: readonly Order[] = orders): string => {
  const sums = new Map<string, number>();
  return some
    .map(({ id, sum }) => {
      sums.set(id, (sums.get(id) ?? 0) + sum);
      return `${JSON.stringify({ id, sum: sums.get(id) })}\n`;
    })
    .join('');
};

/** A directory with an input, an output and a state. */
class Place {
  readonly input: string;
  readonly output: string;
  readonly state: string;

  private constructor(directory: string) {
    this.input = join(directory, 'orders.jsonl');
    this.output = join(directory, 'sums.jsonl');
    this.state = join(directory, 'state');
  }

  static async make(text = lines.join('')): Promise<Place> {
    const place = new Place(await freshDirectory());
    await writeFile(place.input, text);
    return place;
  }

  pipeline(
    onMalformed: 'fail' | 'skip' | 'side-output' = 'fail',
    malformed = new Ledger<MalformedLine>(),
  ): StreamExecutionEnvironment {
    const env = StreamExecutionEnvironment.create({ ...once, storage: new LevelStorage(this.state) });
    const read = env.fromSource(jsonLines<Order>(this.input, { onMalformed, batchSize: 50 }));
    read.sideOutput(malformedLines).sinkTo(malformed.sink(), 'malformed');
    read
      .keyBy(({ id }) => id)
      .process<Order, { sum: ReturnType<typeof sumState> }>({
        state: { sum: sumState() },
        process({ id, sum }, ctx) {
          const after = (ctx.state.sum.value() ?? 0) + sum;
          ctx.state.sum.update(after);
          ctx.emit({ id, sum: after });
        },
      })
      .sinkTo(jsonLinesSink(this.output));
    return env;
  }

  async written(): Promise<string> {
    return readFile(this.output, 'utf8');
  }
}

const sumState = () => valueState<number>('sum');

const withBadLine = (text: string): string => [...lines.slice(0, bad), text, ...lines.slice(bad + 1)].join('');

describe('a malformed line', () => {
  test.each([
    ['no JSON', '{"id":"k1",sum:1}\n', 12],
    ['cut', '{"id":"k1","su\n', 15],
    ['two values', '{"id":"k1"} {"id":"k2"}\n', 13],
  ])('%s: the job says where it is, and goes on from there when it is mended', async (_what, text, column) => {
    const place = await Place.make(withBadLine(text));
    const error = await failure(place.pipeline().execute(), 'INPUT_MALFORMED');
    expect(error.message).toContain(place.input);
    expect(error.details).toMatchObject({ file: place.input, line: bad + 1, column });
    await writeFile(place.input, lines.join(''));
    await place.pipeline().execute();
    expect(await place.written()).toBe(expected());
  });

  test('is skipped', async () => {
    const place = await Place.make(withBadLine('{"id"\n'));
    await place.pipeline('skip').execute();
    expect(await place.written()).toBe(expected(orders.filter((_, n) => n !== bad)));
  });

  test('goes to the side output', async () => {
    const place = await Place.make(withBadLine('{"id"\n'));
    const malformed = new Ledger<MalformedLine>();
    await place.pipeline('side-output', malformed).execute();
    expect(await place.written()).toBe(expected(orders.filter((_, n) => n !== bad)));
    expect(malformed.values).toMatchObject([{ file: place.input, line: bad + 1, text: '{"id"' }]);
  });
});

describe('an input that is not as it was', () => {
  test('missing: an error that names it; there again, the job does its work', async () => {
    const place = await Place.make();
    await rm(place.input);
    const error = await failure(place.pipeline().execute(), 'INPUT_NOT_FOUND');
    expect(error.message).toContain(place.input);
    await writeFile(place.input, lines.join(''));
    await place.pipeline().execute();
    expect(await place.written()).toBe(expected());
  });

  /**
   * Stops with a checkpoint once some of the input has been read; its end is still open, because a line is malformed
   * there.
   */
  const stoppedHalf = async (): Promise<Place> => {
    const place = await Place.make(lines.slice(0, 300).join(''));
    const env = place.pipeline();
    const job = await env.executeAsync();
    await until(() => job.status.state !== 'starting');
    await job.stop();
    await appendFile(place.input, lines.slice(300).join(''));
    return place;
  };

  test('grown while the job was stopped: it goes on', async () => {
    const place = await stoppedHalf();
    const refused: unknown = await place
      .pipeline()
      .execute()
      .catch((error: unknown) => error);
    // When the end had been reached before the stop, the rest must be refused, and not be taken for nothing.
    if (refused !== undefined) expect(refused).toMatchObject({ code: 'JOB_FINISHED' });
    expect(await place.written()).toBe(expected(refused === undefined ? orders : orders.slice(0, 300)));
  });

  test('cut, or another file: refused, and with the right file it goes on', async () => {
    const place = await Place.make(withBadLine('{"id"\n'));
    const env = place.pipeline();
    const job = await env.executeAsync();
    await until(() => job.status.state !== 'starting');
    await job.checkpoint().catch(() => {}); // The malformed line may have ended it already.
    await job.done.catch(() => {});
    await truncate(place.input, 10);
    const error: unknown = await place
      .pipeline()
      .execute()
      .catch((reason: unknown) => reason);
    expect((error as { code: string }).code).toMatch(/^INPUT_(CHANGED|MALFORMED)$/);
    await writeFile(place.input, lines.join(''));
    await place.pipeline().execute();
    expect(await place.written()).toBe(expected());
  });
});

describe('an output that is not as it was', () => {
  test('not empty before a fresh job: refused, nothing of it is touched', async () => {
    const place = await Place.make();
    await writeFile(place.output, 'mine\n');
    expect((await failure(place.pipeline().execute(), 'OUTPUT_NOT_EMPTY')).message).toContain(place.output);
    expect(await place.written()).toBe('mine\n');
    await rm(place.output);
    await place.pipeline().execute();
    expect(await place.written()).toBe(expected());
  });

  test('its directory does not exist: an error at the start, also with restarts on', async () => {
    const env = StreamExecutionEnvironment.create({ logger: 'silent', restart: exponentialDelay() });
    env.fromCollection([1]).sinkTo(jsonLinesSink(join(await freshDirectory(), 'no', 'such', 'out.jsonl')));
    await failure(env.execute(), 'SINK_FAILED');
  });

  test('cut behind the back of the job: refused; given back, the job goes on', async () => {
    const place = await Place.make();
    const sluice = new Sluice(orders, 300);
    const start = (): StreamExecutionEnvironment => {
      const env = StreamExecutionEnvironment.create({ ...once, storage: new LevelStorage(place.state) });
      env.fromSource(sluice.source).sinkTo(jsonLinesSink(place.output));
      return env;
    };
    const job = await start().executeAsync();
    await until(() => job.status.state === 'running');
    while ((await place.written()) === '') await job.checkpoint();
    await job.stop();
    const kept = await place.written();
    sluice.raise();
    await truncate(place.output, 3);
    expect((await failure(start().execute(), 'OUTPUT_CHANGED')).message).toContain(place.output);
    await writeFile(place.output, kept);
    await start().execute();
    expect(await place.written()).toBe(lines.join(''));
  });
});
