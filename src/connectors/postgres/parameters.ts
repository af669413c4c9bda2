import { WaybillError } from '../../model/errors.ts';
import type { Parameter, Parameters } from '../../model/window.ts';

/**
 * Finds the parameters (`:name`) of a query and puts something else in their places. What stands in texts, quoted
 * names, comments and dollar quotes is left alone, and so are casts (`::date`) and slices (`a[1:2]`).
 */
export function replaceParameters(query: string, replace: (name: string) => string): string {
  let result = '';
  for (let at = 0; at < query.length; ) {
    const end = passedOver(query, at);
    if (end > at) {
      result += query.slice(at, end);
      at = end;
      continue;
    }
    const name = parameterAt(query, at);
    result += name === undefined ? query[at]! : replace(name);
    at += name === undefined ? 1 : name.length + 1;
  }
  return result;
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
/** After one of these a colon is part of a cast, of a slice or of `:=`. */
const NO_PARAMETER_AFTER = /[:\w$\])"']/;

function parameterAt(query: string, at: number): string | undefined {
  if (query[at] !== ':' || (at > 0 && NO_PARAMETER_AFTER.test(query[at - 1]!))) return undefined;
  NAME.lastIndex = at + 1;
  return NAME.exec(query)?.[0];
}

/** Where that ends which begins at `at` and holds no parameters; `at` itself when nothing of the kind begins there. */
function passedOver(query: string, at: number): number {
  switch (query[at]) {
    case "'":
      return textEnd(query, at, isEscapeText(query, at));
    case '"':
      return quotedEnd(query, at, '"');
    case '-':
      return query.startsWith('--', at) ? endOr(query, query.indexOf('\n', at)) : at;
    case '/':
      return query.startsWith('/*', at) ? commentEnd(query, at) : at;
    case '$':
      return dollarEnd(query, at);
    default:
      return at;
  }
}

const endOr = (query: string, found: number): number => (found === -1 ? query.length : found + 1);

/** Is it E'…', where a backslash takes the next character with it? */
function isEscapeText(query: string, at: number): boolean {
  return /[eE]/.test(query[at - 1] ?? '') && !/[\w$]/.test(query[at - 2] ?? '');
}

function textEnd(query: string, at: number, escapes: boolean): number {
  for (let end = at + 1; end < query.length; end++) {
    if (escapes && query[end] === '\\') end += 1;
    else if (query[end] === "'" && query[end + 1] === "'") end += 1;
    else if (query[end] === "'") return end + 1;
  }
  return query.length;
}

function quotedEnd(query: string, at: number, quote: string): number {
  for (let end = query.indexOf(quote, at + 1); end !== -1; end = query.indexOf(quote, end + 2)) {
    if (query[end + 1] !== quote) return end + 1;
  }
  return query.length;
}

/** Comments of PostgreSQL nest. */
function commentEnd(query: string, at: number): number {
  let depth = 0;
  for (let end = at; end < query.length; end++) {
    const two = query.slice(end, end + 2);
    if (two !== '/*' && two !== '*/') continue;
    depth += two === '/*' ? 1 : -1;
    end += 1;
    if (depth === 0) return end + 1;
  }
  return query.length;
}

const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

function dollarEnd(query: string, at: number): number {
  if (/[\w$]/.test(query[at - 1] ?? '')) return at;
  DOLLAR_TAG.lastIndex = at;
  const tag = DOLLAR_TAG.exec(query)?.[0];
  if (tag === undefined) return at;
  const end = query.indexOf(tag, at + tag.length);
  return end === -1 ? query.length : end + tag.length;
}

const TYPES: Readonly<Record<Parameter['type'], string>> = {
  date: 'date',
  timestamp: 'timestamptz',
  text: 'text',
  integer: 'bigint',
  number: 'numeric',
  boolean: 'boolean',
};

export interface BoundQuery {
  readonly text: string;
  /** Values of `$1`, `$2`, … or of the settings `waybill.p1`, `waybill.p2`, … */
  readonly values: readonly string[];
}

/**
 * A query with its values apart from its text. `placeholders`: `$1::date`. `settings`: for COPY, which takes no
 * values: `current_setting('waybill.p1')::date`, with the values to be set in the same transaction. Nulls, which a
 * setting cannot hold, are written as such, for both.
 */
export function bindQuery(query: string, parameters: Parameters, by: 'placeholders' | 'settings'): BoundQuery {
  const values: string[] = [];
  const places = new Map<string, string>();
  const text = replaceParameters(query, (name) => {
    const known = places.get(name);
    if (known !== undefined) return known;
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined) throw unknownParameter(name, parameters);
    const type = TYPES[parameter.type];
    const bound = parameter.value === null ? 'null' : placeOf(values.push(String(parameter.value)), by);
    const place = `(${bound}::${type})`;
    places.set(name, place);
    return place;
  });
  return { text, values };
}

/** What stands for the `nth` value (1-based) in the text of a query. */
export const placeOf = (nth: number, by: 'placeholders' | 'settings'): string =>
  by === 'placeholders' ? `$${nth}` : `current_setting('waybill.p${nth}')`;

function unknownParameter(name: string, parameters: Parameters): WaybillError {
  const known = Object.keys(parameters).join(', ');
  return new WaybillError(
    'SOURCE_INVALID',
    `the query asks for :${name}, and the flow has ${known || 'no parameters'}`,
    {
      hint: 'Declare the parameter in the flow, or write a space behind a colon that is meant for PostgreSQL.',
    },
  );
}
