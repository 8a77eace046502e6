/**
 * What windows with an evictor keep: all elements with their timestamps, of which some go before or behind a result.
 */
import type { Timestamp } from '../../lib/core/element.ts';
import { refuseThenable } from '../../lib/core/errors.ts';
import { refusedResult } from '../../lib/core/options.ts';
import { looseCopy } from '../../lib/core/own-copy.ts';
import { ListContents, type Contents, type ListPane, type MakeContents, type noContents } from './contents.ts';
import type { Evictor, TimestampedValue, TimeWindow } from './contract.ts';

/** What a window's function is given of the values that stay. */
export type Fold<T, C> = (values: readonly T[]) => C | typeof noContents;

type Elements<T> = readonly TimestampedValue<T>[];

/** Contents that an evictor looks at; `makeFold` makes what makes what the window's function is given. */
export const evictingContents =
  <T, C>(
    evictor: Evictor<T>,
    makeFold: (uid: string) => Fold<T, C>,
  ): MakeContents<T, ListPane<TimestampedValue<T>>, C> =>
  (context): Contents<T, ListPane<TimestampedValue<T>>, C> => {
    const { uid } = context;
    const list = new ListContents<TimestampedValue<T>>(context);
    const fold = makeFold(uid);
    /** What stays in the window while its function runs. */
    let shown: Elements<T> = [];
    const evict = (when: 'before' | 'after', elements: Elements<T>, window: TimeWindow): Elements<T> => {
      if (evictor[when] === undefined) return elements;
      const stay: unknown = evictor[when](elements, window);
      refuseThenable(stay, `\`${when}\` of the evictor`, uid);
      if (!Array.isArray(stay)) throw refusedResult(when, 'a list of the elements that stay', stay);
      return stay as Elements<T>; // The contract says of what.
    };
    return {
      panes: list.panes,
      add: (pane, value, id, timestamp: Timestamp) => list.add(pane, { value, timestamp }, id),
      get(pane, id, _kept, window) {
        shown = evict('before', list.elementsOf(pane, id), window);
        return fold(looseCopy(shown.map(({ value }) => value)));
      },
      fired(pane, id, window) {
        const stay = evict('after', shown, window);
        shown = [];
        return list.replace(pane, id, stay);
      },
      clear: (pane, id) => list.clear(pane, id),
      merge: (into, intoId, from, fromId) => list.merge(into, intoId, from, fromId),
    };
  };
