import { type CsvFramerOptions, csvFramer } from '../formats/csv.ts';
import type { Framer } from '../formats/formats.ts';
import { jsonFramer } from '../formats/json.ts';
import { ndjsonFramer } from '../formats/ndjson.ts';
import type { Format } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';

export const FILE_FORMATS = ['csv', 'ndjson', 'json', 'parquet'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** How the records stand in the files. */
export interface RecordFormat {
  /** By the ending of each file's name when absent. */
  readonly format?: FileFormat | undefined;
  readonly delimiter?: string | undefined;
  readonly quote?: string | undefined;
  readonly header: boolean | readonly string[];
  readonly emptyIsNull: boolean;
  readonly types?: CsvFramerOptions['types'] | undefined;
  /** Where in a JSON document the array of records is. */
  readonly recordsAt?: string | undefined;
}

/** Where reading goes on inside a file. */
export interface Start {
  readonly offset: number;
  readonly row: number;
  readonly line: number;
  /** Names of the fields, for CSV whose header lies behind. */
  readonly columns?: readonly string[] | undefined;
}

const ENDINGS: Readonly<Record<string, FileFormat>> = {
  csv: 'csv',
  tsv: 'csv',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  json: 'json',
  parquet: 'parquet',
};

/** `x.csv.gz` holds CSV; `.tsv` has tabs unless told otherwise. */
export function formatOf(name: string, options: RecordFormat): FileFormat {
  const ending = name.replace(/\.gz$/i, '').split('.').at(-1)?.toLowerCase() ?? '';
  const format = options.format ?? ENDINGS[ending];
  if (format !== undefined) return format;
  throw new WaybillError('SOURCE_INVALID', `nobody says how the records stand in ${name}`, {
    hint: 'Set `format: csv`, `ndjson`, `json` or `parquet`.',
  });
}

/** What chunks of such files are in; CSV with types is converted as it is read. */
export function emittedFormats(pattern: string, options: RecordFormat): readonly Format[] {
  const known = options.format ?? ENDINGS[pattern.replace(/\.gz$/i, '').split('.').at(-1)?.toLowerCase() ?? ''];
  if (known === undefined) return ['csv', 'ndjson'];
  return known === 'csv' && options.types === undefined ? ['csv'] : ['ndjson'];
}

export function framerOf(
  name: string,
  options: RecordFormat,
  start: Start,
): Framer & { readonly columns?: readonly string[] | undefined } {
  const from = { startOffset: start.offset, startRow: start.row, startLine: start.line };
  const format = formatOf(name, options);
  if (format === 'ndjson') return ndjsonFramer(from);
  if (format === 'json')
    return jsonFramer({ ...from, ...(options.recordsAt === undefined ? {} : { path: options.recordsAt }) });
  const delimiter = options.delimiter ?? (/\.tsv(\.gz)?$/i.test(name) ? '\t' : ',');
  return csvFramer({
    ...from,
    delimiter,
    header: start.columns ?? options.header,
    emptyIsNull: options.emptyIsNull,
    ...(options.quote === undefined ? {} : { quote: options.quote }),
    ...(options.types === undefined ? {} : { types: options.types }),
  });
}
