/** A heap of things that each have a time, the earliest first. Those of one time come in no particular order. */
import type { Timestamp } from '../core/element.ts';

export interface Timed {
  readonly time: Timestamp;
}

export const heapPush = <T extends Timed>(heap: T[], item: T): void => {
  let index = heap.length;
  heap.push(item);
  while (index > 0) {
    const parent = (index - 1) >>> 1;
    if (timeAt(heap, parent) <= item.time) break;
    heap[index] = heap[parent] as T; // inside the bounds by construction
    index = parent;
  }
  heap[index] = item;
};

/** Takes the earliest out; undefined when there is none. */
export const heapPop = <T extends Timed>(heap: T[]): T | undefined => {
  const head = heap[0];
  const last = heap.pop();
  if (head === undefined || last === undefined || heap.length === 0) return head;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && timeAt(heap, child + 1) < timeAt(heap, child)) child += 1;
    if (timeAt(heap, child) >= last.time) break;
    heap[index] = heap[child] as T; // as above
    index = child;
  }
  heap[index] = last;
  return head;
};

// inside the bounds by construction
const timeAt = (heap: readonly Timed[], index: number): Timestamp => (heap[index] as Timed).time;
