import { canonicalNumber } from '../../formats/canonical.ts';
import { encodeJson } from '../../formats/encode.ts';
import { RefusedError } from '../../model/errors.ts';

/** What SQLite makes of values of a column, by how that was declared: numbers of texts, doubles of long numbers. */
export type Affinity = 'numeric' | 'real' | 'text' | 'none';

/** SQLite's own rules, in its own order. `ANY` is no word of theirs, and changes nothing where a table is strict. */
export function affinityOf(declared: string): Affinity {
  const words = declared.toUpperCase();
  if (words.includes('INT')) return 'numeric';
  if (/CHAR|CLOB|TEXT/.test(words)) return 'text';
  if (words === '' || words === 'ANY' || words.includes('BLOB')) return 'none';
  return /REAL|FLOA|DOUB/.test(words) ? 'real' : 'numeric';
}

/** What SQLite takes for a number when a column wants one: also among blanks, and with less than JSON asks for. */
const NUMBER = /^[ \t\n\v\f\r]*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[ \t\n\v\f\r]*$/;
/** Fifteen digits stand in any double. */
const SHORT = /^[^eE]{0,15}$/;
const WHOLE = /^[+-]?\d+$/;

/**
 * Throws RefusedError for a number that the column would keep as another one. SQLite says nothing when it rounds, and
 * what is beyond all doubles becomes infinite. A column of doubles may round, as anybody expects who has declared it.
 */
export function surelyKept(column: string, affinity: Affinity, value: unknown): void {
  if (affinity === 'text' || affinity === 'none') return;
  const text = numberIn(value);
  if (text === undefined) return;
  const double = Number(text);
  if (!Number.isFinite(double)) throw changed(column, 'infinite');
  if (affinity === 'real') return;
  if (WHOLE.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text)) return;
  if (!holds(double, text)) throw changed(column, 'rounded');
}

/** Whether a double gives the number back in its fewest digits, or in as many: `0.10000000000000001` is a tenth's. */
function holds(double: number, text: string): boolean {
  const digits = text.replace(/e.*/i, '').replace(/\D/g, '').replace(/^0+/, '').length;
  const spelled = [String(double), double.toPrecision(Math.max(1, Math.min(digits, 100)))];
  return spelled.some((one) => canonicalNumber(one) === canonicalNumber(text));
}

/** Numbers that a double holds are no matter; a record has the digits of any other as an object. */
function numberIn(value: unknown): string | undefined {
  if (value === null || (typeof value !== 'string' && typeof value !== 'object')) return undefined;
  const text = typeof value === 'string' ? value : encodeJson(value);
  return SHORT.test(text) ? undefined : NUMBER.exec(text)?.[1];
}

const changed = (column: string, how: string): RefusedError =>
  new RefusedError(
    `the column ${JSON.stringify(column)} would keep a number only ${how}; declared as TEXT it keeps it`,
    {
      reason: 'out-of-range',
    },
  );
