/** What a window operator is made of, whichever it is. */
import type { Key } from '../../lib/core/key.ts';
import type { OutputTag } from '../../lib/core/output-tag.ts';
import type { StateSpec } from '../process.ts';
import type { MakeContents } from './contents.ts';
import type { ProcessWindowFunction } from './window-function.ts';

/** How it keeps what a pane holds, what it calls with that, and what it does with late records. */
export interface WindowParts<T, P, C, O, W, S extends StateSpec, K extends Key> {
  readonly makeContents: MakeContents<T, P, C>;
  readonly fn: ProcessWindowFunction<C, O, W, S, K>;
  /** What the function returns is a list, whose members leave one by one. */
  readonly spreads?: boolean | undefined;
  readonly latenessMs: number;
  readonly lateTag: OutputTag<T> | undefined;
}
