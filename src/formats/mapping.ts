import { z } from 'zod';
import type { DataRecord } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { TextMapping } from './convert.ts';
import { sha256Hex } from './digest.ts';
import { encodeJson } from './encode.ts';
import type { Mapping } from './formats.ts';
import { rawMembers } from './json-members.ts';
import { compileTemplate, isTemplate, type Template } from './template.ts';

const name = z.string().min(1).describe('The name of a field.');
const target = z.string().regex(/^[^.]+(\.[^.]+)*$/, 'a field name, or names joined by dots for nested objects');
const constant = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.json()),
  z.record(z.string(), z.json()),
]);

/**
 * The mapping of a lane as it stands in a flow file. Carried out in this order: select or drop, rename, set; the
 * templates of `set` see the record as it came from the source.
 */
export const mappingSchema = z
  .strictObject({
    select: z.array(name).min(1).optional().describe('Keep these fields, in this order; the others are left out.'),
    drop: z.array(name).min(1).optional().describe('Leave these fields out.'),
    rename: z
      .record(name, target)
      .optional()
      .describe('New names by old ones. A dotted name makes nested objects: `user.email`.'),
    set: z
      .record(target, constant)
      .optional()
      .describe(
        'Fields with a constant, or a template such as `{{ record.first }} {{ record.last | upper }}`. ' +
          'A template that is one expression keeps its type: `{{ record.id | integer }}`.',
      ),
  })
  .refine((spec) => spec.select === undefined || spec.drop === undefined, {
    message: 'give either `select` or `drop`: what is not selected is dropped anyway',
    path: ['drop'],
  });
export type MappingSpec = z.infer<typeof mappingSchema>;

interface Assignment {
  readonly path: readonly string[];
  readonly constant: unknown;
  readonly template: Template | undefined;
}

/** A mapping, ready to run. Throws MAPPING_INVALID for a template that does not parse or targets that clash. */
export function compileMapping(spec: MappingSpec): TextMapping {
  const parsed = mappingSchema.safeParse(spec);
  if (!parsed.success) throw new WaybillError('MAPPING_INVALID', z.prettifyError(parsed.error));
  return new DeclaredMapping(parsed.data);
}

/** A user's own function. `source` is what its digest is made of: the text of the file that holds it. */
export function functionMapping(apply: (record: DataRecord) => DataRecord | undefined | null, source: string): Mapping {
  return {
    digest: sha256Hex(source),
    free: true,
    apply: (record) => applyFunction(apply, record),
  };
}

function applyFunction(
  apply: (record: DataRecord) => DataRecord | undefined | null,
  record: DataRecord,
): DataRecord | undefined {
  let result: DataRecord | undefined | null;
  try {
    result = apply(record);
  } catch (error) {
    // The function's own message may quote the record, so only its kind is told.
    const kind = error instanceof Error ? error.name : typeof error;
    throw new WaybillError('MAPPING_INVALID', `the mapping function threw: ${kind}`, { cause: error });
  }
  if (result === undefined || result === null) return undefined;
  if (typeof result === 'object' && !Array.isArray(result) && !(result instanceof Promise)) return result;
  throw new WaybillError('MAPPING_INVALID', 'the mapping function did not return a record', {
    hint: 'Return an object, or undefined to leave the record out. The function cannot be async.',
  });
}

class DeclaredMapping implements TextMapping {
  readonly digest: string;
  readonly applyText?: (text: string) => string;
  readonly #select: readonly string[] | undefined;
  readonly #drop: ReadonlySet<string>;
  readonly #rename: ReadonlyMap<string, readonly string[]>;
  readonly #set: readonly Assignment[];

