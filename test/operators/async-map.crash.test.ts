import { outputTag, type DeadLetter } from 'millrace';
import { simulate } from 'millrace/testing';
import { expect, test } from 'vitest';

interface Job {
  readonly key: string;
  readonly n: number;
}

const jobs = Array.from({ length: 12 }, (_, n): Job => ({ key: `k${n % 3}`, n }));

test('perKey: through crashes calls of one key never overlap and keep its order, and what fails goes to the dead letters once', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const letters = outputTag<DeadLetter>('letters');
    const { received } = await simulate({
      seed,
      pipeline: (env, process) => {
        const busy = new Set<string>();
        const mapped = env
          .fromSource(process.source({ name: 'jobs', splits: { only: jobs } }))
          .keyBy(({ key }) => key)
          .asyncMap(
            async ({ key, n }, call) => {
              if (busy.has(key)) process.fail(`two calls of ${key}`);
              busy.add(key);
              try {
                await process.call(call, { answer: () => n });
              } finally {
                busy.delete(key);
              }
              if (n % 5 === 4) throw new RangeError(`no ${n}`);
              return { key, n };
            },
            { perKey: true, inFlightMax: 2, deadLetters: letters },
          );
        mapped.sinkTo(process.collect<Job>('done'));
        mapped
          .sideOutput(letters)
          .map(({ input }) => (input as Job).n)
          .sinkTo(process.collect<number>('failed'));
      },
    });
    const done = received.get('done') as readonly Job[];
    for (const each of ['k0', 'k1', 'k2']) {
      expect(done.filter(({ key }) => key === each).map(({ n }) => n)).toEqual(
        jobs.filter(({ key, n }) => key === each && n % 5 !== 4).map(({ n }) => n),
      );
    }
    expect((received.get('failed') as readonly number[]).toSorted()).toEqual([4, 9]);
  }
});

test('a result that is tried again: through crashes in the middle of a back-off each value gives one result, and no call is made again whose outcome is known', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const { received } = await simulate({
      seed,
      pipeline: (env, process) => {
        env
          .fromSource(process.source({ name: 'jobs', splits: { only: jobs } }))
          .asyncMap(
            async ({ n }, call): Promise<readonly number[]> => {
              const answer = await process.call(call, { answer: () => n, latencyMax: 20 });
              return call.attempt <= n % 3 ? [] : [answer];
            },
            {
              inFlightMax: 3,
              order: 'arrival',
              retry: { attempts: 5, initialInterval: 30, retryOnResult: (list) => list.length === 0 },
            },
          )
          .flatMap((list) => list)
          .sinkTo(process.collect<number>('done'));
      },
    });
    expect(received.get('done')).toEqual(jobs.map(({ n }) => n));
  }
});
