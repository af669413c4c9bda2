import { isUtf8 } from 'node:buffer';
import type { Reject } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import { type CsvType, columnsOfCsv, jsonRow } from './csv-json.ts';
import { type Dialect, RFC4180, splitRow } from './csv-row.ts';
import { encodeCsvField } from './encode.ts';
import type { GrowingFramer } from './formats.ts';
import { type Fault, type FramedLines, kernel } from './kernel.ts';
import { type FramerOptions, type LineFormat, LineFramer, type Stretch } from './line-framer.ts';
import { LineWriter } from './line-writer.ts';

export interface CsvFramerOptions extends FramerOptions {
  /** One ASCII character. A comma. */
  readonly delimiter?: string | undefined;
  /** Nobody has named the delimiter: a first row that another one would part is an error, and not one column. */
  readonly supposed?: boolean;
  /** One ASCII character. A double quote; doubled for one inside a quoted field. */
  readonly quote?: string;
  /**
   * true (the default): the first row holds the names. false: none does, and the fields are `column_1`, `column_2`, …
   * A list: these are the names, and every row is data; so a source resumes in the middle of a file.
   */
  readonly header?: boolean | readonly string[];
  /** Nothing between two delimiters is null, and `""` the empty string (true, the default), or both are empty. */
  readonly emptyIsNull?: boolean;
  /** Types of columns. With any, the chunks are NDJSON with typed values; columns that are not named are text. */
  readonly types?: Readonly<Record<string, CsvType>>;
}

export interface CsvFramer extends GrowingFramer {
  /** The names of the fields; undefined until the first row has been seen. */
  readonly columns: readonly string[] | undefined;
}

/**
 * Cuts CSV into chunks of rows as RFC 4180 has them; other dialects are rewritten to it. A row that breaks the rules
 * (a stray quote, another number of fields, a NUL, a CR alone, a value of another type than declared) becomes a reject
 * with its row and line, and the rest goes on. Blank lines are no rows. Rows end with LF or CR LF.
 */
export function csvFramer(options: CsvFramerOptions = {}): CsvFramer {
  const format = new CsvFormat(options);
  const framer = new LineFramer(format, options);
  return {
    get columns() {
      return format.columns;
    },
    get offset() {
      return framer.offset;
    },
    get settled() {
      return framer.settled;
    },
    room: (take) => framer.room(take),
    push: (bytes) => framer.push(bytes),
    end: () => framer.end(),
    whole: () => framer.whole(),
  };
}

/** What else than commas parts the fields of what people call CSV. */
const DELIMITERS = [',', ';', '\t', '|'];
const HEADER_BYTES_MAX = 1024 * 1024;

class CsvFormat implements LineFormat {
  readonly #dialect: Dialect;
  readonly #codes: { readonly delimiter: number; readonly quote: number };
  readonly #options: CsvFramerOptions;
  #columns: readonly string[] | undefined;
  readonly rewrite?: (stretch: Stretch) => Stretch;

