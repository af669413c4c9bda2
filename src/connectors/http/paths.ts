import { numberText } from '../../formats/canonical.ts';
import { encodeJson } from '../../formats/encode.ts';
import { parseJson } from '../../formats/rows.ts';
import { WaybillError } from '../../model/errors.ts';

/**
 * Dotted paths into JSON that came from elsewhere: `data.errors.0.message`. The empty path is the value itself. A name
 * may hold dots of its own, as `@odata.nextLink` does, where none without them leads there. Only own properties and
 * array indexes are followed, so no name in a reply reaches a prototype.
 */
export function at(value: unknown, path: string): unknown {
  if (path === '') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  for (let dot = path.indexOf('.'); dot !== -1; dot = path.indexOf('.', dot + 1)) {
    const name = path.slice(0, dot);
    const found = Object.hasOwn(value, name) ? at((value as Members)[name], path.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return Object.hasOwn(value, path) ? (value as Members)[path] : undefined;
}

type Members = Readonly<Record<string, unknown>>;

/** A value that can stand for a record's identity: text or a number, all digits of it, and nothing that is empty. */
export function identityOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return numberText(value);
}

/**
 * A cursor that goes into a body, where `5` and `"5"` are two things, as one line of text: a text as it is, unless it
 * could be read as another JSON value; anything else as JSON. Undefined for what leads nowhere.
 */
export function cursorText(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  return typeof value === 'string' && !isJson(value) ? value : encodeJson(value);
}

/** What `cursorText` was made of. */
export const cursorValue = (text: string): unknown => (isJson(text) ? parseJson(text) : text);

function isJson(text: string): boolean {
  try {
    parseJson(text);
    return true;
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'JSON_INVALID') return false;
    throw error;
  }
}

/** One text for equal JSON values, whatever the order of their fields. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null || numberText(value) !== undefined) {
    return numberText(value) ?? JSON.stringify(value) ?? 'null';
  }
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, held]) => `${JSON.stringify(name)}:${canonical(held)}`).join(',')}}`;
}
