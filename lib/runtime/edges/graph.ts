/**
 * The pipeline as data: nodes with uids and the edges between them. Compiled by `topology.ts`; cut into stages for
 * scale-out. Keeps I12 (state belongs to a uid; two operators with one uid are an error).
 */
import { named } from '../../core/failures.ts';
import type { OperatorFunction } from 'rxjs';
import type { Sink, Source } from '../../core/connector.ts';
import { refuseThenable, StreamError } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { MultiInputOperator, Operator, Step } from '../../core/operator.ts';
import { refusal } from '../../core/options.ts';
import type { SideWrites } from './side-output-notes.ts';
import type { WatermarkStrategy } from './watermark-strategy.ts';

/** How records cross an edge: to whoever is next, to the owner of their key, or to all owners of keys. */
export type Partitioning =
  | { readonly kind: 'forward' }
  | { readonly kind: 'hash'; readonly keyOf: (value: never) => Key }
  | { readonly kind: 'broadcast' };

export interface GraphEdge {
  readonly from: number;
  readonly partitioning: Partitioning;
  /** Id of the side output it starts at; undefined: the main output. */
  readonly tag?: string | undefined;
}

export type NodeBody =
  | { readonly kind: 'source'; readonly source: Source<unknown>; readonly strategy: WatermarkStrategy<never> }
  /**
   * `boundary`: results leave in turns of their own, so its chain ends here. `foreign`: it is a user's own, so its
   * timestamps are checked.
   */
  | {
      readonly kind: 'operator';
      /** One of several inputs exactly where the node has several. */
      readonly operator:
        Operator<never, unknown> | Step<never, unknown> | MultiInputOperator<readonly never[], unknown>;
      readonly boundary: boolean;
      readonly foreign?: boolean | undefined;
      /** Where it sends records beside its main output. @defaultValue not known; for a step: nowhere */
      readonly writes?: SideWrites | undefined;
    }
  | { readonly kind: 'union' }
  | { readonly kind: 'pipe'; readonly operator: OperatorFunction<never, unknown>; readonly stateless: boolean }
  | { readonly kind: 'tap'; readonly next: (value: never) => void }
  | { readonly kind: 'sink'; readonly sink: Sink<never> };

export interface GraphNode {
  readonly id: number;
  readonly body: NodeBody;
  /** Its edges by port. Two may come from one stream: an edge is named by its node and its port. */
  readonly inputs: readonly GraphEdge[];
  uid: string;
  name: string;
  /** True when the user chose the uid. */
  pinned: boolean;
}

/** An edge seen from the node that it leaves. */
export interface Consumer {
  readonly node: GraphNode;
  /** Which input of the node it is. */
  readonly port: number;
}

/** A part of the graph between keyed edges: what one domain runs when the job is spread over Kafka. */
export interface Stage {
  readonly nodes: readonly number[];
  /** Keyed and broadcast edges that enter it. */
  readonly inputs: readonly GraphEdge[];
}

export class StreamGraph {
  readonly #nodes: GraphNode[] = [];
  /** How many nodes were added under a name, whatever they are called by now. */
  readonly #added = new Map<string, number>();
  #runningJob: string | undefined;

  get nodes(): readonly GraphNode[] {
    return this.#nodes;
  }

