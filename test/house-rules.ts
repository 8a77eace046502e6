/**
 * The rules of the house (DESIGN section 3, STYLE), each a function from a source file to its findings: a line and what
 * is wrong there.
 */
import { posix } from 'node:path';
import { dotted, importsOf, type ImportOf, type SourceFile, type SyntaxNode } from './house.ts';

export interface Finding {
  readonly line: number;
  readonly message: string;
}

export type Rule = (file: SourceFile) => readonly Finding[];

// ---------- who may import whom

interface Place {
  readonly name: string;
  readonly floor: number;
  /** Packages that this place and those above may import. */
  readonly opens?: readonly string[];
  /** Packages that this place alone may import. */
  readonly keeps?: readonly string[];
  /** Packages of which it may import types. */
  readonly types?: readonly string[];
}

const places: readonly Place[] = [
  { name: 'lib/core', floor: 0, types: ['rxjs', 'zod'] },
  { name: 'lib/state', floor: 1, keeps: ['classic-level'] },
  // The rooms of the runtime stand in the order of the data, each above those before it.
  { name: 'lib/runtime/journal', floor: 2.1, opens: ['rxjs'] },
  { name: 'lib/runtime/edges', floor: 2.1 },
  { name: 'lib/runtime/work', floor: 2.2 },
  { name: 'lib/runtime/hosts', floor: 2.3 },
  { name: 'lib/runtime/checkpoint', floor: 2.4 },
  { name: 'lib/runtime/recovery', floor: 2.5 },
  { name: 'lib/runtime/domain', floor: 2.6 },
  { name: 'lib/runtime/job', floor: 2.7, keeps: ['prom-client', 'pino'] },
  // Those of the agents stand in the order in which an agent is made and run; its contracts are among them.
  { name: 'lib/agents/schemas', floor: 3.1, opens: ['zod'], keeps: ['ajv'] },
  { name: 'lib/agents/events', floor: 3.2 },
  { name: 'lib/agents/memory', floor: 3.2 },
  { name: 'lib/agents/definition', floor: 3.4, keeps: ['reflect-metadata'] },
  { name: 'lib/agents/runs', floor: 3.5 },
  { name: 'lib/agents/actions', floor: 3.6 },
  { name: 'lib/agents/plan', floor: 3.7, keeps: ['inversify'] },
  { name: 'lib/agents', floor: 3.3 },
  { name: 'operators', floor: 4 },
  { name: 'lib', floor: 5 },
];

const placeOf = (path: string): Place | undefined => places.find(({ name }) => path.startsWith(`${name}/`));

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** Packages that users have anyway, so a connector that imports no other has no dependency. */
const everybodys = new Set(['rxjs']);

const hasDependency = (file: SourceFile): boolean =>
  importsOf(file).some(
    ({ specifier, typeOnly }) => !typeOnly && !/^(\.|node:)/.test(specifier) && !everybodys.has(packageOf(specifier)),
  );

/** `read` gives the file at a path, for the connectors that the roof may import. */
export const floors =
  (read: (path: string) => SourceFile): Rule =>
  (file) =>
    importsOf(file).flatMap(({ specifier, typeOnly, line }) => {
      const refusal = specifier.startsWith('.')
        ? refuseFile(file, posix.join(posix.dirname(file.path), specifier), read)
        : specifier.startsWith('node:')
          ? undefined
          : refusePackage(file, packageOf(specifier), typeOnly);
      return refusal === undefined ? [] : [{ line, message: `imports ${specifier}: ${refusal}` }];
    });

const refuseFile = (file: SourceFile, target: string, read: (path: string) => SourceFile): string | undefined => {
  if (file.path.startsWith('connectors/'))
    return /^(connectors|lib\/core)\//.test(target) ? undefined : 'a connector sees lib/core only';
  if (file.path.startsWith('examples/'))
    return target.startsWith('examples/') ? undefined : 'examples use the public surface';
  const place = placeOf(file.path);
  if (place === undefined) return undefined;
  if (target.startsWith('connectors/') && place.name === 'lib')
    return hasDependency(read(target)) ? 'this connector has a dependency' : undefined;
  const other = placeOf(target);
  if (other === undefined) return `${place.name} may not look there`;
  return other.floor > place.floor ? `floor ${other.floor} is above floor ${place.floor}` : undefined;
};

