/**
 * The families of recorded vectors, and how each is compared: where Flink itself is arbitrary, where Millrace differs
 * on purpose, and what has no runner yet. `vectors.test.ts` runs them and keeps the table in `test/golden/README.md`.
 */
import { readFileSync } from 'node:fs';
import type { VectorCase, VectorConfig, VectorOutput } from '../../../lib/testing/vector-form.ts';

export interface RecordedCase extends VectorCase {
  readonly expected: readonly (readonly VectorOutput[])[];
  readonly counts?: readonly (readonly [event: number, processing: number, state: number])[];
}

type Outputs = readonly VectorOutput[];

/** How the outputs of a step of a case are made comparable: applied to what was recorded and to what came. */
export type Leniency = (outputs: Outputs, each: RecordedCase) => Outputs;

export interface Family {
  /** Its file in `test/golden`. */
  readonly file: string;
  /** Absent while no runner plays it. */
  readonly runs?: {
    /** Applied one after the other. @defaultValue as recorded */
    readonly compare?: readonly Leniency[];
    /** The numbers of timers after each step are compared too. @defaultValue false */
    readonly timers?: boolean;
    /** Why a case has other timers on purpose, where its outputs are as recorded. @defaultValue none has */
    readonly timersDiffer?: (each: RecordedCase) => string | undefined;
    /** Cases that no runner plays yet. @defaultValue none */
    readonly notYet?: (each: RecordedCase) => boolean;
    /** Why a case comes out otherwise on purpose; it must. @defaultValue none does */
    readonly differs?: (each: RecordedCase) => string | undefined;
    /** The step from which a case is not compared, and why: before it, it must come out as recorded. */
    readonly until?: (each: RecordedCase) => { readonly step: number; readonly reason: string } | undefined;
  };
}

/** Errors have other messages and classes. */
export const errorsAlike: Leniency = (outputs) =>
  outputs.map((output) => (output.type === 'error' ? { type: 'error' } : output));

/** Timers of one time and different keys fire in the order of a binary heap in the recording, in that of keys here. */
export const equalTimesAsSet: Leniency = (outputs) => {
  const rank = ({ ts, key }: VectorOutput): string => `${String(ts)} ${String(key)}`;
  const sorted: VectorOutput[] = [];
  for (let at = 0; at < outputs.length;) {
    let end = at + 1;
    while (end < outputs.length && outputs[end]?.['ts'] === outputs[at]?.['ts'] && outputs[end]?.type === 'record')
      end += 1;
    sorted.push(...outputs.slice(at, end).sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0)));
    at = end;
  }
  return sorted;
};

/** The same where a result does not have the timestamp of the timer that made it: a whole step is a set. */
export const stepsAsSet: Leniency = (outputs) => {
  const records = outputs.filter(({ type }) => type === 'record');
  const rank = (output: VectorOutput): string => JSON.stringify(output);
  const sorted = records.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return outputs.map((output) => (output.type === 'record' ? (sorted.shift() ?? output) : output));
};

/**
 * Which of the windows that merge comes first is left to a hash set: what depends on the order is compared without it.
 */
export const mergedAsSet: Leniency = (outputs, { config }) =>
  outputs.map((output) => {
    const value: unknown = output['value'];
    if (config['fn'] === 'hash' && output.type === 'record') return { ...output, value: 'depends on the order' };
    return Array.isArray(value) ? { ...output, value: value.toSorted() } : output;
  });

/** The recorded runtime loses content there: a session that a record repeats exactly begins anew. */
const lostSession = 'a dynamic session that a record repeats exactly loses its content in the recorded runtime';

/**
 * Timers of one time fire in the order of a binary heap in the recording: which of several calls times out or is made
 * again first, whether a call that times out is made again at that very moment, and which of their results leaves first
 * where the order of the inputs is not kept.
 */
