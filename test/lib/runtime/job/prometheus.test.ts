import { Counter, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { register, textOf, type Series } from '../../../../lib/runtime/job/prometheus.ts';

/** One number of one job. */
const seriesOf = (job: string, read: () => number, more: Partial<Series> = {}): Series => {
  const { kind = 'gauge', name = 'depth' } = more;
  return {
    kind,
    name,
    described: () => ({ name, help: `of ${job}`, type: kind, aggregator: 'sum' }),
    values: () => [{ value: read(), labels: { job } }],
    ...more,
  };
};

const linesOf = async (registry: Registry): Promise<readonly string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

describe('a registry', () => {
  test('reads the number when it is asked, and not before', async () => {
    const registry = new Registry();
    let depth = 1;
    register(
      seriesOf('a', () => depth),
      registry,
    );
    depth = 7;
    expect(await registry.metrics()).toBe('# HELP depth of a\n# TYPE depth gauge\ndepth{job="a"} 7\n');
    depth = 8;
    expect(await linesOf(registry)).toEqual(['depth{job="a"} 8']);
  });

  test('takes each name once, and has the series of every job under it', async () => {
    const registry = new Registry();
    for (const job of ['a', 'b', 'c'])
      register(
        seriesOf(job, () => 1),
        registry,
      );
    expect(registry.getMetricsAsArray()).toHaveLength(1);
    expect(await linesOf(registry)).toEqual(['depth{job="a"} 1', 'depth{job="b"} 1', 'depth{job="c"} 1']);
    expect(await registry.metrics()).toContain('# HELP depth of a\n');
  });

  test('has a series once, however often it is put in', async () => {
    const registry = new Registry();
    const series = seriesOf('a', () => 1);
    for (let times = 0; times < 3; times += 1) register(series, registry);
    expect(await linesOf(registry)).toEqual(['depth{job="a"} 1']);
  });

  test('that was emptied takes them anew, and forgets those of before', async () => {
    const registry = new Registry();
    const series = seriesOf('a', () => 1);
    register(series, registry);
    registry.clear();
    expect(await linesOf(registry)).toEqual([]);
    register(
      seriesOf('b', () => 2),
      registry,
    );
    expect(await linesOf(registry)).toEqual(['depth{job="b"} 2']);
    register(series, registry);
    expect(await linesOf(registry)).toEqual(['depth{job="b"} 2', 'depth{job="a"} 1']);
  });

  test('has nothing of what another has', async () => {
    const [one, other] = [new Registry(), new Registry()];
    register(
      seriesOf('a', () => 1),
      one,
    );
    register(
      seriesOf('b', () => 2),
      other,
    );
    expect([await linesOf(one), await linesOf(other)]).toEqual([['depth{job="a"} 1'], ['depth{job="b"} 2']]);
  });

  test('may be reset: the numbers belong to those who count', async () => {
    const registry = new Registry();
    register(
      seriesOf('a', () => 5),
      registry,
    );
    registry.resetMetrics();
    expect(await linesOf(registry)).toEqual(['depth{job="a"} 5']);
  });
});

describe('one name', () => {
  test('means one kind, and what is refused changes nothing', async () => {
    const registry = new Registry();
    register(
      seriesOf('a', () => 1),
      registry,
    );
    expect(() =>
      register(
        seriesOf('b', () => 2, { kind: 'counter' }),
        registry,
      ),
    ).toThrow('Expected the metric `depth` to be a gauge as in the other job, got a counter');
    expect(await linesOf(registry)).toEqual(['depth{job="a"} 1']);
  });

  test('that is somebody else’s stays his', async () => {
    const registry = new Registry();
    new Counter({ name: 'depth', help: 'of the program', registers: [registry] }).inc(3);
    for (let times = 0; times < 2; times += 1)
      expect(() =>
        register(
          seriesOf('a', () => 1),
          registry,
        ),
      ).toThrow(/already been registered/);
    expect(await linesOf(registry)).toEqual(['depth 3']);
  });
});

describe('the text', () => {
  test('has all series, in their order', async () => {
    const all = [seriesOf('a', () => 1, { name: 'x' }), seriesOf('a', () => 2, { name: 'y', kind: 'counter' })];
    expect(await textOf(all)).toBe(
      '# HELP x of a\n# TYPE x gauge\nx{job="a"} 1\n\n# HELP y of a\n# TYPE y counter\ny{job="a"} 2\n',
    );
  });

  test('is empty where nothing is counted, and leaves the default registry of prom-client alone', async () => {
    const { register: shared } = await import('prom-client');
    const before = shared.getMetricsAsArray().length;
    expect(await textOf([])).toBe('\n');
    await textOf([seriesOf('a', () => 1)]);
    expect(shared.getMetricsAsArray()).toHaveLength(before);
  });
});
