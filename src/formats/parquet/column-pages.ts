import { Buffer } from 'node:buffer';
import type { ColumnChunk, SchemaElement } from 'hyparquet';
import type { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Cell } from './cells.ts';
import type { Bounds, PackedDictionary, PackedPage } from './column-kernel.ts';
import type { WriterPackage } from './package.ts';

type Bound = boolean | number | bigint | Uint8Array;
type Encoding = PackedPage['encoding'];
type Stats = NonNullable<NonNullable<ColumnChunk['meta_data']>['encoding_stats']>[number];
type PageIndexes = ParquetWriter['pendingIndexes'][number];

const DICTIONARY_STATS: Stats = { page_type: 'DICTIONARY_PAGE', encoding: 'PLAIN', count: 1 };

/** What a page of a column holds. */
export interface PageFacts {
  readonly rows: number;
  readonly nulls: number;
  readonly page: PackedPage;
}

interface Page {
  readonly rows: number;
  readonly encoding: Encoding;
  readonly header: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The pages of one column of a row group, until the group is written: a column stands in one piece. */
export class ColumnPages {
  readonly #element: SchemaElement;
  readonly #package: WriterPackage;
  readonly #pages: Page[] = [];
  #rows = 0;
  #nulls = 0;
  #strange = 0;
  #unpacked = 0;
  #least: Bound | undefined;
  #most: Bound | undefined;

  constructor(element: SchemaElement, writerPackage: WriterPackage) {
    this.#element = element;
    this.#package = writerPackage;
  }