const refusePackage = (file: SourceFile, name: string, typeOnly: boolean): string | undefined => {
  const place = placeOf(file.path);
  if (place === undefined) return undefined; // Connectors and examples import what they need.
  const allowed = places.flatMap(({ name, floor, opens = [], keeps = [] }) =>
    floor <= place.floor ? opens.concat(name === place.name ? keeps : []) : [],
  );
  if (allowed.includes(name) || (typeOnly && place.types?.includes(name) === true)) return undefined;
  return `${place.name} may import ${allowed.length === 0 ? 'no package' : allowed.join(', ')}`;
};

/** What package.json says of the packages that the published code may import. */
export interface Declared {
  /** Dependencies and peers: they are there. */
  readonly present: ReadonlySet<string>;
  /** Optional peers: they may be missing. */
  readonly optional: ReadonlySet<string>;
}

export const declaredIn = (manifest: {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>;
}): Declared => {
  const isOptional = (name: string): boolean => manifest.peerDependenciesMeta[name]?.optional === true;
  const peers = Object.keys(manifest.peerDependencies);
  return {
    present: new Set([...Object.keys(manifest.dependencies), ...peers.filter((name) => !isOptional(name))]),
    optional: new Set(peers.filter(isOptional)),
  };
};

const packagesOf = (file: SourceFile): readonly (ImportOf & { readonly name: string })[] =>
  importsOf(file)
    .filter(({ specifier }) => !/^(\.|node:|millrace($|\/))/.test(specifier))
    .map((each) => ({ ...each, name: packageOf(each.specifier) }));

/** Dependencies that take long to load or are native: who does not need them does not wait for them. */
const loadedWhenUsed = new Set(['classic-level', 'ajv']);

/**
 * What is published imports nothing that an install leaves out; what it may leave out is imported as a type or when it
 * is used.
 */
export const dependencies =
  ({ present, optional }: Declared): Rule =>
  (file) =>
    packagesOf(file).flatMap(({ specifier, name, typeOnly, dynamic, line }) => {
      if (!present.has(name) && !optional.has(name)) {
        return [{ line, message: `imports ${specifier}, not among the dependencies and peers of package.json` }];
      }
      if (typeOnly || dynamic || (present.has(name) && !loadedWhenUsed.has(name))) return [];
      return [
        {
          line,
          message: `imports ${specifier}, which is loaded when it is used: \`loadPackage\` with an \`import()\``,
        },
      ];
    });

/** Folders that import a package. What may be missing has one, so that one place says what is done without it. */
export const homesOf = (name: string, files: readonly SourceFile[]): readonly string[] => [
  ...new Set(
    files.filter((file) => packagesOf(file).some((each) => each.name === name)).map(({ path }) => posix.dirname(path)),
  ),
];

