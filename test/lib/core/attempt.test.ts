import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { Attempt, ChildAbort } from '../../../lib/core/attempt.ts';
import type { Clock } from '../../../lib/core/clock.ts';
import { messageOf } from '../../../lib/core/errors.ts';
import { systemClock } from '../../../lib/core/clock.ts';
import type { Outcome } from '../../../lib/core/work.ts';

/** Timers that fire when they are told to. */
class Timers {
  readonly pending = new Set<() => void>();
  readonly clock: Clock = {
    ...systemClock,
    setTimer: (_delayMs, fn) => {
      this.pending.add(fn);
      return () => void this.pending.delete(fn);
    },
  };

  fire(): void {
    for (const fn of [...this.pending]) {
      this.pending.delete(fn);
      fn();
    }
  }
}

class Trial extends Attempt {
  readonly parent = new AbortController();
  readonly timers = new Timers();
  readonly outcomes: Outcome<unknown>[] = [];
  forgotten = false;
  #fn: (() => unknown) | undefined;

  protected get parentSignal(): AbortSignal {
    return this.parent.signal;
  }

  protected get title(): string {
    return 'trial';
  }

  protected override get isForgotten(): boolean {
    return this.forgotten;
  }

  protected conclude(outcome: Outcome<unknown>): void {
    this.outcomes.push(outcome);
  }

  protected invoke(): unknown {
    return this.#fn?.();
  }

  protected timeoutError(): Error {
    return new Error('too long');
  }

  run(fn: () => unknown, limited = true): this {
    this.#fn = fn;
    this.begin(this.timers.clock, limited ? 5 : undefined);
    return this;
  }

  stop(): void {
    this.end();
  }

  /** Listeners and timers that it holds. */
  get held(): number {
    return getEventListeners(this.parent.signal, 'abort').length + this.timers.pending.size;
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const tooLong = { ok: false, error: new Error('too long') };

describe('an attempt ends once', () => {
  test.each([
    ['with a value', () => 1, { ok: true, value: 1 }],
    ['with nothing', () => undefined, { ok: true, value: undefined }],
    ['with a promise', async () => 1, { ok: true, value: 1 }],
    ['with another thenable', () => ({ then: (done: (value: number) => void) => done(1) }), { ok: true, value: 1 }],
    [
      'with a throw',
      () => {
        throw new Error('x');
      },
      { ok: false, error: new Error('x') },
    ],
    ['with a rejection', async () => Promise.reject(new Error('x')), { ok: false, error: new Error('x') }],
  ])('%s', async (_how, fn, outcome) => {
    const trial = new Trial().run(fn);
    await settle();
    expect(trial.outcomes).toEqual([outcome]);
    expect(trial.isOver).toBe(true);
    expect(trial.held).toBe(0);
  });

  test('with an error of ours when what was thrown can not even be looked at', async () => {
    const { proxy, revoke } = Proxy.revocable(new Error('hidden'), {});
    revoke();
    const failing = [
      () => {
        throw proxy;
      },
      () => Promise.reject(proxy),
    ];
    for (const fail of failing) {
      const trial = new Trial().run(fail);
      await Promise.resolve();
      await Promise.resolve();
      const [outcome] = trial.outcomes;
      expect(outcome?.ok === false && messageOf(outcome.error)).toMatch(/^what was thrown can not be looked at: /);
    }
  });

  test('with its time, and what comes later is refused', async () => {
    let late = (_value: unknown): void => {};
    const trial = new Trial().run(() => new Promise((resolve) => (late = resolve)));
    const { signal } = trial;
    trial.timers.fire();
    expect(trial.outcomes).toEqual([tooLong]);
    expect([signal.aborted, (signal.reason as Error).message]).toEqual([true, 'too long']);
    late(1);
    await settle();
    expect(trial.outcomes).toHaveLength(1);
    expect(trial.held).toBe(0);
  });

  test('without an outcome when it is ended from outside', async () => {
    const trial = new Trial().run(async () => 1);
    trial.stop();
    await settle();
    expect([trial.outcomes, trial.isOver, trial.held]).toEqual([[], true, 0]);
  });

  test('not at all when nobody waits any more', async () => {
    const trial = new Trial().run(async () => 1, false);
    trial.forgotten = true;
    await settle();
    expect([trial.outcomes, trial.isOver]).toEqual([[], false]);
  });
});

describe('its signal', () => {
  test('is one, and aborted with what it is a part of', () => {
    const trial = new Trial().run(() => new Promise(() => {}), false);
    expect(trial.signal).toBe(trial.signal);
    trial.parent.abort(new Error('stop'));
    expect((trial.signal.reason as Error).message).toBe('stop');
    expect(new ChildAbort(trial.parent.signal).signal.aborted).toBe(true);
  });

  test('stays as it was when the attempt has ended', async () => {
    const trial = new Trial().run(async () => 1);
    const { signal } = trial;
    await settle();
    trial.parent.abort();
    expect(signal.aborted).toBe(false);
  });

  test.each([
    ['it ended', (trial: Trial) => trial.stop(), 'trial has ended'],
    ['its time was over', (trial: Trial) => trial.timers.fire(), 'too long'],
  ])('that is asked for when %s is aborted', (_when, over, reason) => {
    const trial = new Trial().run(() => new Promise(() => {}));
    over(trial);
    expect((trial.signal.reason as Error).message).toBe(reason);
  });
});
