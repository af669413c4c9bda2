import type { Discovered } from '../connector.ts';
import { type Entry, metadataOf, streamsOf } from './catalog.ts';

/** The streams of a tap's catalog; `tap` names it in errors. Throws SOURCE_INVALID. */
export const discoverStreams = (catalog: string, tap: string): readonly Discovered[] =>
  streamsOf(catalog, tap).map(discovered);

function discovered(entry: Entry): Discovered {
  const metadata = metadataOf(entry);
  const schema = entry.schema as Entry | undefined;
  const properties = Object.entries((schema?.properties ?? {}) as Readonly<Record<string, unknown>>);
  const key = namesIn(metadata['table-key-properties'] ?? entry.key_properties);
  const cursors = [metadata['valid-replication-keys'], metadata['replication-key'], entry.replication_key];
  return {
    name: String(entry.stream ?? entry.tap_stream_id),
    columns: properties.map(([name, property]) => ({ name, ...typeOf(property) })),
    key,
    cursors: [...new Set(cursors.flatMap(namesIn))],
  };
}

const namesIn = (value: unknown): readonly string[] =>
  (Array.isArray(value) ? value : [value]).filter((name): name is string => typeof name === 'string');

/** `string`, `string (date-time)`, `integer | string`: what JSON Schema says, without its null. */
function typeOf(property: unknown): { readonly type: string; readonly nullable: boolean } {
  const { type, format, anyOf } = (typeof property === 'object' && property !== null ? property : {}) as Entry;
  const alternatives = Array.isArray(anyOf) ? anyOf.map(typeOf) : [];
  const names = [...namesIn(type), ...alternatives.map((one) => one.type)];
  const told = [...new Set(names.filter((name) => name !== 'null'))].join(' | ') || 'any';
  return {
    type: typeof format === 'string' ? `${told} (${format})` : told,
    nullable: names.length === 0 || names.includes('null') || alternatives.some(({ nullable }) => nullable),
  };
}
