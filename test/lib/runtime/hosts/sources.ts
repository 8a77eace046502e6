/** A source host by hand, and what comes out of it. */
import { collection, systemClock, WatermarkStrategy } from '../../../../lib/index.ts';
import type { Source, SourceBatch } from '../../../../lib/core/connector.ts';
import { MIN_TIMESTAMP, type Timestamp } from '../../../../lib/core/element.ts';
import { Places } from '../../../../lib/runtime/edges/places.ts';
import { SourceHost } from '../../../../lib/runtime/hosts/source-host.ts';
import type { Split } from '../../../../lib/runtime/hosts/split.ts';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';

export interface Stamped {
  readonly n: number;
  readonly ts: Timestamp;
}

export class HostedSource<T> {
  readonly places = new Places();
  readonly host: SourceHost<T>;
  readonly log: (readonly ['record', T, Timestamp] | readonly ['watermark', Timestamp] | readonly ['idle', boolean])[] =
    [];
  /** Records that came when the watermark had passed them. */
  readonly late: T[] = [];
  readonly lines: string[] = [];
  readonly metrics = new MetricTree({ job: 'test', clock: systemClock });
  watermark = MIN_TIMESTAMP;
  /** What a watermark brings about. */
  onWatermark: () => void = () => {};

  constructor(strategy: WatermarkStrategy<T>, source: Source<T> = collection<T>([])) {
    const note = (_facts: unknown, message?: string): void => void this.lines.push(message ?? '');
    this.host = new SourceHost<T>({
      jobId: 'job',
      uid: 'src',
      number: 1,
      source,
      strategy,
      sides: new Map(),
      places: this.places,
      metrics: this.metrics.root,
      logger: { warn: note, error: note } as never, // Nothing else of a logger is used.
      output: {
        record: (value, timestamp) => {
          this.log.push(['record', value, timestamp]);
          if (timestamp <= this.watermark) this.late.push(value);
        },
        watermark: (timestamp) => {
          this.watermark = timestamp;
          this.log.push(['watermark', timestamp]);
          this.onWatermark();
        },
        status: (idle) => void this.log.push(['idle', idle]),
      },
    });
  }

  /** A split that is asked: what it reads is what `give` is called with. */
  split(name: string): Split<T> {
    return this.host.addSplit(name);
  }

  watermarks(): Timestamp[] {
    return this.log.flatMap((each) => (each[0] === 'watermark' ? [each[1]] : []));
  }
}

export const batchOf = <T>(values: readonly T[], more: Partial<SourceBatch<T>> = {}): SourceBatch<T> => ({
  values,
  position: (count) => count,
  ...more,
});
