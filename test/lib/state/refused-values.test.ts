/**
 * What can not be stored is refused where it is put into state: with a directory and in memory, and what was there
 * stays.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listState, mapState, valueState } from '../../../lib/core/state-descriptor.ts';
import { StreamExecutionEnvironment } from '../../../lib/environment.ts';

const wrongs: readonly (readonly [what: string, value: unknown, found: RegExp])[] = [
  ['an instance of a class', new URL('http://a'), /the value can not be stored: it is an instance of `URL`/],
  ['a function deep inside', { deep: [() => 1] }, /`\.deep\[0\]` can not be stored: it is a function/],
  // A list that was used as a map. V8 ended the process that copied it.
  ['a list with a very large index', { byId: Object.assign([], { 1_700_000_000: 1 }) }, /`\.byId` .* too long/],
  ['a symbol in a map', new Map([['a', Symbol('s')]]), /`\.get\("a"\)` can not be stored: it is a symbol/],
];

for (const place of ['in memory', 'with a directory']) {
  test.each(wrongs)(`${place}: %s`, async (_, wrong, found) => {
    const directory = await mkdtemp(join(tmpdir(), 'refused-'));
    const env = StreamExecutionEnvironment.create({
      logger: 'silent',
      ...(place === 'in memory' ? {} : { checkpoint: { directory } }),
    });
    const state = { v: valueState<unknown>('v'), l: listState<unknown>('l'), m: mapState<string, unknown>('m') };
    const seen = await env
      .fromCollection([1, 2])
      .keyBy(() => 'k')
      .process<unknown, typeof state>({
        state,
        process(value, ctx) {
          const { v, l, m } = ctx.state;
          const puts = {
            v: (each: unknown) => v.update(each),
            l: (each: unknown) => l.add(each),
            m: (each: unknown) => m.set('x', each),
          };
          for (const [name, put] of Object.entries(puts)) {
            put(value);
            const message = expect.stringMatching(new RegExp(`^state '${name}' of key \`k\`: ${found.source}`));
            expect(() => put(wrong)).toThrow(expect.objectContaining({ code: 'NOT_SERIALISABLE', message }));
          }
          ctx.emit([v.value(), [...l.values()], m.get('x')]);
        },
      })
      .executeAndCollect();
    expect(seen).toEqual([
      [1, [1], 1],
      [2, [1, 2], 2],
    ]);
    await rm(directory, { recursive: true });
  });
}
