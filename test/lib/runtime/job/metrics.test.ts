import { describe, expect, test } from 'vitest';
import { callbackSink } from '../../../../connectors/callback-sink.ts';
import { collection } from '../../../../connectors/collection.ts';
import { systemClock } from '../../../../lib/core/clock.ts';
import type { Operator } from '../../../../lib/core/operator.ts';
import { StreamGraph } from '../../../../lib/runtime/edges/graph.ts';
import { Job } from '../../../../lib/runtime/job/job.ts';
import { makeLogger } from '../../../../lib/runtime/job/logging.ts';
import { JobMetrics, type MetricSnapshot } from '../../../../lib/runtime/job/metrics.ts';
import { noRestart } from '../../../../lib/runtime/job/restart.ts';
import { WatermarkStrategy } from '../../../../lib/runtime/edges/watermark-strategy.ts';
import { MemoryStorage } from '../../../../lib/state/memory-storage.ts';
import { StepClock } from '../../../connectors/manual-clock.ts';

const settings = {
  timersAtEnd: 'drop' as const,
  maxParallelism: 128,
  serialiseEdges: false,
  strictReplay: false,
  allowUnclaimedState: false,
  dirtyMax: 50_000,
  dirtyBytesMax: 32 << 20,
  timersPerTurn: 128,
  cacheMax: 1_000_000,
  tickMs: 50,
  freezeState: true,
  freeze: false,
};

/** Starts work for each input under a hold; it ends when the test says so. */
const waiting =
  (gate: Promise<void>): Operator<string, string> =>
  (context) => {
    const holds = context.holds();
    const work = context.work<{ value: string; hold: number }, string>({
      name: 'wait',
      run: ({ value }) => gate.then(() => value),
      apply({ hold }, outcome) {
        if (outcome.ok) holds.emit(hold, outcome.value, 0);
        holds.release(hold);
      },
    });
    return { process: (value) => work.submit({ value, hold: holds.take() }) };
  };

const startJob = (gate: Promise<void>, sink: (value: string) => void): Job => {
  const graph = new StreamGraph();
  const strategy = WatermarkStrategy.monotonous<string>().withTimestamps((value) => value.charCodeAt(0));
  const source = graph.add('letters', { kind: 'source', source: collection(['a', 'b', 'a']), strategy }, []);
  const operator = graph.add('wait', { kind: 'operator', operator: waiting(gate) as never, boundary: true }, [
    { from: source.id, partitioning: { kind: 'hash', keyOf: (value: string) => value } },
  ]);
  graph.add('out', { kind: 'sink', sink: callbackSink<string>(sink) as never }, [
    { from: operator.id, partitioning: { kind: 'forward' } },
  ]);
  return new Job({
    name: 'letters',
    graph,
    settings,
    storage: new MemoryStorage(),
    clock: systemClock,
    logger: makeLogger('silent'),
    metrics: new JobMetrics({ job: 'letters', clock: systemClock }),
    restart: noRestart(),
    intervalMs: undefined,
    stopTimeoutMs: 1000,
  });
};

