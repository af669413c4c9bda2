import { importsOf } from './imports.ts';
import {
  children,
  isFunction,
  isNode,
  memberName,
  type Node,
  nameOf,
  parseFile,
  rootName,
  type Source,
} from './source.ts';

/**
 * What importing a module would do. A module may only declare: types, functions, classes, and constants whose values
 * are computed from nothing but themselves. The check walks every expression that runs on import and accepts a call
 * only if it knows the callee to be pure, or can read the function that is called, here or in another module of the
 * project, and finds nothing else in it. What it cannot follow, it reports.
 */
export interface Effect {
  readonly line: number;
  readonly what: string;
}

const PURE_GLOBALS = new Set([
  'Object',
  'Array',
  'Map',
  'Set',
  'WeakMap',
  'WeakSet',
  'String',
  'Number',
  'BigInt',
  'Boolean',
  'Symbol',
  'RegExp',
  'URL',
  'Error',
  'Uint8Array',
  'Uint16Array',
  'Uint32Array',
  'Int32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'ArrayBuffer',
  'DataView',
  'SharedArrayBuffer',
  'TextEncoder',
  'TextDecoder',
  'Buffer',
  'Intl',
  'JSON',
  'Math',
  'Date',
  'AsyncLocalStorage',
  'WebAssembly',
]);
/** Methods that only compute, of arrays, strings, maps and schemas. */
const PURE_METHODS = new Set([
  'map',
  'filter',
  'flatMap',
  'join',
  'split',
  'slice',
  'concat',
  'entries',
  'keys',
  'values',
  'includes',
  'reduce',
  'sort',
  'toSorted',
  'reverse',
  'trim',
  'repeat',
  'replace',
  'replaceAll',
  'toUpperCase',
  'toLowerCase',
  'padStart',
  'padEnd',
  'fill',
  'flat',
  'toString',
  'at',
  'encode',
  'decode',
  'subarray',
  'charCodeAt',
  'codePointAt',
  'bind',
]);
/** Packages whose calls on import only build values. */
const PURE_PACKAGES = new Set(['zod', 'node:path', 'node:url', 'node:util', 'node:buffer']);

export function importEffects(source: Source): Effect[] {
  const found: Effect[] = [];
  for (const statement of source.program.body as Node[]) check(statement, source, found, new Set());
  return found;
}

const SKIPPED = /^(Import|TS|Export(All|Default)Declaration$|FunctionDeclaration$|EmptyStatement$)/;

function check(node: Node, source: Source, found: Effect[], seen: Set<Node>): void {
  if (SKIPPED.test(node.type) && !/^TS(As|Satisfies|NonNull)/.test(node.type)) return;
  if (isFunction(node)) return;
  if (/^Class/.test(node.type)) {
    checkClass(node, source, found, seen);
    return;
  }
  const problem = effectOf(node, source, seen);
  if (problem !== undefined) found.push({ line: source.lineOf(node.start), what: problem });
  for (const child of children(node)) check(child, source, found, seen);
}

/** Of a class only the static parts run on import; and what it extends, and computed names. */
function checkClass(node: Node, source: Source, found: Effect[], seen: Set<Node>): void {
  if (isNode(node.superClass)) check(node.superClass, source, found, seen);
  const body = node.body as Node | undefined;
  for (const member of body === undefined ? [] : children(body)) {
    if (member.type === 'StaticBlock') found.push({ line: source.lineOf(member.start), what: 'a static block' });
    if (member.static === true && isNode(member.value)) check(member.value, source, found, seen);
    if (member.computed === true && isNode(member.key)) check(member.key, source, found, seen);
  }
}

