import { z } from 'zod';

type JsonSchema = Readonly<Record<string, unknown>>;

interface Row {
  readonly field: string;
  readonly kind: string;
  readonly preset: string;
  readonly text: string;
}

/** A table of every field of a schema, as it may stand in the flow file; nested fields by their dotted path. */
export function schemaTable(schema: z.ZodType, without: ReadonlySet<string> = new Set()): string {
  const json = jsonOf(schema);
  const rows = new Rows((json.$defs ?? {}) as Readonly<Record<string, JsonSchema>>);
  rows.object(json, '', true);
  const kept = rows.list.filter(({ field }) => !without.has(field.split('.')[0]!));
  if (kept.length === 0) return 'It has no fields of its own.';
  const lines = kept.map(({ field, kind, preset, text }) => `| \`${field}\` | ${kind} | ${preset} | ${text} |`);
  return ['| field | is | if absent | what for |', '|---|---|---|---|', ...new Set(lines)].join('\n');
}

function jsonOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    target: 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    // The default of something that is changed on reading (a duration in milliseconds) is left out of its input.
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod;
      if (def.type === 'default' && jsonSchema.default === undefined) {
        (jsonSchema as Record<string, unknown>).made = (def as unknown as { defaultValue: unknown }).defaultValue;
      }
    },
  }) as JsonSchema;
}

class Rows {
  readonly list: Row[] = [];
  readonly #definitions: Readonly<Record<string, JsonSchema>>;
  /** Where a structure was told of first. */
  readonly #told = new Map<string, string>();

  constructor(definitions: Readonly<Record<string, JsonSchema>>) {
    this.#definitions = definitions;
  }

  /** The fields of an object, or of each form of a choice between objects. `sure`: there is no choice. */
  object(schema: JsonSchema, above: string, sure: boolean): void {
    const json = this.#resolved(schema);
    const forms = formsOf(json).map((form) => this.#resolved(form));
    const objects = forms.filter((form) => form.type === 'object' || formsOf(form).length > 0);
    for (const form of objects) {
      const name = discriminator(form);
      this.object(form, name === undefined ? above : `${above}[${name}]`, name !== undefined || objects.length === 1);
    }
    const required = new Set((json.required as string[] | undefined) ?? []);
    for (const [name, property] of Object.entries((json.properties ?? {}) as Record<string, JsonSchema>)) {
      this.#field(above === '' ? name : `${above}.${name}`, this.#resolved(property), sure && required.has(name));
    }
    const each = json.additionalProperties;
    if (isSchema(each)) this.#inside(this.#resolved(each), above === '' ? '*' : `${above}.*`);
  }

  #field(field: string, json: JsonSchema, required: boolean): void {
    const preset = presetOf(json, field) ?? (required ? 'required' : '');
    const before = this.#toldBefore(json, field);
    const kind = before === undefined ? this.#kind(json) : `as \`${before}\``;
    this.list.push({ field, kind: cell(kind), preset, text: cell(textOf(json)) });
    if (before === undefined) this.#inside(json, field);
  }

  /** The first field that has the very structure of this one; small ones are told again. */
  #toldBefore(json: JsonSchema, field: string): string | undefined {
    const { description: _, default: __, ...structure } = json;
    const text = JSON.stringify(structure);
    if (text.length < 400) return undefined;
    const before = this.#told.get(text);
    if (before === undefined) this.#told.set(text, field);
    return before;
  }

  #inside(json: JsonSchema, field: string): void {
    // A document of any shape has no fields to tell of; neither has one that contains itself.
    if (json.$ref !== undefined) return;
    if (json.type === 'object' || formsOf(json).length > 0) this.object(json, field, true);
  }

  #kind(schema: JsonSchema): string {
    const json = this.#resolved(schema);
    const forms = formsOf(json);
    if (forms.length > 0) return [...new Set(forms.map((form) => this.#kind(form)))].join(' or ');
    if (json.const !== undefined) return `\`${String(json.const)}\``;
    if (Array.isArray(json.enum)) return json.enum.map((one) => `\`${String(one)}\``).join(', ');
    if (json.type === 'array') return isSchema(json.items) ? `list of ${this.#kind(json.items)}` : 'list';
    const types = Array.isArray(json.type) ? json.type : [json.type];
    return types.map((type) => KINDS[String(type)] ?? 'any value').join(' or ');
  }

  #resolved(schema: JsonSchema): JsonSchema {
    const name = typeof schema.$ref === 'string' ? schema.$ref.replace('#/$defs/', '') : undefined;
    const found = name === undefined ? undefined : this.#definitions[name];
    // One that refers to itself (any JSON document) stays a reference.
    if (found === undefined || JSON.stringify(found).includes(`#/$defs/${name}`)) return schema;
    return { ...found, ...schema, $ref: undefined };
  }
}

/** The value by which one form of a choice is told from the others: `position` of `{ shape: position, … }`. */
function discriminator(form: JsonSchema): string | undefined {
  const constant = Object.values((form.properties ?? {}) as Record<string, JsonSchema>).find(
    (property) => typeof property.const === 'string',
  );
  return constant === undefined ? undefined : String(constant.const);
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'number',
  integer: 'whole number',
  boolean: 'true or false',
  object: 'map',
  null: 'null',
};

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;

const formsOf = (json: JsonSchema): readonly JsonSchema[] =>
  ((json.anyOf ?? json.oneOf ?? []) as readonly JsonSchema[]).filter(isSchema);

const textOf = (json: JsonSchema): string => (typeof json.description === 'string' ? json.description : '');

/** What is taken for a field that is absent; durations and sizes as people write them. */
function presetOf(json: JsonSchema, field: string): string | undefined {
  if (typeof json.made === 'number')
    return `\`${/bytes(max)?$/i.test(field) ? size(json.made) : duration(json.made)}\``;
  const value = json.default;
  if (value === undefined || (typeof value === 'object' && Object.keys(value ?? {}).length === 0)) return undefined;
  return cell(`\`${typeof value === 'string' && value !== '' ? value : JSON.stringify(value)}\``);
}

function size(bytes: number): string {
  for (const [unit, length] of [
    ['MB', 1e6],
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= length && bytes % length === 0) return `${bytes / length}${unit}`;
  }
  return `${bytes}B`;
}

function duration(ms: number): string {
  for (const [unit, length] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms >= length && ms % length === 0) return `${ms / length}${unit}`;
  }
  return `${ms}ms`;
}

/** A bar would end the cell. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
