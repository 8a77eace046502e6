/** Against an array: what comes out, and in which order, whatever the history. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from '../../../lib/core/fifo.ts';

/** How many are put in, and then how many are asked for. */
const step = fc.tuple(fc.nat(150), fc.nat(150));

test('gives what an array gives', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const [pushes, shifts] of steps) {
        for (let i = 0; i < pushes; i += 1, next += 1) {
          fifo.push(next);
          model.push(next);
        }
        for (let i = 0; i < shifts; i += 1) {
          expect(fifo.first).toBe(model[0]);
          expect(fifo.shift()).toBe(model.shift());
          expect(fifo.size).toBe(model.length);
        }
      }
    }),
  );
});

test('undefined may wait too', () => {
  const fifo = new Fifo<undefined>();
  fifo.push(undefined);
  expect(fifo.size).toBe(1);
  expect(fifo.shift()).toBeUndefined();
  expect(fifo.size).toBe(0);
  expect(fifo.shift()).toBeUndefined();
  expect(fifo.size).toBe(0);
});

test('what has left is not kept, and a long queue costs no more per item', async () => {
  const fifo = new Fifo<object>();
  let item: object | undefined = {};
  const gone = new WeakRef(item);
  fifo.push(item);
  for (let i = 0; i < 200_000; i += 1) fifo.push({});
  item = undefined;
  fifo.shift();
  const before = process.cpuUsage();
  // With an array's `shift` this takes some 10 s.
  for (let i = 0; i < 200_000; i += 1) {
    fifo.push(fifo.shift() ?? {});
  }
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000);
  expect(fifo.size).toBe(200_000);
  setFlagsFromString('--expose-gc');
  await new Promise((resolve) => setTimeout(resolve, 0)); // Until then `gone` holds what it names.
  (runInNewContext('gc') as () => void)(); // what the flag puts there
  expect(gone.deref()).toBeUndefined();
});
