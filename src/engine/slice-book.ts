import { RunningDigest } from '../formats/digest.ts';
import type { Chunk } from '../model/chunk.ts';
import type { Column, Columns } from '../model/columns.ts';
import type { PullReader, Slice } from '../model/slice.ts';

/** Counts what the slice that is being read will have been: offsets, times, how far event time has come. */
export class SliceBook {
  #offset: number;
  #records = 0;
  #bytes = 0;
  readonly #digest = new RunningDigest();
  #systemTimeMs: number;
  /** As of the slice before, and with what has come since. */
  #before: string | undefined;
  #watermark: string | undefined;
  #late = 0;
  #known: Columns;
  #columns: Columns;

  private constructor(at: {
    offset: number;
    systemTimeMs: number;
    watermark: string | undefined;
    columns: Columns | undefined;
  }) {
    this.#offset = at.offset;
    this.#systemTimeMs = at.systemTimeMs;
    this.#before = at.watermark;
    this.#watermark = at.watermark;
    this.#known = at.columns ?? [];
    this.#columns = this.#known;
  }

  /** Goes on behind the last slice of the flow. `nowMs`: of the ports; a clock that went back is not followed. */
  static async after(flow: string, reader: PullReader, nowMs: number): Promise<SliceBook> {
    const last = await reader.lastSlice(flow);
    return new SliceBook({
      offset: last === undefined ? 0 : last.offset + last.records,
      systemTimeMs: Math.max(nowMs, last?.systemTimeMs ?? 0),
      watermark: last?.watermark,
      columns: await reader.columns(flow),
    });
  }

  get records(): number {
    return this.#records;
  }
  /** Of the next record. */
  get offset(): number {
    return this.#offset + this.#records;
  }
  get systemTimeMs(): number {
    return this.#systemTimeMs;
  }
  /** That the flow has ever had, as far as has been seen. */
  get columns(): Columns {
    return this.#columns;
  }
  /** Something is to be told besides records: event time has come further. */
  get moved(): boolean {
    return this.#watermark !== this.#before;
  }

  count(records: number): void {
    this.#records += records;
  }

  /** The records of a chunk as the lanes get them; those that could not be read are none. */
  handedOn({ bytes, spans, count }: Pick<Chunk, 'bytes' | 'spans' | 'count'>): void {
    if (count === 0) return;
    const handed = bytes.subarray(spans[0], spans[count * 2 - 1]);
    this.#bytes += handed.length;
    this.#digest.add(handed);
  }

  /** ISO 8601 in UTC, always of the same length, so that they compare as text. */
  happened(at: string): void {
    if (this.#before !== undefined && at < this.#before) this.#late++;
    this.reached(at);
  }

  /** As `happened`, of a row that is in the history already: it is not late, however old it is. */
  reached(at: string): void {
    if (this.#watermark === undefined || at > this.#watermark) this.#watermark = at;
  }

  /** Columns are only ever added: one that does not come this time is still one of the flow. */
  saw(columns: Columns): void {
    const names = new Set(this.#columns.map(({ name }) => name));
    const fresh: Column[] = columns.filter(({ name }) => !names.has(name));
    if (fresh.length > 0) this.#columns = [...this.#columns, ...fresh];
  }

  slice(part: string | undefined): Slice {
    return {
      offset: this.#offset,
      records: this.#records,
      bytes: this.#bytes,
      digest: this.#digest.finish(),
      late: this.#late,
      systemTimeMs: this.#systemTimeMs,
      ...(part === undefined ? {} : { part }),
      ...(this.#watermark === undefined ? {} : { watermark: this.#watermark }),
      ...(this.#columns === this.#known ? {} : { columns: this.#columns }),
    };
  }

  /** The slice is in the ledger; what comes now belongs to the next. */
  next(nowMs: number): void {
    this.#offset += this.#records;
    this.#records = 0;
    this.#bytes = 0;
    this.#late = 0;
    this.#before = this.#watermark;
    this.#known = this.#columns;
    this.#systemTimeMs = Math.max(nowMs, this.#systemTimeMs);
  }
}
