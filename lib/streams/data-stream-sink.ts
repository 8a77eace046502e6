/** The end of a stream: what can still be said about the sink that was put there. */
import type { GraphNode, StreamGraph } from '../runtime/edges/graph.ts';

/**
 * A sink of the pipeline, as `sinkTo` gives it.
 *
 * @example
 * orders.map(({ euros }) => euros).sinkTo(jsonLinesSink('totals.jsonl')).uid('totals').name('totals of orders');
 */
export class DataStreamSink {
  readonly #graph: StreamGraph;
  readonly #node: GraphNode;

  /** @internal */
  constructor(graph: StreamGraph, node: GraphNode) {
    this.#graph = graph;
    this.#node = node;
  }

  /** Pins the uid of the sink: the numbers of its records and what it has not committed yet belong to it. */
  uid(uid: string): this {
    this.#graph.pin(this.#node, uid);
    return this;
  }

  /** Names the sink, in messages and metrics. */
  name(name: string): this {
    this.#graph.rename(this.#node, name);
    return this;
  }
}
