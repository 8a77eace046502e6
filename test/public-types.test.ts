import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, readSource, type SourceFile, type SyntaxNode } from './house.ts';

/** Something by its file and the name it has there: `lib/core/key.ts#Key`. */
type Place = string;

const placeOf = (path: string, name: string): Place => `${path}#${name}`;

const nodesIn = (value: unknown): readonly SyntaxNode[] =>
  (Array.isArray(value) ? value : [value]).filter(
    (each): each is SyntaxNode => typeof each === 'object' && each !== null && 'type' in each,
  );

const nameOf = (node: unknown): string => (nodesIn(node)[0]?.['name'] ?? nodesIn(node)[0]?.['value']) as string;

const fileOf = (from: string, node: SyntaxNode): string | undefined => {
  const specifier = nodesIn(node.source)[0]?.['value'] as string | undefined;
  return specifier?.startsWith('.') === true ? posix.join(posix.dirname(from), specifier) : undefined;
};

/** What a barrel exports: where each is declared. */
const exportedBy = ({ path, nodes }: SourceFile): readonly Place[] =>
  nodes.flatMap((node) => {
    const file = node.type === 'ExportNamedDeclaration' ? fileOf(path, node) : undefined;
    return file === undefined
      ? []
      : nodesIn(node['specifiers']).map((specifier) => placeOf(file, nameOf(specifier['local'])));
  });

/** What the names of a file stand for. */
interface Names {
  /** Its own declarations. */
  readonly own: ReadonlyMap<string, readonly SyntaxNode[]>;
  readonly exported: ReadonlySet<string>;
  /** What it imports from other files of the house. */
  readonly imported: ReadonlyMap<string, Place>;
}

const namesOf = ({ path, program }: SourceFile): Names => {
  const own = new Map<string, SyntaxNode[]>();
  const exported = new Set<string>();
  const imported = new Map<string, Place>();
  for (const statement of nodesIn(program['body'])) {
    const file = fileOf(path, statement);
    if (statement.type === 'ImportDeclaration' && file !== undefined) {
      for (const each of nodesIn(statement['specifiers']))
        imported.set(nameOf(each['local']), placeOf(file, nameOf(each['imported'])));
    }
    const declared = nodesIn(statement['declaration'])[0] ?? statement;
    const declare = (name: string, node: SyntaxNode): void => {
      own.set(name, [...(own.get(name) ?? []), node]);
      if (statement.type.startsWith('Export')) exported.add(name);
    };
    if (declared.type === 'VariableDeclaration')
      for (const each of nodesIn(declared['declarations'])) declare(nameOf(each['id']), each);
    else if (declared['id'] !== undefined && declared['id'] !== null) declare(nameOf(declared['id']), declared);
  }
  return { own, exported, imported };
};

/** Defaults, and what is done to a member. */
const unseen = new Set(['right', 'decorators']);

/**
 * Names of types in the signature of a declaration: without what functions do, how a field begins, and members that no
 * user sees.
 */
function* typesIn(node: SyntaxNode, text: string): Generator<string> {
  if (node.type === 'TSTypeReference') yield nameOf(node['typeName']);
  if (node.type === 'TSInterfaceHeritage' || node.type === 'TSClassImplements') yield nameOf(node['expression']);
  const isField = node.type === 'PropertyDefinition' || node.type === 'VariableDeclarator';
  const isArrow = node.type === 'ArrowFunctionExpression';
  let seenTo = node.start;
  for (const [property, value] of Object.entries(node)) {
    if (unseen.has(property)) continue;
    for (const child of nodesIn(value)) {
      if (property === 'body' && (isArrow || child.type === 'BlockStatement')) continue;
      if (isField && (property === 'value' || property === 'init') && !child.type.includes('Function')) continue;
      const comment = text.slice(seenTo, child.start);
      seenTo = child.end;
      if (/^(Class|TSInterface)Body$/.test(node.type) && (isPrivate(child) || comment.includes('@internal'))) continue;
      yield* typesIn(child, text);
    }
  }
}

const isPrivate = (member: SyntaxNode): boolean =>
  nodesIn(member['key'])[0]?.type === 'PrivateIdentifier' || member['accessibility'] === 'private';

/**
 * Where the types are that the signature of a declaration names. One that its file keeps to itself counts as written
 * out in place.
 */
const placesIn = (file: SourceFile, name: string): ReadonlySet<Place> => {
  const { own, exported, imported } = namesOf(file);
  const places = new Set<Place>();
  const seen = new Set<string>();
  const visit = (each: string): void => {
    if (seen.has(each)) return;
    seen.add(each);
    for (const declaration of own.get(each) ?? []) {
      for (const type of typesIn(declaration, file.text)) {
        const place = imported.get(type) ?? (exported.has(type) ? placeOf(file.path, type) : undefined);
        if (place !== undefined) places.add(place);
        else visit(type);
      }
    }
  };
  visit(name);
  return places;
};

/** Types in the signatures of what barrels export that none of them exports, each with who names it. */
const missing = (barrels: readonly SourceFile[], read: (path: string) => SourceFile): readonly string[] => {
  const exported = new Set(barrels.flatMap(exportedBy));
  return [...exported].flatMap((place) => {
    const [path, name] = place.split('#') as [string, string];
    return [...placesIn(read(path), name)].filter((each) => !exported.has(each)).map((each) => `${each} in ${name}`);
  });
};

test('who can call a function can name every type in its signature', () => {
  expect(missing(['lib/index.ts', 'lib/testing.ts'].map(readSource), readSource).toSorted()).toEqual([]);
});

describe('finds', () => {
  const found = (text: string): readonly string[] =>
    missing([parse('lib/index.ts', "export { a } from './a.ts';")], (path) =>
      parse(path, `import type { B } from './b.ts';\nexport interface C {}\ninterface Own { b: B }\n${text}`),
    );

  test.each([
    ['a parameter', 'export const a = (b: B): void => {};'],
    ['a result', 'export function a(): readonly B[] { return []; }'],
    ['a member', 'export class a { b(): B { return b; } }'],
    ['a field', 'export interface a { b?: Map<string, B> }'],
    ['what is extended', 'export interface a extends B {}'],
    ['what the file keeps to itself', 'export const a = (own: Own): void => {};'],
    ['an overload', 'export function a(b: B): void; export function a(): void {}'],
  ])('%s', (_what, text) => {
    expect(found(text)).toEqual(['lib/b.ts#B in a']);
  });

  test('what the file itself declares', () => {
    expect(found('export type a = C | { c: C };')).toEqual(['lib/a.ts#C in a']);
  });

  test.each([
    ['what a function does', 'export const a = (): void => { const b: B = 1; };'],
    ['what is private', 'export class a { #b: B; private c: B; /** @internal */ d(): B { return b; } }'],
  ])('not %s', (_what, text) => {
    expect(found(text)).toEqual([]);
  });
});
