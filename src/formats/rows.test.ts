import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalNumber } from './canonical.ts';
import { encodeJson } from './encode.ts';
import { parseObject } from './rows.ts';

const digits = (min: number, max: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max }).map((many) => many.join(''));
/** As JSON has it: no zero before other digits. */
const whole = digits(1, 22).map((text) => text.replace(/^0+(?=\d)/, ''));
const spelled = fc.oneof(
  fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
  fc
    .tuple(fc.double({ noDefaultInfinity: true, noNaN: true }), fc.integer({ min: 1, max: 25 }))
    .map(([value, precision]) => value.toPrecision(precision)),
  fc
    .tuple(fc.constantFrom('', '-'), whole, fc.option(digits(1, 25)), fc.option(fc.integer({ min: -320, max: 320 })))
    .map(([sign, front, fraction, exponent]) => {
      const behind = exponent === null ? '' : `e${exponent}`;
      return `${sign}${front}${fraction === null ? '' : `.${fraction}`}${behind}`;
    }),
);

describe('numbers of JSON', () => {
  it('keep all of their digits, whatever stands beside them', () => {
    fc.assert(
      fc.property(
        fc.array(spelled, { minLength: 1, maxLength: 5 }),
        fc.string(),
        fc.boolean(),
        (numbers, text, wide) => {
          const gap = wide ? ' ' : '';
          const list = numbers.join(`,${gap}`);
          const before = JSON.stringify(`${text}: ${numbers[0]}`);
          const line = `{"before":${before},${gap}"list":[${list}],"last":${gap}${numbers[0]}}`;
          const record = parseObject(line);
          const got = [...(record.list as unknown[]), record.last].map((value) => canonicalNumber(encodeJson(value)));
          expect(got).toEqual([...numbers, numbers[0]!].map((number) => canonicalNumber(number)));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('are doubles where those hold them, and bigints where they are whole and doubles are not sure', () => {
    const line = '{"a":0.14285714285714285,"b":-1.7976931348623157e+308,"c":9007199254740992,"d":9007199254740991}';
    expect({ ...parseObject(line) }).toEqual({
      a: 1 / 7,
      b: -Number.MAX_VALUE,
      c: 9007199254740992n,
      d: Number.MAX_SAFE_INTEGER,
    });
  });
});
