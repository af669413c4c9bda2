/** How a CSV file is written. Chunks always hold the default dialect; a framer rewrites other ones. */
export interface Dialect {
  readonly delimiter: string;
  readonly quote: string;
}
export const RFC4180: Dialect = { delimiter: ',', quote: '"' };

/**
 * The fields of one row. Nothing between two delimiters is null, `""` is the empty string: as PostgreSQL's COPY and
 * DuckDB read them. The row is known to be well-formed.
 */
export function splitRow(text: string, dialect: Dialect = RFC4180): (string | null)[] {
  const { delimiter, quote } = dialect;
  if (!text.includes(quote)) {
    const fields: (string | null)[] = text.split(delimiter);
    for (let i = 0; i < fields.length; i++) if (fields[i] === '') fields[i] = null;
    return fields;
  }
  const fields: (string | null)[] = [];
  let at = 0;
  for (;;) {
    const end = fieldEnd(text, at, dialect);
    fields.push(fieldValue(text.slice(at, end), quote));
    if (end >= text.length) return fields;
    at = end + 1;
  }
}

/** The fields of one row as they are spelled, quotes and all. */
export function rawFields(text: string, dialect: Dialect = RFC4180): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    const end = fieldEnd(text, at, dialect);
    fields.push(text.slice(at, end));
    if (end >= text.length) return fields;
    at = end + 1;
  }
}

function fieldEnd(text: string, start: number, { delimiter, quote }: Dialect): number {
  let at = start;
  if (text[at] === quote) {
    do {
      at = text.indexOf(quote, at + 1);
      if (at < 0) return text.length;
      // A doubled quote is a quote of the text; step over both.
    } while (text[++at] === quote);
  }
  const end = text.indexOf(delimiter, at);
  return end < 0 ? text.length : end;
}

function fieldValue(raw: string, quote: string): string | null {
  if (raw === '') return null;
  if (!raw.startsWith(quote)) return raw;
  return raw.slice(1, -1).replaceAll(quote + quote, quote);
}
