/**
 * Makes the streams that a `DataStream` gives and can not import, because they extend it. The environment holds it; all
 * that is below sees its type.
 */
import type { Key } from '../core/key.ts';
import { refusal } from '../core/options.ts';
import { DataStream } from './data-stream.ts';
import { BroadcastConnectedStream, BroadcastStream } from './broadcast-streams.ts';
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
  broadcast<U>(origin: Origin): BroadcastStream<U>;
  /** Another stream of any kind beside one; throws a `TypeError` for what is none. */
  connected<A, B>(first: Origin, second: unknown): ConnectedStreams<A, B> | BroadcastConnectedStream<A, B>;
}

export const streamKinds: StreamKinds = {
  keyed: <T, K extends Key>(origin: Origin) => new KeyedStream<T, K>(origin),
  joined: (left, right, kind) => new JoinedStreams(left, right, kind),
  broadcast: <U>(origin: Origin) => new BroadcastStream<U>(origin),
  connected: <A, B>(first: Origin, second: unknown) => {
    if (second instanceof BroadcastStream) return new BroadcastConnectedStream<A, B>(first, second.origin);
    if (second instanceof DataStream) return new ConnectedStreams<A, B>(first, second.origin);
    throw refusal('connect', 'given a stream', second);
  },
};
