/** Windows of a number of elements, made of what there is: a window without end, a trigger that counts, an evictor. */
import { integer, knownOptions } from '../../lib/core/options.ts';
import { CountEvictor } from './evictors.ts';
import { GlobalWindows } from './global-windows.ts';
import { CountTrigger, PurgingTrigger } from './triggers.ts';
import type { WindowOptions } from './window.ts';

export interface CountWindowOptions {
  /** A window fires at each so many elements, from 1 up. @defaultValue the size: windows that follow each other */
  readonly slide?: number | undefined;
  /**
   * What has come since the last window fired gives a result at the end of the input, though it is less.
   * @defaultValue false, as in Flink: it gives none
   */
  readonly tail?: boolean | undefined;
}

/** The windows of `size` elements, as an assigner with its trigger and evictor. */
export const countWindowOptions = <T>(size: number, options: CountWindowOptions): WindowOptions<T> => {
  integer('size', size, { min: 1 });
  knownOptions('countWindow', options, { slide: true, tail: true });
  const { slide, tail = false } = options;
  const assigner = GlobalWindows.create();
  if (slide === undefined) return { assigner, trigger: PurgingTrigger.of(CountTrigger.of(size, { tail })) };
  integer('slide', slide, { min: 1 });
  return { assigner, trigger: CountTrigger.of(slide, { tail }), evictor: CountEvictor.of(size) };
};