function effectOf(node: Node, source: Source, seen: Set<Node>): string | undefined {
  switch (node.type) {
    case 'ExpressionStatement':
    case 'AwaitExpression':
    case 'UpdateExpression':
    case 'AssignmentExpression':
    case 'ThrowStatement':
    case 'ImportExpression':
    case 'IfStatement':
    case 'ForStatement':
    case 'ForOfStatement':
    case 'ForInStatement':
    case 'WhileStatement':
    case 'TryStatement':
      return `a ${node.type}: a module may only declare`;
    case 'VariableDeclaration':
      return node.kind === 'const' || node.declare === true
        ? undefined
        : `\`${node.kind as string}\`: state of a module is shared by everybody in the process`;
    case 'CallExpression':
    case 'NewExpression':
    case 'TaggedTemplateExpression':
      return callEffect(node, source, seen);
    default:
      return undefined;
  }
}

function callEffect(node: Node, source: Source, seen: Set<Node>): string | undefined {
  const callee = node.callee ?? node.tag;
  if (!isNode(callee)) return undefined;
  if (isFunction(callee)) return bodyEffect(callee, source, seen);
  if (callee.type === 'MemberExpression' && PURE_METHODS.has(memberName(callee) ?? '')) return undefined;
  const root = rootName(callee);
  if (root === undefined) return 'a call that cannot be followed';
  if (PURE_GLOBALS.has(root) || isPurePackage(root, source)) return undefined;
  const called = declarationOf(root, source);
  if (called === undefined) return `a call of ${root}, which cannot be shown to do nothing but compute`;
  return bodyEffect(called.node, called.source, seen);
}

/** What a function would do if it were called now: nothing, or the first thing that is not pure. */
function bodyEffect(node: Node, source: Source, seen: Set<Node>): string | undefined {
  if (seen.has(node)) return undefined;
  seen.add(node);
  if (/^Class/.test(node.type)) return undefined;
  let effect: string | undefined;
  const visit = (at: Node): void => {
    if (effect !== undefined) return;
    if (/^(Call|New|TaggedTemplate)Expression$/.test(at.type)) effect = callEffect(at, source, seen);
    else if (at.type === 'AwaitExpression' || at.type === 'ImportExpression') effect = `a ${at.type}`;
    for (const child of children(at)) visit(child);
  };
  visit(node.body as Node);
  return effect === undefined ? undefined : `${effect} (in ${source.path})`;
}

function isPurePackage(name: string, source: Source): boolean {
  return [...PURE_PACKAGES].some((specifier) => importedNames(source, specifier).has(name));
}

function importedNames(source: Source, specifier: string): Map<string, string> {
  const names = new Map<string, string>();
  for (const node of source.program.body as Node[]) {
    if (node.type !== 'ImportDeclaration' || (node.source as Node).value !== specifier) continue;
    for (const one of node.specifiers as Node[]) names.set(nameOf(one.local)!, nameOf(one.imported) ?? '*');
  }
  return names;
}

interface Declared {
  readonly node: Node;
  readonly source: Source;
}

/** The function or class that a name stands for, in this module or in the one of the project that it comes from. */
function declarationOf(name: string, source: Source): Declared | undefined {
  for (const statement of source.program.body as Node[]) {
    const declaration = isNode(statement.declaration) ? statement.declaration : statement;
    const node = namedIn(declaration, name);
    if (node !== undefined) return { node, source };
  }
  for (const one of importsOf(source)) {
    if (one.target === undefined || one.kind !== 'static') continue;
    const original = importedNames(source, one.specifier).get(name);
    if (original !== undefined && original !== '*') return declarationOf(original, parseFile(one.target));
  }
  return undefined;
}

function namedIn(declaration: Node, name: string): Node | undefined {
  if (nameOf(declaration.id) === name && (isFunction(declaration) || /^Class/.test(declaration.type)))
    return declaration;
  if (declaration.type !== 'VariableDeclaration') return undefined;
  for (const one of declaration.declarations as Node[]) {
    if (nameOf(one.id) === name && isNode(one.init) && isFunction(one.init)) return one.init;
  }
  return undefined;
}
