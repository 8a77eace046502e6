/**
 * Rolling aggregates of a field, per key: a result for each record, with that record's timestamp. As in Flink, `sum`,
 * `min` and `max` of a named field keep all other fields of the key's first record; `minBy` and `maxBy` give whole
 * records. State is one value per key.
 */
import { refuseThenable } from '../lib/core/errors.ts';
import type { Operator } from '../lib/core/operator.ts';
import { callable, flag, knownOptions, refusal } from '../lib/core/options.ts';
import { givenAway, valueState } from '../lib/core/state-descriptor.ts';
import { compared, numeric, ordered, type Ordered } from './ordered.ts';

/** Names of the fields of `T` that hold a `V`. */
export type FieldOf<T, V> = { [N in keyof T]-?: T[N] extends V ? N : never }[keyof T] & string;

export interface ByOptions {
  /** Of records that are equal by the field the first is kept; otherwise the last. @defaultValue true */
  readonly first?: boolean | undefined;
}

type Get<T> = (value: T) => unknown;

/** How a kind of values is folded: `check` refuses what it can't hold, `fold` makes one of two. */
interface Fold<V> {
  readonly check: (value: unknown, where: string) => V;
  readonly fold: (sofar: V, value: V, where: string) => V;
}

/**
 * Makes the operator of `sum`. `field` is a name: the key's first record with the sum in place of that field; or a
 * function: the sum itself.
 *
 * @example
 * const harness = await OperatorHarness.open(sum<number>((value) => value), { keyOf: () => 'all' });
 * harness.element(1, 0);
 * console.log(harness.element(2, 5)[0]); // prints { kind: 'record', value: 3, timestamp: 5 }
 */
export const sum = <T>(field: string | Get<T>): Operator<T, unknown> => folded('sum', field, adding);

/** Makes the operator of `min`; `field` as for `sum`. */
export const min = <T>(field: string | Get<T>): Operator<T, unknown> => folded('min', field, keeping(-1));

/** Makes the operator of `max`; `field` as for `sum`. */
export const max = <T>(field: string | Get<T>): Operator<T, unknown> => folded('max', field, keeping(1));

/** Makes the operator of `minBy`: gives the whole record that has the least of the field so far. */
export const minBy = <T>(field: string | Get<T>, options: ByOptions = {}): Operator<T, T> =>
  chosen('minBy', field, -1, options);

/** Makes the operator of `maxBy`: gives the whole record that has the greatest of the field so far. */
export const maxBy = <T>(field: string | Get<T>, options: ByOptions = {}): Operator<T, T> =>
  chosen('maxBy', field, 1, options);

/** Makes the operator of `count`: gives how many records of the key there were. */
export const count = <T>(): Operator<T, number> =>
  rolling(
    () => 1,
    (sofar) => sofar + 1,
  );

// ---------- of one field

const folded = <T, V>(name: string, field: string | Get<T>, { check, fold }: Fold<V>): Operator<T, unknown> => {
  const read = reader(name, field);
  if (typeof field === 'function')
    return rolling<T, V>(
      (value, uid) => check(read(value, uid), where(name, uid)),
      (sofar, value, uid) => fold(sofar, check(read(value, uid), where(name, uid)), where(name, uid)),
    );
  return rolling<T, T>(
    (value, uid) => {
      check(read(value, uid), where(name, uid));
      return value;
    },
    (sofar, value, uid) => {
      const place = where(name, uid);
      // What is kept has been checked when it came.
      const after = fold(read(sofar, uid) as V, check(read(value, uid), place), place);
      return { ...sofar, [field]: after };
    },
  );
};

const chosen = <T>(name: string, field: string | Get<T>, sign: 1 | -1, options: ByOptions): Operator<T, T> => {
  knownOptions(name, options, { first: true });
  const { first = true } = options;
  flag('first', first);
  const read = reader(name, field);
  return rolling<T, T>(
    (value, uid) => {
      ordered(read(value, uid), where(name, uid));
      return value;
    },
    (sofar, value, uid) => {
      const place = where(name, uid);
      // What is kept has been checked when it came.
      const order = sign * compared(ordered(read(value, uid), place), read(sofar, uid) as Ordered, place);
      return order > 0 || (order === 0 && !first) ? value : sofar;
    },
  );
};

const rolling =
  <T, R>(begin: (value: T, uid: string) => R, next: (sofar: R, value: T, uid: string) => R): Operator<T, R> =>
  (context) => {
    const { uid, output } = context;
    const kept = context.state(givenAway(valueState<R>('rolling')));
    return {
      direct: true,
      process(value, timestamp) {
        const sofar = kept.value();
        const after = sofar === undefined ? begin(value, uid) : next(sofar, value, uid);
        kept.update(after);
        output.emit(after, timestamp);
      },
    };
  };

const reader = <T>(name: string, field: string | Get<T>): ((value: T, uid: string) => unknown) => {
  if (typeof field !== 'string') {
    const get = callable('field', field);
    return (value, uid) => refuseThenable(get(value), `the function of \`${name}\``, uid);
  }
  return (value) => {
    if (typeof value !== 'object' || value === null)
      throw new TypeError(`Expected a record with the field '${field}', got \`${String(value)}\``);
    return (value as Readonly<Record<string, unknown>>)[field]; // Whatever it holds; what is none is undefined.
  };
};

const where = (name: string, uid: string): string => `the field of \`${name}\` in \`${uid}\``;

// ---------- values

const adding: Fold<number | bigint> = {
  check: numeric,
  fold: (sofar, value, place) => {
    if (typeof sofar === 'number' && typeof value === 'number') return sofar + value;
    if (typeof sofar === 'bigint' && typeof value === 'bigint') return sofar + value;
    throw refusal(place, `a ${typeof sofar}, as the values before it`, value);
  },
};

const keeping = (sign: 1 | -1): Fold<Ordered> => ({
  check: ordered,
  fold: (sofar, value, place) => (sign * compared(value, sofar, place) > 0 ? value : sofar),
});
