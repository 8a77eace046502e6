/** The operator that runs agents against a model of it, over random inputs and ends of actions. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AgentBuilder } from '../../lib/agents/definition/agent.ts';
import { Event } from '../../lib/agents/events/event.ts';
import type { OutputOrder } from '../../lib/core/hold.ts';
import { type Ask, ask, Gate, open, clerk, shown, quiet } from './agent-fixture.ts';

interface Told {
  readonly name: string;
  /** Of the watermark, or of the input. */
  readonly timestamp: number;
}

interface Waiting extends Told {
  readonly kind: 'input' | 'watermark';
  /** When it has ended: the how manieth end that was. Undefined while it runs. */
  ended: number | undefined;
  /** An earlier result of its key waited when it ended: then it overtakes nothing. */
  behindItsKey: boolean;
}

const byEnd = (waiting: readonly Waiting[]): Waiting[] => waiting.toSorted((a, b) => (a.ended ?? 0) - (b.ended ?? 0));

const keyOf = (name: string): string => name.slice(0, 1);

/** Watermarks that leave together may leave as one. */
const asOne = (out: readonly unknown[]): unknown[] =>
  out.filter((each, at) => !(/^w/.test(String(each)) && /^w/.test(String(out[at + 1]))));

/**
 * The recorded rule, told step by step: what has come, in its order. A watermark leaves when every input before it has
 * ended. A result leaves when its run has ended and no watermark waits in front of it that is as great as its timestamp
 * (`completion`), or when nothing in front of it is left at all (`arrival`). With `completion` it waits for each
 * watermark in front of it as long as an earlier result of its key waits; what that one alone kept leaves last. Results
 * that come free together leave in the order in which their runs have ended.
 */
class Model {
  readonly out: string[] = [];
  readonly #order: OutputOrder;
  readonly #waiting: Waiting[] = [];
  #ends = 0;

  constructor(order: OutputOrder) {
    this.#order = order;
  }

  arrives(input: Told): void {
    this.#waiting.push({ ...input, kind: 'input', ended: undefined, behindItsKey: false });
  }

  watermark(watermark: Told): void {
    this.#waiting.push({ ...watermark, kind: 'watermark', ended: -1, behindItsKey: false });
    this.#leave();
  }

  ends(input: string): void {
    const waits = (other: Waiting): boolean =>
      other.kind === 'input' && other.ended !== undefined && keyOf(other.name) === keyOf(input);
    const behindItsKey = this.#waiting.some(waits);
    for (const each of this.#waiting)
      if (each.name === input) Object.assign(each, { ended: this.#ends++, behindItsKey });
    this.#leave();
  }

  #leave(): void {
    for (;;) {
      const free = this.#waiting.filter(
        (each, at) => each.ended !== undefined && !this.#waits(each, this.#waiting.slice(0, at)),
      );
      const [next] = byEnd(free.length > 0 ? free : this.#waiting.filter((each, at) => this.#isFollower(each, at)));
      if (next === undefined) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.out.push(next.name);
    }
  }

  /** It waited for an earlier result of its key, and that has left. */
  #isFollower(one: Waiting, at: number): boolean {
    if (!one.behindItsKey || this.#order === 'arrival') return false;
    const before = this.#waiting.slice(0, at);
    if (before.some(({ kind, timestamp }) => kind === 'watermark' && timestamp >= one.timestamp)) return false;
    return !before.some(({ kind, name }) => kind === 'input' && keyOf(name) === keyOf(one.name));
  }

  #waits({ kind, timestamp, behindItsKey }: Waiting, before: readonly Waiting[]): boolean {
    if (kind === 'watermark') return before.length > 0;
    if (this.#order === 'arrival') return before.length > 0;
    return before.some((other) => other.kind === 'watermark' && (behindItsKey || other.timestamp >= timestamp));
  }
}

describe('against a model', () => {
  /** Answers key `s` in the turn of its input, and the others when the gate lets it. */
  const some = (gate: Gate): AgentBuilder<Ask, unknown> =>
    clerk(({ key, n }, ctx) => {
      if (key === 's') ctx.output(`${key}${n}`);
      else ctx.sendEvent(new Event('wait', { what: `${key}${n}` }));
    }).on('wait', async ({ attributes: { what } }, ctx) => {
      await ctx.durableExecute('ask', () => gate.pass(String(what)));
      ctx.output(what);
    });
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('input' as const),
        key: fc.constantFrom('a', 'b', 'c', 's'),
        late: fc.nat(6),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: 'watermark' as const }) },
    { weight: 3, arbitrary: fc.nat(5).map((which) => ({ kind: 'end' as const, which })) },
  );

  it.each<[OutputOrder]>([['completion'], ['arrival']])(
    'results leave in the order %s, late ones and others',
    async (outputOrder) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const [gate, model] = [new Gate(), new Model(outputOrder)];
          const { harness } = await open(some(gate), { outputOrder });
          const end = async (which: number): Promise<void> => {
            const running = gate.open;
            const input = running[which % running.length] as string; // there is one
            model.ends(input);
            gate.resolve(input);
            await quiet();
          };
          for (const [n, each] of steps.entries()) {
            if (each.kind === 'input') {
              model.arrives({ name: `${each.key}${n}`, timestamp: n - each.late });
              if (each.key === 's') model.ends(`${each.key}${n}`);
              harness.element(ask(each.key, n), n - each.late);
              await quiet();
            } else if (each.kind === 'watermark') {
              model.watermark({ name: `w${n}`, timestamp: n });
              harness.watermark(n);
            } else if (gate.open.length > 0) await end(each.which);
            expect(asOne(shown(harness))).toEqual(asOne(model.out));
          }
          const came = steps.flatMap((each, n) => (each.kind === 'input' ? [`${each.key}${n}`] : []));
          while (gate.open.length > 0) await end(0);
          expect(asOne(shown(harness))).toEqual(asOne(model.out));
          for (const key of ['a', 'b', 'c', 's']) {
            expect(shown(harness).filter((name) => keyOf(String(name)) === key)).toEqual(
              came.filter((name) => keyOf(name) === key),
            );
          }
          expect([harness.open, harness.errors]).toEqual([0, []]);
        }),
        {
          numRuns: 60,
          // Two late results that come free with one watermark: the second to come was the first to end.
          examples: [
            [
              [
                { kind: 'input', key: 'b', late: 0 },
                { kind: 'watermark' },
                { kind: 'input', key: 'a', late: 1 },
                { kind: 'input', key: 's', late: 2 },
                { kind: 'end', which: 1 },
              ],
            ],
            // A result on time that comes behind a late one of its key.
            [
              [
                { kind: 'input', key: 'b', late: 0 },
                { kind: 'watermark' },
                { kind: 'input', key: 's', late: 2 },
                { kind: 'input', key: 's', late: 0 },
                { kind: 'watermark' },
                { kind: 'input', key: 's', late: 0 },
              ],
            ],
          ],
        },
      );
    },
  );
});
