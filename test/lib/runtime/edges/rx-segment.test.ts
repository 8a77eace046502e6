import {
  bufferCount,
  delay,
  endWith,
  finalize,
  map,
  merge,
  mergeMap,
  NEVER,
  Observable,
  of,
  pairwise,
  range,
  reduce,
  startWith,
  Subject,
  take,
  tap,
  throwError,
  type OperatorFunction,
} from 'rxjs';
import { describe, expect, test } from 'vitest';
import { MAX_TIMESTAMP, MIN_TIMESTAMP } from '../../../../lib/core/element.ts';
import { StreamError } from '../../../../lib/core/errors.ts';
import { rxSegment } from '../../../../lib/runtime/edges/rx-segment.ts';

/** A segment of this operator, and what leaves it. */
const segment = <O>(operator: OperatorFunction<number, O>, behind: (value: O) => void = () => {}) => {
  const [out, failures, abort]: [unknown[], unknown[], AbortController] = [[], [], new AbortController()];
  const receiver = rxSegment<number, O>({
    uid: 'pipe',
    operator,
    to: {
      record: (value, timestamp) => {
        behind(value);
        out.push([value, timestamp]);
      },
      watermark: (timestamp) => out.push(`watermark ${timestamp}`),
      status: (idle) => out.push(`idle ${idle}`),
    },
    signal: abort.signal,
    fail: (error) => failures.push(error),
  });
  return { receiver, out, failures, abort };
};

const outside = (what: string): unknown =>
  expect.objectContaining({
    code: 'EMIT_OUTSIDE_TURN',
    message: expect.stringMatching(new RegExp(`the RxJS operator of \`pipe\` ${what}`)),
  });

const sum = reduce((a: number, b: number) => a + b);

describe('what comes out while a value is handled', () => {
  test('leaves in the same turn, with the timestamp of the value in hand', () => {
    const { receiver, out, failures } = segment<unknown>((n$) => n$.pipe(mergeMap((n) => of(n, n * 10))));
    receiver.record(1, 5);
    receiver.record(2, MIN_TIMESTAMP);
    expect([out, failures]).toEqual([
      [
        [1, 5],
        [10, 5],
        [2, MIN_TIMESTAMP],
        [20, MIN_TIMESTAMP],
      ],
      [],
    ]);
  });

  test('may be what was held back, and has the timestamp of what let it go', () => {
    const { receiver, out } = segment<unknown>(pairwise());
    for (const n of [1, 2, 3]) receiver.record(n, n * 10);
    expect(out).toEqual([
      [[1, 2], 20],
      [[2, 3], 30],
    ]);
  });

  test('watermarks and statuses pass it as they come', () => {
    const { receiver, out } = segment((n$) => n$);
    receiver.watermark(3);
    receiver.record(1, 4);
    receiver.status(true);
    receiver.status(false);
    receiver.watermark(4);
    expect(out).toEqual(['watermark 3', [1, 4], 'idle true', 'idle false', 'watermark 4']);
  });

  test('is torn down with its end, whoever made it', () => {
    let torn = 0;
    const { receiver, out } = segment(
      (n$) =>
        new Observable<number>((to) => {
          n$.subscribe((n) => (to.next(n), to.complete()));
          return () => (torn += 1);
        }),
    );
    receiver.record(1, 1);
    expect([out, torn]).toEqual([[[1, 1]], 1]);
  });

  test('ends when the operator has had enough; what comes then is nothing to it', () => {
    const { receiver, out, failures } = segment(take(1));
    for (const n of [1, 2]) receiver.record(n, n);
    receiver.watermark(MAX_TIMESTAMP);
    expect([out, failures]).toEqual([[[1, 1], `watermark ${MAX_TIMESTAMP}`], []]);
  });
});

describe('with the final watermark', () => {
  test.each([
    ['what it holds comes out in front of it', bufferCount<number>(2), [[1, 2], [3]]],
    ['what it has gathered', sum, [6]],
    ['what it adds', endWith(9), [1, 2, 3, 9]],
  ])('%s', (_what, operator, values) => {
    const { receiver, out } = segment(operator as OperatorFunction<number, unknown>);
    for (const n of [1, 2, 3]) receiver.record(n, n);
    receiver.watermark(MAX_TIMESTAMP);
    expect(out.slice(0, -1).map((each) => (each as readonly unknown[])[0])).toEqual(values);
    expect(out.at(-1)).toBe(`watermark ${MAX_TIMESTAMP}`);
  });

  test.each([
    ['of the last value', [10, 30], 20, 30],
    ['behind the watermarks that have passed meanwhile', [30, 10], 20, 21],
    ['none, where the values had none', [MIN_TIMESTAMP, MIN_TIMESTAMP], 20, MIN_TIMESTAMP],
  ])('the timestamp of what was held is %s', (_what, timestamps, watermark, expected) => {
    const { receiver, out } = segment(sum);
    for (const timestamp of timestamps) receiver.record(1, timestamp);
    receiver.watermark(watermark);
    receiver.watermark(MAX_TIMESTAMP);
    expect(out[1]).toEqual([2, expected]);
  });

  test('its input completes once, and an input without values too', () => {
    let completed = 0;
    const { receiver, out } = segment<unknown>((n$) =>
      n$.pipe(tap({ complete: () => (completed += 1) }), endWith('end')),
    );
    receiver.watermark(MAX_TIMESTAMP);
    receiver.watermark(MAX_TIMESTAMP);
    expect([completed, out[0]]).toEqual([1, ['end', MIN_TIMESTAMP]]);
    expect(out).toHaveLength(3);
  });

  test.each([
    ['it never completes', (n$: Observable<number>) => merge(n$, NEVER)],
    ['what it holds comes later', (n$: Observable<number>) => n$.pipe(delay(1))],
  ])('one that goes on waiting is refused, and the watermark does not pass: %s', (_what, operator) => {
    const { receiver, out } = segment(operator);
    receiver.record(1, 1);
    expect(() => receiver.watermark(MAX_TIMESTAMP)).toThrow(outside('had not completed when its input had') as Error);
    expect(out).not.toContain(`watermark ${MAX_TIMESTAMP}`);
  });

  test('no other watermark completes its input', () => {
    const { receiver, out } = segment(sum);
    receiver.record(1, 1);
    receiver.watermark(Number.MAX_SAFE_INTEGER);
    expect(out).toEqual([`watermark ${Number.MAX_SAFE_INTEGER}`]);
  });
});

