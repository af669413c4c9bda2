import type { z } from 'zod';
import type { ErrorCode } from '../model/error-codes.ts';
import { explain, type Issue } from './issues.ts';
import { type Path, type RawFile, showPath, showPlace, valueAt } from './places.ts';
import { isChoiceAt, isSecretAt } from './schema-walk.ts';
import { type Environment, expand, hasVariable, secretReference } from './variables.ts';
import type { Finding } from './waybill.ts';

/** A secret that the flow file refers to, and where. */
export interface SecretUse {
  readonly reference: string;
  readonly place: string;
  readonly path: Path;
}

export interface CheckOptions {
  /** Keys that are allowed beside those of the schema, since somebody else has taken them out; for hints. */
  readonly also?: ReadonlySet<string>;
}

/**
 * Turns what stands in the file into what a schema makes of it, and collects everything that is wrong, each with its
 * place. Variables are put in first, except in secret fields: there a variable becomes a reference that is resolved
 * at use, and a secret that is written out is refused.
 */
export class SettingsReader {
  readonly #file: RawFile;
  readonly #env: Environment;
  readonly #findings: { readonly finding: Finding; readonly order: number }[] = [];
  readonly #secrets: SecretUse[] = [];

  constructor(file: RawFile, env: Environment) {
    this.#file = file;
    this.#env = env;
    for (const problem of file.problems) {
      const place = showPlace(file.name, problem.place);
      const finding: Finding = { level: 'error', code: 'CONFIG_INVALID', place, message: problem.message };
      this.#add(problem.hint === undefined ? finding : { ...finding, hint: problem.hint }, problem.place);
    }
  }

  /** In the order of the file. */
  get findings(): readonly Finding[] {
    return [...this.#findings].sort((a, b) => a.order - b.order).map(({ finding }) => finding);
  }

  get secrets(): readonly SecretUse[] {
    return this.#secrets;
  }

  get broken(): boolean {
    return this.#findings.some(({ finding }) => finding.level === 'error');
  }

  report(
    path: Path,
    message: string,
    more: { hint?: string; code?: ErrorCode; at?: 'key' | 'value'; level?: Finding['level'] } = {},
  ): void {
    const place = this.#file.place(path, more.at ?? 'value');
    const finding: Finding = {
      level: more.level ?? 'error',
      code: more.code ?? 'CONFIG_INVALID',
      place: showPlace(this.#file.name, place),
      message: `${showPath(path)}: ${message}`,
      ...(more.hint === undefined ? {} : { hint: more.hint }),
    };
    this.#add(finding, place);
  }

  #add(finding: Finding, place: { readonly line: number; readonly column: number } | undefined): void {
    this.#findings.push({ finding, order: place === undefined ? -1 : place.line * 1e5 + place.column });
  }

  /** What the schema makes of `value`, which stands at `path`; undefined when something is wrong with it. */
  check<T>(schema: z.ZodType<T>, value: unknown, path: Path, options: CheckOptions = {}): T | undefined {
    const before = this.#findings.length;
    const filled = new Filling(this, schema, path, this.#env);
    const input = filled.fill(value, []);
    for (const use of filled.secrets)
      this.#secrets.push({ ...use, place: showPlace(this.#file.name, this.#file.place(use.path, 'value')) });
    const unfilled = this.#findings.length > before;
    let result = schema.safeParse(input);
    if (!result.success) {
      const retyped = retype(input, explain(result.error, schema, input), filled.variables);
      if (retyped !== undefined) result = schema.safeParse(retyped);
    }
    if (result.success) return unfilled ? undefined : result.data;
    for (const issue of explain(result.error, schema, input, options.also)) {
      const { hint, at, message } = issue;
      // Where a variable had no value the schema would complain a second time; a wrong key is wrong in any case.
      if (unfilled && at === 'value') continue;
      this.report([...path, ...issue.path], message, hint === undefined ? { at } : { at, hint });
    }
    return undefined;
  }
}

/** The text of a variable becomes a number or a truth value where the schema wants one and nothing else is wrong. */
function retype(input: unknown, issues: readonly Issue[], variables: ReadonlySet<string>): unknown {
  const copy = structuredCloneOfPlain(input);
  for (const { path, wants } of issues) {
    if (wants === undefined || !variables.has(JSON.stringify(path)) || path.length === 0) return undefined;
    const text = String(valueAt(input, path)).trim();
    const holder = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>;
    const made = wants === 'boolean' ? { true: true, false: false }[text] : text === '' ? Number.NaN : Number(text);
    if (made === undefined || Number.isNaN(made)) return undefined;
    holder[path.at(-1)!] = made;
  }
  return copy;
}

/** `structuredClone` refuses functions, which a mapping may be. */
function structuredCloneOfPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(structuredCloneOfPlain);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, item] of Object.entries(value)) copy[key] = structuredCloneOfPlain(item);
  return copy;
}

