/** The events of the generator as a source. A position is a number of events, so a restart goes on at once. */
import { WatermarkStrategy, type Source } from 'millrace';
import { NexmarkGenerator, type NexmarkOptions } from './generator.ts';
import type { NexmarkEvent } from './model.ts';

export interface NexmarkSourceOptions extends Omit<NexmarkOptions, 'firstEventId' | 'generators'> {
  /** How many events. @defaultValue endless */
  readonly events?: number | undefined;
  /** How many splits share them: each has ids of its own. More than one needs `events`. @defaultValue 1 */
  readonly splits?: number | undefined;
  /** Is told that one more event was made. */
  readonly onEvent?: (() => void) | undefined;
}

const batchSize = 512;

/** What a split has: its generator, and how many events that makes. */
const partOf = (options: NexmarkSourceOptions, index: number) => {
  const { events = Number.MAX_SAFE_INTEGER, splits = 1 } = options;
  const share = Math.floor(events / splits);
  const count = index === splits - 1 ? events - share * index : share;
  return { count, generator: new NexmarkGenerator({ ...options, firstEventId: share * index, generators: splits }) };
};

export const nexmarkSource = (options: NexmarkSourceOptions = {}): Source<NexmarkEvent, number> => {
  const { events, splits = 1, onEvent } = options;
  if (!Number.isSafeInteger(splits) || splits < 1 || (splits > 1 && events === undefined))
    throw new TypeError(`Expected \`splits\` to be an integer from 1 up, 1 without \`events\`, got \`${splits}\``);
  return {
    name: 'nexmark',
    replayable: true,
    splits: async () => Array.from({ length: splits }, (_, index) => `${index}`),
    async open(split, position = 0) {
      const { count, generator } = partOf(options, Number(split));
      let next = position;
      return {
        async read() {
          if (next >= count) return undefined;
          const first = next;
          const values = new Array<NexmarkEvent>(Math.min(batchSize, count - first));
          for (let at = 0; at < values.length; at += 1) {
            values[at] = generator.at(first + at);
            onEvent?.();
          }
          next += values.length;
          return { values, position: (consumed) => first + consumed };
        },
        async close() {},
      };
    },
  };
};

/** Events are at most 4 seconds late. */
export const nexmarkWatermarks = WatermarkStrategy.boundedOutOfOrderness<NexmarkEvent>('4s').withTimestamps(
  ({ ts }) => ts,
);
