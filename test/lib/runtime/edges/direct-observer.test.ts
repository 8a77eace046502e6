import { concat, from, map, NEVER, of, Subject, throwError } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { DirectObserver } from '../../../../lib/runtime/edges/direct-observer.ts';

class Recorder extends DirectObserver<number> {
  readonly seen: string[] = [];
  protected override onNext(value: number): void {
    if (value < 0) throw new RangeError(`${value}`);
    this.seen.push(`${value}`);
  }
  protected override onError(error: unknown): void {
    this.seen.push(`error ${(error as Error).message}`);
  }
  protected override onComplete(): void {
    this.seen.push('end');
  }
}

describe('takes', () => {
  test.each([
    ['nothing', NEVER, []],
    ['values and the end', of(1, 2), ['1', '2', 'end']],
    [
      'values and an error',
      concat(
        of(1),
        throwError(() => new Error('no')),
      ),
      ['1', 'error no'],
    ],
  ])('%s', (_what, source, seen) => {
    const recorder = new Recorder();
    from(source as typeof NEVER).subscribe(recorder);
    expect(recorder.seen).toEqual(seen);
  });
});

test('what it throws comes back to who emitted', () => {
  const subject = new Subject<number>();
  subject.subscribe(new Recorder());
  expect(() => subject.next(-1)).toThrow(RangeError);
});

test('behind an operator of RxJS it is told as the error of that operator', () => {
  const recorder = new Recorder();
  of(1, -1, 2)
    .pipe(map((value) => value))
    .subscribe(recorder);
  expect(recorder.seen).toEqual(['1', 'error -1']);
});

test('takes nothing after its end, after an error, or once it is unsubscribed; what was added is torn down', () => {
  for (const stop of ['complete', 'error', 'unsubscribe'] as const) {
    const recorder = new Recorder();
    const torn: string[] = [];
    recorder.add(() => torn.push('down'));
    if (stop === 'error') recorder.error(new Error('x'));
    else recorder[stop]();
    const before = [...recorder.seen];
    recorder.next(1);
    recorder.error(new Error('y'));
    recorder.complete();
    recorder.unsubscribe();
    expect([recorder.seen, torn]).toEqual([before, ['down']]);
  }
});