  constructor(spec: MappingSpec) {
    this.digest = sha256Hex(`mapping-1 ${canonicalJson(spec)}`);
    this.#select = spec.select;
    this.#drop = new Set(spec.drop);
    this.#rename = new Map(Object.entries(spec.rename ?? {}).map(([from, to]) => [from, to.split('.')]));
    this.#set = Object.entries(spec.set ?? {}).map(([to, value]) => compileAssignment(to, value));
    refuseClashes([...this.#rename.values(), ...this.#set.map(({ path }) => path)]);
    if (this.#isFlat()) this.applyText = this.#textMapper();
  }

  apply(record: DataRecord): DataRecord {
    const result: Record<string, unknown> = Object.create(null);
    for (const from of this.#select ?? Object.keys(record)) {
      const value = record[from];
      if (value === undefined || this.#drop.has(from)) continue;
      assign(result, this.#rename.get(from) ?? [from], value);
    }
    for (const { path, constant: fixed, template } of this.#set) {
      const value = template === undefined ? fixed : template(record);
      if (value !== undefined) assign(result, path, value);
    }
    return result;
  }

  sentAs(column: string): string | undefined {
    if (this.#drop.has(column) || this.#select?.includes(column) === false) return undefined;
    const to = this.#rename.get(column) ?? [column];
    const others = [...this.#rename].filter(([from]) => from !== column).map(([, path]) => path);
    const written = [...others, ...this.#set.map(({ path }) => path)];
    return written.some((path) => within(path, to) || within(to, path)) ? undefined : to.join('.');
  }

  /** No nested target and no template: values need not be read. */
  #isFlat(): boolean {
    const flat = (path: readonly string[]) => path.length === 1;
    return (
      [...this.#rename.values()].every(flat) && this.#set.every((one) => one.template === undefined && flat(one.path))
    );
  }

  #textMapper(): (text: string) => string {
    const fixed = this.#set.map(({ path, constant: value }) => [path[0]!, encodeJson(value)] as const);
    const named = new Map<string, string>();
    const prefix = (to: string): string => {
      let text = named.get(to);
      if (text === undefined) {
        text = `${JSON.stringify(to)}:`;
        // Hostile records can bring ever new names; they must not fill the memory.
        if (named.size < 1000) named.set(to, text);
      }
      return text;
    };
    return (text) => {
      const members = rawMembers(text);
      const result = new Map<string, string>();
      for (const from of this.#select ?? members.keys()) {
        const value = members.get(from);
        if (value === undefined || this.#drop.has(from)) continue;
        result.set(this.#rename.get(from)?.[0] ?? from, value);
      }
      for (const [to, value] of fixed) result.set(to, value);
      let line = '';
      for (const [to, value] of result) line += `${line === '' ? '' : ','}${prefix(to)}${value}`;
      return `{${line}}`;
    };
  }
}

function compileAssignment(to: string, value: unknown): Assignment {
  const path = to.split('.');
  if (typeof value !== 'string' || !isTemplate(value)) return { path, constant: value, template: undefined };
  return { path, constant: undefined, template: compileTemplate(value, to) };
}

/** Two targets may not be the same, nor one inside another: which of them won would depend on the record. */
function refuseClashes(paths: readonly (readonly string[])[]): void {
  const seen = new Set<string>();
  const names = paths.map((path) => path.join('.'));
  for (const to of names) {
    const inside = names.find((other) => other !== to && other.startsWith(`${to}.`));
    if (!seen.has(to) && inside === undefined) {
      seen.add(to);
      continue;
    }
    throw new WaybillError('MAPPING_INVALID', `two parts of the mapping write to ${JSON.stringify(inside ?? to)}`);
  }
}

const within = (inner: readonly string[], outer: readonly string[]): boolean =>
  outer.every((part, at) => inner[at] === part);

function assign(result: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = result;
  for (const part of path.slice(0, -1)) {
    const next = at[part];
    if (next === undefined) at[part] = Object.create(null);
    else if (next === null || Object.getPrototypeOf(next) !== null) {
      throw new WaybillError('MAPPING_INVALID', `${JSON.stringify(path.join('.'))} lies inside a field with a value`);
    }
    at = at[part] as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
}

/** JSON with sorted names, so that the order in which a flow file is written does not change a digest. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}
