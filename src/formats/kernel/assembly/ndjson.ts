// AssemblyScript. Cuts whole chunks of newline-delimited JSON into records, and checks each in full.
import { byteAt, setResult } from './memory';
import { checkedEnd, errorAt, forgetLongNumber, longNumber, setTape, skipSpace, tape, tooDeep } from './scan';

/** What is wrong with a line; the names stand in `kernel.ts`. */
const NOT_JSON: u32 = 1;
const NOT_OBJECT: u32 = 2;
const AFTER_OBJECT: u32 = 3;
const TOO_DEEP: u32 = 4;

@inline
function lineEnd(p: usize): usize {
  while (true) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(p), i8x16.splat(0x0a)));
    if (mask != 0) return p + ctz<i32>(mask);
    p += 16;
  }
}

@inline
function faultOf(p: usize, after: usize): u32 {
  if (after != 0) return AFTER_OBJECT;
  if (tooDeep) return TOO_DEEP;
  return NOT_JSON;
}

/**
 * Cuts `start` to `end` into lines and checks each. `spans` gets start and end of each object, counted from `start`;
 * `faults` gets for each broken line: records before it, its line (0-based), what is wrong, where in the line.
 * Stops early when either list is full. `names` is where the tape of names goes, 0 for none.
 * Result: spans, faults, lines, bytes consumed, 0, bytes of tape, and 1 where a number may be more than a double holds.
 */
export function frameLines(
  start: usize,
  end: usize,
  spans: usize,
  spansMax: u32,
  faults: usize,
  faultsMax: u32,
  names: usize,
): void {
  setTape(names, start);
  forgetLongNumber();
  let count: u32 = 0;
  let broken: u32 = 0;
  let lines: u32 = 0;
  let line = start;
  while (line < end && count < spansMax && broken < faultsMax) {
    const p = skipSpace(line);
    const c = byteAt(p);
    if (c == 0x0a) {
      line = p + 1;
      lines++;
      continue;
    }
    const tapeBefore = tape;
    const object = checkedEnd(p);
    const after = object == 0 ? 0 : skipSpace(object);
    const whole = after != 0 && byteAt(after) == 0x0a;
    if (whole && c == 0x7b) {
      store<u32>(spans, <u32>(p - start));
      store<u32>(spans, <u32>(object - start), 4);
      spans += 8;
      count++;
      line = after + 1;
    } else {
      setTape(tapeBefore, start);
      store<u32>(faults, count + broken);
      store<u32>(faults, lines, 4);
      store<u32>(faults, whole ? NOT_OBJECT : faultOf(p, after), 8);
      store<u32>(faults, <u32>((whole ? p : after != 0 ? after : errorAt) - line), 12);
      faults += 16;
      broken++;
      line = lineEnd(whole || after != 0 ? after : errorAt) + 1;
    }
    lines++;
  }
  setResult(0, count);
  setResult(1, broken);
  setResult(2, lines);
  setResult(3, (line < end ? line : end) - start);
  setResult(4, 0);
  setResult(5, tape - names);
  setResult(6, longNumber ? 1 : 0);
}
