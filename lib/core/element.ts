/**
 * What flows on an edge between two chains: records, watermarks and idleness, in one order. There is no barrier:
 * a checkpoint is the state between two turns, so the cut is not in the stream. Keeps I3 and I4.
 */

/** Event or processing time in milliseconds since the Unix epoch. */
export type Timestamp = number;

/**
 * The timestamp of a record that has none, and the watermark before the first one. Arithmetic on it saturates.
 *
 * @example
 * const harness = await OperatorHarness.open(map((word: string) => word.length));
 * const [record] = harness.element('five');
 * console.log(record?.kind === 'record' && record.timestamp === MIN_TIMESTAMP); // prints true
 */
export const MIN_TIMESTAMP: Timestamp = -Infinity;

/**
 * The final watermark: the input has ended. Arithmetic on it saturates.
 *
 * @example
 * const operator = reduceWindow<number>({ assigner: TumblingEventTimeWindows.of('10s') }, (a, b) => a + b);
 * const harness = await OperatorHarness.open(operator, { keyOf: () => 'all' });
 * harness.element(1, 0);
 * harness.element(2, 5_000);
 * console.log(harness.watermark(MAX_TIMESTAMP)[0]); // prints { kind: 'record', value: 3, timestamp: 9999 }
 */
export const MAX_TIMESTAMP: Timestamp = Infinity;

export interface StreamRecord<T> {
  readonly kind: 'record';
  readonly value: T;
  /** `MIN_TIMESTAMP` when the record has no timestamp. */
  readonly timestamp: Timestamp;
}

/** Says that no record with a timestamp up to and including this one follows (a later one is late). */
export interface Watermark {
  readonly kind: 'watermark';
  readonly timestamp: Timestamp;
}

/** Says whether the stream has stopped to bring records, so that it must not hold back the watermark of others. */
export interface StreamStatus {
  readonly kind: 'status';
  readonly idle: boolean;
}

export type StreamElement<T> = StreamRecord<T> | Watermark | StreamStatus;
