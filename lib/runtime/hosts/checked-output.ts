/**
 * What an operator of a user's own hands records on with: the timestamps of the engine's operators come from records,
 * or are checked where a user's function gives them; those of any other operator are checked here (I16).
 */
import type { Holds } from '../../core/hold.ts';
import type { Output } from '../../core/operator.ts';
import { checkTimestampOrNone } from '../../core/timestamp.ts';

const emitted = 'a record that it emits';
const sent = (tag: string): string => `a record that it sends to side output \`${tag}\``;

export const checkedOutput = <O>(uid: string, output: Output<O>): Output<O> => ({
  emit(value, timestamp) {
    checkTimestampOrNone(timestamp, uid, emitted);
    output.emit(value, timestamp);
  },
  side(tag, value, timestamp) {
    checkTimestampOrNone(timestamp, uid, sent(tag.id));
    output.side(tag, value, timestamp);
  },
  isRead: (tag) => output.isRead(tag),
});

/** What is emitted in a hold may be stored until it leaves, so it is checked before. */
export const checkedHolds = <O>(uid: string, holds: Holds<O>): Holds<O> => ({
  take: () => holds.take(),
  blocks: (timestamp) => holds.blocks(timestamp),
  emit(hold, value, timestamp) {
    checkTimestampOrNone(timestamp, uid, emitted);
    holds.emit(hold, value, timestamp);
  },
  side(hold, tag, value, timestamp) {
    checkTimestampOrNone(timestamp, uid, sent(tag.id));
    holds.side(hold, tag, value, timestamp);
  },
  release: (hold) => holds.release(hold),
});
