/**
 * The bounded places of a job (I10): inboxes, open work, unsealed sink buffers, the dirty set. While any is full,
 * sources are not pulled; inside the graph nothing ever blocks, so there is no deadlock.
 */
import type { Place, PlaceOptions } from '../../core/operator.ts';

export class Places {
  readonly #places: BoundedPlace[] = [];
  #full = 0;
  #onRoom: () => void = () => {};

  /** True while sources must not be pulled. Read once per record, so it is a field behind a getter and nothing more. */
  get full(): boolean {
    return this.#full > 0;
  }

  /** Called when the last full place has room again. */
  onRoom(listener: () => void): void {
    this.#onRoom = listener;
  }

  make(options: PlaceOptions): Place {
    const place = new BoundedPlace(options, (delta) => {
      this.#full += delta;
      if (this.#full === 0) this.#onRoom();
    });
    this.#places.push(place);
    return place;
  }

  /** Name and depth of each place, for metrics and for the watchdog's message. */
  depths(): readonly { readonly name: string; readonly count: number; readonly max: number }[] {
    return this.#places.map(({ name, count, max }) => ({ name, count, max }));
  }
}

class BoundedPlace implements Place {
  readonly name: string;
  readonly max: number;
  readonly #onChange: (delta: 1 | -1) => void;
  #count = 0;

  constructor({ name, max }: PlaceOptions, onChange: (delta: 1 | -1) => void) {
    this.name = name;
    this.max = max;
    this.#onChange = onChange;
  }

  get count(): number {
    return this.#count;
  }

  add(count: number): void {
    const before = this.#count >= this.max;
    this.#count += count;
    const after = this.#count >= this.max;
    if (before !== after) this.#onChange(after ? 1 : -1);
  }
}
