import type { SourceDescription } from '../connectors/connector.ts';
import { columnsOfCsv } from '../formats/csv-json.ts';
import { delimiterOf, knownFormat, type RecordFormat } from './record-format.ts';

type Described = Omit<SourceDescription, 'place'>;

/**
 * In which form the records stand in what a name or a pattern names, as far as the settings tell; undefined where only
 * the files themselves do.
 */
export function describeRecords(name: string, options: RecordFormat): Described | undefined {
  const format = knownFormat(name, options);
  if (format === undefined) return undefined;
  return {
    format,
    ...(format === 'csv' ? { csv: csvOf(name, options) } : {}),
    ...(format === 'json' && options.recordsAt !== undefined ? { recordsAt: options.recordsAt } : {}),
    ...(/\.gz$/i.test(name) ? { packed: { kind: 'gzip' as const } } : {}),
  };
}

function csvOf(name: string, options: RecordFormat): NonNullable<SourceDescription['csv']> {
  const { header, quote = '"', types = {} } = options;
  const named = typeof header === 'boolean' ? undefined : columnsOfCsv(header, types);
  return {
    separator: delimiterOf(name, options),
    quote,
    header: header === true,
    ...(named === undefined ? {} : { columns: named }),
  };
}
