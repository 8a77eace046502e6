/**
 * The `@example`s of docstrings, as modules, and who has none. An example names what it needs: whatever `millrace` and
 * its parts export, the exports of its own file, and the fixtures need no import. One that uses a fixture and starts no
 * job is run as a pipeline at its end.
 */
import { posix } from 'node:path';
import { parse, type SourceFile, type SyntaxNode } from './house.ts';
import { printsOf, type ShownModule } from './shown-code.ts';

export interface Example extends ShownModule {
  readonly prints: readonly string[];
}

/** What users import, by its name there: where from, and where it is declared. */
export interface PublicName {
  readonly name: string;
  readonly from: string;
  /** `lib/core/key.ts#Key`, with the name that it has there. */
  readonly place: string;
  readonly isType: boolean;
}

const fixtures = ['env', 'orders', 'Order'];

/** Values that declarations make: names, and the node that a docstring stands in front of. */
interface Declaration {
  readonly name: string;
  readonly statement: SyntaxNode;
  readonly node: SyntaxNode;
  readonly isType: boolean;
}

export const exportsOf = (file: SourceFile): readonly Declaration[] =>
  nodesIn(file.program['body']).flatMap((statement) => {
    const [node] = statement.type === 'ExportNamedDeclaration' ? nodesIn(statement['declaration']) : [];
    if (node === undefined) return [];
    const isType = node.type.startsWith('TSType') || node.type.startsWith('TSInterface');
    return declaredBy(node).map((name) => ({ name, statement, node, isType }));
  });

/** What the doors export. A door is a barrel, or a file of its own with what it declares. */
export const publicNames = (doors: ReadonlyMap<string, SourceFile>): readonly PublicName[] =>
  [...doors].flatMap(([from, file]) => {
    const own = exportsOf(file).map(({ name, isType }) => ({ name, from, place: `${file.path}#${name}`, isType }));
    const handedOn = nodesIn(file.program['body']).flatMap((statement) =>
      nodesIn(statement['specifiers']).flatMap((specifier) => {
        const [source] = nodesIn(statement.source);
        if (specifier.type !== 'ExportSpecifier' || source === undefined) return [];
        const place = `${posix.join(posix.dirname(file.path), String(source['value']))}#${nameOf(specifier['local'])}`;
        return [
          {
            name: nameOf(specifier['exported']),
            from,
            place,
            isType: [statement, specifier].some((each) => each['exportKind'] === 'type'),
          },
        ];
      }),
    );
    return [...own, ...handedOn];
  });

/** The examples of a file. */
export const examplesOf = (file: SourceFile, names: readonly PublicName[]): readonly Example[] =>
  file.comments.flatMap(({ start, end }) => {
    const comment = file.text.slice(start, end).replace(/\*\/$/, '');
    return [...comment.matchAll(/@example\b((?:(?!\n\s*\* @[a-z])[^])*)/g)].map(({ index, 1: body = '' }) => {
      const at = start + index;
      const line = file.lineOf(at);
      // Spaces for what stands in front, so that errors have their column too.
      const column = at + '@example'.length - file.text.lastIndexOf('\n', at) - 1;
      const lines = `${' '.repeat(column)}${body}`
        .split('\n')
        .map((each) => each.replace(/^\s*\* ?/, (star) => ' '.repeat(star.length)));
      return { path: file.path, line, text: moduleOf(file, line, lines, names), prints: printsOf(lines) };
    });
  });

