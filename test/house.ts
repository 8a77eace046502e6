/** The source text of the project, parsed, for the tests that keep the rules of the house. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** A node of the syntax tree: what every one of them has. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly source?: unknown;
  readonly [property: string]: unknown;
}

export interface SourceFile {
  /** From the root of the project, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly program: SyntaxNode;
  /** Every node of the tree, parents first. */
  readonly nodes: readonly SyntaxNode[];
  /** In order. */
  readonly comments: readonly { readonly start: number; readonly end: number }[];
  /** The line of an offset, from 1. */
  lineOf(offset: number): number;
}

/** Paths of all files below a folder, without dot folders; empty when there is no such folder. */
export const filesBelow = (folder: string): readonly string[] => {
  const entries = (() => {
    try {
      return readdirSync(`${root}${folder}`, { withFileTypes: true });
    } catch {
      return [];
    }
  })();
  return entries
    .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]))
    .toSorted();
};

export const parse = (path: string, text: string): SourceFile => {
  const { program, comments, errors } = parseSync(path, text);
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`${path}: ${error.message}`);
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  // The parser's types list every kind of node; a walk needs what all have.
  const tree = program as unknown as SyntaxNode;
  return {
    path,
    text,
    program: tree,
    nodes: [...nodesOf(tree)],
    comments,
    lineOf: (offset) => starts.findLastIndex((start) => start <= offset) + 1,
  };
};

export const readSource = (path: string): SourceFile => parse(path, readFileSync(`${root}${path}`, 'utf8'));

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === 'object' && value !== null && typeof Reflect.get(value, 'type') === 'string';

function* nodesOf(node: SyntaxNode): Generator<SyntaxNode> {
  yield node;
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) yield* nodesOf(child);
  }
}

export interface ImportOf {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
  /** `import()`: when it is run, not when the file is loaded. */
  readonly dynamic: boolean;
}

/** What a file imports or re-exports, `import()` and the types of `import('x').Y` included. */
export const importsOf = (file: SourceFile): readonly ImportOf[] =>
  file.nodes.flatMap((node) => {
    const { source } = node;
    if (!/^(Import|Export|TSImportType)/.test(node.type) || !isNode(source) || typeof source['value'] !== 'string')
      return [];
    const typeOnly = node['importKind'] === 'type' || node['exportKind'] === 'type' || node.type === 'TSImportType';
    return [
      {
        specifier: source['value'],
        typeOnly,
        dynamic: node.type === 'ImportExpression',
        line: file.lineOf(node.start),
      },
    ];
  });

/** A name, or names joined by dots: `a`, `a.b`, `this.a`; undefined for anything else. */
export const dotted = (node: unknown): string | undefined => {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier') return node['name'] as string;
  if (node.type === 'ThisExpression') return 'this';
  if (node.type !== 'MemberExpression' || node['computed'] === true) return undefined;
  const object = dotted(node['object']);
  const property = dotted(node['property']);
  return object === undefined || property === undefined ? undefined : `${object}.${property}`;
};
