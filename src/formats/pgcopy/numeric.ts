/**
 * PostgreSQL's numeric as it travels: digits to the base of 10,000. Number of digits, weight of the first one, sign and
 * digits behind the point, 16 bits each, then the digits.
 */
const SIGNS = { plus: 0x0000, minus: 0x4000, nan: 0xc000, infinity: 0xd000, minusInfinity: 0xf000 } as const;

const SPECIAL: Readonly<Record<number, string>> = {
  [SIGNS.nan]: 'NaN',
  [SIGNS.infinity]: 'Infinity',
  [SIGNS.minusInfinity]: '-Infinity',
};
const SPECIAL_SIGNS: Readonly<Record<string, number>> = {
  NaN: SIGNS.nan,
  Infinity: SIGNS.infinity,
  '-Infinity': SIGNS.minusInfinity,
};

const group = (digits: number): string => String(digits).padStart(4, '0');

/** The decimal at `at`, with as many digits behind the point as it has. */
export function numericText(bytes: Buffer, at: number): string {
  const count = bytes.readUInt16BE(at);
  const weight = bytes.readInt16BE(at + 2);
  const sign = bytes.readUInt16BE(at + 4);
  const scale = bytes.readUInt16BE(at + 6);
  const special = SPECIAL[sign];
  if (special !== undefined) return special;
  const digitAt = (nth: number): string =>
    nth >= 0 && nth < count ? group(bytes.readUInt16BE(at + 8 + nth * 2)) : '0000';
  let whole = '';
  for (let nth = 0; nth <= weight; nth++) whole += digitAt(nth);
  let fraction = '';
  for (let nth = weight + 1; fraction.length < scale; nth++) fraction += digitAt(nth);
  const text = whole.replace(/^0+/, '') || '0';
  const point = scale === 0 ? '' : `.${fraction.slice(0, scale)}`;
  return `${sign === SIGNS.minus ? '-' : ''}${text}${point}`;
}

/** The bytes of a decimal in plain text. */
export function numericBytes(text: string): Buffer {
  const special = SPECIAL_SIGNS[text];
  if (special !== undefined) return header(0, 0, special, 0, []);
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  const before = whole.padStart(Math.ceil(whole.length / 4) * 4, '0');
  const all = before + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0');
  const groups: number[] = [];
  for (let at = 0; at < all.length; at += 4) groups.push(Number(all.slice(at, at + 4)));
  const first = groups.findIndex((digits) => digits !== 0);
  if (first < 0) return header(0, 0, SIGNS.plus, fraction.length, []);
  let last = groups.length;
  while (groups[last - 1] === 0) last--;
  const weight = before.length / 4 - 1 - first;
  return header(last - first, weight, negative ? SIGNS.minus : SIGNS.plus, fraction.length, groups.slice(first, last));
}

function header(count: number, weight: number, sign: number, scale: number, groups: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(8 + count * 2);
  bytes.writeUInt16BE(count, 0);
  bytes.writeInt16BE(weight, 2);
  bytes.writeUInt16BE(sign, 4);
  bytes.writeUInt16BE(scale, 6);
  for (const [nth, digits] of groups.entries()) bytes.writeUInt16BE(digits, 8 + nth * 2);
  return bytes;
}
