import type { Column, Columns } from '../../model/columns.ts';
import { inColumn, unfit } from '../columns/unfit.ts';
import type { Lines } from '../line-writer.ts';
import { binaryBytes } from './binary-values.ts';
import { pgOfPlain } from './text-values.ts';

const FIRST_BYTES = 64 * 1024;
const LF = 0x0a;

/**
 * Rows for COPY, binary or text, from plain texts. A row that does not fit throws and leaves nothing behind. Header and
 * trailer are the affair of who opens the COPY; the lines of the text form have a line end between them.
 */
export class CopyWriter {
  readonly #columns: Columns;
  readonly #binary: boolean;
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #spans: number[] = [];
  #at = 0;

  constructor(format: 'pgcopy' | 'pgcopy-text', columns: Columns) {
    this.#columns = columns;
    this.#binary = format === 'pgcopy';
  }

  /** One row, its fields in the order of the columns. Throws VALUE_UNFIT with the column. */
  add(fields: readonly (string | null)[]): void {
    const start = this.#at;
    let column: Column | undefined;
    try {
      if (this.#binary) this.#int16(this.#columns.length);
      for (let nth = 0; nth < this.#columns.length; nth++) {
        column = this.#columns[nth]!;
        const field = fields[nth] ?? null;
        if (field === null && !column.nullable) throw unfit('is null in a column that has none');
        if (this.#binary) this.#binaryField(column, field);
        else this.#textField(column, field, nth);
      }
    } catch (error) {
      this.#at = start;
      throw inColumn(error, column);
    }
    this.#spans.push(start, this.#at);
    if (!this.#binary) this.#byte(LF);
  }

  /** What was written, without the last line end. The writer is done with. */
  finish(): Lines {
    const end = this.#binary || this.#at === 0 ? this.#at : this.#at - 1;
    return {
      bytes: this.#bytes.subarray(0, end),
      spans: Uint32Array.from(this.#spans),
      count: this.#spans.length / 2,
    };
  }

  #binaryField({ type }: Column, field: string | null): void {
    if (field === null) {
      this.#int32(-1);
      return;
    }
    if (type.kind === 'int64' && type.array !== true && field.length < 16) {
      this.#int64(Number(field));
      return;
    }
    const bytes = binaryBytes(type, field);
    this.#int32(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #textField({ type }: Column, field: string | null, nth: number): void {
    const text = field === null ? '\\N' : escaped(pgOfPlain(type, field));
    this.#room(text.length * 3 + 1);
    if (nth > 0) this.#bytes[this.#at++] = 0x09;
    this.#at += this.#bytes.write(text, this.#at);
  }

  /** BigInt is several times as slow, and few numbers need it. */
  #int64(value: number): void {
    this.#int32(8);
    this.#room(8);
    const high = Math.floor(value / 0x1_0000_0000);
    this.#bytes.writeInt32BE(high, this.#at);
    this.#bytes.writeUInt32BE(value - high * 0x1_0000_0000, this.#at + 4);
    this.#at += 8;
  }

  #int32(value: number): void {
    this.#room(4);
    this.#at = this.#bytes.writeInt32BE(value, this.#at);
  }

  #int16(value: number): void {
    this.#room(2);
    this.#at = this.#bytes.writeInt16BE(value, this.#at);
  }

  #byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  #room(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#at + size, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

function escaped(text: string): string {
  return text.replaceAll(/[\\\b\f\n\r\t\v]/g, (letter) => ESCAPES[letter]!);
}