export const timersOfCallsAsSet: Leniency = (outputs, { config: { ordered } }) => {
  const text = ({ type, value, ts }: VectorOutput): string => `${type} ${String(value)} ${String(ts)}`;
  const sorted = (some: Outputs): Outputs => some.toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
  const isResult = ({ type }: VectorOutput): boolean => type === 'record' || type === 'watermark';
  const results = outputs.filter(isResult);
  const timedOut = new Set(outputs.filter(({ type }) => type === 'timeout').map(({ value }) => value));
  const isMoot = ({ type, value }: VectorOutput): boolean => type === 'invoke' && timedOut.has(value);
  const others = sorted(outputs.filter((output) => !isResult(output) && !isMoot(output)));
  if (ordered === true || !others.some(({ type }) => type === 'timeout')) return [...others, ...results];
  const segments: Outputs[] = [[]];
  for (const output of results)
    if (output.type === 'watermark') segments.push([output], []);
    else segments.push([...(segments.pop() ?? []), output]);
  return [...others, ...segments.flatMap(sorted)];
};

const isExponential = (retry: unknown): boolean =>
  typeof retry === 'object' && retry !== null && 'type' in retry && retry.type === 'exponential';

/** Cases in which elements in flight disturb each other's delays. */
const sharedDelays = ['interleaved elements share the last delay'];

export const families: readonly Family[] = [
  {
    file: '01-tumbling-event.json',
    runs: { compare: [errorsAlike, equalTimesAsSet], timers: true },
  },

  {
    file: '02-sliding-event.json',
    runs: { compare: [errorsAlike, equalTimesAsSet], timers: true },
  },

  {
    file: '03-session-event.json',
    runs: {
      compare: [errorsAlike, mergedAsSet, equalTimesAsSet],
      timers: true,
      timersDiffer: ({ name }) =>
        name.includes('continuous') ? 'the trigger takes its timers along when sessions merge' : undefined,
      until({ name }) {
        if (name.startsWith('FLINK DEFECT')) return { step: 0, reason: lostSession };
        return name === 'random 12' ? { step: 19, reason: lostSession } : undefined;
      },
    },
  },

  {
    file: '04-processing-time-windows.json',
    runs: { compare: [errorsAlike, mergedAsSet, equalTimesAsSet], timers: true },
  },

  {
    file: '05-triggers-evictors.json',
    runs: { compare: [errorsAlike, stepsAsSet], timers: true },
  },

  {
    file: '06-timers.json',
    runs: { compare: [errorsAlike, equalTimesAsSet], timers: true },
  },

  {
    file: '07-two-inputs.json',
    runs: {
      compare: [errorsAlike, mergedAsSet, stepsAsSet],
      timers: true,
    },
  },

  {
    file: '08-state-ttl.json',
    runs: { timers: true },
  },

  {
    file: '09-watermarks.json',
    runs: {},
  },

  {
    file: '10-key-group-ranges.json',
    runs: {},
  },

  {
    file: '10-key-groups.json',
    runs: {
      differs: () =>
        "a key's group is murmur2 of its bytes, where a Kafka producer would put it, and not Java's hash code",
    },
  },

  {
    file: '11-async.json',
    runs: {
      compare: [timersOfCallsAsSet],
      differs: ({ name, config: { retry } }) =>
        isExponential(retry) && sharedDelays.some((each) => name.includes(each))
          ? 'a retry strategy keeps no state between elements: each has its own delay, which the recorded strategy shares'
          : undefined,
    },
  },

  {
    file: '12-rolling.json',
    runs: { compare: [errorsAlike], timers: true },
  },

  {
    file: '13-restart.json',
    runs: {},
  },
];

export interface FamilyFile {
  readonly family: string;
  readonly config: VectorConfig;
  readonly cases: readonly RecordedCase[];
}

export const goldenUrl = new URL('../../golden/', import.meta.url);

export const readFamily = ({ file }: Family): FamilyFile =>
  // The files are recorded in this form.
  JSON.parse(readFileSync(new URL(file, goldenUrl), 'utf8')) as FamilyFile;
