import { isLosslessNumber } from 'lossless-json';
import type { DataRecord } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { canonicalNumber } from './canonical.ts';
import { encodeJson } from './encode.ts';
import { exactNumber, parseObject } from './rows.ts';

/**
 * Templates of a mapping: text with `{{ record.path | filter | filter }}` in it. There is no expression language: a
 * path, and filters from a fixed list. A template that is a single expression gives the value with its type; one with
 * text around it gives text, in which null and what is not there are nothing.
 */
export type Template = (record: DataRecord) => unknown;

type Filter = (value: unknown) => unknown;

const EXPRESSION = /\{\{([^{}]*)\}\}/g;
const PATH = /^record((?:\.[^.\s|]+)+)$/;

export function isTemplate(text: string): boolean {
  return text.includes('{{');
}

/** Throws MAPPING_INVALID, naming `target`, for what is no template. */
export function compileTemplate(text: string, target: string): Template {
  const texts: string[] = [];
  const expressions: Template[] = [];
  let at = 0;
  for (const match of text.matchAll(EXPRESSION)) {
    texts.push(text.slice(at, match.index));
    expressions.push(compileExpression(match[1]!.trim(), target));
    at = match.index + match[0].length;
  }
  texts.push(text.slice(at));
  if (texts.some((part) => part.includes('{{') || part.includes('}}'))) {
    throw invalid(target, 'a `{{` without its `}}`', 'Write `{{ record.field }}`.');
  }
  const [single] = expressions;
  if (expressions.length === 1 && texts.every((part) => part === '')) return single!;
  return (record) => {
    let result = texts[0]!;
    for (const [i, expression] of expressions.entries()) result += asText(expression(record)) + texts[i + 1]!;
    return result;
  };
}

function compileExpression(source: string, target: string): Template {
  const [path = '', ...names] = source.split('|').map((part) => part.trim());
  const match = PATH.exec(path);
  if (match === null)
    throw invalid(target, `\`${source}\` is not \`record.\` and a field`, 'Write `{{ record.field }}`.');
  const steps = match[1]!.slice(1).split('.');
  const filters = names.map((filterName) => {
    if (Object.hasOwn(FILTERS, filterName)) return [filterName, FILTERS[filterName]!] as const;
    throw invalid(target, `there is no filter \`${filterName}\``, `Filters: ${Object.keys(FILTERS).join(', ')}.`);
  });
  return (record) => {
    let value = valueAt(record, steps);
    for (const [filterName, filter] of filters) {
      if (value === undefined || value === null) return value;
      const result = filter(value);
      if (result === undefined) {
        throw new WaybillError('MAPPING_INVALID', `the value of ${path} for "${target}" is no ${filterName}`);
      }
      value = result;
    }
    return value;
  };
}

function valueAt(record: DataRecord, steps: readonly string[]): unknown {
  let value: unknown = record;
  for (const step of steps) {
    if (value === null || typeof value !== 'object') return undefined;
    // Only what the record holds itself: `constructor` and its like are no fields.
    if (!Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}

function invalid(target: string, what: string, hint: string): WaybillError {
  return new WaybillError('MAPPING_INVALID', `the mapping of "${target}" cannot be read: ${what}`, { hint });
}

/** Each takes a value that is there and gives another, or undefined when it is not one of that kind. */
const FILTERS: Readonly<Record<string, Filter>> = {
  text: asText,
  integer: toInteger,
  number: toNumber,
  boolean: toBoolean,
  date: (value) => toMoment(value)?.slice(0, 10),
  timestamp: toMoment,
  json: encodeJson,
  lower: (value) => asText(value).toLowerCase(),
  upper: (value) => asText(value).toUpperCase(),
  trim: (value) => asText(value).trim(),
};

function asText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (value instanceof Date) return toMoment(value) ?? '';
  return encodeJson(value);
}

const WHOLE = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/;

function toNumber(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'bigint' || isLosslessNumber(value)) return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value !== 'string' || !DECIMAL.test(value.trim())) return undefined;
  return exactNumber(canonicalNumber(value.trim()));
}

function toInteger(value: unknown): unknown {
  const text = typeof value === 'string' ? value.trim() : value;
  if (typeof text === 'string' && WHOLE.test(text)) return exactNumber(canonicalNumber(text));
  const number = toNumber(text);
  if (number === undefined) return undefined;
  const canonical = canonicalNumber(String(number));
  // A fraction is refused, not cut off: what a rounding loses would be lost in silence.
  return WHOLE.test(canonical) ? exactNumber(canonical) : undefined;
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  t: true,
  yes: true,
  y: true,
  on: true,
  '1': true,
  false: false,
  f: false,
  no: false,
  n: false,
  off: false,
  '0': false,
};

/** The words for true and false that PostgreSQL reads; also what `types: boolean` of a CSV file takes. */
export function toBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  const word = String(value).trim().toLowerCase();
  return Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined;
}

const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIMESTAMP = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?$/i;

/** ISO 8601 in UTC. A time without zone is taken as UTC, since the machine's own zone must not decide. */
function toMoment(value: unknown): string | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (typeof value === 'number') return isoOf(value);
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (DATE.test(text)) return isoOf(Date.parse(`${text}T00:00:00Z`), text);
  if (!TIMESTAMP.test(text)) return undefined;
  let iso = text.replace(' ', 'T').toUpperCase();
  if (/[+-]\d\d$/.test(iso.slice(10))) iso += ':00';
  else if (!/(Z|[+-]\d\d:?\d\d)$/.test(iso.slice(10))) iso += 'Z';
  return isoOf(Date.parse(iso.replace(/([+-]\d\d)(\d\d)$/, '$1:$2')));
}

/** Undefined for a moment that is none; JavaScript would take the 30th of February for the 2nd of March. */
function isoOf(ms: number, day?: string): string | undefined {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) return undefined;
  const iso = new Date(ms).toISOString();
  return day === undefined || iso.startsWith(day) ? iso : undefined;
}

/** Text of a JSON value in a CSV field: checked, and on one line. Undefined when it is none. */
export function jsonText(text: string): string | undefined {
  try {
    parseObject(`{"value":${text}}`);
    JSON.parse(text);
    return text.replaceAll(/[\r\n]/g, ' ');
  } catch (error) {
    if (error instanceof WaybillError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