describe('what comes out at another time (I13)', () => {
  test('fails the job, once, and touches no output', () => {
    const late = new Subject<number>();
    const { receiver, out, failures } = segment((n$) => merge(n$, late));
    receiver.record(1, 1);
    late.next(2);
    late.next(3);
    expect([out, failures]).toEqual([[[1, 1]], [outside('emitted while it handled no value')]]);
  });

  test('between two watermarks too', () => {
    const late = new Subject<number>();
    const { receiver, failures } = segment((n$) => merge(n$, late));
    receiver.watermark(5);
    late.next(2);
    expect(failures).toEqual([outside('emitted while it handled no value')]);
  });

  test('when it is made, so that no job begins with it', () => {
    expect(() => segment(startWith(0))).toThrow(outside('emitted while it handled no value') as Error);
  });

  test('an error fails the job too, with its name', () => {
    const late = new Subject<number>();
    const { failures } = segment((n$) => merge(n$, late));
    late.error(new RangeError('away'));
    expect(failures).toMatchObject([{ code: 'OPERATOR_FAILED', message: 'operator `pipe` threw: away' }]);
  });
});

describe('a failure', () => {
  const thrown = (n: number): number => {
    if (n === 2) throw new RangeError('two');
    return n;
  };

  test.each([
    ['that it throws', map(thrown)],
    ['that it emits', mergeMap((n: number) => (n === 2 ? throwError(() => new RangeError('two')) : of(n)))],
  ])('%s is thrown in the turn that it belongs to', (_what, operator) => {
    const { receiver, out, failures } = segment<number>(operator);
    receiver.record(1, 1);
    expect(() => receiver.record(2, 2)).toThrow(
      expect.objectContaining({ code: 'OPERATOR_FAILED', message: 'operator `pipe` threw: two' }),
    );
    expect([out, failures]).toEqual([[[1, 1]], []]); // The turn fails the job, and not twice.
  });

  test('at the end of its input is thrown there', () => {
    const { receiver, out } = segment((n$) => n$.pipe(sum, map(thrown)));
    receiver.record(2, 1);
    expect(() => receiver.watermark(MAX_TIMESTAMP)).toThrow('operator `pipe` threw: two');
    expect(out).toEqual([]);
  });

  test.each([
    ['plain', (n$: Observable<number>) => n$],
    ['with an operator in between', map((n: number) => n)],
  ])('of who stands behind it is thrown through it: %s', (_what, operator) => {
    const error = new StreamError('OPERATOR_FAILED', 'operator `behind` threw: no');
    const { receiver } = segment<number>(operator, () => {
      throw error;
    });
    expect(() => receiver.record(1, 1)).toThrow(error);
  });

  test.each([
    [
      'made',
      () => {
        throw new RangeError('no');
      },
    ],
    ['subscribed', (n$: Observable<number>) => merge(n$, throwError(() => new RangeError('no')))],
    [
      'subscribed, with what it throws',
      () =>
        new Observable<number>(() => {
          throw new RangeError('no');
        }),
    ],
  ] as readonly (readonly [string, OperatorFunction<number, number>])[])(
    'when it is %s is that of the start',
    (_what, operator) => {
      expect(() => segment(operator)).toThrow(
        expect.objectContaining({ code: 'OPERATOR_FAILED', message: 'operator `pipe` threw: no' }),
      );
    },
  );
});

test('what it has begun ends with the job, and nothing comes out any more', () => {
  let torn = 0;
  const late = new Subject<number>();
  const { receiver, out, failures, abort } = segment((n$) => merge(n$, late.pipe(finalize(() => (torn += 1)))));
  abort.abort();
  expect([torn, late.observed]).toEqual([1, false]);
  receiver.record(1, 1);
  late.next(2);
  expect([out, failures]).toEqual([[], []]);
});

test('an operator that gives without end for one value is refused, and ended', () => {
  const { receiver } = segment(mergeMap(() => range(0, Number.POSITIVE_INFINITY)));
  const refused = { code: 'VALUES_EXCEEDED', details: { uid: 'pipe', valuesMax: 1_000_000 } };
  expect(() => receiver.record(1, 0)).toThrow(expect.objectContaining(refused));
});

test('the bound is that of one value, and not of all', () => {
  const { receiver, out } = segment(mergeMap(() => range(0, 600_000)));
  for (const value of [1, 2]) receiver.record(value, 0);
  expect(out.length).toBe(1_200_000);
});
