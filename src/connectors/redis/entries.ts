import { Buffer, isUtf8 } from 'node:buffer';
import { type ObjectLines, type Unreadable, withMembers } from '../../formats/object-lines.ts';
import type { StreamPlace } from './stream-place.ts';

/** An entry as the server gives it: names and values in turn. */
export interface Entry {
  readonly id: string;
  readonly fields: readonly Buffer[];
}

export interface EntryRecords {
  /** `fields`, `base64`: a field for each field of the entry. `json`: one of them holds an object. */
  readonly value: 'fields' | 'base64' | 'json';
  /** The field that holds the object. */
  readonly field: string;
  /** More columns, by name. */
  readonly columns: Readonly<Record<string, 'id' | 'time'>>;
}

const LATEST_MS = 8_640_000_000_000_000;

/** Makes the record of an entry. */
export function addEntry(lines: ObjectLines<StreamPlace>, entry: Entry, mark: StreamPlace, how: EntryRecords): void {
  const made = how.value === 'json' ? fromJson(entry, how) : fromFields(entry, how);
  if (made instanceof Uint8Array) lines.add(made, mark);
  else lines.refuse(made, mark);
}

function fromJson({ id, fields }: Entry, { field, columns }: EntryRecords): Uint8Array | Unreadable {
  const name = Buffer.from(field);
  const at = fields.findIndex((one, place) => place % 2 === 0 && one.equals(name));
  if (at < 0) return { code: 'RECORD_INVALID', message: `it has no field ${JSON.stringify(field)}` };
  return withMembers(fields[at + 1]!, columnMembers(id, columns).join(','), Object.keys(columns));
}

function fromFields({ id, fields }: Entry, { value, columns }: EntryRecords): Uint8Array | Unreadable {
  const members: string[] = [];
  const names = new Set(Object.keys(columns));
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [name, content] = [textOf(fields[at]!), fields[at + 1]!];
    const text = value === 'base64' ? content.toString('base64') : textOf(content);
    if (name === undefined || text === undefined) {
      return { code: 'TEXT_INVALID', message: 'it has a name or a value that is not UTF-8 text' };
    }
    // Redis allows the same name twice; a record does not, and none of the two values may be lost.
    if (names.has(name)) {
      return { code: 'RECORD_INVALID', message: `it has two fields, or a field and a column, ${JSON.stringify(name)}` };
    }
    names.add(name);
    members.push(`${JSON.stringify(name)}:${JSON.stringify(text)}`);
  }
  return Buffer.from(`{${[...members, ...columnMembers(id, columns)].join(',')}}`);
}

const textOf = (bytes: Buffer): string | undefined => (isUtf8(bytes) ? bytes.toString() : undefined);

const columnMembers = (id: string, columns: EntryRecords['columns']): readonly string[] =>
  Object.entries(columns).map(([name, part]) => `${JSON.stringify(name)}:${part === 'id' ? `"${id}"` : timeOf(id)}`);

/** The time that an id begins with, as it does where the server makes it; null where that is no time. */
function timeOf(id: string): string {
  const ms = Number(id.slice(0, id.indexOf('-')));
  return ms > LATEST_MS ? 'null' : JSON.stringify(new Date(ms).toISOString());
}
