import { safeParse, type z } from 'zod';
import type { Path } from './places.ts';

/**
 * Looks into a schema: which keys may stand at a place, and is the value there a secret. Connectors bring schemas of
 * their own, so this reads zod's structure and needs nothing of them but `.meta({ secret: true })`.
 */
type Schema = z.core.$ZodType;
interface Definition {
  readonly type: string;
  readonly innerType?: Schema;
  readonly in?: Schema;
  readonly out?: Schema;
  readonly getter?: () => Schema;
  readonly shape?: Readonly<Record<string, Schema>>;
  readonly catchall?: Schema;
  readonly valueType?: Schema;
  readonly element?: Schema;
  readonly items?: readonly Schema[];
  readonly options?: readonly Schema[];
  readonly left?: Schema;
  readonly right?: Schema;
}

const definition = (schema: Schema): Definition => schema._zod.def as unknown as Definition;

/** The schemas inside wrappers and unions, with whether anything on the way was marked as a secret. */
function* cores(schema: Schema, secret = false, depth = 0): Generator<{ schema: Schema; secret: boolean }> {
  if (depth > 30) return;
  const marked = secret || isMarked(schema);
  const { innerType, in: input, out, getter, options, left, right, type } = definition(schema);
  let inner: readonly (Schema | undefined)[] | undefined;
  if (innerType !== undefined && type !== 'promise') inner = [innerType];
  else if (type === 'pipe') inner = [input !== undefined && definition(input).type === 'transform' ? out : input];
  else if (getter !== undefined) inner = [getter()];
  else if (options !== undefined) inner = options;
  else if (left !== undefined) inner = [left, right];
  if (inner === undefined) yield { schema, secret: marked };
  else for (const one of inner) if (one !== undefined) yield* cores(one, marked, depth + 1);
}

function isMarked(schema: Schema): boolean {
  const { meta } = schema as { meta?: () => Readonly<Record<string, unknown>> | undefined };
  return typeof meta === 'function' && meta.call(schema)?.secret === true;
}

/** One step down: what may stand under `part`. */
function* children(
  schema: Schema,
  part: string | number,
  secret: boolean,
): Generator<{ schema: Schema; secret: boolean }> {
  for (const core of cores(schema, secret)) {
    const { shape, valueType, element, items, catchall } = definition(core.schema);
    const named = shape !== undefined && Object.hasOwn(shape, part) ? shape[part] : undefined;
    const child = named ?? (typeof part === 'number' ? (items?.[part] ?? element) : (valueType ?? catchall));
    if (child !== undefined) yield { schema: child, secret: core.secret };
  }
}

function schemasAt(schema: Schema, path: Path): readonly { schema: Schema; secret: boolean }[] {
  let level = [{ schema, secret: false }];
  for (const part of path) level = level.flatMap((at) => [...children(at.schema, part, at.secret)]);
  return level;
}

/** Keys that may stand in the map at `path`, of whichever form it has. */
export function keysAt(schema: Schema, path: Path): ReadonlySet<string> {
  const keys = new Set<string>();
  for (const at of schemasAt(schema, path)) {
    for (const core of cores(at.schema, at.secret)) {
      for (const key of Object.keys(definition(core.schema).shape ?? {})) keys.add(key);
    }
  }
  return keys;
}

/** Whether the schema says that the value at `path` is a secret: by a mark, or by taking nothing but references. */
export function isSecretAt(schema: Schema, path: Path): boolean {
  return schemasAt(schema, path).some((at) =>
    [...cores(at.schema, at.secret)].some((core) => core.secret || takesOnlyReferences(core.schema)),
  );
}

function takesOnlyReferences(schema: Schema): boolean {
  if (definition(schema).type !== 'string') return false;
  const takes = (text: string): boolean => safeParse(schema, text).success;
  return takes('env:A') && takes('file:a') && !takes('a') && !takes('https://a.example');
}

/** Whether one of a few words stands at `path`, as the schema has it: that says how, and never what. */
export function isChoiceAt(schema: Schema, path: Path): boolean {
  const found = schemasAt(schema, path).flatMap((at) => [...cores(at.schema, at.secret)]);
  const isChoice = (core: Schema): boolean => ['enum', 'literal'].includes(definition(core).type);
  return found.length > 0 && found.every((core) => !core.secret && isChoice(core.schema));
}

/** Where a key is allowed, somewhere below: `batch.maxRecords` for `maxRecords`. For hints. */
export function findKey(schema: Schema, key: string, path: Path = []): Path | undefined {
  if (path.length > 4) return undefined;
  const here = keysAt(schema, path);
  if (here.has(key)) return [...path, key];
  for (const name of here) {
    const found = findKey(schema, key, [...path, name]);
    if (found !== undefined) return found;
  }
  return undefined;
}
