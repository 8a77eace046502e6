/**
 * Makes the streams that a `DataStream` gives and can not import, because they extend it. The environment holds it; all
 * that is below sees its type.
 */
import type { Key } from '../core/key.ts';
import type { DataStream } from './data-stream.ts';
import { JoinedStreams } from './joined-streams.ts';
import { ConnectedStreams } from './connected-streams.ts';
import { KeyedStream } from './keyed-stream.ts';
import type { Origin } from './origin.ts';

export interface StreamKinds {
  keyed<T, K extends Key>(origin: Origin): KeyedStream<T, K>;
  joined<A, B, Kind extends 'join' | 'coGroup'>(
    left: DataStream<A>,
    right: DataStream<B>,
    kind: Kind,
  ): JoinedStreams<A, B, Kind>;
  connected<A, B>(first: Origin, second: Origin): ConnectedStreams<A, B>;
}

export const streamKinds: StreamKinds = {
  keyed: <T, K extends Key>(origin: Origin) => new KeyedStream<T, K>(origin),
  joined: (left, right, kind) => new JoinedStreams(left, right, kind),
  connected: <A, B>(first: Origin, second: Origin) => new ConnectedStreams<A, B>(first, second),
};
