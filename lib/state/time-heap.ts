/**
 * A heap: what comes before all others first. Things that each have a time come by that, those of one time in no
 * particular order, unless another order is given.
 */
import type { Timestamp } from '../core/element.ts';

export interface Timed {
  readonly time: Timestamp;
}

/** Whether the first of two comes before the second. */
type Before<T> = (a: T, b: T) => boolean;

const isEarlier: Before<Timed> = (a, b) => a.time < b.time;

export const heapPush = <T extends Timed>(heap: T[], item: T, isBefore: Before<T> = isEarlier): void => {
  let index = heap.length;
  heap.push(item);
  while (index > 0) {
    const parent = (index - 1) >>> 1;
    if (!isBefore(item, heap[parent] as T)) break; // inside the bounds by construction
    heap[index] = heap[parent] as T; // as above
    index = parent;
  }
  heap[index] = item;
};

/** Takes the earliest out; undefined when there is none. */
export const heapPop = <T extends Timed>(heap: T[], isBefore: Before<T> = isEarlier): T | undefined => {
  const head = heap[0];
  const last = heap.pop();
  if (head === undefined || last === undefined || heap.length === 0) return head;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1] as T, heap[child] as T)) child += 1; // as above
    if (!isBefore(heap[child] as T, last)) break; // as above
    heap[index] = heap[child] as T; // as above
    index = child;
  }
  heap[index] = last;
  return head;
};
