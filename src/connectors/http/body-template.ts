import { WaybillError } from '../../model/errors.ts';

/** What is filled into a path or a body. */
export type Value = string | number | boolean | bigint | null;
export type Values = Readonly<Record<string, Value>>;

export const textOf = (value: Value): string => (value === null ? '' : String(value));

const HOLE = /\{\{\s*([A-Za-z_][\w.]*)\s*(?:\|\s*([a-z]+)\s*)?\}\}/g;
const WHOLE_HOLE = new RegExp(`^\\s*${HOLE.source}\\s*$`);

/** The names that a body has places for. */
export function namesIn(body: unknown): readonly string[] {
  if (typeof body === 'string') return [...body.matchAll(HOLE)].map(([, name = '']) => name);
  return typeof body === 'object' && body !== null ? Object.values(body).flatMap(namesIn) : [];
}

/** What stands behind a reference to a secret. */
export type Reveal = (reference: string) => string;

/**
 * A text that is one place, and nothing else, becomes the value, a number where it is one; within other text it is
 * spelled out. One that is a reference to a secret, `env:NAME` or `file:PATH`, is revealed; a value that is filled in
 * never is one. Names of members stay as they are. Throws CONFIG_INVALID, and what revealing throws.
 */
export function filled(body: unknown, values: Values, reveal: Reveal): unknown {
  if (Array.isArray(body)) return body.map((one) => filled(one, values, reveal));
  if (typeof body === 'object' && body !== null) {
    return Object.fromEntries(Object.entries(body).map(([name, held]) => [name, filled(held, values, reveal)]));
  }
  if (typeof body !== 'string') return body;
  if (/^(env|file):./s.test(body)) return reveal(body);
  const [, name, filter] = WHOLE_HOLE.exec(body) ?? [];
  if (name !== undefined && filter === undefined) return knownAs(name, values);
  return body.replaceAll(HOLE, (_hole, name: string, filter?: string) => spelled(name, filter, values));
}

function spelled(name: string, filter: string | undefined, values: Values): string {
  const value = knownAs(name, values);
  if (filter === undefined || filter === 'text') return textOf(value);
  if (filter !== 'hex') throw wrong(`a body knows {{ ${name} | text }} and {{ ${name} | hex }}, not ${filter}`);
  if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw wrong(`{{ ${name} | hex }} is no whole number`);
  return `0x${BigInt(value as bigint | number).toString(16)}`;
}

function knownAs(name: string, values: Values): Value {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value !== undefined) return value;
  throw wrong(`a body cannot hold {{ ${name} }}; it can hold ${Object.keys(values).join(', ')}`);
}

const wrong = (message: string): WaybillError => new WaybillError('CONFIG_INVALID', message);

/** A copy with the value at this path; objects that are missing on the way are made. Throws CONFIG_INVALID. */
export function put(held: unknown, path: readonly string[], value: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  if (Array.isArray(held) && /^\d+$/.test(name) && Number(name) < held.length) {
    return held.map((one, nth) => (nth === Number(name) ? put(one, rest, value) : one));
  }
  if (held !== undefined && held !== null && (typeof held !== 'object' || Array.isArray(held))) {
    throw wrong(`the body of the source holds no object where ${path.join('.')} is to be put`);
  }
  const members = new Map(Object.entries(held ?? {}));
  members.set(name, put(members.get(name), rest, value));
  return Object.fromEntries(members);
}
