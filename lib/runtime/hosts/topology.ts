/**
 * Compiles a graph into hosts and edges: consecutive operators call each other directly, an RxJS wire stands wherever a
 * chain ends (at work, a union, a fan-out, an RxJS operator, a tap or a sink).
 */
import { StreamError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { KeyContext } from '../../state/key-context.ts';
import type { Consumer, GraphEdge, GraphNode, StreamGraph } from '../edges/graph.ts';
import type { HostServices } from './operator-context.ts';
import { OperatorHost } from './operator-host.ts';
import type { Journal } from '../journal/journal.ts';
import { nowhere, type Receiver } from '../edges/receiver.ts';
import { rxSegment } from '../edges/rx-segment.ts';
import { SinkHost, type SinkServices } from './sink-host.ts';
import { SourceHost } from './source-host.ts';
import { WatermarkValve } from '../edges/watermark-merge.ts';
import type { WatermarkStrategy } from '../edges/watermark-strategy.ts';
import { keyedEdge, mergedInput, serialisedEdge, Wire } from '../edges/wire.ts';

export interface TopologyServices extends HostServices, SinkServices {
  readonly journal: Journal;
  readonly logger: Logger;
  /** Number of a uid in the dictionary. */
  numberOf(uid: string): number;
  /** Numbers of the states that a checkpoint holds of a uid, by name. */
  stateNumbersOf(uid: string): ReadonlyMap<string, number>;
  nextStateOf(uid: string): number;
  /** Encode and decode every record at keyed edges. */
  readonly serialiseEdges: boolean;
}

/** The running parts of a graph. Recorded turns name sources and operators by number. */
export interface Topology {
  readonly sources: readonly SourceHost<unknown>[];
  readonly operators: readonly OperatorHost<never, unknown>[];
  readonly sinks: readonly SinkHost<never>[];
  /** Where the inputs of unions meet, by uid; an operator of several inputs has its own merge. */
  readonly valves: ReadonlyMap<string, WatermarkValve>;
  source(number: number): SourceHost<unknown> | undefined;
  operator(number: number): OperatorHost<never, unknown> | undefined;
}

export const compile = (graph: StreamGraph, services: TopologyServices): Topology =>
  new Compiler(graph, services).compile();

class Compiler {
  readonly #graph: StreamGraph;
  readonly #services: TopologyServices;
  readonly #entries = new Map<string, Receiver<never>>();
  readonly #sources: SourceHost<unknown>[] = [];
  readonly #operators: OperatorHost<never, unknown>[] = [];
  readonly #sinks: SinkHost<never>[] = [];
  readonly #valves = new Map<string, WatermarkValve>();

  constructor(graph: StreamGraph, services: TopologyServices) {
    this.#graph = graph;
    this.#services = services;
  }

  /** Builds from the sinks backward, since an operator is given what stands behind it. */
  compile(): Topology {
    for (const node of this.#graph.nodes.toReversed()) this.#build(node);
    const sourcesByNumber = new Map(this.#sources.map((host) => [host.number, host]));
    const operatorsByNumber = new Map(this.#operators.map((host) => [host.number, host]));
    return {
      sources: this.#sources.toReversed(),
      operators: this.#operators.toReversed(),
      sinks: this.#sinks.toReversed(),
      valves: this.#valves,
      source: (number) => sourcesByNumber.get(number),
      operator: (number) => operatorsByNumber.get(number),
    };
  }

  #build(node: GraphNode): void {
    const { body } = node;
    switch (body.kind) {
      case 'source': {
        const { uid } = node;
        const { places, logger } = this.#services;
        const at = { uid, number: this.#services.numberOf(uid), output: this.#output(node), sides: this.#sides(node) };
        const strategy = body.strategy as WatermarkStrategy<unknown>; // The graph ties it to the values of the source.
        this.#sources.push(
          new SourceHost({
            ...at,
            jobId: this.#services.jobId,
            source: body.source,
            strategy,
            places,
            logger,
            metrics: this.#services.metrics(uid),
          }),
        );
        return;
      }
      case 'operator':
        return this.#buildOperator(node, this.#services.numberOf(node.uid));
      case 'union': {
        const to = this.#output(node);
        const valve = new WatermarkValve();
        this.#valves.set(node.uid, valve);
        const channels = distinct(node.inputs.map((edge) => this.#channelOf(edge)));
        for (const [port, channel] of channels.entries()) this.#enter({ node, port }, mergedInput(channel, valve, to));
        return;
      }
      case 'pipe': {
        const to = this.#output(node);
        const { fail, signal } = this.#services;
        return this.#enterAll(
          node,
          rxSegment({ uid: node.uid, operator: body.operator, to, signal, fail: (error) => fail(error) }),
        );
      }
      case 'tap':
        return this.#enterAll(node, { ...nowhere, record: body.next });
      case 'sink': {
        const host = new SinkHost<never>({
          uid: node.uid,
          number: this.#services.numberOf(node.uid),
          sink: body.sink,
          services: this.#services,
        });
        this.#sinks.push(host);
        return this.#enterAll(node, host);
      }
    }
  }

  #buildOperator(node: GraphNode, number: number): void {
    const { body } = node;
    if (body.kind !== 'operator' || node.inputs.length === 0)
      throw new StreamError('GRAPH_INVALID', `operator "${node.uid}" has no input`);
    const keys = new KeyContext();
    const host = new OperatorHost<never, unknown>({
      uid: node.uid,
      number,
      operator: body.operator,
      foreign: body.foreign ?? false,
      stateNumbers: this.#services.stateNumbersOf(node.uid),
      nextState: this.#services.nextStateOf(node.uid),
      keys,
      inputs: node.inputs.map(({ partitioning }) => partitioning.kind),
      output: this.#output(node),
      sides: this.#sides(node),
      toldUnread: body.writes?.tags,
      services: this.#services,
    });
    this.#operators.push(host);
    const serialise = this.#services.serialiseEdges;
    const { counter, gate } = host;
    for (const [port, { partitioning }] of node.inputs.entries()) {
      const to = host.input(port);
      const edge = { uid: node.uid, keys, to, counter, gate, serialise };
      const plain = serialise && partitioning.kind === 'broadcast' ? serialisedEdge(to) : to;
      this.#enter(
        { node, port },
        partitioning.kind === 'hash' ? keyedEdge({ ...edge, keyOf: partitioning.keyOf }) : plain,
      );
    }
  }

  /** What a node emits to: a consumer directly, or a wire where the chain ends. */
  #output(node: GraphNode, tag?: string): Receiver<never> {
    const consumers = this.#graph.consumers(node.id, tag);
    const [only] = consumers;
    if (only === undefined) return nowhere; // It takes anything.
    const fused =
      consumers.length === 1 &&
      only.node.body.kind === 'operator' &&
      !(node.body.kind === 'operator' && node.body.boundary);
    if (fused) return this.#entry(only);
    const wire = new Wire<never>();
    for (const consumer of consumers) wire.to(this.#entry(consumer));
    return wire;
  }

  #sides(node: GraphNode): ReadonlyMap<string, Receiver<unknown>> {
    // A side output carries what its tag says; the tag's type ties the two ends.
    return new Map(this.#graph.tags(node.id).map((tag) => [tag, this.#output(node, tag) as Receiver<unknown>]));
  }

  #enter(consumer: Consumer, receiver: Receiver<never>): void {
    this.#entries.set(entryOf(consumer), receiver);
  }

  #enterAll(node: GraphNode, receiver: Receiver<never>): void {
    for (const port of node.inputs.keys()) this.#enter({ node, port }, receiver);
  }

  /** Named by the uid in front: a node's number is another one as soon as the pipeline is written in another order. */
  #channelOf({ from, tag }: GraphEdge): string {
    const uid = this.#graph.nodes.find(({ id }) => id === from)?.uid ?? `${from}`;
    return tag === undefined ? uid : `${uid}/${tag}`;
  }

  #entry(consumer: Consumer): Receiver<never> {
    const receiver = this.#entries.get(entryOf(consumer));
    if (receiver === undefined)
      throw new StreamError('GRAPH_INVALID', `operator "${consumer.node.uid}" is used before it is defined`);
    return receiver;
  }
}

const entryOf = ({ node, port }: Consumer): string => `${node.id}:${port}`;

/** Each name once: the second edge of one stream is `stream#2`. */
const distinct = (names: readonly string[]): readonly string[] => {
  const taken = new Set<string>();
  for (const name of names) {
    let own = name;
    for (let count = 2; taken.has(own); count += 1) own = `${name}#${count}`;
    taken.add(own);
  }
  return [...taken];
};
