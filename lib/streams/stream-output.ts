/**
 * What every stream has, whatever its records are for: where it starts, the name of the operator that makes it, and its
 * ends.
 */
import type { Observable } from 'rxjs';
import type { Sink } from '../core/connector.ts';
import { withMethods } from '../core/options.ts';
import { collectSink } from '../../connectors/collect.ts';
import { printSink, type PrintOptions } from '../../connectors/print.ts';
import { DataStreamSink } from './data-stream-sink.ts';
import type { Origin } from './origin.ts';

/** The output of an operator. */
export class StreamOutput<T> {
  readonly #origin: Origin;

  /** @internal */
  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** @internal Where it starts. */
  get origin(): Origin {
    return this.#origin;
  }

  /**
   * Runs the job to the end of its input and gives what this stream brought. Meant for tests and small data.
   *
   * @example
   * console.log(await env.fromCollection([1, 2, 3]).executeAndCollect()); // prints [ 1, 2, 3 ]
   */
  async executeAndCollect(name?: string): Promise<T[]> {
    const values: T[] = [];
    this.sinkTo(collectSink(values));
    await this.#origin.environment.execute(name);
    return values;
  }

  /**
   * Pins the uid of the operator that makes this stream: its state belongs to it. Two operators with one uid are
   * refused with `UID_CLASH` when the job starts.
   *
   * @example
   * const names = orders.map(({ customer }) => customer).uid('names');
   * console.log(await names.executeAndCollect()); // prints [ 'ann', 'bob', 'ann' ]
   */
  uid(uid: string): this {
    this.#origin.environment.graph.pin(this.#origin.operatorFor('uid'), uid);
    return this;
  }

  /**
   * Names the operator that makes this stream, in messages and metrics.
   *
   * @example
   * const names = orders.map(({ customer }) => customer).name('customers');
   * console.log(await names.executeAndCollect()); // prints [ 'ann', 'bob', 'ann' ]
   */
  name(name: string): this {
    this.#origin.environment.graph.rename(this.#origin.operatorFor('name'), name);
    return this;
  }

  /**
   * Values as they pass while the job runs: at least once, and before any checkpoint. Completes with the job or fails
   * with it, at once for who subscribes when it is over.
   *
   * @example
   * orders.map(({ id }) => id).asObservable().subscribe((id) => console.log(id));
   * await env.execute();
   * // prints 1
   * // prints 2
   * // prints 3
   */
  asObservable(): Observable<T> {
    return this.#origin.observe<T>();
  }

  /**
   * Prints each value as a line of the standard output, strings as they are and others as JSON: at least once.
   *
   * @example
   * orders.map(({ id }) => id).print({ prefix: 'order ' });
   * // prints order 1
   * // prints order 2
   * // prints order 3
   */
  print(options: PrintOptions = {}): DataStreamSink {
    return this.sinkTo(printSink(options), 'print');
  }

  /**
   * Ends the stream in a sink, called `name` in messages, metrics and, unless it is pinned, its uid. A stream may have
   * several.
   *
   * @example
   * orders.sinkTo(jsonLinesSink('orders.jsonl'));
   * orders.filter(({ euros }) => euros > 30).sinkTo(callbackSink(({ id }) => console.log(id))); // prints 3
   */
  sinkTo(sink: Sink<T>, name?: string): DataStreamSink {
    withMethods('sink', sink, 'a Sink; `callbackSink(fn)` makes one of a function', ['open']);
    const node = this.#origin.addNode(name ?? sink.name, { kind: 'sink', sink });
    return new DataStreamSink(this.#origin.environment.graph, node);
  }
}