/** Waits for a number of the job; a job that fails meanwhile fails the test. */
const until = async (job: Job, name: string, value: number): Promise<void> => {
  while ((await job.metrics.snapshot())[name] !== value) {
    if (job.status.state === 'failed') await job.done;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

test('the numbers of a job while it waits, and when it has ended', async () => {
  let open = (): void => {};
  const out: string[] = [];
  const job = startJob(new Promise<void>((resolve) => (open = resolve)), (value) => void out.push(value));
  await until(job, 'operator.letters.currentOutputWatermark', Number.POSITIVE_INFINITY);
  const live = await job.metrics.snapshot();
  expect(live).toMatchObject({
    numRestarts: 0,
    workOpen: 3,
    'operator.letters.numRecordsOut': 3,
    'operator.out.numRecordsIn': 0,
    'operator.wait.workOpen': 3,
    'operator.wait.workInFlight': 3,
    'operator.wait.holdsOpen': 3,
    'place.wait.work.depth': 3,
    'place.wait.work.max': 2000,
  });
  expect(live['longestTurnMs']).toBeGreaterThan(0);
  expect(live['dirtyEntries']).toBeGreaterThan(0);
  const text = await job.metrics.text();
  expect(text).toContain('millrace_operator_numRecordsOut{job="letters",operator="letters"} 3');
  expect(text).toContain('millrace_place_depth{job="letters",place="wait.work"} 3');
  expect(job.metrics.watermarkHolders()).toContainEqual({
    operator: 'wait',
    key: 'a',
    watermark: Number.POSITIVE_INFINITY,
    waiting: 2,
    heldMs: expect.any(Number) as number,
  });

  open();
  await job.done;
  expect(out.toSorted()).toEqual(['a', 'a', 'b']);
  const over = await job.metrics.snapshot();
  expect(over).toMatchObject({ numberOfCompletedCheckpoints: 1, lastCheckpointId: 1, 'checkpointDurationMs.count': 1 });
  expect(over).toMatchObject({ workOpen: 0, 'operator.letters.numRecordsOut': 3, 'operator.out.numRecordsIn': 3 });
  expect(job.metrics.watermarkHolders()).toEqual([]);
});

describe('without a job', () => {
  test('nothing is said of a domain that is not there', async () => {
    const metrics = new JobMetrics({ job: 'none', clock: new StepClock() });
    metrics.observe({ domain: () => undefined, restarts: () => 2 });
    expect(await metrics.snapshot()).toEqual({
      numRestarts: 2,
      numberOfCompletedCheckpoints: 0,
      'checkpointDurationMs.count': 0,
      'checkpointDurationMs.sum': 0,
    });
    expect(metrics.watermarkHolders()).toEqual([]);
  });

  test('a checkpoint is reported', async () => {
    const metrics = new JobMetrics({ job: 'none', clock: new StepClock() });
    metrics.onCheckpoint({ id: 4, durationMs: 12, bytes: 1000, entries: 10, longestSliceMs: 3 });
    metrics.onCheckpoint({ id: 5, durationMs: 20, bytes: 2000, entries: 20, longestSliceMs: 2 });
    expect(await metrics.snapshot()).toMatchObject({
      numberOfCompletedCheckpoints: 2,
      lastCheckpointId: 5,
      lastCheckpointDurationMs: 20,
      lastCheckpointBytes: 2000,
      lastCheckpointEntries: 20,
      lastCheckpointLongestSliceMs: 2,
      'checkpointDurationMs.sum': 32,
    });
  });

  test('belongs to one job', () => {
    const metrics = new JobMetrics({ job: 'none', clock: new StepClock() });
    metrics.observe({ domain: () => undefined, restarts: () => 0 });
    expect(() => metrics.observe({ domain: () => undefined, restarts: () => 0 })).toThrow(TypeError);
  });
});

describe('snapshots$', () => {
  test('emits each interval, and only while somebody is subscribed', () => {
    const clock = new StepClock();
    const metrics = new JobMetrics({ job: 'none', clock, intervalMs: 100 });
    const counter = metrics.root.getCounter('n');
    const seen: (number | undefined)[] = [];
    expect(clock.waiting).toBe(0);
    const subscription = metrics.snapshots$.subscribe((snapshot: MetricSnapshot) => seen.push(snapshot['n']));
    for (let at = 0; at < 3; at += 1) {
      counter.inc();
      clock.advance(100);
    }
    expect(seen).toEqual([1, 2, 3]);
    subscription.unsubscribe();
    expect(clock.waiting).toBe(0);
  });

  test('completes with the job and holds no timer then', () => {
    const clock = new StepClock();
    const metrics = new JobMetrics({ job: 'none', clock, intervalMs: 100 });
    let completed = 0;
    metrics.snapshots$.subscribe({ complete: () => (completed += 1) });
    metrics.snapshots$.subscribe({ complete: () => (completed += 1) });
    metrics.close();
    metrics.close();
    metrics.snapshots$.subscribe({ complete: () => (completed += 1) });
    expect([completed, clock.waiting]).toEqual([3, 0]);
  });

  test('refuses a nonsensical interval', () => {
    expect(() => new JobMetrics({ job: 'none', clock: new StepClock(), intervalMs: 0 })).toThrow(
      'Expected `intervalMs` to be an integer from 1 up',
    );
  });
});