  constructor(options: CsvFramerOptions) {
    this.#options = options;
    this.#dialect = { delimiter: options.delimiter ?? RFC4180.delimiter, quote: options.quote ?? RFC4180.quote };
    this.#codes = { delimiter: asciiCode(this.#dialect.delimiter), quote: asciiCode(this.#dialect.quote) };
    if (this.#codes.delimiter === this.#codes.quote) {
      throw new WaybillError('SOURCE_INVALID', 'the delimiter and the quote of a CSV file are the same');
    }
    if (typeof options.header === 'object') this.#columns = checkedNames(options.header, options.types);
    const foreign = this.#dialect.delimiter !== RFC4180.delimiter || this.#dialect.quote !== RFC4180.quote;
    if (foreign || options.emptyIsNull === false || this.#typed) this.rewrite = (stretch) => this.#rewritten(stretch);
  }

  get columns(): readonly string[] | undefined {
    return this.#columns;
  }

  get shape(): LineFormat['shape'] {
    if (this.#typed) return { format: 'ndjson', ...this.#typesOfColumns() };
    return { format: 'csv', columns: this.#columns ?? [] };
  }

  #typesOfColumns(): Pick<LineFormat['shape'], 'types'> {
    const types = columnsOfCsv(this.#columns ?? [], this.#options.types ?? {});
    return types === undefined ? {} : { types };
  }

  get #typed(): boolean {
    return this.#options.types !== undefined;
  }

  header(bytes: Buffer, final: boolean): { bytes: number; lines: number } | undefined {
    if (this.#columns !== undefined) return { bytes: 0, lines: 0 };
    const row = firstRow(bytes, this.#codes.quote, final);
    if (row === undefined) {
      if (bytes.length <= HEADER_BYTES_MAX && !final) return undefined;
      if (final && bytes.length <= HEADER_BYTES_MAX) return { bytes: bytes.length, lines: 0 };
      throw new WaybillError('SOURCE_INVALID', 'the first row of the CSV file does not end');
    }
    const text = bytes.subarray(row.start, row.end);
    if (!isUtf8(text)) throw new WaybillError('TEXT_INVALID', 'the first row of the CSV file is not UTF-8 text');
    const fields = splitRow(text.toString('utf8'), this.#dialect);
    const named = this.#options.header !== false;
    if (named && this.#options.supposed === true && fields.length === 1) this.#expectOneColumn(text.toString('utf8'));
    const names = fields.map((name, i) => (named && name !== null && name !== '' ? name : `column_${i + 1}`));
    this.#columns = checkedNames(names, this.#options.types);
    return named ? { bytes: row.after, lines: row.lines } : { bytes: 0, lines: 0 };
  }

  #expectOneColumn(row: string): void {
    const { delimiter, quote } = this.#dialect;
    const parted = (by: string): number => splitRow(row, { delimiter: by, quote }).length;
    const other = DELIMITERS.find((one) => one !== delimiter && one !== quote && parted(one) > 1);
    if (other === undefined) return;
    const shown = (one: string): string => `\`delimiter: ${JSON.stringify(one)}\``;
    const count = `one column by ${JSON.stringify(delimiter)} and ${parted(other)} by ${JSON.stringify(other)}`;
    throw new WaybillError('SOURCE_INVALID', `the first row of the CSV file has ${count}`, {
      hint: `Set ${shown(other)}; or ${shown(delimiter)} if it is one column indeed.`,
    });
  }

  frame(bytes: Uint8Array): FramedLines {
    return kernel().frameRows(bytes, { ...this.#codes, fields: this.#columns?.length ?? 0 });
  }

  describe(fault: Fault, detail: number): Pick<Reject, 'code' | 'message'> {
    const fields = this.#columns?.length ?? 0;
    switch (fault) {
      case 'nul':
        return { code: 'TEXT_INVALID', message: 'the row holds a NUL' };
      case 'field-count':
        return { code: 'CSV_INVALID', message: `the row has ${detail} fields, not ${fields}` };
      case 'lone-return':
        return {
          code: 'CSV_INVALID',
          message: 'a carriage return stands outside quotes, without a line feed after it',
        };
      case 'after-quote':
        return { code: 'CSV_INVALID', message: `something follows a closing quote, in field ${detail} or before` };
      default:
        return {
          code: 'CSV_INVALID',
          message: `a quote stands inside an unquoted field, in field ${detail} or before`,
        };
    }
  }

  #rewritten(stretch: Stretch): Stretch {
    const { bytes, spans } = stretch;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const lines = new LineWriter();
    const places: number[] = [];
    const rejects = [...stretch.rejects];
    const encode = this.#typed ? jsonRow(this.#columns!, this.#options.types) : plainLine;
    for (let place = 0; place * 2 < spans.length; place++) {
      const fields = splitRow(buffer.toString('utf8', spans[place * 2]!, spans[place * 2 + 1]!), this.#dialect);
      if (this.#options.emptyIsNull === false) for (let i = 0; i < fields.length; i++) fields[i] ??= '';
      const line = encode(fields);
      if (typeof line !== 'string') rejects.push({ ...stretch.where(place), ...line });
      else {
        lines.write(line);
        places.push(place);
      }
    }
    rejects.sort((a, b) => a.row - b.row);
    const { bytes: written, spans: writtenSpans } = lines.finish();
    return { bytes: written, spans: writtenSpans, rejects, where: (place) => stretch.where(places[place]!) };
  }
}

function asciiCode(character: string): number {
  const code = character.charCodeAt(0);
  if (character.length === 1 && code < 0x80 && code !== 0x0a && code !== 0x0d && code !== 0) return code;
  throw new WaybillError('SOURCE_INVALID', 'the delimiter and the quote of a CSV file are one ASCII character each');
}

function checkedNames(names: readonly string[], types: Readonly<Record<string, CsvType>> = {}): readonly string[] {
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double !== undefined) {
    throw new WaybillError('SOURCE_INVALID', `the CSV file has two columns named ${JSON.stringify(double)}`, {
      hint: 'Give the names in the flow file (`header: [...]`), or correct the file.',
    });
  }
  const untyped = Object.keys(types).find((name) => !names.includes(name));
  if (untyped === undefined) return names;
  throw new WaybillError('SOURCE_INVALID', `there is no CSV column ${JSON.stringify(untyped)} to give a type to`, {
    hint: `Its columns are: ${names.join(', ')}.`,
  });
}

interface FirstRow {
  readonly start: number;
  readonly end: number;
  /** Behind the line end. */
  readonly after: number;
  readonly lines: number;
}

/** The first row that is not blank; undefined when its end is not there. */
function firstRow(bytes: Buffer, quote: number, final: boolean): FirstRow | undefined {
  let start = 0;
  let lines = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const code = bytes[at];
    if (code === quote) quoted = !quoted;
    // A file whose rows end with CR alone would be one long row of names, and no record.
    if (code === 0x0d && !quoted && at + 1 < bytes.length && bytes[at + 1] !== 0x0a) throw loneReturn();
    if (code !== 0x0a) continue;
    lines++;
    if (quoted) continue;
    const end = at > start && bytes[at - 1] === 0x0d ? at - 1 : at;
    if (end > start) return { start, end, after: at + 1, lines };
    start = at + 1;
  }
  if (!final || quoted || start >= bytes.length) return undefined;
  const end = bytes.at(-1) === 0x0d ? bytes.length - 1 : bytes.length;
  return { start, end, after: bytes.length, lines };
}

function loneReturn(): WaybillError {
  return new WaybillError(
    'SOURCE_INVALID',
    'in the first row of the CSV file a carriage return stands outside quotes, without a line feed after it',
    { hint: 'Rows end with LF or CR LF: convert the line ends of the file.' },
  );
}

function plainLine(fields: readonly (string | null)[]): string {
  const line = fields.map((field) => encodeCsvField(field)).join(',');
  return line === '' ? '""' : line;
}
