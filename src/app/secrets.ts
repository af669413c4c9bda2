import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { WaybillError } from '../model/errors.ts';
import { type Environment, expand } from './variables.ts';

const FILE_BYTES_MAX = 64 * 1024;
/** Values as short as this occur in ordinary words; they are masked only where they stand alone. */
const SHORT = 4;

/** A secret on its way to where it is used. However it is printed, it prints as `***`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    remember(value);
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '***';
  }

  toJSON(): string {
    return '***';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '***';
  }
}

/**
 * Reads references at the moment of use, each time anew, so that a rotated secret is taken up without a restart:
 * `env:NAME`, `file:PATH` (without its last line end), or `env:` with a text that holds `${NAME}`.
 */
export class SecretStore {
  readonly #env: Environment;
  readonly #folder: string;

  constructor(env: Environment, folder: string) {
    this.#env = env;
    this.#folder = folder;
  }

  /** Throws SECRET_MISSING; the error names the reference, never a value. */
  resolve(reference: string): Secret {
    const [, kind, rest] = /^(env|file):([\s\S]+)$/.exec(reference) ?? [];
    if (kind === 'file') return new Secret(this.#file(reference, rest ?? ''));
    if (kind === 'env') return new Secret(this.#variable(reference, rest ?? ''));
    // What stands here may be the secret itself, so the message must not repeat it.
    throw new WaybillError('SECRET_MISSING', 'a secret is given by a reference, env:NAME or file:PATH');
  }

  #variable(reference: string, rest: string): string {
    const text = /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest) ? `\${${rest}}` : rest;
    const { text: value, missing } = expand(text, this.#env);
    if (missing.length === 0 && value !== '') return value;
    const message = `the environment variable ${missing[0] ?? rest} is ${missing.length > 0 ? 'not set' : 'empty'}`;
    throw new WaybillError('SECRET_MISSING', message, { ids: { reference } });
  }

  #file(reference: string, path: string): string {
    try {
      const full = resolve(this.#folder, path);
      if (statSync(full).size > FILE_BYTES_MAX) throw new RangeError(`larger than ${FILE_BYTES_MAX} bytes`);
      return readFileSync(full, 'utf8').replace(/\r?\n$/, '');
    } catch (cause) {
      throw new WaybillError('SECRET_MISSING', `the file of the secret ${reference} cannot be read`, {
        cause,
        ids: { reference },
      });
    }
  }
}

/**
 * Every form of every secret that this process has seen. It belongs to the process and not to an instance: an output
 * is shared by all of them, and none may print what another one read.
 */
const forms = new Set<string>();
const seen = new Set<string>();
let pattern: RegExp | undefined;

function remember(value: string): void {
  if (value === '' || seen.has(value)) return;
  seen.add(value);
  for (const part of [value, ...partsOf(value)]) for (const form of formsOf(part)) forms.add(form);
  pattern = undefined;
}

/** Replaces every secret by `***`, also where it stands in a URL, in JSON, in base64 or in a basic-auth header. */
export function mask(text: string): string {
  if (forms.size === 0 || text === '') return text;
  pattern ??= patternOf([...forms]);
  return text.replace(pattern, '***');
}

/** Masks what an error says, and what its causes say: drivers quote the address that they were given. */
export function maskError(error: unknown): unknown {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    at.message = mask(at.message);
    if (at.stack !== undefined) at.stack = mask(at.stack);
    if (at instanceof WaybillError) maskValues(at.ids as Record<string, unknown>);
  }
  return error;
}

function maskValues(values: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(values)) {
    if (typeof value === 'string') values[key] = mask(value);
  }
}

function patternOf(all: readonly string[]): RegExp {
  // The longest first, so that a secret that begins with another one is not left in halves.
  const words = [...all]
    .sort((a, b) => b.length - a.length)
    .map((form) => {
      const literal = form.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
      return form.length < SHORT ? `(?<![A-Za-z0-9])${literal}(?![A-Za-z0-9])` : literal;
    });
  return new RegExp(words.join('|'), 'g');
}

/** Pieces that are secrets of their own: the password within an address, the lines of a key file. */
function partsOf(value: string): readonly string[] {
  const parts = value.split(/\r?\n/).filter((line) => line.length >= 16 && line !== value);
  const password = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*?:([^/?#]*)@/i.exec(value)?.[1];
  if (password !== undefined && password !== '') parts.push(password, decoded(password));
  for (const [, key = '', given = ''] of value.matchAll(/[?&;]([^=&;]+)=([^&;#]*)/g)) {
    if (/pass|secret|token|key|sig|credential/i.test(key)) parts.push(given, decoded(given));
  }
  return parts.filter((part) => part !== '');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function formsOf(value: string): readonly string[] {
  const json = JSON.stringify(value).slice(1, -1);
  const bytes = Buffer.from(value, 'utf8');
  const url = encodeURIComponent(bytes.toString('utf8'));
  const all = [value, url, url.replaceAll('%20', '+'), new URLSearchParams([['', value]]).toString().slice(1), json];
  if (bytes.length >= SHORT)
    all.push(bytes.toString('hex'), bytes.toString('hex').toUpperCase(), ...base64Forms(bytes));
  return all.map((form) => form.trim()).filter((form) => form !== '');
}

/**
 * Base64 depends on what stands before: `user:password` shifts the password by the length of the user. Of each of the
 * three shifts the part that belongs to the secret alone is masked, in both alphabets.
 */
function base64Forms(bytes: Buffer): readonly string[] {
  const found: string[] = [];
  for (let shift = 0; shift < 3; shift++) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '');
    const from = Math.ceil((shift * 8) / 6);
    const to = Math.floor(((shift + bytes.length) * 8) / 6);
    const own = text.slice(from, to);
    if (own.length >= SHORT) found.push(own, own.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return found;
}
