/** Operators without state: a hand-written loop, RxJS and the whole engine do the same to the same records. */
import { filter as rxFilter, from, map as rxMap } from 'rxjs';
import { StreamExecutionEnvironment } from '../../lib/environment.ts';
import { alternate, atLeast, atMost, makeDraw, type BenchCase, type Row, type Scale } from './case.ts';
import { laps, voidSink } from './places.ts';

interface Item {
  readonly id: number;
  readonly value: number;
}

const double = ({ id, value }: Item): Item => ({ id, value: value * 2 });
const add = ({ id, value }: Item): Item => ({ id, value: value + 7 });
const halve = ({ id, value }: Item): Item => ({ id, value: value >> 1 });
const mix = ({ id, value }: Item): Item => ({ id, value: value ^ id });
const fold = ({ id, value }: Item): Item => ({ id, value: value & 0xffff });
const notThird = ({ value }: Item): boolean => value % 3 !== 0;
const small = ({ value }: Item): boolean => value < 1_000_000;
const positive = ({ value }: Item): boolean => value >= 0;
const notMagic = ({ value }: Item): boolean => value !== 4711;
const notSeventh = ({ value }: Item): boolean => value % 7 !== 0;

let sum = 0;
const sink = ({ value }: Item): void => {
  sum += value;
};

const loopTwo = (items: readonly Item[]): void => {
  for (const item of items) {
    const doubled = double(item);
    if (notThird(doubled)) sink(doubled);
  }
};

const loopTen = (items: readonly Item[]): void => {
  for (const item of items) {
    const a = double(item);
    if (!notThird(a)) continue;
    const b = add(a);
    if (!small(b)) continue;
    const c = halve(b);
    if (!positive(c)) continue;
    const d = mix(c);
    if (!notMagic(d)) continue;
    const e = fold(d);
    if (notSeventh(e)) sink(e);
  }
};

const rxTwo = (items: readonly Item[]): void =>
  void from(items).pipe(rxMap(double), rxFilter(notThird)).subscribe(sink);

const rxTen = (items: readonly Item[]): void => {
  // `pipe` types nine operators at most.
  const first = from(items).pipe(rxMap(double), rxFilter(notThird), rxMap(add), rxFilter(small), rxMap(halve));
  first.pipe(rxFilter(positive), rxMap(mix), rxFilter(notMagic), rxMap(fold), rxFilter(notSeventh)).subscribe(sink);
};

const engineTwo = async (items: readonly Item[]): Promise<void> => {
  const env = StreamExecutionEnvironment.create();
  env.fromSource(laps(items)).map(double).filter(notThird).sinkTo(voidSink(sink));
  await env.execute();
};

const engineTen = async (items: readonly Item[]): Promise<void> => {
  const env = StreamExecutionEnvironment.create();
  const first = env.fromSource(laps(items)).map(double).filter(notThird).map(add).filter(small).map(halve);
  first.filter(positive).map(mix).filter(notMagic).map(fold).filter(notSeventh).sinkTo(voidSink(sink));
  await env.execute();
};

const itemsOf = (count: number): readonly Item[] => {
  const draw = makeDraw();
  return Array.from({ length: count }, (_, id) => ({ id, value: draw(1_000_000) }));
};

const rowOf = (
  name: string,
  count: number,
  ms: { loop: number; rxjs: number; engine: number },
  more: Pick<Row, 'goals'>,
): Row => ({
  name,
  perSecond: (count * 1000) / ms.engine,
  ratio: ms.engine / ms.loop,
  figures: [
    `${((ms.engine * 1e6) / count).toFixed(0)} ns`,
    `loop ${((ms.loop * 1e6) / count).toFixed(0)} ns`,
    `RxJS ${((ms.rxjs * 1e6) / count).toFixed(0)} ns`,
    `${(ms.rxjs / ms.engine).toFixed(1)}x faster than RxJS`,
  ],
  ...more,
});

const two: BenchCase = {
  name: 'map-filter',
  async run(scale) {
    const items = itemsOf(scale.size(2_000_000, 2000));
    const ms = await alternate(scale, {
      loop: () => loopTwo(items),
      rxjs: () => rxTwo(items),
      engine: () => engineTwo(items),
    });
    return [rowOf('map + filter', items.length, ms, { goals: [atMost('loop x', ms.engine / ms.loop, 4)] })];
  },
};

const ten: BenchCase = {
  name: 'ten-operators',
  async run(scale: Scale) {
    const items = itemsOf(scale.size(2_000_000, 2000));
    const ms = await alternate(scale, {
      loop: () => loopTen(items),
      rxjs: () => rxTen(items),
      engine: () => engineTen(items),
    });
    const goals = [atMost('loop x', ms.engine / ms.loop, 1.5), atLeast('RxJS x', ms.rxjs / ms.engine, 3)];
    return [rowOf('10 stateless operators', items.length, ms, { goals })];
  },
};

export const stateless: readonly BenchCase[] = [two, ten];