  add({ rows, nulls, page }: PageFacts): void {
    const header = new this.#package.ByteWriter(64);
    this.#package.writePageHeader(header, {
      type: 'DATA_PAGE_V2',
      uncompressed_page_size: page.levels + page.unpacked,
      compressed_page_size: page.bytes.length,
      data_page_header_v2: {
        num_values: rows,
        num_nulls: nulls,
        num_rows: rows,
        encoding: page.encoding,
        definition_levels_byte_length: page.levels,
        repetition_levels_byte_length: 0,
        is_compressed: true,
      },
    });
    this.#pages.push({ rows, encoding: page.encoding, header: header.getBytes(), bytes: page.bytes });
    this.#rows += rows;
    this.#nulls += nulls;
    this.#strange += page.bounds.strange;
    this.#unpacked += header.offset + page.levels + page.unpacked;
    this.#widen(page.bounds);
  }

  /** Bytes of the pages. */
  get size(): number {
    return this.#pages.reduce((sum, { header, bytes }) => sum + header.length + bytes.length, 0);
  }

  /** Writes the column and says where its parts are. */
  write(writer: ByteWriter, dictionary: PackedDictionary | undefined): PageIndexes {
    const start = writer.offset;
    if (dictionary !== undefined) this.#writeDictionary(writer, dictionary);
    const dataStart = writer.offset;
    const page_locations = [];
    let row = 0;
    for (const { rows, header, bytes } of this.#pages) {
      const [offset, size] = [BigInt(writer.offset), header.length + bytes.length];
      page_locations.push({ offset, compressed_page_size: size, first_row_index: BigInt(row) });
      writer.appendBytes(header);
      writer.appendBytes(bytes);
      row += rows;
    }
    const place = dictionary === undefined ? {} : { dictionary_page_offset: BigInt(start) };
    const chunk: ColumnChunk = {
      file_offset: BigInt(start),
      meta_data: {
        ...this.#metadata(dictionary !== undefined),
        ...place,
        data_page_offset: BigInt(dataStart),
        total_compressed_size: BigInt(writer.offset - start),
      },
    };
    return this.#pages.length > 1 ? { chunk, offsetIndex: { page_locations } } : { chunk };
  }

  #writeDictionary(writer: ByteWriter, { count, bytes, unpacked }: PackedDictionary): void {
    const start = writer.offset;
    this.#package.writePageHeader(writer, {
      type: 'DICTIONARY_PAGE',
      uncompressed_page_size: unpacked,
      compressed_page_size: bytes.length,
      dictionary_page_header: { num_values: count, encoding: 'PLAIN' },
    });
    this.#unpacked += writer.offset - start + unpacked;
    writer.appendBytes(bytes);
  }

  #metadata(
    dictionary: boolean,
  ): Omit<NonNullable<ColumnChunk['meta_data']>, 'data_page_offset' | 'total_compressed_size'> {
    const { name, type } = this.#element;
    const floats = type === 'FLOAT' || type === 'DOUBLE';
    const [least, most] = [this.#least, this.#most];
    return {
      type: type!,
      encodings: dictionary ? ['PLAIN', 'RLE_DICTIONARY'] : ['PLAIN'],
      path_in_schema: [name],
      codec: 'SNAPPY',
      num_values: BigInt(this.#rows),
      total_uncompressed_size: BigInt(this.#unpacked),
      statistics: {
        // Of the two zeros of floats, an order has the one below and the other above.
        ...(least === undefined ? {} : { min_value: least === 0 ? -0 : least }),
        ...(most === undefined ? {} : { max_value: most === 0 ? 0 : most }),
        null_count: BigInt(this.#nulls),
        ...(floats ? { nan_count: BigInt(this.#strange) } : {}),
      },
      encoding_stats: [...(dictionary ? [DICTIONARY_STATS] : []), ...this.#pageStats()],
    };
  }

  #pageStats(): Stats[] {
    return (['PLAIN', 'RLE_DICTIONARY'] as const)
      .map((encoding): Stats => {
        const count = this.#pages.filter((page) => page.encoding === encoding).length;
        return { page_type: 'DATA_PAGE_V2', encoding, count };
      })
      .filter(({ count }) => count > 0);
  }

  #widen({ least, most }: Bounds): void {
    if (least === undefined || most === undefined) return;
    const [low, high] = [boundOf(this.#element, least), boundOf(this.#element, most)];
    if (this.#least === undefined || precedes(low, this.#least)) this.#least = low;
    if (this.#most === undefined || precedes(this.#most, high)) this.#most = high;
  }
}

function precedes(a: Bound, b: Bound): boolean {
  return a instanceof Uint8Array ? Buffer.compare(a, b as Uint8Array) < 0 : a < b;
}

/** A value from its bytes, as the footer's writer wants it. Bytes are copied: memory is used again. */
function boundOf({ type, converted_type: converted }: SchemaElement, bytes: Buffer): Bound {
  switch (type) {
    case 'BOOLEAN':
      return bytes[0] === 1;
    case 'INT32':
      return converted === 'DECIMAL' ? BigInt(bytes.readInt32LE()) : bytes.readInt32LE();
    case 'INT64':
      return bytes.readBigInt64LE();
    case 'FLOAT':
      return bytes.readFloatLE();
    case 'DOUBLE':
      return bytes.readDoubleLE();
    default:
      return converted === 'DECIMAL' ? wide(bytes) : Uint8Array.from(bytes);
  }
}

const wide = (bytes: Buffer): bigint => (bytes.readBigInt64BE(0) << 64n) | bytes.readBigUInt64BE(8);

/** A cell as its bytes lie in a page; of texts without their length. */
export function bytesOfCell({ type, converted_type: converted }: SchemaElement, cell: Cell): Uint8Array {
  const bytes = Buffer.allocUnsafe(16);
  switch (type) {
    case 'BOOLEAN':
      return Uint8Array.of(cell === true ? 1 : 0);
    case 'INT32':
      return bytes.subarray(0, bytes.writeInt32LE(Number(cell)));
    case 'INT64':
      return bytes.subarray(0, bytes.writeBigInt64LE(BigInt(cell as bigint | number)));
    case 'FLOAT':
      return bytes.subarray(0, bytes.writeFloatLE(cell as number));
    case 'DOUBLE':
      return bytes.subarray(0, bytes.writeDoubleLE(cell as number));
    case 'FIXED_LEN_BYTE_ARRAY':
      if (converted !== 'DECIMAL') return cell as Uint8Array;
      bytes.writeBigInt64BE(BigInt.asIntN(64, (cell as bigint) >> 64n));
      bytes.writeBigUInt64BE(BigInt.asUintN(64, cell as bigint), 8);
      return bytes;
    default:
      return typeof cell === 'string' ? Buffer.from(cell) : (cell as Uint8Array);
  }
}
