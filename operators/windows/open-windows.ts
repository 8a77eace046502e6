/**
 * The windows of the current key that are open, and the numbers under which their operator keeps what belongs to them.
 * Assigners that name their windows need nothing kept. For all others a list of each key says which are open: there a
 * window has an `id` that is given once, for its timers, and the least free `slot`, so that the state of all keys
 * stands in few columns.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import type { OperatorContext } from '../../lib/core/operator.ts';
import { unshared, valueState, type ValueState } from '../../lib/core/state-descriptor.ts';
import type { TimeWindow, WindowNaming } from './contract.ts';

/** An open window of a key. */
export interface Pane {
  /** Namespace of its timers. */
  readonly id: number;
  /** Under which its state stands. */
  readonly slot: number;
  readonly window: TimeWindow;
}

export interface OpenWindows {
  /** Whether the panes that `find` gives are known to be open. */
  readonly isListed: boolean;
  /** The pane of a window, which opens if it is not open yet. */
  enter(window: TimeWindow): Pane;
  /** The pane of a timer; undefined when its window is known to be gone. */
  find(id: number): Pane | undefined;
  /** The window is gone. */
  leave(pane: Pane): void;
}

/** Windows that tell their number. */
export class NamedWindows implements OpenWindows {
  readonly isListed = false;
  readonly #naming: WindowNaming;

  constructor(naming: WindowNaming) {
    this.#naming = naming;
  }

  enter(window: TimeWindow): Pane {
    const name = this.#naming.nameOf(window);
    return { id: name, slot: name, window };
  }

  find(id: number): Pane {
    return { id, slot: id, window: this.#naming.windowOf(id) };
  }

  leave(): void {}
}

/** As it is stored. */
type Listed = readonly [start: Timestamp, end: Timestamp, slot: number, id: number];

const paneOf = ([start, end, slot, id]: Listed): Pane => ({ id, slot, window: { start, end } });

/** Windows that are listed per key, in the order of their starts. */
export class ListedWindows implements OpenWindows {
  readonly isListed = true;
  readonly #list: ValueState<readonly Listed[]>;
  readonly #context: Pick<OperatorContext<never>, 'sequence'>;

  constructor(context: OperatorContext<never>) {
    this.#list = context.state(unshared(valueState<readonly Listed[]>('windows')));
    this.#context = context;
  }

  enter({ start, end }: TimeWindow): Pane {
    const list = this.#list.value() ?? [];
    const found = list.find((each) => each[0] === start && each[1] === end);
    return found === undefined ? this.#open(list, { start, end }) : paneOf(found);
  }

  find(id: number): Pane | undefined {
    const found = this.#list.value()?.find((each) => each[3] === id);
    return found && paneOf(found);
  }

  leave({ id }: Pane): void {
    const list = this.#list.value() ?? [];
    if (list.length === 1) this.#list.clear();
    else this.#list.update(list.filter((each) => each[3] !== id));
  }

  /** Those that a window meets or touches. */
  meeting({ start, end }: TimeWindow): readonly Pane[] {
    const list = this.#list.value();
    const [only] = list ?? [];
    if (list === undefined || only === undefined) return [];
    if (list.length === 1) return only[0] <= end && only[1] >= start ? [paneOf(only)] : [];
    return list.filter((each) => each[0] <= end && each[1] >= start).map(paneOf);
  }

  /** These become one, which has the numbers of the first of them; where there is none a window opens. */
  merge(panes: readonly Pane[], { start, end }: TimeWindow): Pane {
    const list = this.#list.value() ?? [];
    const [first] = panes;
    if (first === undefined) return this.#open(list, { start, end });
    const gone = new Set(panes.map(({ id }) => id));
    const merged: Listed = [start, end, first.slot, first.id];
    this.#list.update(inOrder([...list.filter((each) => !gone.has(each[3])), merged]));
    return paneOf(merged);
  }

  #open(list: readonly Listed[], { start, end }: TimeWindow): Pane {
    const taken = new Set(list.map((each) => each[2]));
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    const opened: Listed = [start, end, slot, this.#context.sequence()];
    this.#list.update(inOrder([...list, opened]));
    return paneOf(opened);
  }
}

const inOrder = (list: readonly Listed[]): readonly Listed[] =>
  list.length < 2 ? list : list.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
