// AssemblyScript. Small steps through JSON text, 16 bytes at a time where that pays.
import { DEPTH_MAX, STACK, byteAt } from './memory';

/**
 * While lines are checked, the places of their top-level names are noted on a tape, so that keys can be found later
 * without a second walk: one u32 each, counted from `tapeBase`; the top bit says that the name is spelled with escapes.
 */
export let tape: usize = 0;
let tapeBase: usize = 0;
export const ESCAPED: u32 = 0x80000000;

export function setTape(at: usize, base: usize): void {
  tape = at;
  tapeBase = base;
}

/** Set when a number may be more than a double holds: 16 characters or more, or an exponent of three digits. */
export let longNumber: bool = false;

export function forgetLongNumber(): void {
  longNumber = false;
}

/** Where the last check failed. */
export let errorAt: usize = 0;
export let tooDeep: bool = false;

@inline
export function skipSpace(p: usize): usize {
  let c = byteAt(p);
  // A line feed is no space here: it ends the record.
  while (c == 0x20 || c == 0x09 || c == 0x0d) c = byteAt(++p);
  return p;
}

/** The next quote, backslash or control character from `p` on. */
@inline
export function stringStop(p: usize): usize {
  while (true) {
    const block = v128.load(p);
    const mask = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(block, i8x16.splat(0x22)), i8x16.eq(block, i8x16.splat(0x5c))),
        i8x16.lt_u(block, i8x16.splat(0x20)),
      ),
    );
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

@inline
function isHex(c: u32): bool {
  return c - 0x30 < 10 || (c | 0x20) - 0x61 < 6;
}

@inline
function fail(p: usize): usize {
  errorAt = p;
  return 0;
}

/** From behind the opening quote to behind the closing one; 0 when it is no JSON string. */
export function stringEnd(p: usize): usize {
  while (true) {
    p = stringStop(p);
    const c = byteAt(p);
    if (c == 0x22) return p + 1;
    if (c != 0x5c) return fail(p);
    const escaped = byteAt(p + 1);
    if (escaped == 0x75) {
      for (let i: usize = 2; i < 6; i++) if (!isHex(byteAt(p + i))) return fail(p);
      p += 6;
    } else {
      const plain = escaped == 0x22 || escaped == 0x5c || escaped == 0x2f || escaped == 0x62 || escaped == 0x66;
      if (!plain && escaped != 0x6e && escaped != 0x72 && escaped != 0x74) return fail(p);
      p += 2;
    }
  }
}

@inline
function digits(p: usize): usize {
  while (byteAt(p) - 0x30 < 10) p++;
  return p;
}

function numberEnd(start: usize): usize {
  let p = start;
  if (byteAt(p) == 0x2d) p++;
  const first = byteAt(p);
  if (first - 0x30 >= 10) return fail(start);
  p = first == 0x30 ? p + 1 : digits(p);
  if (byteAt(p) == 0x2e) {
    const from = p + 1;
    p = digits(from);
    if (p == from) return fail(p);
  }
  if ((byteAt(p) | 0x20) == 0x65) {
    let from = p + 1;
    const sign = byteAt(from);
    if (sign == 0x2b || sign == 0x2d) from++;
    p = digits(from);
    if (p == from) return fail(p);
    if (p - from > 2) longNumber = true;
  }
  if (p - start > 15) longNumber = true;
  return p;
}

/** Behind a number, `true`, `false` or `null`; 0 when it is none of them. */
@inline
function wordEnd(p: usize, c: u32): usize {
  if (c == 0x74) return load<u32>(p) == 0x65757274 ? p + 4 : fail(p);
  if (c == 0x6e) return load<u32>(p) == 0x6c6c756e ? p + 4 : fail(p);
  if (c == 0x66) return load<u32>(p, 1) == 0x65736c61 ? p + 5 : fail(p);
  return numberEnd(p);
}

/** From a member's name to its value; 0 when there is no name and colon. */
@inline
function valueOfMember(p: usize, depth: u32): usize {
  if (byteAt(p) != 0x22) return fail(p);
  const name = p + 1;
  p = stringStop(name);
  const plain = byteAt(p) == 0x22;
  p = plain ? p + 1 : stringEnd(p);
  if (p == 0) return 0;
  if (depth == 1 && tape != 0) {
    store<u32>(tape, <u32>(name - tapeBase) | (plain ? 0 : ESCAPED));
    tape += 4;
  }
  p = skipSpace(p);
  if (byteAt(p) != 0x3a) return fail(p);
  return skipSpace(p + 1);
}

/** Checks one whole JSON value from `p` on: behind it, or 0 with `errorAt`. */
export function checkedEnd(p: usize): usize {
  let depth: u32 = 0;
  tooDeep = false;
  while (true) {
    const c = byteAt(p);
    if (c == 0x22) {
      p = stringEnd(p + 1);
    } else if (c == 0x7b || c == 0x5b) {
      const close = c + 2;
      if (depth == DEPTH_MAX) {
        tooDeep = true;
        return fail(p);
      }
      store<u8>(STACK + depth++, close);
      p = skipSpace(p + 1);
      if (byteAt(p) != close) {
        if (c == 0x7b) p = valueOfMember(p, depth);
        if (p == 0) return 0;
        continue;
      }
      p++;
      depth--;
    } else {
      p = wordEnd(p, c);
    }
    if (p == 0) return 0;
    while (true) {
      if (depth == 0) return p;
      p = skipSpace(p);
      const close = byteAt(STACK + depth - 1);
      const next = byteAt(p);
      if (next == 0x2c) {
        p = skipSpace(p + 1);
        if (close == 0x7d) p = valueOfMember(p, depth);
        if (p == 0) return 0;
        break;
      }
      if (next != close) return fail(p);
      p++;
      depth--;
    }
  }
}

/** Behind a string whose text is known to be JSON; 0 at a control character, which such a text cannot hold. */
@inline
export function skipString(p: usize): usize {
  while (true) {
    p = stringStop(p);
    const c = byteAt(p);
    if (c == 0x22) return p + 1;
    if (c != 0x5c) return 0;
    p += 2;
  }
}

@inline
function bracketStop(p: usize): usize {
  while (true) {
    const block = v128.load(p);
    // `[` and `{`, `]` and `}` differ in one bit.
    const folded = v128.or(block, i8x16.splat(0x20));
    const mask = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(folded, i8x16.splat(0x7b)), i8x16.eq(folded, i8x16.splat(0x7d))),
        v128.or(i8x16.eq(block, i8x16.splat(0x22)), i8x16.eq(block, i8x16.splat(0x0a))),
      ),
    );
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

/** Behind an object or array whose text is known to be JSON; 0 when it does not close before the line does. */
function skipNested(p: usize): usize {
  let depth: u32 = 0;
  while (true) {
    p = bracketStop(p);
    const c = byteAt(p);
    if (c == 0x22) {
      p = skipString(p + 1);
      if (p == 0) return 0;
      continue;
    }
    if (c == 0x0a) return 0;
    p++;
    if ((c | 0x20) == 0x7b) depth++;
    else if (--depth == 0) return p;
  }
}

/** Behind a value whose text is known to be JSON; 0 when it is not. */
export function skipValue(p: usize): usize {
  const c = byteAt(p);
  if (c == 0x22) return skipString(p + 1);
  if (c == 0x7b || c == 0x5b) return skipNested(p);
  const start = p;
  let at = c;
  while (at > 0x20 && at != 0x2c && at != 0x7d && at != 0x5d) at = byteAt(++p);
  return p == start ? 0 : p;
}