/** Inside the house a file imports files; only the roof passes on what others export. */
export const noBarrel: Rule = (file) =>
  file.nodes
    .filter(
      ({ type, source }) =>
        type === 'ExportAllDeclaration' ||
        (type === 'ExportNamedDeclaration' && source !== null && /^\.\.?\//.test(valueOf(source))),
    )
    .map(({ start }) => ({
      line: file.lineOf(start),
      message: 'exports what another file exports: only lib/index.ts and lib/testing.ts may',
    }));

const valueOf = (node: unknown): string => String((node as { value?: unknown } | undefined)?.value);

// ---------- what may not be written

const bannedNames = new Set(['setTimeout', 'setInterval', 'setImmediate']);
const bannedPaths = new Set(['Date.now', 'Math.random', 'process.hrtime', 'performance.now', 'process.hrtime.bigint']);
const bannedModules = /^(node:)?(timers(\/promises)?|perf_hooks)$/;

/** I9: time, delay and randomness come from the Clock. */
export const injectedTime: Rule = (file) => {
  const calls = file.nodes.flatMap((node) => {
    const what = bannedIn(node);
    return what === undefined
      ? []
      : [{ line: file.lineOf(node.start), message: `${what}: I9, take it from the Clock` }];
  });
  const modules = importsOf(file)
    .filter(({ specifier }) => bannedModules.test(specifier))
    .map(({ specifier, line }) => ({ line, message: `imports ${specifier}: I9, take it from the Clock` }));
  return [...calls, ...modules];
};

const bannedIn = (node: SyntaxNode): string | undefined => {
  if (node.type === 'Identifier') return bannedNames.has(node['name'] as string) ? (node['name'] as string) : undefined;
  if (node.type === 'MemberExpression') {
    const path = dotted(node)?.replace(/^(globalThis|global)\./, '');
    return path !== undefined && bannedPaths.has(path) ? path : undefined;
  }
  const { callee } = node;
  const date = dotted(callee) === 'Date';
  if (date && node.type === 'CallExpression') return 'Date()';
  return date && node.type === 'NewExpression' && (node['arguments'] as unknown[]).length === 0
    ? 'new Date()'
    : undefined;
};

const bannedSyntax: Readonly<Record<string, string>> = {
  TSAnyKeyword: '`any`: use `unknown` and narrow it',
  TSNonNullExpression: '`!`: check it, or cast with a reason',
  TSEnumDeclaration: 'an enum: use a union of strings',
  ExportDefaultDeclaration: 'a default export: give it a name',
  TSExportAssignment: '`export =`: give it a name',
};

export const syntax: Rule = (file) =>
  file.nodes.flatMap((node) => {
    const namespace = node.type === 'TSModuleDeclaration' && node['kind'] === 'namespace' && node['declare'] !== true;
    const message = namespace
      ? 'a namespace: use a module'
      : node['definite'] === true
        ? '`!`: give it a value'
        : bannedSyntax[node.type];
    return message === undefined ? [] : [{ line: file.lineOf(node.start), message }];
  });

const castTypes = new Set(['TSAsExpression', 'TSTypeAssertion']);

const statements =
  /^(ExpressionStatement|VariableDeclaration|ReturnStatement|ThrowStatement|IfStatement|PropertyDefinition)$/;

/**
 * A cast says why it holds: a comment on one of its lines, on the line above, or above or behind its statement. `as
 * const` claims nothing.
 */
export const castReasons: Rule = (file) => {
  const commented = new Set(
    file.comments.flatMap(({ start, end }) => {
      const first = file.lineOf(start);
      return Array.from({ length: file.lineOf(end - 1) - first + 1 }, (_, index) => first + index);
    }),
  );
  const bare = file.nodes.flatMap(({ type, start, end, typeAnnotation }) => {
    if (!castTypes.has(type)) return [];
    const { start: from, end: to } = typeAnnotation as SyntaxNode; // Every cast has a type.
    if (file.text.slice(from, to) === 'const') return [];
    const line = file.lineOf(start);
    const lines = Array.from({ length: file.lineOf(end - 1) - line + 2 }, (_, index) => line - 1 + index);
    // Nodes stand parents first, so the last that holds the cast is the innermost.
    const statement = file.nodes.findLast(
      (node) => statements.test(node.type) && node.start <= start && node.end >= end,
    );
    if (statement !== undefined) lines.push(file.lineOf(statement.start) - 1, file.lineOf(statement.end - 1));
    return lines.some((each) => commented.has(each)) ? [] : [line];
  });
  return [...new Set(bare)].map((line) => ({
    line,
    message: 'a cast without a reason: say in a comment why it holds',
  }));
};

/** What RxJS takes as it is stands in one file: elsewhere nobody builds on what it makes of an observer. */
export const observers: Rule = (file) =>
  file.nodes
    .filter(
      ({ type, superClass }) =>
        type.startsWith('Class') && /^(Subscriber|Subscription|SafeSubscriber)$/.test(nameOf(superClass)),
    )
    .map(({ start }) => ({ line: file.lineOf(start), message: 'extends a class of RxJS: extend DirectObserver' }));

// ---------- sizes, header, names

/** A signal of ours has any number of listeners. */
export const signals: Rule = (file) =>
  file.nodes
    .filter(({ type, callee }) => type === 'NewExpression' && (callee as SyntaxNode).name === 'AbortController')
    .map(({ start }) => ({ line: file.lineOf(start), message: 'a signal that takes ten listeners: `makeAbort`' }));

/** Of what is published, and of tests, which tell many cases of one thing. */
export const linesMax = 400;
export const testLinesMax = 500;
export const functionLinesMax = 70;

/** How wide a line may be. A text that reaches over the edge can't be broken. */
export const widthMax = 120;

export const width: Rule = (file) => {
  const texts = file.nodes.filter(({ type, start, end }) => textTypes.has(type) && end - start > 20);
  let offset = 0;
  return file.text.split('\n').flatMap((line, index) => {
    const edge = offset + widthMax;
    offset += line.length + 1;
    if (line.length <= widthMax || texts.some(({ start, end }) => start <= edge && end >= edge - 20)) return [];
    return [{ line: index + 1, message: `${line.length} columns wide, more than ${widthMax}` }];
  });
};

const textTypes = new Set(['Literal', 'TemplateLiteral']);

/** What an `@example` shows is not counted: it is there for who calls the function, and no reason to split a file. */
export const fileSize: Rule = ({ path, text }) => {
  const own = text.replaceAll(/\n *\* @example\n(?: *\*(?! @[a-z]|\/).*\n)*/g, '\n');
  const lines = own.split('\n').length - (own.endsWith('\n') ? 1 : 0);
  const max = path.startsWith('test/') ? testLinesMax : linesMax;
  return lines > max ? [{ line: lines, message: `has ${lines} lines, more than ${max}` }] : [];
};

const functionTypes = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

export const functionSize: Rule = (file) =>
  file.nodes
    .filter(({ type }) => functionTypes.has(type))
    .map(({ start, end }) => ({ line: file.lineOf(start), lines: file.lineOf(end - 1) - file.lineOf(start) + 1 }))
    .filter(({ lines }) => lines > functionLinesMax)
    .map(({ line, lines }) => ({ line, message: `a function of ${lines} lines, more than ${functionLinesMax}` }));

/** A comment of at least one sentence before the first import. */
export const header: Rule = ({ text }) => {
  const [, comment = ''] = /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(text) ?? [];
  return comment.trim().split(/\s+/).length >= 5
    ? []
    : [{ line: 1, message: 'has no header that says what the file is for' }];
};

const forbiddenWords = /(Impl|Manager|Helper|Utils?|Abstract)(?![a-z])|^(impl|manager|helper|utils?|abstract)(?![a-z])/;
const namedTypes = new Set([
  'ClassDeclaration',
  'TSInterfaceDeclaration',
  'TSTypeAliasDeclaration',
  'FunctionDeclaration',
  'VariableDeclarator',
  'MethodDefinition',
  'PropertyDefinition',
]);

export const names: Rule = (file) =>
  file.nodes.flatMap((node) => {
    if (!namedTypes.has(node.type)) return [];
    const name = nameOf(node['id'] ?? node['key']);
    const line = file.lineOf(node.start);
    if (forbiddenWords.test(name)) return [{ line, message: `the name ${name}: name it by what it does` }];
    if (node.type === 'TSInterfaceDeclaration' && /^I[A-Z][a-z]/.test(name))
      return [{ line, message: `the name ${name}: no I before an interface` }];
    return [];
  });

const nameOf = (node: unknown): string => String((node as { name?: unknown } | null | undefined)?.name ?? '');

const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/;

/** For a path of any file: every part in kebab-case, but for README.md. */
export const badFileName = (path: string): string | undefined => {
  const bad = path.split('/').find((part) => part !== 'README.md' && !kebab.test(part));
  if (bad !== undefined) return `${path}:1 "${bad}" is not in kebab-case`;
  return path.split(/[/.-]/).some((word) => /^(impl|manager|helpers?|utils?)$/.test(word))
    ? `${path}:1 is named by a word that says nothing`
    : undefined;
};
