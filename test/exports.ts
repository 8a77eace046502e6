/** Reads what a module of the published surface exports, for the tests that hold it. */
import { readSource, type SyntaxNode } from './house.ts';

/** What a module exports, in order; types carry the word before their name. */
export const exportsOf = (path: string): readonly string[] =>
  readSource(path)
    .nodes.filter(({ type }) => type.startsWith('Export'))
    .flatMap((node) => {
      if (node.type === 'ExportAllDeclaration') return ['* from elsewhere: name what is public'];
      if (node.type === 'ExportSpecifier') return [];
      const declared = node['declaration'] as SyntaxNode | null;
      if (declared !== null && declared !== undefined) return declarationNames(declared);
      return (node['specifiers'] as readonly SyntaxNode[]).map((specifier) => {
        const { name } = specifier['exported'] as { readonly name: string } & SyntaxNode;
        return node['exportKind'] === 'type' || specifier['exportKind'] === 'type' ? `type ${name}` : name;
      });
    })
    .toSorted();

const declarationNames = (node: SyntaxNode): readonly string[] => {
  const nameOf = (each: SyntaxNode): string => (each['id'] as { readonly name: string } & SyntaxNode).name;
  if (node.type === 'VariableDeclaration') return (node['declarations'] as readonly SyntaxNode[]).map(nameOf);
  return [node.type.startsWith('TS') ? `type ${nameOf(node)}` : nameOf(node)];
};
