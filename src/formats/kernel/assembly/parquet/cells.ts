// AssemblyScript. Rows of CSV to cells, column by column. The rows are well-formed: framing has seen to that.
import { BARE, DOUBLED, NULL, QUOTED, byteAt } from './memory';

/** A field that is no column. */
const NOWHERE: u32 = u32.MAX_VALUE;

/** The next comma from `p` on, or `end`. */
@inline
function commaFrom(p: usize, end: usize): usize {
  const comma = i8x16.splat(0x2c);
  while (p < end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), comma));
    if (mask != 0) {
      p += ctz<i32>(mask);
      break;
    }
    p += 16;
  }
  return p < end ? p : end;
}

let doubled: bool = false;

/** The closing quote of the field whose text begins at `p`; 0 when there is none before `end`. */
function closingQuote(p: usize, end: usize): usize {
  const quote = i8x16.splat(0x22);
  doubled = false;
  while (p < end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), quote));
    if (mask == 0) {
      p += 16;
      continue;
    }
    p += ctz<i32>(mask);
    if (p >= end) return 0;
    if (p + 1 >= end || byteAt(p + 1) != 0x22) return p;
    doubled = true;
    p += 2;
  }
  return 0;
}

/**
 * Notes the cells of `count` rows: those of column c from `cells + c * count * 8` on. `places`: for each of the
 * `fields` of a row the number of its column. What a row lacks is null. Returns 0 where a quoted field does not end
 * with its quote, and then the cells mean nothing.
 */
export function splitRows(
  base: usize,
  spans: usize,
  count: u32,
  places: usize,
  fields: u32,
  cells: usize,
): u32 {
  for (let row: u32 = 0; row < count; row++) {
    let p = base + load<u32>(spans + (row << 3));
    const end = base + load<u32>(spans + (row << 3), 4);
    const column = cells + (row << 3);
    for (let field: u32 = 0; field < fields; field++) {
      let start = p;
      let stop = end;
      let state = NULL;
      if (p < end) {
        if (byteAt(p) == 0x22) {
          start++;
          stop = closingQuote(start, end);
          if (stop == 0) return 0;
          state = doubled ? DOUBLED : QUOTED;
          p = stop + 1;
          if (p < end && byteAt(p) != 0x2c) return 0;
        } else {
          stop = commaFrom(p, end);
          state = stop > p ? BARE : NULL;
          p = stop;
        }
      }
      p++;
      const place = load<u32>(places + (field << 2));
      if (place == NOWHERE) continue;
      const cell = column + <usize>place * <usize>count * 8;
      store<u32>(cell, <u32>start);
      store<u32>(cell, state == NULL ? NULL : state | <u32>(stop - start), 4);
    }
  }
  return 1;
}
