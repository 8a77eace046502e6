/**
 * What is odd about the side outputs of a graph, as far as can be seen before it runs: one that an operator was told to
 * write to and nobody reads, and one that is read of an operator that never writes to it. Keeps I22; what is lost while
 * a job runs counts its host.
 */
import type { GraphNode, NodeBody, StreamGraph } from './graph.ts';

/** Where an operator sends records beside its main output. */
export interface SideWrites {
  /** Ids of the tags that its options name. */
  readonly tags: readonly string[];
  /** Whether a function of it may send to any other. */
  readonly others: boolean;
}

/** Facts for programs and a sentence for people. */
export interface SideOutputNote {
  readonly facts: { readonly operator: string; readonly sideOutput: string };
  readonly message: string;
}

const nothing: SideWrites = { tags: [], others: false };
const anything: SideWrites = { tags: [], others: true };

/** What a node sends to side outputs. Of a function with capabilities that does not say so nothing is known. */
export const sideWritesOf = (body: NodeBody): SideWrites => {
  if (body.kind === 'source') return anything;
  if (body.kind !== 'operator') return nothing;
  return body.writes ?? (typeof body.operator === 'function' ? anything : nothing);
};

/** One note for each side output that nobody reads or nobody writes. */
export const sideOutputNotes = (graph: StreamGraph): readonly SideOutputNote[] =>
  graph.nodes.flatMap((node) => {
    const read = graph.tags(node.id);
    const { tags, others } = sideWritesOf(node.body);
    const unread = tags.filter((tag) => !read.includes(tag)).map((tag) => unreadNote(node, tag));
    const unwritten = others
      ? []
      : read.filter((tag) => !tags.includes(tag)).map((tag) => unwrittenNote(graph, node, tag));
    return [...unread, ...unwritten];
  });

const unreadNote = ({ uid }: GraphNode, tag: string): SideOutputNote => ({
  facts: { operator: uid, sideOutput: tag },
  message:
    `nobody reads side output '${tag}' of operator '${uid}', so what it sends there is lost: ` +
    `call \`sideOutput\` on the stream that '${uid}' gives, in front of any \`map\` or \`filter\``,
});

const unwrittenNote = (graph: StreamGraph, node: GraphNode, tag: string): SideOutputNote => {
  const writer = writerBefore(graph, node, tag);
  const where = writer === undefined ? 'the operator that writes it' : `'${writer.uid}'`;
  return {
    facts: { operator: node.uid, sideOutput: tag },
    message:
      `side output '${tag}' is read of operator '${node.uid}', which sends nothing there: ` +
      `call \`sideOutput\` on the stream that ${where} gives, in front of what follows it`,
  };
};

/** The nearest operator in front that writes to it, or may; one that names the tag before all others. */
const writerBefore = (graph: StreamGraph, node: GraphNode, tag: string): GraphNode | undefined => {
  const before = [...node.inputs.map(({ from }) => graph.node(from))];
  for (const each of before) {
    for (const { from } of each.inputs) if (!before.includes(graph.node(from))) before.push(graph.node(from));
  }
  return (
    before.find(({ body }) => sideWritesOf(body).tags.includes(tag)) ??
    before.find(({ body }) => body.kind === 'operator' && sideWritesOf(body).others)
  );
};
