import { children, isFunction, isNode, memberName, type Node, nameOf, rootName, type Source } from './source.ts';

export interface Measured {
  readonly name: string;
  readonly line: number;
  /** Lines from the first to the last, without those of test groups inside. */
  readonly lines: number;
  /** How deep its statements stand in one another. */
  readonly nesting: number;
}

const GROUPS = new Set(['describe', 'suite']);
const BLOCKS = new Set([
  'IfStatement',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
  'WhileStatement',
  'DoWhileStatement',
  'SwitchStatement',
  'TryStatement',
]);

/**
 * Every function of a file. The callback of `describe` is no function in this sense but a chapter of a file: its
 * length is the file's affair, and that of what stands inside is each test's own.
 */
export function functionsOf(source: Source): Measured[] {
  const found: Measured[] = [];
  const visit = (node: Node, parents: readonly Node[]): void => {
    if (isFunction(node) && !isGroup(node, parents.at(-1))) found.push(measure(source, node, parents));
    for (const child of children(node)) visit(child, [...parents, node]);
  };
  visit(source.program, []);
  return found;
}

function measure(source: Source, node: Node, parents: readonly Node[]): Measured {
  const line = source.lineOf(node.start);
  return {
    name: functionName(node, parents),
    line,
    lines: source.lineOf(node.end) - line + 1 - groupLines(source, node),
    nesting: nestingOf(node.body as Node, 0),
  };
}

function isGroup(node: Node, parent: Node | undefined): boolean {
  if (parent?.type !== 'CallExpression' || node.type === 'FunctionDeclaration') return false;
  return parent.callee !== node && GROUPS.has(rootName(parent.callee) ?? '');
}

function groupLines(source: Source, node: Node): number {
  let lines = 0;
  for (const child of children(node)) {
    if (isFunction(child) && isGroup(child, node)) lines += source.lineOf(child.end) - source.lineOf(child.start) + 1;
    else lines += groupLines(source, child);
  }
  return lines;
}

/**
 * The deepest statement. `else if` is one choice with many ways, not one in another. A function expression goes on
 * counting from where it stands, so that a callback is no way around the limit; a declared function begins anew.
 */
function nestingOf(node: Node, depth: number): number {
  if (node.type === 'FunctionDeclaration' || node.type.startsWith('Class')) return depth;
  const here = BLOCKS.has(node.type) ? depth + 1 : depth;
  let deepest = here;
  for (const child of children(node)) {
    const chained = node.type === 'IfStatement' && node.alternate === child && child.type === 'IfStatement';
    deepest = Math.max(deepest, nestingOf(child, chained ? depth : here));
  }
  return deepest;
}

function functionName(node: Node, parents: readonly Node[]): string {
  const own = nameOf(node.id);
  if (own !== undefined) return own;
  const parent = parents.at(-1);
  if (parent === undefined) return 'anonymous';
  if (parent.type === 'VariableDeclarator') return nameOf(parent.id) ?? 'anonymous';
  if (isNode(parent.key)) return nameOf(parent.key) ?? 'anonymous';
  if (parent.type === 'CallExpression') return `callback of ${callName(parent)}`;
  return 'anonymous';
}

/** `it('does this')`, `list.map`: what a reader would search for. */
export function callName(call: Node): string {
  const callee = call.callee;
  if (!isNode(callee)) return 'a call';
  const title = (call.arguments as Node[] | undefined)?.[0]?.value;
  const name =
    callee.type === 'MemberExpression'
      ? (memberName(callee) ?? 'a method')
      : (nameOf(callee) ?? rootName(callee) ?? 'a call');
  return typeof title === 'string' ? `${name}('${title}')` : name;
}
