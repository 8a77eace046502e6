/**
 * Makes the streams that a `DataStream` gives and can not import, because they extend it. The environment holds it; all
 * that is below sees its type.
 */
import type { Key } from '../core/key.ts';
import type { DataStream } from './data-stream.ts';
import { JoinedStreams } from './joined-streams.ts';
import { KeyedStream } from './keyed-stream.ts';
import type { Origin } from './origin.ts';

export interface StreamKinds {
  keyed<T, K extends Key>(origin: Origin): KeyedStream<T, K>;
  joined<A, B, Kind extends 'join' | 'coGroup'>(
    left: DataStream<A>,
    right: DataStream<B>,
    kind: Kind,
  ): JoinedStreams<A, B, Kind>;
}

export const streamKinds: StreamKinds = {
  keyed: <T, K extends Key>(origin: Origin) => new KeyedStream<T, K>(origin),
  joined: (left, right, kind) => new JoinedStreams(left, right, kind),
};
