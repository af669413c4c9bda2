import { type CsvFramerOptions, csvFramer } from '../formats/csv.ts';
import type { GrowingFramer, PlacedFramer } from '../formats/formats.ts';
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
  /** A longer record is rejected instead of kept in memory. */
  readonly recordBytesMax?: number | undefined;
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

/** As the flow file says, else by the ending: `x.csv.gz` holds CSV. Undefined where neither tells. */
export const knownFormat = (name: string, { format }: Pick<RecordFormat, 'format'>): FileFormat | undefined =>
  format ?? ENDINGS[name.replace(/\.gz$/i, '').split('.').at(-1)?.toLowerCase() ?? ''];

/** Between the fields of CSV: `.tsv` has tabs unless told otherwise. */
export const delimiterOf = (name: string, { delimiter }: Pick<RecordFormat, 'delimiter'>): string =>
  delimiter ?? (/\.tsv(\.gz)?$/i.test(name) ? '\t' : ',');

/** As `knownFormat`. Throws SOURCE_INVALID where nothing tells. */
export function formatOf(name: string, options: RecordFormat): FileFormat {
  const format = knownFormat(name, options);
  if (format !== undefined) return format;
  throw new WaybillError('SOURCE_INVALID', `nobody says how the records stand in ${name}`, {
    hint: 'Set `format: csv`, `ndjson`, `json` or `parquet`.',
  });
}

/** What chunks of such files are in; CSV with types is converted as it is read. */
export function emittedFormats(pattern: string, options: RecordFormat): readonly Format[] {
  const known = knownFormat(pattern, options);
  if (known === undefined) return ['csv', 'ndjson'];
  return known === 'csv' && options.types === undefined ? ['csv'] : ['ndjson'];
}

export function framerOf(
  name: string,
  options: RecordFormat,
  start: Start,
): PlacedFramer & { readonly columns?: readonly string[] | undefined } {
  if (formatOf(name, options) !== 'json') return lineFramerOf(name, options, start);
  return jsonFramer({
    ...startOf(options, start),
    ...(options.recordsAt === undefined ? {} : { path: options.recordsAt }),
  });
}

const startOf = ({ recordBytesMax }: RecordFormat, start: Start) => ({
  startOffset: start.offset,
  startRow: start.row,
  startLine: start.line,
  ...(recordBytesMax === undefined ? {} : { recordBytesMax }),
});

/** Of CSV and NDJSON: records that are lines. */
export function lineFramerOf(
  name: string,
  options: RecordFormat,
  start: Start,
): GrowingFramer & { readonly columns?: readonly string[] | undefined } {
  const from = startOf(options, start);
  if (formatOf(name, options) !== 'csv') return ndjsonFramer(from);
  return csvFramer({
    ...from,
    delimiter: delimiterOf(name, options),
    supposed: options.delimiter === undefined,
    header: start.columns ?? options.header,
    emptyIsNull: options.emptyIsNull,
    ...(options.quote === undefined ? {} : { quote: options.quote }),
    ...(options.types === undefined ? {} : { types: options.types }),
  });
}
