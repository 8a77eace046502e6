import { expect, test } from 'vitest';
import { sideOutputNotes, sideWritesOf, type SideWrites } from '../../../../lib/runtime/edges/side-output-notes.ts';
import { StreamGraph, type GraphNode, type NodeBody } from '../../../../lib/runtime/edges/graph.ts';

/** Never run. */
const operator = (writes?: SideWrites): NodeBody => ({
  kind: 'operator',
  operator: (() => ({ process: () => {} })) as never,
  boundary: false,
  writes,
});
const only = (...tags: readonly string[]): SideWrites => ({ tags, others: false });

class Graph {
  readonly graph = new StreamGraph();

  add(name: string, body: NodeBody, from: readonly (GraphNode | readonly [GraphNode, string])[]): GraphNode {
    const inputs = from.map((each) => {
      const [node, tag] = 'id' in each ? [each, undefined] : each;
      return { from: node.id, partitioning: { kind: 'forward' }, tag } as const;
    });
    return this.graph.add(name, body, inputs);
  }

  get notes(): readonly (readonly [string, string, string])[] {
    return sideOutputNotes(this.graph).map(({ facts, message }) => [facts.operator, facts.sideOutput, message]);
  }
}

const tap: NodeBody = { kind: 'tap', next: () => {} };

test('nothing is odd where all that is written is read, or may be', () => {
  const made = new Graph();
  const window = made.add('window', operator({ tags: ['late'], others: true }), []);
  made.add('tap', tap, [window, [window, 'late'], [window, 'any']]);
  const own = made.add('own', operator(), []); // Nothing is known of it.
  made.add('tap', tap, [[own, 'x']]);
  expect(made.notes).toEqual([]);
});

test('a side output that an operator was told to write and nobody reads is told', () => {
  const made = new Graph();
  made.add('window', operator(only('late')), []);
  expect(made.notes).toEqual([
    ['window', 'late', expect.stringMatching(/^nobody reads side output 'late' of operator/)],
  ]);
});

test('one that is read where nobody writes it is told, with who does', () => {
  const made = new Graph();
  const window = made.add('window', operator(only('late')), []);
  const map = made.add('map', operator(only()), [window]);
  const filter = made.add('filter', operator(only()), [map]);
  made.add('tap', tap, [
    [filter, 'late'],
    [window, 'late'],
  ]);
  const far = made.add('far', operator(only()), []);
  made.add('tap', tap, [[far, 'late']]);
  expect(made.notes).toEqual([
    ['filter', 'late', expect.stringContaining("call `sideOutput` on the stream that 'window' gives")],
    ['far', 'late', expect.stringContaining('the operator that writes it gives')],
  ]);
});

test('of several in front the one that names the tag is meant, before one that may write any', () => {
  const made = new Graph();
  const named = made.add('named', operator(only('late')), []);
  const any = made.add('any', operator({ tags: [], others: true }), [named]);
  const map = made.add('map', operator(only()), [any]);
  made.add('tap', tap, [
    [map, 'late'],
    [map, 'other'],
    [named, 'late'],
  ]);
  expect(made.notes.map(([uid, tag, message]) => [uid, tag, /stream that '(\w+)'/.exec(message)?.[1]])).toEqual([
    ['map', 'late', 'named'],
    ['map', 'other', 'any'],
  ]);
});

test('what a node writes follows from what it is', () => {
  expect(sideWritesOf({ kind: 'union' })).toEqual(only());
  expect(sideWritesOf({ kind: 'source', source: {} as never, strategy: {} as never }).others).toBe(true);
  expect(sideWritesOf(operator()).others).toBe(true);
});
