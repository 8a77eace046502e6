/** All cases, in the order of the table. */
import { agents } from './agents.bench.ts';
import { async } from './async.bench.ts';
import type { BenchCase } from './case.ts';
import { fsync } from './fsync.bench.ts';
import { growth } from './growth.bench.ts';
import { held } from './held.bench.ts';
import { keyed } from './keyed.bench.ts';
import { nexmark } from './nexmark.bench.ts';
import { state } from './state.bench.ts';
import { stateless } from './stateless.bench.ts';
import { timed } from './timed.bench.ts';
import { due } from './timers.bench.ts';
import { windows } from './windows.bench.ts';

export const cases: readonly BenchCase[] = [
  fsync,
  ...stateless,
  ...keyed,
  ...windows,
  ...timed,
  ...async,
  ...nexmark,
  ...agents,
  ...state,
  ...held,
  ...due,
  ...growth,
];
