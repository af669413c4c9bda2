import { readMoment, showMoment } from '../../formats/columns/moments.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Parameter, Parameters } from '../../model/window.ts';

export interface BoundQuery {
  readonly text: string;
  /** Values of the question marks, in order. */
  readonly values: readonly string[];
}

/**
 * A query with its parameters (`:name`) bound apart from its text. What stands in texts, quoted names and comments is
 * left alone. A question mark of the query's own would be taken for a place, so it is refused.
 */
export function bindQuery(query: string, parameters: Parameters): BoundQuery {
  const values: string[] = [];
  let text = '';
  for (let at = 0; at < query.length; ) {
    const end = passedOver(query, at);
    const name = end > at ? undefined : parameterAt(query, at);
    if (name !== undefined) {
      text += placeFor(name, parameters, values);
      at += name.length + 1;
      continue;
    }
    if (end === at && query[at] === '?') throw new WaybillError('SOURCE_INVALID', 'the query holds a `?`: name it');
    text += query.slice(at, Math.max(end, at + 1));
    at = Math.max(end, at + 1);
  }
  return { text, values };
}

const NAME = /:([A-Za-z_][A-Za-z0-9_]*)/y;

function parameterAt(query: string, at: number): string | undefined {
  if (query[at] !== ':' || /[:\w]/.test(query[at - 1] ?? '') || query[at + 1] === '=') return undefined;
  NAME.lastIndex = at;
  return NAME.exec(query)?.[1];
}

/** Where that ends which begins at `at` and holds no parameters; `at` itself when nothing of the kind begins there. */
function passedOver(query: string, at: number): number {
  const sign = query[at];
  if (sign === "'" || sign === '"' || sign === '`') return quotedEnd(query, at, sign);
  if (sign === '#' || (query.startsWith('--', at) && /\s|^$/.test(query[at + 2] ?? ''))) {
    return endOr(query, query.indexOf('\n', at), 1);
  }
  return query.startsWith('/*', at) ? endOr(query, query.indexOf('*/', at + 2), 2) : at;
}

const endOr = (query: string, found: number, size: number): number => (found === -1 ? query.length : found + size);

/** A doubled quote stands for one, and a backslash takes the next character with it, but in names. */
function quotedEnd(query: string, at: number, quote: string): number {
  for (let end = at + 1; end < query.length; end++) {
    if (quote !== '`' && query[end] === '\\') end += 1;
    else if (query[end] === quote && query[end + 1] === quote) end += 1;
    else if (query[end] === quote) return end + 1;
  }
  return query.length;
}

const CASTS: Readonly<Record<Parameter['type'], string>> = {
  date: 'cast(? as date)',
  timestamp: 'cast(? as datetime(6))',
  text: '?',
  integer: 'cast(? as signed)',
  number: 'cast(? as decimal(65, 30))',
  boolean: 'cast(? as signed)',
};

function placeFor(name: string, parameters: Parameters, values: string[]): string {
  const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
  if (parameter === undefined) throw unknownParameter(name, parameters);
  if (parameter.value === null) return 'null';
  values.push(plainText(parameter, parameter.value));
  return CASTS[parameter.type];
}

function plainText({ type }: Parameter, value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  return type === 'timestamp' ? utcText(String(value)) : String(value);
}

/** A moment as MySQL reads it where the time zone of the session is UTC: without an offset. */
export function utcText(text: string): string {
  const moment = readMoment(text, true);
  return typeof moment === 'string' ? text : showMoment(moment, '', ' ');
}

function unknownParameter(name: string, parameters: Parameters): WaybillError {
  const known = Object.keys(parameters).join(', ') || 'no parameters';
  return new WaybillError('SOURCE_INVALID', `the query asks for :${name}, and the flow has ${known}`, {
    hint: 'Declare the parameter in the flow.',
  });
}
