import { importsOf } from './imports.ts';
import {
  children,
  isFunction,
  isNode,
  memberName,
  type Node,
  nameOf,
  parseFile,
  parseProblem,
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
  'Promise',
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
  const root = rootName(callee);
  // It makes a function that can load something, and loads nothing yet.
  if (nameOf(callee) === 'createRequire') return undefined;
  const value = root === undefined ? undefined : initialOf(root, source);
  // A schema runs what it is given later, when it checks something; everybody else may run it at once.
  if (root !== undefined && (isPurePackage(root, source) || isPlain(value))) return undefined;
  const called = root === undefined || callee.type === 'CallExpression' ? undefined : declarationOf(root, source);
  const given = givenEffect(node, source, seen, called?.node);
  if (given !== undefined) return given;
  if (callee.type === 'MemberExpression' && PURE_METHODS.has(memberName(callee) ?? '')) return undefined;
  if (root === undefined || callee.type === 'CallExpression') return 'a call that cannot be followed';
  if (PURE_GLOBALS.has(root)) return undefined;
  if (called === undefined) return `a call of ${root}, which cannot be shown to do nothing but compute`;
  return bodyEffect(called.node, called.source, seen);
}

/** What functions that are handed to a call would do if it ran them. One that it only keeps for later does nothing. */
function givenEffect(call: Node, source: Source, seen: Set<Node>, called: Node | undefined): string | undefined {
  const handed = (call.arguments as Node[] | undefined) ?? [];
  for (const [nth, argument] of handed.entries()) {
    const named = argument.type === 'Identifier' ? declarationOf(nameOf(argument)!, source) : undefined;
    const given = isFunction(argument) ? { node: argument, source } : named;
    if (given === undefined || (called !== undefined && !usesAtOnce(called, nth))) continue;
    const effect = bodyEffect(given.node, given.source, seen);
    if (effect !== undefined) return effect;
  }
  return undefined;
}

/** Does a function mention its parameter outside of the functions that it makes? */
function usesAtOnce(called: Node, nth: number): boolean {
  const name = nameOf((called.params as Node[] | undefined)?.[nth]);
  if (name === undefined) return true;
  let used = false;
  const visit = (at: Node): void => {
    if (isFunction(at)) return;
    if (at.type === 'Identifier' && nameOf(at) === name) used = true;
    for (const child of children(at)) visit(child);
  };
  visit(called.body as Node);
  return used;
}

/** What a function would do if it were called now: nothing, or the first thing that is not pure. */
function bodyEffect(node: Node, source: Source, seen: Set<Node>): string | undefined {
  if (seen.has(node) || /^Class/.test(node.type)) return undefined;
  seen.add(node);
  // What a parameter stands for has been looked at where it was handed over.
  const parameters = new Set((node.params as Node[]).map((parameter) => nameOf(parameter)));
  let effect: string | undefined;
  const visit = (at: Node): void => {
    if (effect !== undefined || isFunction(at)) return;
    if (/^(Call|New|TaggedTemplate)Expression$/.test(at.type)) {
      if (!parameters.has(rootName(at.callee ?? at.tag))) effect = callEffect(at, source, seen);
    } else if (at.type === 'AwaitExpression' || at.type === 'ImportExpression') effect = `a ${at.type}`;
    for (const child of children(at)) visit(child);
  };
  visit(node.body as Node);
  return effect === undefined || effect.includes(' (in ') ? effect : `${effect} (in ${source.path})`;
}

/**
 * A value whose methods only compute: a schema, which makes further schemas, or a map of the module's own. It was
 * made by a call of one of those, or by a function that returns one.
 */
function isPlain(value: Declared | undefined, depth = 0): boolean {
  if (value === undefined || depth > 8) return false;
  const { node, source } = value;
  const root = rootName(node);
  if (root === undefined) return false;
  if (isPurePackage(root, source) || PURE_GLOBALS.has(root)) return true;
  const made = declarationOf(root, source);
  if (made === undefined) return isPlain(initialOf(root, source), depth + 1);
  const returned = returnedBy(made.node);
  return returned.length > 0 && returned.every((one) => isPlain({ node: one, source: made.source }, depth + 1));
}

/** What a function returns, as expressions; those of functions inside it are theirs. */
function returnedBy(node: Node): Node[] {
  if (!isNode(node.body)) return [];
  if (node.body.type !== 'BlockStatement') return [node.body];
  const found: Node[] = [];
  const visit = (at: Node): void => {
    if (isFunction(at)) return;
    if (at.type === 'ReturnStatement' && isNode(at.argument)) found.push(at.argument);
    for (const child of children(at)) visit(child);
  };
  visit(node.body);
  return found;
}

/** The expression that a constant of this module, or one that it imports, was given. */
function initialOf(name: string, source: Source): Declared | undefined {
  for (const statement of source.program.body as Node[]) {
    const declaration = isNode(statement.declaration) ? statement.declaration : statement;
    if (declaration.type !== 'VariableDeclaration') continue;
    for (const one of declaration.declarations as Node[]) {
      if (nameOf(one.id) === name && isNode(one.init)) return { node: one.init, source };
    }
  }
  return fromImport(name, source, initialOf);
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
  return fromImport(name, source, declarationOf);
}

function fromImport(
  name: string,
  source: Source,
  find: (name: string, source: Source) => Declared | undefined,
): Declared | undefined {
  for (const one of importsOf(source)) {
    if (one.target === undefined || one.kind !== 'static') continue;
    const original = importedNames(source, one.specifier).get(name);
    if (original === undefined || original === '*' || parseProblem(one.target) !== undefined) continue;
    return find(original, parseFile(one.target));
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

/** Variables of a module that change: whoever imports it shares them with everybody else in the process. */
export function moduleState(source: Source): Effect[] {
  const found: Effect[] = [];
  for (const statement of source.program.body as Node[]) {
    const declaration = isNode(statement.declaration) ? statement.declaration : statement;
    if (declaration.type !== 'VariableDeclaration' || declaration.kind === 'const' || declaration.declare === true)
      continue;
    for (const one of declaration.declarations as Node[]) {
      found.push({ line: source.lineOf(one.start), what: `let ${nameOf(one.id) ?? ''}` });
    }
  }
  return found;
}
