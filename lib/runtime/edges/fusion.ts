/**
 * Joins steps that follow each other into one function, which is written as source text and compiled: so each step has
 * a call site of its own, which V8 inlines, and ten operators cost what a hand-written loop costs. Composed closures
 * share one call site for all operators of a kind and cost about four times that. Where a process forbids code from
 * strings, closures do the same. Keeps I13: a promise is refused.
 */
import type { Timestamp } from '../../core/element.ts';
import { isThenable, refusedPromise } from '../../core/errors.ts';
import type { Step } from '../../core/operator.ts';
import { refusedResult } from '../../core/options.ts';
import { tooManyValues, valuesMaxDefault } from '../../core/values-bound.ts';
import { operatorFailure } from './operator-failure.ts';

/** A step of one operator of a graph. */
export interface FusedStep {
  readonly uid: string;
  // Each step is given what the one before it makes; the graph ties their types.
  readonly step: Step<never, unknown>;
  /** Records that reached it. What a map is given it passes on, so it shares the counter of the step behind it. */
  readonly counter: RecordCounter;
}

/** One number, which counts past what a small integer holds without changing how it is stored. */
export type RecordCounter = Float64Array;

export const recordCounter = (): RecordCounter => new Float64Array(1);

/** A step in front of others that are fused already. */
export const fusedStep = (uid: string, step: Step<never, unknown>, next: FusedStep | undefined): FusedStep => ({
  uid,
  step,
  counter: step.kind === 'map' && next !== undefined ? next.counter : recordCounter(),
});

/** Whether a step counts for itself. */
const counts = (steps: readonly FusedStep[], at: number): boolean =>
  steps[at] !== undefined && steps[at].counter !== steps[at - 1]?.counter;

type Emit = (value: unknown, timestamp: Timestamp) => void;

/**
 * One function that does all steps to a record and emits what comes out. What a step throws becomes an error that names
 * its operator; what `emit` throws has been named by the operator behind.
 */
export const fuse = (steps: readonly FusedStep[], emit: Emit): Emit => {
  try {
    return compileSteps(steps, emit);
  } catch (error) {
    if (!(error instanceof EvalError)) throw error;
    return composeSteps(steps, emit);
  }
};

// ---------- what both ways share

/**
 * Whether a filter keeps its record, for what is not `true`. A promise is truthy and would keep every record without a
 * word.
 */
const keeps = (uid: string, kept: unknown): boolean => {
  if (isThenable(kept)) refuse(uid, kept);
  return Boolean(kept);
};

const refuse = (uid: string, promise: unknown): never => {
  throw refusedPromise(`the function of operator \`${uid}\``, promise, { details: { uid } });
};

const isIterable = (made: unknown): made is Iterable<unknown> =>
  typeof (made as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator] === 'function'; // only looked at

const refuseOne = (made: unknown): never => {
  throw refusedResult('fn', 'a list or another iterable', made);
};

const valuesMaxOf = (step: Step<never, unknown>): number =>
  step.kind === 'flatMap' ? (step.valuesMax ?? valuesMaxDefault) : 1;

const refuseMore = (uid: string, valuesMax: number): never => {
  throw tooManyValues(`operator \`${uid}\``, valuesMax, { uid });
};

// ---------- compiled

/** Names no uid and no user's text: what is compiled depends on the kinds of the steps alone. */
export const compileSteps = (steps: readonly FusedStep[], emit: Emit): Emit => {
  const uids = steps.map(({ uid }) => uid);
  const code = `
    const [${steps.map((_, i) => `fn${i}`).join(', ')}] = fns;
    const [${steps.map((_, i) => `counter${i}`).join(', ')}] = counters;
    return (value, timestamp) => {
      let at = 0;
      try {
        ${bodyOf(steps, 0, 'value')}
      } catch (error) {
        throw failure(uids[at], error);
      }
    };`;
  const make = new Function(
    'fns',
    'counters',
    'uids',
    'valuesMaxes',
    'emit',
    'keeps',
    'refuse',
    'refuseMore',
    'refuseOne',
    'failure',
    code,
  );
  const fns = steps.map(({ step }) => step.fn);
  const counters = steps.map(({ counter }) => counter);
  const valuesMaxes = steps.map(({ step }) => valuesMaxOf(step));
  // The text above says what it is.
  return make(fns, counters, uids, valuesMaxes, emit, keeps, refuse, refuseMore, refuseOne, operatorFailure) as Emit;
};

/** Source text of what is done to the variable `value` from step `at` on. */
const bodyOf = (steps: readonly FusedStep[], at: number, value: string): string => {
  const fused = steps[at];
  if (fused === undefined) return `emit(${value}, timestamp);`;
  const count = counts(steps, at) ? `counter${at}[0] += 1;` : '';
  const call = `${count} at = ${at}; const made${at} = fn${at}(${value});`;
  // `isThenable`, written out so that each step has a call site of its own here too.
  const refusing = (made: string): string =>
    `if (typeof ${made} === 'object' && ${made} !== null && typeof ${made}.then === 'function') refuse(uids[${at}], ${made});`;
  const refused = refusing(`made${at}`);
  switch (fused.step.kind) {
    case 'map':
      return `${call} ${refused}\n${bodyOf(steps, at + 1, `made${at}`)}`;
    case 'filter':
      return `${call}\nif (made${at} === true || (made${at} !== false && keeps(uids[${at}], made${at}))) {\n${bodyOf(steps, at + 1, value)}\n}`;
    case 'flatMap':
      // `isIterable`, written out as well.
      return `${call} ${refused}\nif (typeof made${at}?.[Symbol.iterator] !== 'function') refuseOne(made${at});
        let left${at} = valuesMaxes[${at}];
        for (const each${at} of made${at}) {\nif (--left${at} < 0) refuseMore(uids[${at}], valuesMaxes[${at}]);\n${refusing(`each${at}`)}\n${bodyOf(steps, at + 1, `each${at}`)}\nat = ${at};\n}`;
  }
};

// ---------- composed

export const composeSteps = (steps: readonly FusedStep[], emit: Emit): Emit =>
  steps.reduceRight<Emit>((next, fused, at) => {
    const process = composeStep(fused, next);
    const { counter } = fused;
    const one = counts(steps, at) ? 1 : 0;
    return (value, timestamp) => {
      counter[0] = (counter[0] ?? 0) + one;
      try {
        process(value, timestamp);
      } catch (error) {
        throw operatorFailure(fused.uid, error);
      }
    };
  }, emit);

const composeStep = ({ uid, step }: FusedStep, next: Emit): Emit => {
  const fn = step.fn as (value: unknown) => unknown; // It is given what the graph says it takes.
  switch (step.kind) {
    case 'map':
      return (value, timestamp) => {
        const made = fn(value);
        if (isThenable(made)) refuse(uid, made);
        next(made, timestamp);
      };
    case 'filter':
      return (value, timestamp) => {
        const kept = fn(value);
        if (kept === true || (kept !== false && keeps(uid, kept))) next(value, timestamp);
      };
    case 'flatMap': {
      const valuesMax = valuesMaxOf(step);
      return (value, timestamp) => {
        const made = fn(value);
        if (isThenable(made)) refuse(uid, made);
        if (!isIterable(made)) return refuseOne(made);
        let left = valuesMax;
        for (const each of made) {
          left -= 1;
          if (left < 0) refuseMore(uid, valuesMax);
          if (isThenable(each)) refuse(uid, each);
          next(each, timestamp);
        }
      };
    }
  }
};
