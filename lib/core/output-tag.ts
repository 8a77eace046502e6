/** Side outputs: a tag names one and carries the type of what goes there. */
import { refusal } from './options.ts';

/** A named side output. Two tags with one id are the same tag. */
export interface OutputTag<S> {
  readonly id: string;
  /** Carries the type only; never present at run time. */
  readonly type?: S;
}

/**
 * Names a side output and the type of what it carries. Two tags with one id are the same tag. Throws a `TypeError` for
 * an empty id.
 *
 * @example
 * const large = outputTag<Order>('large');
 * const rest = orders.process<Order>((order, ctx) => (order.euros > 30 ? ctx.side(large, order) : ctx.emit(order)));
 * rest.sideOutput(large).map(({ id }) => `order ${id} is large`).print(); // prints order 3 is large
 */
export const outputTag = <S>(id: string): OutputTag<S> => {
  if (typeof id !== 'string' || id === '') throw refusal('id', 'a non-empty string', id);
  return { id };
};
