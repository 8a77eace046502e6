/**
 * Makes the streams that a `DataStream` gives and can not import, because they extend it. The environment holds it; all
 * that is below sees its type.
 */
import type { Key } from '../core/key.ts';
import { KeyedStream } from './keyed-stream.ts';
import type { Origin } from './origin.ts';

export interface StreamKinds {
  keyed<T, K extends Key>(origin: Origin): KeyedStream<T, K>;
}

export const streamKinds: StreamKinds = {
  keyed: <T, K extends Key>(origin: Origin) => new KeyedStream<T, K>(origin),
};
