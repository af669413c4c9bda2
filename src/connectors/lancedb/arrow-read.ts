import { Buffer } from 'node:buffer';
import type * as Arrow from 'apache-arrow';
import { DAY_MICROS, showDate, showMoment, showTime } from '../../formats/columns/moments.ts';
import { float32Text, float64Text, scaledText } from '../../formats/columns/numbers.ts';
import { UTC } from '../../formats/columns/values.ts';

/**
 * Values of a column as plain texts, one for each value: two are equal if their texts are. Read from the bytes, since
 * the library's own values of moments and decimals are doubles and words.
 */
export function textsOf(arrow: typeof Arrow, vector: Arrow.Vector): (string | null)[] {
  return vector.data.flatMap((data) => dataTexts(arrow, data));
}

function dataTexts(arrow: typeof Arrow, data: Arrow.Data): (string | null)[] {
  const read = reader(arrow, data);
  return Array.from({ length: data.length }, (_, at) => (data.getValid(at) ? read(at) : null));
}

function reader(arrow: typeof Arrow, data: Arrow.Data): (at: number) => string {
  const type: Arrow.DataType = data.type;
  const { DataType } = arrow;
  const values = data.values as unknown as { [at: number]: number | bigint };
  if (DataType.isDecimal(type)) return (at) => scaledText(wide(values as Uint32Array, at), type.scale);
  if (DataType.isDate(type)) return (at) => showDate(Number(values[at]));
  if (DataType.isTime(type)) return (at) => showTime(Number(values[at]));
  if (DataType.isTimestamp(type)) {
    const zone = type.timezone == null ? '' : UTC;
    return (at) => momentText(arrow, type.unit, BigInt(values[at]!), zone);
  }
  const vector = new arrow.Vector([data]);
  if (DataType.isFloat(type)) {
    const show = type.precision === arrow.Precision.DOUBLE ? float64Text : float32Text;
    return (at) => show(vector.get(at) as number);
  }
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) {
    return (at) => Buffer.from(vector.get(at) as Uint8Array).toString('base64');
  }
  if (DataType.isList(type) || DataType.isFixedSizeList(type)) {
    return (at) => JSON.stringify(textsOf(arrow, vector.get(at) as Arrow.Vector));
  }
  return (at) => String(vector.get(at));
}

/** A whole number of 128 bits, its lowest 32 first. */
function wide(words: Uint32Array, at: number): bigint {
  let value = 0n;
  for (let nth = 3; nth >= 0; nth--) value = (value << 32n) | BigInt(words[at * 4 + nth]!);
  return BigInt.asIntN(128, value);
}

function momentText({ TimeUnit }: typeof Arrow, unit: Arrow.TimeUnit, value: bigint, zone: string): string {
  // Nanoseconds that are no whole microseconds come from others and are told by their count.
  if (unit === TimeUnit.NANOSECOND && value % 1000n !== 0n) return `${value}ns`;
  const micros = microsIn(TimeUnit, unit, value);
  const day = BigInt(DAY_MICROS);
  const rest = ((micros % day) + day) % day;
  return showMoment({ days: Number((micros - rest) / day), micros: Number(rest) }, zone);
}

function microsIn(units: typeof Arrow.TimeUnit, unit: Arrow.TimeUnit, value: bigint): bigint {
  if (unit === units.NANOSECOND) return value / 1000n;
  if (unit === units.MICROSECOND) return value;
  return value * (unit === units.SECOND ? 1_000_000n : 1000n);
}

/** What says which of two values of one column is larger: compared with `<`. */
export function orderOf(arrow: typeof Arrow, type: Arrow.DataType, text: string): bigint | number | string {
  const { DataType } = arrow;
  if (DataType.isInt(type)) return BigInt(text);
  if (DataType.isFloat(type)) return Number(text);
  if (DataType.isDecimal(type)) return BigInt(text.replace('.', ''));
  // Years of four digits sort as they are spelled; that is all of 0001 to 9999.
  return text;
}
