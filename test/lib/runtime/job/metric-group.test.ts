import fc from 'fast-check';
import { Counter, Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { MetricTree } from '../../../../lib/runtime/job/metric-group.ts';
import { StepClock } from '../../../connectors/manual-clock.ts';

const makeTree = (): { tree: MetricTree; clock: StepClock } => {
  const clock = new StepClock();
  return { tree: new MetricTree({ job: 'reviews', clock }), clock };
};

describe('names', () => {
  test('a group with a value is part of the name and a label; a group without is part of the name', async () => {
    const { tree } = makeTree();
    tree.root
      .getSubGroup('operator', 'analysis')
      .getSubGroup('action', 'ask')
      .getSubGroup('model', 'gpt')
      .getCounter('promptTokens')
      .inc(7);
    tree.root.getSubGroup('long-term-memory').getCounter('completionTokens').inc(2);
    const text = await tree.text();
    expect(text).toContain(
      'millrace_operator_action_model_promptTokens{job="reviews",operator="analysis",action="ask",model="gpt"} 7',
    );
    expect(text).toContain('millrace_long_term_memory_completionTokens{job="reviews"} 2');
    expect(tree.snapshot()).toEqual({
      'operator.analysis.action.ask.model.gpt.promptTokens': 7,
      'long-term-memory.completionTokens': 2,
    });
  });

  test('one family holds series with different labels', async () => {
    const { tree } = makeTree();
    tree.root.getSubGroup('queue', 'a').getGauge('depth').set(1);
    tree.root.getSubGroup('queue', 'b').getGauge('depth').set(2);
    tree.root.getSubGroup('queue').getGauge('depth').set(3);
    const text = await tree.text();
    expect(text.match(/^# TYPE millrace_queue_depth gauge$/gm)).toHaveLength(1);
    expect(text.match(/^millrace_queue_depth\{.*$/gm)).toEqual([
      'millrace_queue_depth{job="reviews",queue="a"} 1',
      'millrace_queue_depth{job="reviews",queue="b"} 2',
      'millrace_queue_depth{job="reviews"} 3',
    ]);
  });

  test("labels of Prometheus's and the job's own stay theirs, and values are escaped", async () => {
    const { tree } = makeTree();
    tree.root.getSubGroup('job', 'x').getCounter('a');
    tree.root.getSubGroup('quantile', 'x').getCounter('b');
    tree.root.getSubGroup('9lives', 'say "hi"\n').getCounter('c');
    const text = await tree.text();
    expect(text).toContain('millrace_job_a{job="reviews",exported_job="x"} 0');
    expect(text).toContain('millrace_quantile_b{job="reviews",exported_quantile="x"} 0');
    expect(text).toContain('millrace_9lives_c{job="reviews",_9lives="say \\"hi\\"\\n"} 0');
  });

  test('whatever a group and a metric are called, the text is what Prometheus reads', async () => {
    const line = /^(#.*|[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\\n])*",?)*\} \S+|)$/;
    const name = fc.string({ minLength: 1, maxLength: 6, unit: 'binary' }).filter((each) => !each.includes('='));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.option(fc.string({ unit: 'binary' }), { nil: undefined }))),
        name,
        async (groups, metric) => {
          const { tree } = makeTree();
          let group = tree.root;
          for (const [each, value] of groups) group = group.getSubGroup(each, value);
          group.getMeter(metric).inc();
          group.getHistogram(`${metric}h`).update(1);
          for (const each of (await tree.text()).split('\n')) expect(each).toMatch(line);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('asking twice gives the same metric; another kind of that name is refused', () => {
    const { tree } = makeTree();
    expect(tree.root.getCounter('n')).toBe(tree.root.getCounter('n'));
    expect(tree.root.getMeter('n')).toBe(tree.root.getCounter('n'));
    expect(tree.root.getSubGroup('g', 'v')).toBe(tree.root.getSubGroup('g', 'v'));
    expect(tree.root.getHistogram('h')).toBe(tree.root.getHistogram('h', 5));
    expect(() => tree.root.getGauge('n')).toThrow('Expected the metric `n` to be a counter as before, got a gauge');
    expect(() => tree.root.getGauge('nPerSec')).toThrow('Expected the metric `nPerSec` to have a name of its own');
  });

  test.each(['', 'a=b'])('refuses the name %j', (name) => {
    const { root } = makeTree().tree;
    expect(() => root.getSubGroup(name)).toThrow('Expected `name` to be a name without `=`');
    expect(() => root.getCounter(name)).toThrow(TypeError);
    expect(() => root.getSubGroup(name, 'value')).toThrow(TypeError);
  });

  test("a view's name is taken", () => {
    const { tree } = makeTree();
    tree.view({ kind: 'gauge', groups: [], name: 'dirty', help: 'dirty entries', read: () => [[undefined, 3]] });
    expect(() => tree.root.getGauge('dirty')).toThrow('a name that the engine does not report itself');
    expect(tree.snapshot()).toEqual({ dirty: 3 });
  });

  test('two jobs in one process do not clash', async () => {
    const [one, two] = [makeTree().tree, makeTree().tree];
    one.root.getCounter('n').inc(1);
    two.root.getCounter('n').inc(2);
    expect(await one.text()).toContain('millrace_n{job="reviews"} 1');
    expect(await two.text()).toContain('millrace_n{job="reviews"} 2');
  });
});

describe('counter', () => {
  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (count) => {
    const counter = makeTree().tree.root.getCounter('n');
    expect(() => counter.inc(count)).toThrow('Expected `count` to be a number from 0 up');
    expect(counter.value).toBe(0);
  });
});

describe('meter', () => {
  test('is read by either name, as a count and as a rate', () => {
    const { tree, clock } = makeTree();
    const meter = tree.root.getMeter('numOfEventProcessedPerSec');
    expect(tree.root.getMeter('numOfEventProcessed')).toBe(meter);
    meter.inc(30);
    clock.advance(10_000);
    expect(tree.snapshot()).toEqual({ numOfEventProcessed: 30, numOfEventProcessedPerSec: 3 });
  });

  test('forgets what is more than a minute old', () => {
    const { tree, clock } = makeTree();
    const meter = tree.root.getMeter('n');
    expect(meter.rate).toBe(0);
    meter.inc(600);
    for (let second = 0; second < 60; second += 1) {
      clock.advance(1000);
      expect(meter.rate).toBe(600 / (second + 1));
    }
    for (let second = 0; second < 61; second += 1) {
      clock.advance(1000);
      void meter.rate;
    }
    expect(meter.rate).toBe(0);
    meter.inc(60);
    expect(meter.rate).toBe(1);
  });

  test('readers do not disturb each other', () => {
    const { tree, clock } = makeTree();
    const meter = tree.root.getMeter('n');
    meter.inc(10);
    clock.advance(10_000);
    expect([meter.rate, meter.rate, tree.snapshot()['nPerSec']]).toEqual([1, 1, 1]);
  });
});

describe('histogram', () => {
  test('quantiles are of the last `window` values, count and sum of all', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        fc.double({ noNaN: true, min: 0, max: 1 }),
        (values, window, q) => {
          const histogram = makeTree().tree.root.getHistogram('h', window);
          for (const value of values) histogram.update(value);
          const last = values.slice(-window).sort((a, b) => a - b);
          const below = last.filter((value) => value <= histogram.quantile(q)).length;
          expect(last).toContain(histogram.quantile(q));
          expect(below).toBeGreaterThanOrEqual(q * last.length);
          expect(histogram.quantile(0)).toBe(last[0]);
          expect(histogram.quantile(1)).toBe(last.at(-1));
          expect(histogram.count).toBe(values.length);
        },
      ),
    );
  });

  test('reads as a Prometheus summary, and without values says no quantile', async () => {
    const { tree } = makeTree();
    const histogram = tree.root.getHistogram('ackMs');
    expect(tree.snapshot()).toEqual({ 'ackMs.count': 0, 'ackMs.sum': 0 });
    expect(histogram.quantile(0.5)).toBeNaN();
    for (let value = 1; value <= 100; value += 1) histogram.update(value);
    expect(await tree.text()).toBe(
      [
        '# HELP millrace_ackMs ackMs, counted by the pipeline',
        '# TYPE millrace_ackMs summary',
        'millrace_ackMs_count{job="reviews"} 100',
        'millrace_ackMs_sum{job="reviews"} 5050',
        'millrace_ackMs{job="reviews",quantile="0.5"} 50',
        'millrace_ackMs{job="reviews",quantile="0.9"} 90',
        'millrace_ackMs{job="reviews",quantile="0.99"} 99',
        'millrace_ackMs{job="reviews",quantile="1"} 100',
        '',
      ].join('\n'),
    );
    expect(tree.snapshot()).toMatchObject({ 'ackMs.p99': 99, 'ackMs.max': 100 });
  });

  test.each([0, 1.5, -1, 1_000_001])('refuses a window of %d', (window) => {
    expect(() => makeTree().tree.root.getHistogram('h', window)).toThrow(
      'Expected `window` to be an integer from 1 to 1000000',
    );
  });
});

describe("a registry of the user's", () => {
  test('holds what there is and what comes, once each, beside the numbers of others', async () => {
    const { tree } = makeTree();
    const registry = new Registry();
    new Counter({ name: 'own', help: 'of the program', registers: [registry] }).inc(3);
    tree.root.getSubGroup('queue', 'a').getGauge('depth').set(1);
    tree.registerIn(registry);
    tree.registerIn(registry);
    tree.root.getHistogram('latency').update(5);
    tree.root.getMeter('calls').inc(2);
    const own = '# HELP own of the program\n# TYPE own counter\nown 3\n\n';
    expect(await registry.metrics()).toBe(`${own}${await tree.text()}`);
  });

  test('that was emptied takes what there is again, and what comes', async () => {
    const [registry, { tree }] = [new Registry(), makeTree()];
    tree.root.getCounter('n').inc();
    tree.registerIn(registry);
    registry.clear();
    tree.registerIn(registry);
    tree.root.getCounter('later').inc(2);
    expect(await registry.metrics()).toBe(await tree.text());
  });

  test('is shared by jobs, which their label tells apart; a name that means two things is refused', async () => {
    const registry = new Registry();
    const [one, two] = ['one', 'two'].map((job) => {
      const tree = new MetricTree({ job, clock: new StepClock() });
      tree.root.getCounter('n').inc();
      tree.registerIn(registry);
      return tree;
    });
    one?.root.getCounter('later').inc(2);
    two?.root.getCounter('later').inc(3);
    const text = await registry.metrics();
    expect(text.match(/^millrace_\w+\{.*$/gm)).toEqual([
      'millrace_n{job="one"} 1',
      'millrace_n{job="two"} 1',
      'millrace_later{job="one"} 2',
      'millrace_later{job="two"} 3',
    ]);
    one?.root.getCounter('x');
    expect(() => two?.root.getGauge('x')).toThrow(/`millrace_x` to be a counter as in the other job, got a gauge/);
    new Counter({ name: 'millrace_y', help: 'of somebody else', registers: [registry] });
    expect(() => one?.root.getCounter('y')).toThrow(/already been registered/);
  });
});
