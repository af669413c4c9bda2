import { children, isFunction, isNode, memberName, type Node, nameOf, rootName, type Source, walk } from './source.ts';

export interface Found {
  readonly line: number;
  readonly word: string;
}

/** Each banned member, by its object. */
const MEMBERS = new Map(
  Object.entries({
    Date: ['now'],
    Math: ['random'],
    performance: ['now', 'timeOrigin'],
    process: ['env', 'hrtime', 'uptime'],
    AbortSignal: ['timeout'],
    crypto: ['randomUUID', 'randomBytes', 'randomInt', 'getRandomValues'],
  }),
);
/** Banned wherever the name stands for a value, imported or global. */
const NAMES = new Set([
  'setTimeout',
  'setInterval',
  'randomUUID',
  'randomBytes',
  'randomInt',
  'getRandomValues',
  'hrtime',
]);

/**
 * Uses of time, chance and the environment that do not come through `Ports`. Read from the syntax tree: words in
 * comments and strings do not count, and an alias (`const { now } = Date`) does not hide one.
 */
export function bannedWords(source: Source): Found[] {
  const found: Found[] = [];
  walk(source.program, (node, parent) => {
    const word = bannedHere(node, parent);
    if (word !== undefined) found.push({ line: source.lineOf(node.start), word });
    return undefined;
  });
  return found;
}

function bannedHere(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === 'MemberExpression') return bannedMember(node);
  if (node.type === 'VariableDeclarator') return bannedAlias(node);
  if ((node.type === 'NewExpression' || node.type === 'CallExpression') && nameOf(node.callee) === 'Date') {
    if (node.type === 'CallExpression' || (node.arguments as unknown[]).length === 0) return 'new Date()';
  }
  if (node.type === 'ImportSpecifier') {
    const imported = nameOf(node.imported);
    return imported !== undefined && NAMES.has(imported) && parent?.importKind !== 'type' ? imported : undefined;
  }
  if (node.type === 'Identifier' && isValue(node, parent)) {
    const name = nameOf(node);
    return name !== undefined && NAMES.has(name) ? name : undefined;
  }
  return undefined;
}

function bannedMember(node: Node): string | undefined {
  const object = node.object;
  const of = nameOf(object) ?? (isNode(object) && object.type === 'MemberExpression' ? memberName(object) : undefined);
  const name = memberName(node);
  if (of === undefined || name === undefined) return undefined;
  if (/^(globalThis|global|window)$/.test(of) && NAMES.has(name)) return name;
  return MEMBERS.get(of)?.includes(name) ? `${of}.${name}` : undefined;
}

function bannedAlias(node: Node): string | undefined {
  const members = MEMBERS.get(nameOf(node.init) ?? '');
  const pattern = node.id;
  if (members === undefined || !isNode(pattern) || pattern.type !== 'ObjectPattern') return undefined;
  const taken = (pattern.properties as Node[]).map((property) => nameOf(property.key));
  const word = taken.find((name) => name !== undefined && members.includes(name));
  return word === undefined ? undefined : `${nameOf(node.init)}.${word}`;
}

/** An identifier that is read, not the name of a member, a field or a parameter of a type. */
function isValue(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression') return parent.object === node || parent.computed === true;
  if (parent.type === 'Property') return parent.value === node;
  return !/^(ImportSpecifier|PropertyDefinition|MethodDefinition|TS\w+)$/.test(parent.type);
}

/**
 * Blocks that swallow an error. `catch {}` never says which error it expects, so it is never right. A
 * `.catch(() => undefined)` may be: somebody else hears of the error; then a comment right above says who.
 */
export function swallowedErrors(source: Source): Found[] {
  const found: Found[] = [];
  walk(source.program, (node) => {
    const line = source.lineOf(node.start);
    if (node.type === 'CatchClause' && isEmpty(node.body)) found.push({ line, word: 'catch {}' });
    if (node.type === 'CallExpression' && isNode(node.callee) && memberName(node.callee) === 'catch') {
      const [handler] = node.arguments as Node[];
      const silent = handler !== undefined && isFunction(handler) && isEmpty(handler.body);
      if (silent && !isExplained(source, node)) found.push({ line, word: '.catch(() => {}) without a comment above' });
    }
    return undefined;
  });
  return found;
}

/** A comment ends on the line above a call, or stands on one of its lines. */
function isExplained(source: Source, call: Node): boolean {
  const [first, last] = [source.lineOf(call.start), source.lineOf(call.end)];
  return source.comments.some(({ end }) => source.lineOf(end) >= first - 1 && source.lineOf(end) <= last);
}

function isEmpty(body: unknown): boolean {
  if (!isNode(body)) return false;
  if (body.type === 'BlockStatement') return children(body).length === 0;
  return (
    (body.type === 'Identifier' && nameOf(body) === 'undefined') || (body.type === 'Literal' && body.value === null)
  );
}

const TEST_ROOTS = new Set(['it', 'test', 'describe', 'suite', 'bench']);
const PARTIAL = new Set(['only', 'skip', 'todo', 'skipIf', 'runIf', 'fails']);

/** Tests that are left out, or that leave the others out. */
export function partialTests(source: Source): Found[] {
  const found: Found[] = [];
  walk(source.program, (node) => {
    if (node.type !== 'MemberExpression') return undefined;
    const name = memberName(node);
    const root = rootName(node);
    const context = name === 'skip' && /^(context|ctx|task)$/.test(root ?? '');
    if (name !== undefined && PARTIAL.has(name) && (TEST_ROOTS.has(root ?? '') || context)) {
      found.push({ line: source.lineOf(node.start), word: `${root}.${name}` });
    }
    return undefined;
  });
  return found;
}

export function defaultExports(source: Source): Found[] {
  const found: Found[] = [];
  for (const node of source.program.body as Node[]) {
    if (node.type === 'ExportDefaultDeclaration')
      found.push({ line: source.lineOf(node.start), word: 'export default' });
  }
  return found;
}

/** Banned by name in the style sheet, whatever the linter is set to. */
export function bannedSyntax(source: Source): Found[] {
  const found: Found[] = [];
  walk(source.program, (node, parent) => {
    const word = syntaxHere(node, parent);
    if (word !== undefined) found.push({ line: source.lineOf(node.start), word });
    return undefined;
  });
  return found;
}

function syntaxHere(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === 'TSAnyKeyword') return 'any';
  if (node.type === 'TSEnumDeclaration') return 'enum';
  if (node.type === 'TSModuleDeclaration') return 'namespace';
  if (node.type === 'TSParameterProperty') return 'parameter property';
  if (node.type === 'NewExpression' && nameOf(node.callee) === 'Error') return 'new Error';
  if (node.type === 'ExportAllDeclaration' && parent?.type === 'Program') return 'export *';
  return undefined;
}
