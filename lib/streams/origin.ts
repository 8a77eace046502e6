/**
 * What stands behind the fluent face: where a stream starts in the graph, and what is put behind it. An origin knows of
 * edges and nodes, not of the types of records, which only streams follow. Keeps I12 (a side output and a keyed stream
 * have no operator to name).
 */
import { Observable } from 'rxjs';
import type { Key } from '../core/key.ts';
import type { MultiInputOperator, Operator, Step } from '../core/operator.ts';
import { looseCopy } from '../core/own-copy.ts';
import type { SideWrites } from '../runtime/edges/side-output-notes.ts';
import type { GraphEdge, GraphNode, NodeBody, Partitioning, StreamGraph } from '../runtime/edges/graph.ts';
import type { Agent, AgentClass } from '../agents/definition/agent.ts';
import type { AgentOperatorOptions } from '../../operators/agent-options.ts';
import type { AgentNode } from '../pipeline-agents.ts';
import type { StreamKinds } from './stream-kinds.ts';

/** What streams need of the environment that they belong to. */
export interface PipelineOwner {
  readonly graph: StreamGraph;
  readonly kinds: StreamKinds;
  /** The operator that runs an agent, and what it is called. */
  agentOperator<I, O>(agent: Agent<I, O> | AgentClass<I, O>, options: AgentOperatorOptions): AgentNode;
  execute(name?: string): Promise<void>;
  /** Calls the listener when the job ends, at once when it has ended. Returns how to stop listening. */
  onEnd(listener: (error: unknown) => void): () => void;
}

interface Start {
  readonly environment: PipelineOwner;
  readonly node: GraphNode;
  /** Id of a side output; undefined: the main output. */
  readonly tag?: string | undefined;
  /** Makes it keyed: operators behind it have state per key. */
  readonly keyOf?: ((value: never) => Key) | undefined;
  /** Each owner of keys has all of its records. */
  readonly isBroadcast?: true;
}

export interface OperatorPlace {
  /** Results leave in turns of their own. @defaultValue false */
  readonly boundary?: boolean;
  /** It is a user's own: what it hands on is looked at. @defaultValue false */
  readonly foreign?: boolean;
  /** Where it sends records beside its main output. @defaultValue not known; for a step: nowhere */
  readonly writes?: SideWrites;
}

/** A node's main output or one of its side outputs, keyed or not. */
export class Origin {
  readonly environment: PipelineOwner;
  readonly #start: Start;

  constructor(start: Start) {
    this.environment = start.environment;
    this.#start = start;
  }

  /** The same records, keyed. */
  keyed(keyOf: (value: never) => Key): Origin {
    if (typeof keyOf !== 'function')
      throw new TypeError(`Expected \`keyOf\` to be a function, got \`${typeof keyOf}\``);
    return new Origin({ ...this.#start, keyOf });
  }

  /** The same records, all of them for each owner of keys. */
  broadcast(): Origin {
    return new Origin({ ...this.#start, keyOf: undefined, isBroadcast: true });
  }

  /** A side output of the same node. */
  side(tag: string): Origin {
    return new Origin({ ...this.#start, tag, keyOf: undefined });
  }

  /** Adds a node behind it, which sees records wherever they are, and gives the node's output. */
  add(name: string, body: NodeBody, edges: readonly GraphEdge[] = [this.#edge()]): Origin {
    return new Origin({ environment: this.environment, node: this.addNode(name, body, edges) });
  }

  addNode(name: string, body: NodeBody, edges: readonly GraphEdge[] = [this.#edge()]): GraphNode {
    return this.environment.graph.add(name, body, edges);
  }

  /**
   * Adds an operator behind it, and behind others for one of several inputs; it has the records of a key in one place
   * if the origin is keyed.
   */
  addOperator(
    name: string,
    operator: Operator<never, unknown> | Step<never, unknown> | MultiInputOperator<readonly never[], unknown>,
    { boundary = false, foreign = false, writes }: OperatorPlace = {},
    others: readonly Origin[] = [],
  ): Origin {
    this.#refuseForeign(name, others);
    const edges = [this, ...others].map((origin) => origin.#operatorEdge());
    return this.add(name, { kind: 'operator', operator, boundary, foreign, writes }, edges);
  }

  union(others: readonly Origin[]): Origin {
    this.#refuseForeign('union', others);
    const edges = [this, ...others].map((origin) => origin.#edge());
    return this.add('union', { kind: 'union' }, edges);
  }

  /**
   * Values as they pass, until the job is over. Each listener's is a copy: whether there is one, and what he does with
   * it, is nothing that the job knows of, and a restart may find others there (I21).
   */
  observe<T>(): Observable<T> {
    const listeners = new Set<(value: T) => void>();
    this.add('tap', { kind: 'tap', next: (value: T) => listeners.forEach((next) => next(looseCopy(value))) });
    return new Observable<T>((subscriber) => {
      const next = (value: T): void => subscriber.next(value);
      listeners.add(next);
      subscriber.add(() => listeners.delete(next));
      subscriber.add(
        this.environment.onEnd((error) => (error === undefined ? subscriber.complete() : subscriber.error(error))),
      );
    });
  }

  /** Whether records have a key. */
  get isKeyed(): boolean {
    return this.#start.keyOf !== undefined;
  }

  /** The operator that a method names: the one that makes this as its main output. */
  operatorFor(method: string): GraphNode {
    const { node, tag, keyOf } = this.#start;
    if (keyOf !== undefined) {
      throw new TypeError(
        `Expected \`${method}\` to follow an operator; \`keyBy\` is the way to one: call it in front of \`keyBy\` or behind what comes next`,
      );
    }
    if (tag !== undefined) {
      throw new TypeError(
        `Expected \`${method}\` to follow an operator; "${tag}" is a side output of "${node.uid}", which has a name already`,
      );
    }
    return node;
  }

  #refuseForeign(name: string, others: readonly Origin[]): void {
    if (others.some(({ environment }) => environment !== this.environment))
      throw new TypeError(`Expected \`${name}\` to be given streams of one environment, got one of another`);
  }

  #operatorEdge(): GraphEdge {
    const { keyOf, isBroadcast } = this.#start;
    if (isBroadcast === true) return this.#edge({ kind: 'broadcast' });
    return keyOf === undefined ? this.#edge() : this.#edge({ kind: 'hash', keyOf });
  }

  #edge(partitioning: Partitioning = { kind: 'forward' }): GraphEdge {
    const { node, tag } = this.#start;
    return { from: node.id, partitioning, tag };
  }
}
