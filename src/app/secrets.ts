import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { WaybillError } from '../model/errors.ts';
import { hideSecret, mask } from '../model/masking.ts';
import { type Environment, expand } from './variables.ts';

const FILE_BYTES_MAX = 64 * 1024;

/** A secret on its way to where it is used. However it is printed, it prints as `***`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    hideSecret(value);
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
