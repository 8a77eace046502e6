/** One pipeline beside a loop that makes the same results of the same records. */
import assert from 'node:assert/strict';
import { alternate, atMost, type BenchCase, type Scale } from './case.ts';

/** What a run makes: as many results, with as great a sum, whoever computes them. */
export interface Tally {
  records: number;
  sum: number;
}

export const addTo =
  (tally: Tally) =>
  (value: number): void => {
    tally.records += 1;
    tally.sum += value;
  };

/** Inputs that are made, and both ways to go over them. */
export interface Contest {
  /** Records that one run takes in. */
  readonly count: number;
  readonly loop: () => Tally | Promise<Tally>;
  readonly engine: () => Promise<Tally>;
}

export interface ContestOptions {
  /** Of the case. */
  readonly name: string;
  /** Of the row. */
  readonly title: string;
  readonly prepare: (scale: Scale) => Contest;
  /** How many times as long as the loop it may take. @defaultValue no goal */
  readonly loopMax?: number | undefined;
}

export const againstLoop = ({ name, title, prepare, loopMax }: ContestOptions): BenchCase => ({
  name,
  async run(scale) {
    const { count, loop, engine } = prepare(scale);
    const tally = await engine();
    assert.deepEqual(tally, await loop());
    assert.ok(tally.records > 0);
    const ms = await alternate(scale, { loop, engine });
    const ratio = ms.engine / ms.loop;
    const each = `${((ms.engine * 1e6) / count).toFixed(0)} ns`;
    const made = `${(tally.records / count).toPrecision(2)} results each`;
    const goals = loopMax === undefined ? undefined : [atMost('loop x', ratio, loopMax)];
    return [{ name: title, perSecond: (count * 1000) / ms.engine, ratio, figures: [each, made], goals }];
  },
});
