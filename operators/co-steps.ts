/**
 * Two steps as one operator of two inputs, whose results are one stream. Neither has capabilities; a function that
 * returns a promise is refused (I13).
 */
import type { MultiInputOperator, Step } from '../lib/core/operator.ts';
import { fuse, fusedStep } from '../lib/runtime/edges/fusion.ts';

/**
 * Makes the operator of `map` and `flatMap` of connected streams: a step for each input.
 *
 * @example
 * const operator = coSteps(map((n: number) => `${n}`), flatMap((line: string) => line.split(' ')));
 * const harness = await OperatorHarness.open(operator, { inputs: [{}, {}] });
 * console.log(harness.element(1).length, harness.input(2).element('to be').length); // prints 1 2
 */
export const coSteps =
  <A, B, O>(first: Step<A, O>, second: Step<B, O>): MultiInputOperator<readonly [A, B], O> =>
  ({ uid, output }) => {
    const input = (step: Step<never, unknown>) => ({
      // What the step makes is an O, as its type says.
      process: fuse([fusedStep(uid, step, undefined)], output.emit as Parameters<typeof fuse>[1]),
      direct: true as const,
    });
    return { inputs: [input(first), input(second)] };
  };
