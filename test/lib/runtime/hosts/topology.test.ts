import { callbackSink, collection, outputTag, type Operator, type StreamExecutionEnvironment } from 'millrace';
import { map } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { StreamGraph, type NodeBody } from '../../../../lib/runtime/edges/graph.ts';
import { compile, type TopologyServices } from '../../../../lib/runtime/hosts/topology.ts';
import { Life } from '../life.ts';

const evens = outputTag<number>('evens');

/** Sends even numbers to a side output and all to the main one, and writes down what comes. */
const noting =
  (name: string, log: string[]): Operator<number, number> =>
  (context) => ({
    process: (value, timestamp) => {
      log.push(`${name} ${value}`);
      if (value % 2 === 0) context.output.side(evens, value, timestamp);
      context.output.emit(value, timestamp);
    },
    onWatermark: () => void log.push(`${name} watermark`),
  });

const run = async (build: (env: StreamExecutionEnvironment) => void, count = 2): Promise<Life> => {
  const life = await Life.begun(build);
  await life.records(count);
  return life;
};

describe('a graph becomes hosts and edges', () => {
  test('in the order of the pipeline, each with the number of its uid', async () => {
    const life = await Life.on((env) => {
      const numbers = env.fromSource(collection([1, 2])).uid('in');
      const first = numbers.transform('first', noting('first', [])).uid('first');
      first
        .transform('second', noting('second', []))
        .uid('second')
        .sinkTo(callbackSink(() => {}))
        .uid('out');
    });
    const { sources, operators, sinks } = life.topology;
    expect([sources, operators, sinks].map((hosts) => hosts.map(({ uid }) => uid))).toEqual([
      ['in'],
      ['first', 'second'],
      ['out'],
    ]);
    const numbers = [...sources, ...operators, ...sinks].map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const host of operators) expect(life.topology.operator(host.number)).toBe(host);
    for (const host of sources) expect(life.topology.source(host.number)).toBe(host);
    expect([life.topology.operator(999), life.topology.source(999)]).toEqual([undefined, undefined]);
  });

  test('each record goes all the way before the next one (I13)', async () => {
    const log: string[] = [];
    await run((env) => {
      env
        .fromSource(collection([1, 2]))
        .transform('a', noting('a', log))
        .map((n) => n * 10)
        .transform('b', noting('b', log))
        .sinkTo(callbackSink(() => {}));
    });
    expect(log).toEqual(['a 1', 'b 10', 'a 2', 'b 20']);
  });

  test('several consumers are given what comes in their order; a watermark reaches each', async () => {
    const log: string[] = [];
    const life = await run((env) => {
      const numbers = env.fromSource(collection([1, 2]));
      for (const name of ['a', 'b']) numbers.transform(name, noting(name, log)).sinkTo(callbackSink(() => {}));
    });
    life.end();
    expect(log).toEqual(['a 1', 'b 1', 'a 2', 'b 2', 'a watermark', 'b watermark']);
  });

  test('a side output reaches who reads it, and nobody else', async () => {
    const log: string[] = [];
    await run((env) => {
      const split = env.fromSource(collection([1, 2])).transform('a', noting('a', []));
      split.transform('all', noting('all', log)).sinkTo(callbackSink(() => {}));
      split
        .sideOutput(evens)
        .transform('evens', noting('evens', log))
        .sinkTo(callbackSink(() => {}));
    });
    expect(log).toEqual(['all 1', 'evens 2', 'all 2']);
  });

  test('at a union the watermarks of all inputs meet, under names that stay when the pipeline is written otherwise', async () => {
    const log: string[] = [];
    const channels = async (order: readonly string[]): Promise<readonly string[]> => {
      const life = await Life.begun((env) => {
        const streams = new Map(order.map((name) => [name, env.fromSource(collection([1])).uid(name)]));
        const [left, right] = [streams.get('left'), streams.get('right')];
        if (left === undefined || right === undefined) throw new Error('two streams');
        left
          .union(right)
          .transform('after', noting('after', log))
          .sinkTo(callbackSink(() => {}));
      });
      await life.records(1, 'collection', 'left');
      life.end('collection', 'left');
      expect(log.splice(0)).toEqual(['after 1']); // The other one holds the watermark back.
      life.end('collection', 'right');
      expect(log.splice(0)).toEqual(['after watermark']);
      const [valve] = life.topology.valves.values();
      return (
        valve
          ?.snapshot()
          .channels.map(([channel]) => channel)
          .toSorted() ?? []
      );
    };
    expect(await channels(['left', 'right'])).toEqual(['left', 'right']);
    expect(await channels(['right', 'left'])).toEqual(['left', 'right']);
  });

  test('an RxJS operator and a tap are passed in the turn', async () => {
    const log: string[] = [];
    await run((env) => {
      const numbers = env.fromSource(collection([1, 2]));
      numbers.asObservable().subscribe((value) => log.push(`tap ${value}`));
      numbers
        .pipe(map((n: number) => n * 10))
        .transform('a', noting('a', log))
        .sinkTo(callbackSink(() => {}));
    });
    expect(log.toSorted()).toEqual(['a 10', 'a 20', 'tap 1', 'tap 2']);
    expect(log.indexOf('a 10')).toBeLessThan(log.indexOf('tap 2'));
  });

  test('behind keyBy the key of the record is current, and nowhere else', async () => {
    const keys: unknown[] = [];
    await run((env) => {
      env
        .fromSource(collection([1, 2]))
        .keyBy((n) => `k${n}`)
        .transform<number>('keyed', (context) => ({
          process: (value, timestamp) => {
            keys.push(context.currentKey());
            context.output.emit(value, timestamp);
          },
        }))
        .sinkTo(callbackSink(() => {}));
    });
    expect(keys).toEqual(['k1', 'k2']);
  });
});

describe('a graph that can not be compiled', () => {
  const operator = (): NodeBody => ({ kind: 'operator', operator: noting('x', []) as never, boundary: false });
  // Neither is asked for anything before it is refused.
  const services = { numberOf: () => 1 } as unknown as TopologyServices;

  test('has an operator without an input', () => {
    const graph = new StreamGraph();
    graph.add('lonely', operator(), []);
    expect(() => compile(graph, services)).toThrow(
      expect.objectContaining({ code: 'GRAPH_INVALID', message: 'operator "lonely" has no input' }),
    );
  });

  test('has a consumer in front of what it consumes', () => {
    const graph = new StreamGraph();
    graph.add('tap', { kind: 'tap', next: () => {} }, [{ from: 1, partitioning: { kind: 'forward' } }]);
    graph.add('union', { kind: 'union' }, []);
    expect(() => compile(graph, services)).toThrow(
      expect.objectContaining({ code: 'GRAPH_INVALID', message: 'operator "tap" is used before it is defined' }),
    );
  });
});