  /**
   * Adds a node; its uid is its name, numbered when the name has come before, so it is stable while nodes of that name
   * keep their order. Neither `rename` nor `pin` of one node changes the uid of another.
   */
  add(name: string, body: NodeBody, inputs: readonly GraphEdge[]): GraphNode {
    if (typeof name !== 'string' || name === '') throw refusal('name', 'a text', name);
    this.refuseWhileRunning();
    const count = (this.#added.get(name) ?? 0) + 1;
    this.#added.set(name, count);
    const node: GraphNode = {
      id: this.#nodes.length,
      body,
      inputs,
      uid: count === 1 ? name : `${name}-${count}`,
      name,
      pinned: false,
    };
    this.#nodes.push(node);
    return node;
  }

  /** Gives a node the uid that the user chose. */
  pin(node: GraphNode, uid: string): void {
    if (typeof uid !== 'string' || !/^[A-Za-z0-9][\w.-]*$/.test(uid)) {
      throw new TypeError(`Expected \`uid\` to be letters, digits, ".", "_" or "-", got \`${String(uid)}\``);
    }
    this.refuseWhileRunning();
    node.uid = uid;
    node.pinned = true;
  }

  /** Gives a node another name, for messages and metrics. */
  rename(node: GraphNode, name: string): void {
    if (typeof name !== 'string' || name === '') throw refusal('name', 'a text', name);
    this.refuseWhileRunning();
    node.name = name;
  }

  /**
   * Keeps the graph as it is while a job runs on it: a restart compiles it again, and must find what the job has begun
   * with.
   */
  lock(job: string): void {
    if (this.#runningJob !== undefined) {
      throw new TypeError(`Expected one job of an environment at a time; "${this.#runningJob}" is still running`);
    }
    this.#runningJob = job;
  }

  unlock(): void {
    this.#runningJob = undefined;
  }

  /** Throws a `TypeError` while a job runs on the graph. */
  refuseWhileRunning(): void {
    if (this.#runningJob === undefined) return;
    throw new TypeError(
      `Expected the pipeline to be complete before it runs; job "${this.#runningJob}" is running on it`,
    );
  }

  node(id: number): GraphNode {
    const node = this.#nodes[id];
    if (node === undefined) throw new TypeError(`Expected a node of this graph, got \`${id}\``);
    return node;
  }

  /** Edges that leave a node at its main output, or at a side output. */
  consumers(id: number, tag?: string): readonly Consumer[] {
    return this.#nodes.flatMap((node) =>
      node.inputs.flatMap((edge, port) => (edge.from === id && edge.tag === tag ? [{ node, port }] : [])),
    );
  }

  /** Ids of the side outputs of a node that somebody reads. */
  tags(id: number): readonly string[] {
    const tags = this.#nodes
      .flatMap((node) => node.inputs)
      .flatMap(({ from, tag }) => (from === id && tag !== undefined ? [tag] : []));
    return [...new Set(tags)];
  }

  /** Refuses what can not run. Throws `UID_CLASH` or `GRAPH_INVALID`. */
  check(): void {
    if (!this.#nodes.some(({ body }) => body.kind === 'source'))
      throw new StreamError('GRAPH_INVALID', 'the pipeline has no source');
    const seen = new Map<string, GraphNode>();
    for (const node of this.#nodes) {
      const other = seen.get(node.uid);
      if (other !== undefined) {
        const [first, second] = [other, node].map((each) => this.#placeOf(each));
        throw new StreamError('UID_CLASH', `the uid "${node.uid}" is that of ${first} and of ${second}`);
      }
      seen.set(node.uid, node);
    }
    this.#checkOutputs();
  }

  /** A node in words that tell it from another of its name. */
  #placeOf({ name, body, inputs: [input], pinned }: GraphNode): string {
    const what = body.kind === 'source' || body.kind === 'sink' ? body.kind : 'operator';
    const where = input === undefined ? '' : ` behind "${this.node(input.from).name}"`;
    return `the ${what} "${name}"${where} (${pinned ? 'by `.uid`' : 'by default'})`;
  }

  /**
   * An output has one owner: what two sinks write to one file, each would take for damage that somebody else has done.
   */
  #checkOutputs(): void {
    const owners = new Map<string, GraphNode>();
    for (const node of this.#nodes) {
      if (node.body.kind !== 'sink') continue;
      const { sink } = node.body;
      const failing = {
        code: 'GRAPH_INVALID',
        what: `sink "${node.uid}" failed to name its outputs`,
        uid: node.uid,
      } as const;
      const outputs = (): readonly string[] =>
        refuseThenable(sink.outputs?.() ?? [], '`outputs` of the sink', node.uid);
      for (const output of named(failing, () => [...outputs()])) {
        const other = owners.get(output);
        if (other !== undefined) {
          throw new StreamError('GRAPH_INVALID', `sinks "${other.uid}" and "${node.uid}" write to one output`, {
            hint: 'give each sink an output of its own, or join their streams before one sink: `one.union(other).sinkTo(sink)`',
            details: { output, uids: [other.uid, node.uid] },
          });
        }
        owners.set(output, node);
      }
    }
  }

  /**
   * Whether a source that can't replay, or a sink that writes at once, needs the order of turns to be recorded. Work
   * needs it too.
   */
  get needsTurnLog(): boolean {
    return this.#nodes.some(({ body }) => {
      if (body.kind === 'source') return !body.source.replayable;
      return body.kind === 'sink' && body.sink.guarantee === 'at-least-once';
    });
  }

  /**
   * The graph cut at its keyed and broadcast edges: the unit of scale-out (DESIGN 7). A job in one process is one
   * domain of all.
   */
  stages(): readonly Stage[] {
    const stageOf = new Map<number, number>();
    const merge = (from: number, to: number): void => {
      for (const [node, stage] of stageOf) if (stage === from) stageOf.set(node, to);
    };
    for (const node of this.#nodes) {
      stageOf.set(node.id, node.id);
      for (const { from, partitioning } of node.inputs) {
        // Inputs come before their consumers.
        if (partitioning.kind === 'forward') merge(stageOf.get(node.id) as number, stageOf.get(from) as number);
      }
    }
    return [...new Set(stageOf.values())].map((stage) => {
      const nodes = this.#nodes.filter(({ id }) => stageOf.get(id) === stage);
      return {
        nodes: nodes.map(({ id }) => id),
        inputs: nodes.flatMap(({ inputs }) => inputs.filter(({ partitioning }) => partitioning.kind !== 'forward')),
      };
    });
  }
}
