import { posix } from 'node:path';
import { isNode, type Source, walk } from './source.ts';

export interface Import {
  /** As it is written. */
  readonly specifier: string;
  /** The file of the project that is meant; undefined for packages and Node's own modules. */
  readonly target?: string;
  readonly line: number;
  /** `type`: gone after compiling. `lazy`: `import(...)` at the moment of use. */
  readonly kind: 'static' | 'type' | 'lazy';
}

/** Every import of a file: declarations, re-exports, `import('…')` in code and in types. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  const add = (value: unknown, offset: number, kind: Import['kind']): void => {
    const specifier = isNode(value) ? value.value : undefined;
    if (typeof specifier !== 'string') return;
    const target = targetOf(source.path, specifier);
    found.push({ specifier, line: source.lineOf(offset), kind, ...(target === undefined ? {} : { target }) });
  };
  walk(source.program, (node) => {
    if (node.type === 'ImportDeclaration') add(node.source, node.start, node.importKind === 'type' ? 'type' : 'static');
    else if (/^Export(Named|All)Declaration$/.test(node.type))
      add(node.source, node.start, node.exportKind === 'type' ? 'type' : 'static');
    else if (node.type === 'ImportExpression') add(node.source, node.start, 'lazy');
    else if (node.type === 'TSImportType') add(node.source ?? node.argument, node.start, 'type');
    return undefined;
  });
  return found;
}

/** Lines on which a file imports something whose name is only known when it runs. */
export function computedImports(source: Source): number[] {
  const lines: number[] = [];
  walk(source.program, (node) => {
    if (node.type !== 'ImportExpression') return undefined;
    const what = node.source;
    if (!isNode(what) || typeof what.value !== 'string') lines.push(source.lineOf(node.start));
    return undefined;
  });
  return lines;
}

function targetOf(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.normalize(posix.join(posix.dirname(from), specifier));
}

/** `pg-copy-streams` of `pg-copy-streams/x`, `@scope/name` of `@scope/name/y`. */
export const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** One cycle of a graph of files, in order and with the first repeated at the end; undefined if there is none. */
export function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next);
      if (cycle !== undefined) return cycle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
