import { describe, expect, expectTypeOf, it } from 'vitest';
import { MIN_TIMESTAMP } from '../../lib/core/element.ts';
import type { Operator } from '../../lib/core/operator.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import { listState, mapState, valueState } from '../../lib/core/state-descriptor.ts';
import { OperatorHarness } from '../../lib/testing/harness.ts';
import { process, type, type ProcessContext } from '../../operators/process.ts';

const keyOf = (value: string): string => value.slice(0, 1);
const late: OutputTag<string> = { id: 'late' };

describe('process', () => {
  it('runs a plain function, with the timestamp of the record', async () => {
    const harness = await OperatorHarness.open(
      process<string, string>((value, { emit, timestamp }) => {
        if (value === 'none') return;
        emit(`${value}@${timestamp}`);
        emit(value, 99);
      }),
    );
    expect(harness.element('none', 1)).toEqual([]);
    expect(harness.element('a', 7)).toEqual([
      { kind: 'record', value: 'a@7', timestamp: 7 },
      { kind: 'record', value: 'a', timestamp: 99 },
    ]);
  });

  it('infers the handles, and keeps state per key', async () => {
    const operator = process({
      emits: type<readonly [string, number, number]>(),
      state: {
        count: valueState<number>('count'),
        all: listState<string>('all'),
        byValue: mapState<string, number>('by-value'),
      },
      process(value: string, ctx) {
        expectTypeOf(ctx.state.count.value()).toEqualTypeOf<number | undefined>();
        expectTypeOf(ctx.state.byValue.get('x')).toEqualTypeOf<number | undefined>();
        const count = (ctx.state.count.value() ?? 0) + 1;
        ctx.state.count.update(count);
        ctx.state.all.add(value);
        ctx.state.byValue.set(value, count);
        ctx.emit([String(ctx.key), count, ctx.state.all.size]);
      },
    });
    expectTypeOf(operator).toEqualTypeOf<Operator<string, readonly [string, number, number]>>();
    const harness = await OperatorHarness.open(operator, { keyOf });
    const values = ['a1', 'b1', 'a2']
      .flatMap((value) => harness.element(value))
      .map((output) => output.kind === 'record' && output.value);
    expect(values).toEqual([
      ['a', 1, 1],
      ['b', 1, 1],
      ['a', 2, 2],
    ]);
  });

  it('sends to side outputs', async () => {
    const harness = await OperatorHarness.open(
      process<string, never>((value, ctx) => ctx.side(late, value)),
      { sides: [late] },
    );
    expect(harness.element('a', 3)).toEqual([{ kind: 'side', tag: 'late', value: 'a', timestamp: 3 }]);
  });

  it('fires timers under their key: event time with their time, processing time without one', async () => {
    const operator = process({
      emits: type<string>(),
      process(_: string, { timers, timestamp }) {
        timers.register(timestamp + 10);
        timers.register(timestamp + 10, { domain: 'processing' });
      },
      onTimer({ timestamp, domain }, ctx) {
        ctx.emit(`${String(ctx.key)} ${domain} ${timestamp} ${ctx.now()} ${ctx.timers.watermark}`);
      },
    });
    const harness = await OperatorHarness.open(operator, { keyOf });
    harness.element('a', 0);
    expect(harness.timers).toEqual({ event: 1, processing: 1 });
    expect(harness.watermark(10)).toEqual([
      { kind: 'record', value: 'a event 10 0 10', timestamp: 10 },
      { kind: 'watermark', timestamp: 10 },
    ]);
    expect(harness.processingTime(10)).toEqual([]); // As in a job: the clock must have passed the time.
    expect(harness.processingTime(11)).toEqual([
      { kind: 'record', value: 'a processing 10 11 10', timestamp: MIN_TIMESTAMP },
    ]);
    expect(harness.timers).toEqual({ event: 0, processing: 0 });
  });

  it('goes on from a snapshot with state, timers and time', async () => {
    const operator = process({
      emits: type<number>(),
      state: { count: valueState<number>('count') },
      process(_: string, { state, timers }) {
        state.count.update((state.count.value() ?? 0) + 1);
        timers.register(10);
      },
      onTimer: (_, ctx) => ctx.emit(ctx.state.count.value() ?? -1),
    });
    const first = await OperatorHarness.open(operator, { keyOf, now: 5 });
    first.element('a', 0);
    first.element('a', 0);
    const snapshot = await first.snapshot();
    first.element('a', 0);
    const second = await OperatorHarness.open(operator, { keyOf }, snapshot);
    expect([second.now, second.watermark(10)[0]]).toEqual([5, { kind: 'record', value: 2, timestamp: 10 }]);
  });

  it('opens before the first record and closes, with `this` as it was given', async () => {
    class Logged {
      readonly log: string[] = [];
      readonly state = { seen: valueState<string>('seen') };
      async open(ctx: ProcessContext<never, { seen: ReturnType<typeof valueState<string>> }>): Promise<void> {
        await ctx.state.seen.forEachKey((key) => this.log.push(`open ${String(key)}`));
      }
      process(value: string, ctx: ProcessContext<never, { seen: ReturnType<typeof valueState<string>> }>): void {
        ctx.state.seen.update(value);
      }
      close(): void {
        this.log.push('close');
      }
    }
    const logged = new Logged();
    const harness = await OperatorHarness.open(process<string, never, Logged['state']>(logged), { keyOf });
    for (const value of ['a', 'b']) harness.element(value);
    await harness.restore(await harness.snapshot());
    expect([logged.log[0], ...logged.log.slice(1).sort()]).toEqual(['close', 'open a', 'open b']);
  });

  it('refuses timers without `onTimer`, promises, and state outside a turn', async () => {
    const timers = await OperatorHarness.open(process<string, never>((_, ctx) => ctx.timers.register(1)));
    expect(() => timers.element('a')).toThrow('`onTimer`');
    const promised = await OperatorHarness.open(process<string, never>(async () => {}));
    expect(() => promised.element('a')).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    const onTimer = await OperatorHarness.open(
      process({ process: (_: string, ctx) => ctx.timers.register(1), onTimer: (async () => {}) as () => void }),
      { keyOf },
    );
    onTimer.element('a');
    expect(() => onTimer.watermark(1)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
    let kept: ProcessContext<never, { count: ReturnType<typeof valueState<number>> }> | undefined;
    const outside = await OperatorHarness.open(
      process({
        emits: type<never>(),
        state: { count: valueState<number>('count') },
        process(_: string, ctx) {
          kept = ctx;
        },
      }),
      { keyOf },
    );
    outside.element('a');
    expect(() => kept?.state.count.value()).toThrow(TypeError); // I2
    expect(() => kept?.key).toThrow(TypeError);
  });

  it('uses one context for every record', async () => {
    const contexts = new Set<unknown>();
    const harness = await OperatorHarness.open(process<string, never>((_, ctx) => void contexts.add(ctx)));
    for (const value of ['a', 'b']) harness.element(value);
    expect(contexts.size).toBe(1);
  });
});

describe('a function that emits for ever', () => {
  const forEver = (ctx: ProcessContext<number, object>, give: 'emit' | 'side'): void => {
    for (let n = 0; ; n += 1) give === 'emit' ? ctx.emit(n) : ctx.side({ id: 'late' }, n);
  };
  const refused = expect.objectContaining({
    code: 'VALUES_EXCEEDED',
    details: expect.objectContaining({ uid: 'operator' }),
  });

  it.each(['emit', 'side'] as const)('is refused behind `valuesMax` values of one record: %s', async (give) => {
    const operator = process<string, number>({ valuesMax: 3, process: (_value, ctx) => forEver(ctx, give) });
    const harness = await OperatorHarness.open(operator, { keyOf, sides: [late] });
    expect(() => harness.element('a')).toThrow(refused);
  });

  it('is refused in a timer too; each record and each timer has its own', async () => {
    const operator = process<string, number>({
      valuesMax: 3,
      process(value, ctx) {
        for (let n = 0; n < 3; n += 1) ctx.emit(n);
        ctx.timers.register(value === 'a' ? 5 : 6);
      },
      onTimer: ({ timestamp }, ctx) => void (timestamp === 5 ? ctx.emit(5) : forEver(ctx, 'emit')),
    });
    const harness = await OperatorHarness.open(operator, { keyOf });
    expect(harness.element('a', 1)).toHaveLength(3);
    expect(harness.element('b', 1)).toHaveLength(3);
    expect(harness.watermark(5)[0]).toMatchObject({ value: 5 });
    expect(() => harness.watermark(6)).toThrow(refused);
  });

  it('refuses a bound that is none where it is given', () => {
    expect(() => process({ valuesMax: 0, process: () => {} })).toThrow(/`valuesMax`/);
  });
});
