import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { WatermarkGenerator } from '../../../../lib/runtime/edges/watermark-generator.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';

it('a generator stays behind every record by the bound and never goes back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -100, max: 100 }), { maxLength: 60 }),
      fc.integer({ min: 0, max: 20 }),
      (records, bound) => {
        const generator = new WatermarkGenerator(WatermarkStrategy.boundedOutOfOrderness(bound));
        let [last, greatest] = [MIN_TIMESTAMP, MIN_TIMESTAMP];
        for (const at of records) {
          generator.onRecords(at);
          greatest = Math.max(greatest, at);
          const watermark = generator.emit();
          if (watermark === undefined) expect(greatest - bound - 1).toBe(last);
          else {
            expect(watermark).toBe(greatest - bound - 1);
            expect(watermark).toBeGreaterThan(last);
            last = watermark;
          }
        }
      },
    ),
  );
});