const words = (...all: readonly string[]): RegExp => new RegExp(`^(?:${all.join('|')})$`, 'i');
const SECRET_NAME = words(
  'pass(?:word|wd|phrase)?',
  'secret|token|bearer|credentials?',
  '(?:api|access|private|secret)[-_]?key',
  'secret[-_]?access[-_]?key|client[-_]?secret',
);
/** Parts of an `auth` that tell how, not what. */
const NO_SECRET = words(
  'user(?:name)?|name|type|scheme|header|prefix|realm|scopes?|audience|region|service|in',
  'client[-_]?id|token[-_]?url|url|issuer|subject|key[-_]?id|lifetime|refresh[-_]?ahead',
);

/** One walk through a piece of the file that puts the variables in. */
class Filling {
  /** Paths, as JSON, of texts that held a variable. */
  readonly variables = new Set<string>();
  readonly secrets: { readonly reference: string; readonly path: Path }[] = [];
  readonly #reader: SettingsReader;
  readonly #schema: z.ZodType;
  readonly #above: Path;
  readonly #env: Environment;

  constructor(reader: SettingsReader, schema: z.ZodType, above: Path, env: Environment) {
    this.#reader = reader;
    this.#schema = schema;
    this.#above = above;
    this.#env = env;
  }

  fill(value: unknown, path: Path): unknown {
    if (typeof value === 'string') return this.#isSecret(path) ? this.#secret(value, path) : this.#plain(value, path);
    if (Array.isArray(value)) return value.map((item, at) => this.fill(item, [...path, at]));
    if (typeof value !== 'object' || value === null) return value;
    const copy = Object.create(null) as Record<string, unknown>;
    for (const [key, item] of Object.entries(value)) copy[key] = this.fill(item, [...path, key]);
    return copy;
  }

  #isSecret(path: Path): boolean {
    const last = path.findLast((part) => typeof part === 'string');
    if (last === undefined || isChoiceAt(this.#schema, path)) return false;
    if (isSecretAt(this.#schema, path) || SECRET_NAME.test(String(last))) return true;
    return path.slice(0, -1).includes('auth') && !path.includes('claims') && !NO_SECRET.test(String(last));
  }

  #plain(text: string, path: Path): string {
    const { text: filled, missing } = expand(text, this.#env);
    if (hasVariable(text)) this.variables.add(JSON.stringify(path));
    for (const name of missing) {
      const hint = `Set it, or give it a default: \${${name}:default}.`;
      this.#reader.report([...this.#above, ...path], `the environment variable ${name} is not set`, {
        code: 'CONFIG_VARIABLE',
        hint,
      });
    }
    if (holdsPassword(filled)) this.#refuse(path, 'an address in the flow file must not hold a password');
    return filled;
  }

  #secret(text: string, path: Path): string {
    const reference = secretReference(text);
    const isReference = /^(env|file):./.test(reference);
    // The address of a database may be written out as long as nothing in it is secret.
    const isAddress = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) && !holdsPassword(text);
    if (isReference) this.secrets.push({ reference, path: [...this.#above, ...path] });
    else if (!isAddress) this.#refuse(path, 'a secret must not be written in the flow file');
    return reference;
  }

  #refuse(path: Path, message: string): void {
    const hint = 'Write ${NAME} and set that variable, or file:PATH and put it into a file that only you can read.';
    this.#reader.report([...this.#above, ...path], message, { hint });
  }
}

/** `scheme://user:password@host`, or a query such as `?token=…`. */
export function holdsPassword(text: string): boolean {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return false;
  const inside = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*:[^/?#@]+@/i.test(text);
  return inside || [...text.matchAll(/[?&]([^=&#]+)=[^&#]/g)].some(([, key]) => SECRET_NAME.test(key ?? ''));
}
