/** Steps joined into one function, compiled or composed, against the methods of an array. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamError } from '../../../../lib/core/errors.ts';
import type { Step } from '../../../../lib/core/operator.ts';
import { compileSteps, composeSteps, fusedStep, type FusedStep } from '../../../../lib/runtime/edges/fusion.ts';

type Known = Step<number, number>;

const step: fc.Arbitrary<Known> = fc.oneof(
  fc.integer({ min: -3, max: 3 }).map((by): Known => ({ kind: 'map', fn: (value) => value * 2 + by })),
  fc.integer({ min: 2, max: 4 }).map((by): Known => ({ kind: 'filter', fn: (value) => value % by !== 0 })),
  fc.constant<Known>({ kind: 'filter', fn: (value) => (value > 0 ? 'truthy' : 0) }),
  fc
    .integer({ min: 0, max: 3 })
    .map((times): Known => ({ kind: 'flatMap', fn: (value) => Array.from({ length: times }, (_, i) => value + i) })),
  fc.constant<Known>({
    kind: 'flatMap',
    *fn(value) {
      yield value;
      yield -value;
    },
  }),
);

const expected = (steps: readonly Known[], values: readonly number[]): readonly number[] =>
  steps.reduce((before, { kind, fn }) => {
    switch (kind) {
      case 'map':
        return before.map((value) => fn(value) as number);
      case 'filter':
        return before.filter((value) => fn(value));
      case 'flatMap':
        return before.flatMap((value) => [...(fn(value) as Iterable<number>)]);
    }
  }, values);

const named = (steps: readonly Known[]): readonly FusedStep[] =>
  steps.reduceRight<readonly FusedStep[]>(
    (behind, each, at) => [fusedStep(`step-${at}`, each, behind[0]), ...behind],
    [],
  );

describe.each([
  ['compiled', compileSteps],
  ['composed', composeSteps],
] as const)('%s steps', (_name, join) => {
  it('give what the methods of an array give, with the timestamp of the record', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 6 }),
        fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 8 }),
        (steps, values) => {
          const out: unknown[] = [];
          const record = join(named(steps), (value, timestamp) => out.push([value, timestamp]));
          values.forEach((value, at) => record(value, at));
          expect(out).toEqual(values.flatMap((value, at) => expected(steps, [value]).map((each) => [each, at])));
        },
      ),
    );
  });

  it('count the records that reach each of them', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 6 }),
        fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 8 }),
        (steps, values) => {
          const fused = named(steps);
          const record = join(fused, () => {});
          for (const value of values) record(value, 0);
          expect(fused.map(({ counter }) => counter[0])).toEqual(
            steps.map((_, at) => expected(steps.slice(0, at), values).length),
          );
        },
      ),
    );
  });

  it('name the operator that threw, also in the middle of a flatMap and after one', () => {
    const thrower = (at: number, kind: Known['kind']): readonly FusedStep[] =>
      named(
        [0, 1, 2, 3].map((each): Known => {
          const fn = (value: number): never => {
            throw new Error(`at ${value}`);
          };
          if (each === at) return { kind, fn } as Known;
          return each === 1
            ? { kind: 'flatMap', fn: (value) => [value, value + 1] }
            : { kind: 'map', fn: (value) => value };
        }),
      );
    for (const at of [0, 1, 2, 3]) {
      for (const kind of ['map', 'filter', 'flatMap'] as const) {
        const record = join(thrower(at, kind), () => {});
        expect(() => record(7, 0)).toThrow(
          expect.objectContaining({ code: 'OPERATOR_FAILED', message: `operator \`step-${at}\` threw: at 7` }),
        );
      }
    }
    const lazily = join(
      named([
        {
          kind: 'flatMap',
          *fn(value) {
            yield value;
            throw new Error('later');
          },
        },
        { kind: 'map', fn: (value) => value },
      ]),
      () => {},
    );
    expect(() => lazily(1, 0)).toThrow('operator `step-0` threw: later');
  });

  it('refuse more values of one record than a flatMap may give, the inner one of two as well', () => {
    const made: number[] = [];
    const twice: Known = { kind: 'flatMap', fn: (value) => [value, value], valuesMax: 2 };
    const naturals = (valuesMax: number): Known => ({
      kind: 'flatMap',
      *fn() {
        for (let n = 0; ; n += 1) yield n;
      },
      valuesMax,
    });
    const record = join(named([twice, naturals(4)]), (value) => void made.push(value as number));
    expect(() => record(1, 0)).toThrow(
      expect.objectContaining({ code: 'VALUES_EXCEEDED', details: { uid: 'step-1', valuesMax: 4 } }),
    );
    expect(made).toEqual([0, 1, 2, 3]);
  });

  it('are not blamed for what is thrown behind them', () => {
    const behind = new StreamError('SINK_FAILED', 'behind');
    const record = join(named([{ kind: 'map', fn: (value) => value }]), () => {
      throw behind;
    });
    expect(() => record(1, 0)).toThrow(behind);
  });

  it('refuse a promise (I13)', () => {
    for (const kind of ['map', 'filter', 'flatMap'] as const) {
      for (const promise of [Promise.resolve(1), { then: () => {} }]) {
        const record = join(named([{ kind, fn: () => promise } as unknown as Known]), () => {});
        expect(() => record(1, 0)).toThrow(expect.objectContaining({ code: 'ASYNC_IN_TURN' }));
      }
    }
  });
});

it('a process that forbids code from strings runs the same pipeline', async () => {
  const code = `
    import { StreamExecutionEnvironment } from './lib/index.ts';
    const env = StreamExecutionEnvironment.create();
    const out = await env.fromCollection([1, 2, 3]).map((n) => n * 2).filter((n) => n > 2).flatMap((n) => [n, n]).executeAndCollect();
    console.log(JSON.stringify(out));`;
  const parameters = [
    '--disallow-code-generation-from-strings',
    '--import',
    'tsx',
    '--input-type=module',
    '--eval',
    code,
  ];
  const cwd = fileURLToPath(new URL('../../../..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, parameters, { cwd });
  expect(stdout.trim()).toBe('[4,4,6,6]');
});
