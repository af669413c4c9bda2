import { parseSync } from 'rolldown/utils';
import { readText } from './tree.ts';

/** A node of the syntax tree, as the parser gives it: only what these checks look at has a type here. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Source {
  readonly path: string;
  readonly text: string;
  readonly program: Node;
  /** Where comments stand, in order. */
  readonly comments: readonly { readonly start: number; readonly end: number }[];
  /** 1-based line of an offset. */
  lineOf(offset: number): number;
}

const parsed = new Map<string, Source | string>();

/** Parses a file once. Throws when it cannot be parsed; see `parseProblem`. */
export function parseFile(path: string): Source {
  const known = parsed.get(path) ?? parseText(path, readText(path));
  parsed.set(path, known);
  if (typeof known === 'string') throw new Error(known);
  return known;
}

/** Why a file cannot be parsed; undefined when it can. */
export function parseProblem(path: string): string | undefined {
  const known = parsed.get(path) ?? parseText(path, readText(path));
  parsed.set(path, known);
  return typeof known === 'string' ? known : undefined;
}

/** The tree of a text, or what is wrong with it. */
export function parseText(path: string, text: string): Source | string {
  const lang = path.endsWith('.ts') ? 'ts' : 'js';
  const result = parseSync(path, text, { lang, sourceType: 'module', astType: 'ts' });
  const error = result.errors[0];
  if (error !== undefined) return `${path} cannot be parsed: ${error.message}`;
  const starts = lineStarts(text);
  const program = result.program as unknown as Node;
  return { path, text, program, comments: result.comments, lineOf: (offset) => lineAt(starts, offset) };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function lineAt(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';

/** The nodes directly below one, in the order of the text. */
export function children(node: Node): Node[] {
  const below: Node[] = [];
  for (const [field, value] of Object.entries(node)) {
    if (field === 'parent') continue;
    if (isNode(value)) below.push(value);
    else if (Array.isArray(value)) below.push(...value.filter(isNode));
  }
  return below;
}

/** Calls `visit` for a node and all below it; a visit that returns false keeps out of what is below. */
export function walk(
  node: Node,
  visit: (node: Node, parent: Node | undefined) => boolean | undefined,
  parent?: Node,
): void {
  if (visit(node, parent) === false) return;
  for (const child of children(node)) walk(child, visit, node);
}

export const nameOf = (node: unknown): string | undefined =>
  isNode(node) && typeof node.name === 'string' ? node.name : undefined;

/** The name that a member expression asks for: `b` of `a.b` and of `a['b']`. */
export function memberName(node: Node): string | undefined {
  const property = node.property;
  if (node.computed === true) {
    const value = isNode(property) ? property.value : undefined;
    return typeof value === 'string' ? value : undefined;
  }
  return nameOf(property);
}

/** The first name of `a.b.c().d`: `a`. */
export function rootName(node: unknown): string | undefined {
  let at = node;
  while (isNode(at)) {
    if (at.type === 'Identifier') return nameOf(at);
    at = at.object ?? at.callee ?? at.tag ?? at.expression;
  }
  return undefined;
}

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);
export const isFunction = (node: Node): boolean => FUNCTIONS.has(node.type) && isNode(node.body);
