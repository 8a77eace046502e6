/** What comes out where watermarks are made and where they are merged. */
import type { Timestamp } from '../../core/element.ts';

/** What a generator or a merge lets out: `active` goes before the watermark, and the watermark before `idle`. */
export interface WatermarkChange {
  readonly watermark?: Timestamp | undefined;
  readonly idle?: boolean | undefined;
}

/** Nothing new to say: one object, since most steps end here. */
export const noChange: WatermarkChange = {};
