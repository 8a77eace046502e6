import { expect, test } from 'vitest';
import { StreamGraph } from '../../../../lib/runtime/edges/graph.ts';

const add = (graph: StreamGraph, name: string) => graph.add(name, { kind: 'union' }, []);

test('uids are names, numbered when they come again; names given later and uids of others do not count', () => {
  const graph = new StreamGraph();
  graph.rename(add(graph, 'map'), 'parse');
  graph.pin(add(graph, 'map'), 'double');
  add(graph, 'parse');
  add(graph, 'map');
  expect(graph.nodes.map(({ uid }) => uid)).toEqual(['map', 'double', 'parse', 'map-3']);
  expect(graph.nodes.map(({ name }) => name)).toEqual(['parse', 'map', 'parse', 'map']);
});

test('stays as it is while a job runs on it', () => {
  const graph = new StreamGraph();
  const node = add(graph, 'map');
  graph.lock('first');
  const refused = /complete before it runs; job "first" is running/;
  expect(() => add(graph, 'map')).toThrow(refused);
  expect(() => graph.pin(node, 'x')).toThrow(refused);
  expect(() => graph.rename(node, 'x')).toThrow(refused);
  expect(() => graph.lock('second')).toThrow(/one job of an environment at a time; "first" is still running/);
  graph.unlock();
  expect(add(graph, 'map').uid).toBe('map-2');
});
