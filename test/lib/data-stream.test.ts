import { callbackSink, outputTag, StreamExecutionEnvironment } from 'millrace';
import { expect, test } from 'vitest';
import { once } from '../stories/story.ts';

const create = (): StreamExecutionEnvironment => StreamExecutionEnvironment.create(once);
const uidsOf = (env: StreamExecutionEnvironment): readonly string[] => env.graph.nodes.map(({ uid }) => uid);

test('`name` changes no uid: an operator of the same kind behind a named one runs', async () => {
  const env = create();
  const doubled = env
    .fromCollection([1, 2])
    .map((n) => n + 1)
    .name('parse')
    .map((n) => n * 2);
  expect(await env.executeAndCollect(doubled)).toEqual([4, 6]);
  expect(uidsOf(env)).toEqual(['collection', 'map', 'map-2', 'collect']);
});

test('`uid` and `name` behind a sink are those of the sink', () => {
  const env = create();
  const numbers = env.fromCollection([1]);
  numbers
    .sinkTo(callbackSink(() => {}))
    .uid('totals')
    .name('all totals');
  numbers.print({ write: () => {} }).uid('screen');
  expect(uidsOf(env)).toEqual(['collection', 'totals', 'screen']);
  expect(env.graph.nodes[1]?.name).toBe('all totals');
  expect(() => numbers.print().uid('a b')).toThrow(/Expected `uid` to be letters/);
});

test.each(['uid', 'name'] as const)(
  '`%s` behind `keyBy` or of a side output is refused, since it would rename what stands in front',
  (method) => {
    const env = create();
    const numbers = env.fromCollection([1]);
    expect(() => numbers.keyBy((n) => n)[method]('x')).toThrow(
      new RegExp(`^Expected \`${method}\` to follow an operator; \`keyBy\``),
    );
    expect(() => numbers.sideOutput(outputTag<number>('late'))[method]('x')).toThrow(
      /"late" is a side output of "collection"/,
    );
    expect(uidsOf(env)).toEqual(['collection']);
  },
);

test('`perKey` on a stream without keys is refused, since no call could have the turn of a key', () => {
  const env = create();
  const numbers = env.fromCollection([1]);
  const fn = async (n: number): Promise<number> => n;
  expect(() => numbers.asyncMap(fn, { perKey: true })).toThrow(/^Expected `perKey` to follow `keyBy`/);
  expect(uidsOf(env)).toEqual(['collection']);
  numbers.asyncMap(fn, { perKey: false });
  numbers.keyBy((n) => n).asyncMap(fn, { perKey: true });
  expect(uidsOf(env)).toEqual(['collection', 'async-map', 'async-map-2']);
});

test('`union` takes streams of its own environment only', () => {
  const [one, other] = [create(), create()];
  const stream = one.fromCollection([1]);
  expect(() => stream.union(other.fromCollection([2]).map((n) => n))).toThrow(/one environment, got one of another/);
  expect(() => stream.union([2] as never)).toThrow(TypeError);
  expect(uidsOf(one)).toEqual(['collection']);
});
