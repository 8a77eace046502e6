/**
 * What stands behind an operator inside a chain: direct calls, no promise and no Subject per record (the road; RxJS is
 * the wire).
 */
import type { Timestamp } from '../../core/element.ts';

export interface Receiver<T> {
  /** Handed on without its receiver, so that a record costs one call for each operator: it must not use `this`. */
  record(value: T, timestamp: Timestamp): void;
  watermark(timestamp: Timestamp): void;
  status(idle: boolean): void;
}

/** Drops everything. */
export const nowhere: Receiver<unknown> = { record: () => {}, watermark: () => {}, status: () => {} };

/** Asked before each record: while it is closed, something that came before the record must be finished first. */
export interface Gate {
  readonly isClosed: boolean;
  finish(): void;
}

/** Nothing ever comes first. */
export const openGate: Gate = { isClosed: false, finish: () => {} };
