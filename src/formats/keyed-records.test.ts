import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testPayload } from '../testing/permit.ts';
import { fieldTexts, keyedRecords, recordOf } from './keyed-records.ts';

describe('records by their keys', () => {
  it('P27: have one key for one value, however it is spelled, and the last record of it', () => {
    const records = ['{"id":42,"v":1}', '{"id":"42","v":2}', '{"id":42.0,"v":3}', '{"id":4.2e1,"v":4}', '{"id":43}'];
    const { records: keyed, unfit } = keyedRecords(testPayload({ records }), ['id']);
    expect(keyed.map(({ key, places }) => [key, places])).toEqual([
      [['42'], [0, 1, 2, 3]],
      [['43'], [4]],
    ]);
    expect(Buffer.from(keyed[0]!.bytes).toString()).toBe('{"id":4.2e1,"v":4}');
    expect(unfit.size).toBe(0);
  });

  it('say which column is missing, and of which record', () => {
    const records = [{ a: 1, b: 2 }, { a: 1 }, { a: null, b: 1 }, '{"a":"\\udfff","b":1}'];
    const { records: keyed, unfit } = keyedRecords(testPayload({ records }), ['a', 'b']);
    expect(keyed).toHaveLength(1);
    expect([...unfit]).toEqual([
      [1, { code: 'key-missing', message: 'the key column "b" is missing' }],
      [2, { code: 'key-missing', message: 'the key column "a" is missing' }],
      [3, { code: 'key-unfit', message: 'the key column "a" holds half a character' }],
    ]);
  });

  it('never share a key that they do not have: each record is at one place, with the texts of its columns', () => {
    const value = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean());
    fc.assert(
      fc.property(fc.array(fc.record({ a: value, b: value }), { minLength: 1 }), (records) => {
        const { records: keyed, unfit } = keyedRecords(testPayload({ records }), ['a', 'b']);
        const places = [...keyed.flatMap((one) => one.places), ...unfit.keys()].sort((x, y) => x - y);
        expect(places).toEqual(records.map((_, at) => at));
        for (const { key, places: at } of keyed) {
          for (const place of at) {
            const { a, b } = records[place]!;
            expect(key).toEqual([a, b].map((one) => String(typeof one === 'number' ? one + 0 : one)));
          }
        }
      }),
    );
  });
});

describe('a record as texts', () => {
  const textsOf = (text: string) => fieldTexts(recordOf(Buffer.from(text)));

  it('keeps each digit, leaves out null, and writes lists and objects as JSON', () => {
    expect(textsOf('{"n":12345678901234567890,"d":0.10000000000000000001,"t":"","z":null,"o":{"a":[1]}}')).toEqual([
      'n',
      '12345678901234567890',
      'd',
      '0.10000000000000000001',
      't',
      '',
      'o',
      '{"a":[1]}',
    ]);
  });

  it('is none where it has no value, or half a character', () => {
    expect(textsOf('{"z":null}')).toMatchObject({ code: 'no-fields' });
    expect(textsOf('{"t":"\\ud800"}')).toMatchObject({ code: 'text-unfit', message: /"t"/ });
  });
});
