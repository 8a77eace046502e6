/** The form of the recorded vectors in `test/golden`: steps in, outputs after each step out. */
import { MAX_TIMESTAMP, MIN_TIMESTAMP, type Timestamp } from '../core/element.ts';

export type VectorTime = number | 'MAX' | 'MIN' | null;

/** One step; the properties depend on `op` and on the family. */
export interface VectorStep {
  readonly op: string;
  readonly key?: string;
  readonly value?: unknown;
  readonly id?: number;
  readonly ts?: VectorTime;
  readonly channel?: number;
  readonly output?: string;
  readonly deferred?: boolean;
  readonly results?: number;
  readonly fatal?: boolean;
  readonly javaType?: string;
  readonly maxParallelism?: number;
  readonly parallelism?: number;
}

export type VectorConfig = Readonly<Record<string, unknown>>;

export interface VectorCase {
  readonly name: string;
  readonly config: VectorConfig;
  readonly steps: readonly VectorStep[];
}

/** Key groups have no type. */
export type VectorOutput = Readonly<Record<string, unknown>> & { readonly type?: string };

export const timeOf = (ts: VectorTime | undefined): Timestamp =>
  ts === 'MAX' ? MAX_TIMESTAMP : ts === 'MIN' || ts === null || ts === undefined ? MIN_TIMESTAMP : ts;

/** The recorded form of a timestamp. */
export const vectorTime = (timestamp: Timestamp): VectorTime =>
  timestamp === MAX_TIMESTAMP ? 'MAX' : timestamp === MIN_TIMESTAMP ? 'MIN' : timestamp;

/** Runs the steps of one case. */
export interface VectorRunner {
  run(step: VectorStep): readonly VectorOutput[] | Promise<readonly VectorOutput[]>;
  /** Timers registered after the last step. Only where an operator is run. */
  timers?(): { readonly event: number; readonly processing: number };
}
