import type { Chunk } from '../model/chunk.ts';
import type { SourceRange } from '../model/range.ts';

/** Of a range all is read again, however little of it is in the batch; so far nobody minds. */
const READ_BYTES_MIN = 4 * 1024 * 1024;
const READ_FACTOR = 4;
/** About what one takes in staging. Many small files are as well copied. */
const RANGE_BYTES = 160;
const RANGES_MIN = 8;

/** Where the records of the batch that is open stand in their source, as far as all of them do. */
export class BatchRanges {
  #chunk: Chunk | undefined;
  #ranges: SourceRange[] = [];
  #bytes = 0;
  /** Some record of the open batch stands nowhere. */
  #broken = false;

  /** What is added from here on is of this chunk; undefined: of none that could be had again. */
  at(chunk: Chunk | undefined): void {
    this.#chunk = chunk;
  }

  /** A record of the chunk at hand went into the open batch. */
  add(): void {
    const range = this.#chunk?.range;
    if (range === undefined) this.#broken = true;
    else if (this.#ranges.at(-1) !== range) {
      this.#ranges.push(range);
      this.#bytes += this.#chunk!.bytes.length;
    }
  }

  /**
   * Those of the batch that is closed now. Undefined where it needs a copy: a record stands nowhere, or a copy is
   * cheaper, since much would have to be read for little, as where few records of a window have changed.
   */
  take(batchBytes: number): readonly SourceRange[] | undefined {
    const [ranges, bytes, broken] = [this.#ranges, this.#bytes, this.#broken];
    [this.#ranges, this.#bytes, this.#broken] = [[], 0, false];
    if (broken || ranges.length === 0) return undefined;
    const readsTooMuch = bytes > Math.max(READ_BYTES_MIN, READ_FACTOR * batchBytes);
    const areTooMany = ranges.length > RANGES_MIN && ranges.length * RANGE_BYTES > batchBytes;
    return readsTooMuch || areTooMany ? undefined : ranges;
  }
}
