/**
 * First in, first out: the queue of whatever waits its turn in memory. It has no bound of its own; who fills it has
 * (I10).
 */

/** From here on what has left is given back when it is half of what is kept; a shorter queue is not worth it. Items. */
const compactMin = 32;

/** A queue whose `push` and `shift` take the same time however long it is, and which keeps nothing that has left. */
export class Fifo<T> {
  readonly #items: (T | undefined)[] = [];
  /** Where the oldest stands. */
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The oldest, which stays; undefined when there is none. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes out the oldest; undefined when there is none. */
  shift(): T | undefined {
    const items = this.#items;
    if (this.#head === items.length) return undefined;
    const item = items[this.#head];
    items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === items.length) {
      items.length = 0;
      this.#head = 0;
    } else if (this.#head >= compactMin && this.#head * 2 >= items.length) {
      items.copyWithin(0, this.#head);
      items.length -= this.#head;
      this.#head = 0;
    }
    return item;
  }
}
