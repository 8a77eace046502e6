import type { Sink, Source } from 'millrace';
import { describe, expect, test } from 'vitest';
import { closeOpened, type Opened } from '../../../../lib/runtime/job/closing.ts';
import { WayOut } from '../../../../lib/runtime/job/way-out.ts';
import { settled } from '../../../../lib/testing/clock.ts';
import { openDomain } from '../domain/open-domain.ts';

type Close = () => Promise<void>;

interface Closes {
  readonly reader?: Close;
  readonly operator?: Close;
  readonly writer?: Close;
  readonly resources?: Close;
  readonly store?: Close;
}

const never = (): Promise<void> => new Promise(() => {});
const fails = (what: string) => async (): Promise<void> => {
  throw new Error(`${what} is stuck`);
};

/** A domain whose parts close as a test says, and what was closed, in order. */
const opened = async (closes: Closes = {}) => {
  const closed: string[] = [];
  const closing = (name: keyof Closes): Close => {
    const close = closes[name];
    return async () => {
      closed.push(name);
      await close?.();
    };
  };
  const source: Source<number> = {
    name: 'numbers',
    replayable: true,
    splits: async () => ['s'],
    open: async () => ({ read: () => new Promise<never>(() => {}), close: closing('reader') }),
  };
  const sink: Sink<number> = {
    name: 'numbers',
    guarantee: 'exactly-once',
    open: async () => ({
      full: false,
      write: () => {},
      seal: async () => undefined,
      commit: async () => {},
      close: closing('writer'),
    }),
  };
  const { domain, storage, clock, logger, lines } = await openDomain(
    (env) => {
      env
        .fromSource(source)
        .uid('in')
        .transform<number>('op', () => ({ process: () => {}, close: closing('operator') }))
        .uid('op')
        .sinkTo(sink)
        .uid('out');
    },
    { opened: (whole) => ({ ...whole, close: closing('store') }) },
  );
  await domain.start();
  const wayOut = new WayOut(clock);
  const close = (what: Opened = { domain, storage }): Promise<void> =>
    closeOpened(what, {
      ...{ name: 'job', logger, wayOut, limitMs: 1000, storeLimitMs: 5000 },
      resources: { open: async () => {}, close: closing('resources') },
    });
  return { clock, closed, lines, wayOut, domain, storage, close };
};

const names = (...all: readonly (keyof Closes)[]): readonly string[] => all;

describe('what a life has opened', () => {
  test('is closed, the store last: what is still open may write to it', async () => {
    const { closed, close, lines, clock } = await opened();
    await close();
    expect(closed).toEqual(names('reader', 'operator', 'writer', 'resources', 'store'));
    expect([lines, clock.waiting]).toEqual([[], 0]);
  });

  test('is closed as far as it was opened', async () => {
    const { closed, close, storage } = await opened();
    await close({ storage });
    expect(closed).toEqual(names('resources', 'store'));
    closed.length = 0;
    await close({});
    expect(closed).toEqual(names('resources'));
  });

  test('waits for each: the store is not closed under what takes its time', async () => {
    let done = (): void => {};
    const { closed, close } = await opened({ writer: () => new Promise((resolve) => (done = resolve)) });
    const over = close();
    await settled();
    expect(closed).toEqual(names('reader', 'operator', 'writer'));
    done();
    await over;
    expect(closed).toEqual(names('reader', 'operator', 'writer', 'resources', 'store'));
  });

  test('may be closed twice', async () => {
    const { close, lines } = await opened();
    await close();
    await close();
    expect(lines).toEqual([]);
  });
});

describe('what fails to close', () => {
  test('is told by name, and keeps nothing else open', async () => {
    const { closed, close, lines } = await opened({
      reader: fails('reader'),
      operator: fails('operator'),
      writer: fails('writer'),
      resources: fails('resources'),
      store: fails('store'),
    });
    await close();
    expect(closed).toEqual(names('reader', 'operator', 'writer', 'resources', 'store'));
    // The parts of the domain in any order, which are closed at once.
    expect([...lines.slice(0, 3).toSorted((a, b) => (a.msg < b.msg ? -1 : 1)), ...lines.slice(3)]).toMatchObject([
      { msg: 'job "job": operator `op` failed to close: operator is stuck' },
      { msg: 'job "job": sink `out` failed to close: writer is stuck' },
      { msg: 'job "job": source `in` failed to close: reader is stuck' },
      { msg: 'job "job": the resources of the agents failed to close: resources is stuck' },
      { msg: 'job "job": the store failed to close: store is stuck' },
    ]);
    expect(lines.every(({ job, error }) => job === 'job' && error !== undefined)).toBe(true);
  });
});

describe('what hangs (I18)', () => {
  test('is left behind when its time is over, and told by name; then the next thing is closed', async () => {
    const { clock, closed, close, lines } = await opened({ reader: never, resources: never, store: never });
    let over = false;
    const closing = close().then(() => (over = true));
    await clock.advance(999);
    expect([closed, lines]).toEqual([names('reader', 'operator', 'writer'), []]);
    await clock.advance(1);
    expect(lines).toEqual([
      expect.objectContaining({
        job: 'job',
        msg: 'job "job": source `in` did not close in time and is left behind',
      }),
    ]);
    await clock.advance(1000);
    expect(lines.at(-1)?.msg).toContain('the resources of the agents did not close in time');
    await clock.advance(4999);
    expect([closed.at(-1), over]).toEqual(['store', false]);
    await clock.advance(1);
    await closing;
    expect([lines.at(-1)?.msg, lines.length, clock.waiting]).toEqual([
      expect.stringContaining('the store did not close in time'),
      3,
      0,
    ]);
  });

  test('and fails later, when nobody waits any more, is no unhandled rejection', async () => {
    let fail = (_error: Error): void => {};
    const { clock, close, lines } = await opened({ writer: () => new Promise((_, reject) => (fail = reject)) });
    const closing = close();
    await clock.advance(1000);
    await closing;
    fail(new Error('too late'));
    await settled();
    expect(lines).toHaveLength(1);
  });

  test('gets less time once the job is cancelled', async () => {
    const { clock, close, lines, wayOut } = await opened({ operator: never, store: never });
    wayOut.cancel();
    const closing = close();
    await clock.advance(500);
    await closing;
    expect(lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining('operator `op` did not close in time'),
      expect.stringContaining('the store did not close in time'),
    ]);
  });
});