const moduleOf = (file: SourceFile, line: number, lines: readonly string[], names: readonly PublicName[]): string => {
  const body = lines.join('\n');
  const declared = new Set(nodesIn(parse(file.path, body).program['body']).flatMap(declaredBy));
  const isMeant = (name: string): boolean =>
    !declared.has(name) && new RegExp(String.raw`(?<![\w$.])${name}(?![\w$])`).test(body);
  const places = new Set(names.filter(({ isType }) => !isType).map(({ place }) => place));
  const own = exportsOf(file).filter(({ name }) => isMeant(name) && !places.has(`${file.path}#${name}`));
  const others = names.filter(({ name }) => isMeant(name) && own.every((each) => each.name !== name));
  const meant = new Set(fixtures.filter(isMeant));
  const prologue = [
    ...own.map(({ name, isType }) => `import { ${isType ? 'type ' : ''}${name} } from '../../../${file.path}';`),
    ...others.map(({ name, from, isType }) => `import { ${isType ? 'type ' : ''}${name} } from '${from}';`),
    ...(meant.delete('Order') ? ["import type { Order } from '../../doc-fixtures.ts';"] : []),
    ...(meant.size === 0 ? [] : [`import { Fixtures } from '../../doc-fixtures.ts'; const fixtures = new Fixtures();`]),
    ...[...meant].map((name) => `const { ${name} } = fixtures;`),
    'export {};',
  ];
  const starts = meant.size === 0 || /\.execute(AndCollect|Async)?\(/.test(body);
  return [
    prologue.join(' '),
    ...Array.from({ length: line - 2 }, () => ''),
    body,
    starts ? '' : 'await fixtures.run();',
  ].join('\n');
};

/** Public functions, classes and constants without an example, and methods of those classes that no example shows. */
export const withoutExample = (names: readonly PublicName[], read: (path: string) => SourceFile): readonly string[] =>
  names.flatMap(({ name, place, isType }) => {
    const [path = '', local = ''] = place.split('#');
    const file = read(path);
    const found = exportsOf(file).filter((each) => each.name === local);
    // A class of which users have the type alone still has methods that they call.
    const isShown = isType || found.some(({ statement }) => docOf(file, statement).includes('@example'));
    return [
      ...(isShown ? [] : [`${name} in ${path}`]),
      ...found.flatMap(({ node }) => methodsWithout(file, node).map((method) => `${name}.${method} in ${path}`)),
    ];
  });

/**
 * Methods that neither have an example of their own nor are called in another one of their file. Values have `toJSON`
 * for others to call.
 */
const methodsWithout = (file: SourceFile, node: SyntaxNode): readonly string[] => {
  const shown = examplesOf(file, []).map(({ text }) => text);
  const members = nodesIn(nodesIn(node['body'])[0]?.['body']).filter(
    (member) => member.type === 'MethodDefinition' && isMethod(member),
  );
  const isCalled = (name: string): boolean =>
    shown.some((text) => new RegExp(String.raw`\.${name}(<[^()]*>)?\(`).test(text));
  const isKnown = (name: string): boolean => isCalled(name) || /^to(JSON|String)$/.test(name);
  const seen = members.filter((member) => /@example|@internal/.test(docOf(file, member))).map(({ key }) => nameOf(key));
  return [...new Set(members.map(({ key }) => nameOf(key)))].filter((name) => !seen.includes(name) && !isKnown(name));
};

/**
 * Methods of public classes and interfaces that do not say what they do. What a class implements is said by its
 * contract.
 */
export const withoutWords = (names: readonly PublicName[], read: (path: string) => SourceFile): readonly string[] =>
  names.flatMap(({ name, place }) => {
    const [path = '', local = ''] = place.split('#');
    const file = read(path);
    return exportsOf(file)
      .filter((each) => each.name === local && nodesIn(each.node['implements']).length === 0)
      .flatMap(({ node }) => {
        const methods = nodesIn(nodesIn(node['body'])[0]?.['body']).filter(isMethod);
        const said = new Set(
          methods
            .filter((method) => docOf(file, method) !== '' || method['override'] === true)
            .map(({ key }) => nameOf(key)),
        );
        return methods
          .map(({ key }) => nameOf(key))
          .filter((method) => !said.has(method) && !/^to(JSON|String)$/.test(method));
      })
      .map((method) => `${name}.${method} in ${path}`);
  });

const isMethod = ({ type, kind, accessibility = null, key }: SyntaxNode): boolean =>
  /^(MethodDefinition|TSMethodSignature)$/.test(type) &&
  kind === 'method' &&
  accessibility === null &&
  nodesIn(key)[0]?.type === 'Identifier';

/** Interfaces that users fill in. */
const optionsName = /(Options|Settings|Setup|ToolDefinition|SourceDefinition|SinkDefinition)$/;

/** Options that do not say what they mean, or what they are when nobody gives them. */
export const withoutDefault = (names: readonly PublicName[], read: (path: string) => SourceFile): readonly string[] =>
  names.flatMap(({ name, place }) => {
    const [path = '', local = ''] = place.split('#');
    const file = read(path);
    if (!optionsName.test(name)) return [];
    const [declaration] = exportsOf(file).filter((each) => each.name === local);
    return nodesIn(nodesIn(declaration?.node['body'])[0]?.['body']).flatMap((member) => {
      const doc = docOf(file, member);
      const isSaid =
        doc.includes('@internal') || (doc !== '' && (member['optional'] !== true || doc.includes('@defaultValue')));
      return isSaid ? [] : [`${name}.${nameOf(member['key'])} in ${path}`];
    });
  });

/** The docstring that stands right in front of a node. */
const docOf = (file: SourceFile, node: SyntaxNode): string => {
  const comment = file.comments.findLast(({ end }) => end <= node.start);
  return comment !== undefined && file.text.slice(comment.end, node.start).trim() === ''
    ? file.text.slice(comment.start, comment.end)
    : '';
};

const nodesIn = (value: unknown): readonly SyntaxNode[] =>
  (Array.isArray(value) ? value : [value]).filter(
    (each): each is SyntaxNode => typeof each === 'object' && each !== null && 'type' in each,
  );

const nameOf = (node: unknown): string => String(nodesIn(node)[0]?.['name'] ?? nodesIn(node)[0]?.['value']);

/** The names that a statement binds. */
const declaredBy = (statement: SyntaxNode): readonly string[] => {
  if (statement.type === 'ImportDeclaration')
    return nodesIn(statement['specifiers']).map((each) => nameOf(each['local']));
  if (statement.type === 'VariableDeclaration')
    return nodesIn(statement['declarations']).flatMap((each) => boundBy(nodesIn(each['id'])));
  return 'id' in statement ? nodesIn(statement['id']).map(nameOf) : [];
};

/** The names of patterns: `a`, `{ a, b: c }`, `[a, ...b]`. */
const boundBy = (patterns: readonly SyntaxNode[]): readonly string[] =>
  patterns.flatMap((node) =>
    node.type === 'Identifier'
      ? [nameOf(node)]
      : boundBy(
          ['properties', 'elements', 'argument', 'left', ...(node.type === 'Property' ? ['value'] : [])].flatMap(
            (part) => nodesIn(node[part]),
          ),
        ),
  );
