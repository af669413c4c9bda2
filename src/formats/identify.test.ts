import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Chunk, KEY_BYTES } from '../model/chunk.ts';
import { encodeCsvRow, joinLines } from './encode.ts';
import { digestRecipe, identify } from './identify.ts';
import { IdentityRoom } from './identity-room.ts';
import { packKey, packKeyText, showKey, withOccurrence } from './keys.ts';
import { ndjsonFramer } from './ndjson.ts';
import { encodeRows } from './rows.ts';

const seed = Uint8Array.from({ length: 16 }, (_, i) => i * 11 + 3);

const chunkOf = (lines: readonly string[], columns?: readonly string[]): Chunk => ({
  format: columns === undefined ? 'ndjson' : 'csv',
  ...joinLines(lines),
  firstRow: 1,
  ...(columns === undefined ? {} : { columns }),
});

const framedOf = (lines: readonly string[]): readonly Chunk[] => {
  const framer = ndjsonFramer();
  return [...framer.push(Buffer.from(`${lines.join('\n')}\n`)), ...framer.end()];
};
const keyAt = (keys: Uint8Array, i: number) => Buffer.from(keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES));
const keysOf = (lines: readonly string[], key: readonly string[] = ['id']) => {
  const { keys, missing } = identify(chunkOf(lines), { key, seed });
  return lines.map((_, i) => (missing.includes(i) ? undefined : showKey(keyAt(keys, i))));
};

/** A JSON value with one of its spellings and the text that its key must have. */
interface Spelled {
  readonly json: string;
  readonly text: string | undefined;
}
const escapedString = fc
  .tuple(fc.string({ unit: 'binary', maxLength: 24 }), fc.infiniteStream(fc.nat(5)))
  .map(([text, dice]): Spelled => {
    let json = '';
    for (const character of text) {
      const units = character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
      json += dice.next().value === 0 ? units.join('') : JSON.stringify(character).slice(1, -1);
    }
    return { json: `"${json}"`, text };
  });
const whole = fc.bigInt().map((value): Spelled => ({ json: String(value), text: String(value) }));
const spelledWhole = fc
  .tuple(fc.integer({ min: -999_999, max: 999_999 }), fc.integer({ min: 0, max: 5 }), fc.boolean())
  .map(([value, zeros, exponent]): Spelled => {
    // Zero takes no further digits: JSON has no number with a leading zero.
    const digits = value === 0 ? '0' : `${value}${'0'.repeat(zeros)}`;
    const json = exponent ? `${digits}E-${zeros}` : `${value}.${'0'.repeat(zeros + 1)}`;
    return { json, text: String(value) };
  });
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value): Spelled => {
  const text = Number.isInteger(value) ? BigInt(value).toString() : String(value);
  // Beyond 2^53 a double's shortest spelling names another whole number than the double itself is.
  return Math.abs(value) > Number.MAX_SAFE_INTEGER && Number.isInteger(value)
    ? { json: text, text }
    : { json: String(value), text: value === 0 ? '0' : text };
});
const word = fc.constantFrom<Spelled>(
  { json: 'true', text: 'true' },
  { json: 'false', text: 'false' },
  { json: 'null', text: undefined },
);
const scalar = fc.oneof(escapedString, whole, spelledWhole, double, word);
const noise = fc.json({ maxDepth: 6 }).map((json): Spelled => ({ json, text: undefined }));
const space = fc.constantFrom('', '', '', ' ', '\t', ' \r ');
const spelledName = (name: string) =>
  fc.constantFrom(
    JSON.stringify(name),
    JSON.stringify(name),
    JSON.stringify(name),
    `"\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}"`,
  );
const member = fc.oneof(
  { weight: 2, arbitrary: fc.record({ name: fc.constant('id'), value: scalar, spelled: spelledName('id') }) },
  { weight: 2, arbitrary: fc.record({ name: fc.constant('größe'), value: scalar, spelled: spelledName('größe') }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('i', 'idd', 'ID', '', '{"id":1}', '__proto__', 'x'), noise)
      .map(([name, value]) => ({ name, value, spelled: JSON.stringify(name) })),
  },
);
const line = fc.tuple(fc.array(member, { maxLength: 6 }), fc.infiniteStream(space)).map(([members, spaces]) => {
  const s = () => spaces.next().value;
  const text = `{${s()}${members.map((m) => `${m.spelled}${s()}:${s()}${m.value.json}${s()}`).join(`,${s()}`)}}`;
  const last = (name: string) => members.filter((m) => m.name === name).at(-1)?.value.text;
  return { text, id: last('id'), size: last('größe') };
});

describe('keys of NDJSON', () => {
  test('are those of the value that JSON.parse finds, however the record is spelled', () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 10 }), (lines) => {
        const texts = lines.map(({ text }) => text);
        // A framed chunk brings the places of its names along; a made one does not. Both must come to the same.
        const [framed] = framedOf(texts);
        const made = chunkOf(texts);
        const single = identify(made, { key: ['id'], seed });
        const double = identify(framed!, { key: ['größe', 'id'], seed });
        expect(identify(framed!, { key: ['id'], seed })).toEqual(single);
        expect(identify(made, { key: ['größe', 'id'], seed })).toEqual(double);
        for (const [i, { id, size }] of lines.entries()) {
          const expected = id === undefined ? undefined : Buffer.from(packKeyText([id], seed));
          expect(single.missing.includes(i) ? undefined : keyAt(single.keys, i)).toEqual(expected);
          const both = id === undefined || size === undefined ? undefined : Buffer.from(packKeyText([size, id], seed));
          expect(double.missing.includes(i) ? undefined : keyAt(double.keys, i)).toEqual(both);
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('take no name out of nested objects or strings', () => {
    expect(keysOf(['{"a":{"id":1},"b":"\\"id\\":2","id":3}', '{"a":[{"id":1}]}'])).toEqual(['3', undefined]);
  });

  test('find a name that is spelled with escapes, and the last of two', () => {
    expect(keysOf(['{"\\u0069d":7}', '{"id":1,"id":2}', '{"id":1,"\\u0069d":null}'])).toEqual(['7', '2', undefined]);
  });

  test('are one for all spellings of a number, and keep all digits of a long one', () => {
    expect(keysOf(['{"id":1}', '{"id":1.0}', '{"id":1e0}', '{"id":"1"}', '{"id":-0}'])).toEqual([
      '1',
      '1',
      '1',
      '1',
      '0',
    ]);
    expect(keysOf(['{"id":900719925474099}', '{"id":0.10}', '{"id":1.5e-7}'])).toEqual([
      '900719925474099',
      '0.1',
      '1.5e-7',
    ]);
    const [a, b] = keysOf(['{"id":9007199254740993}', '{"id":9007199254740992}']);
    expect(a).not.toBe(b);
    expect(identify(chunkOf(['{"id":9007199254740993}']), { key: ['id'], seed }).keys).toEqual(
      packKey([9007199254740993n], seed),
    );
  });

  test('do not take the text of a record for a name with quotes in it', () => {
    expect(keysOf(['{"a":"x"}', '{"a\\":\\"x":1}'], ['a":"x'])).toEqual([undefined, '1']);
    const [framed] = framedOf(['{"a":"x"}', '{"a\\":\\"x":1}']);
    expect(identify(framed!, { key: ['a":"x'], seed }).missing).toEqual([0]);
  });

  test('work with more or longer names than the kernel takes', () => {
    const long = 'n'.repeat(20_000);
    expect(keysOf([`{"${long}":5}`], [long])).toEqual(['5']);
  });

  test('of a chunk that lies somewhere inside a larger array are the same', () => {
    const chunk = chunkOf(['{"id":"x"}', '{"id":"y"}']);
    const larger = Buffer.concat([Buffer.from('"}}'), chunk.bytes, Buffer.from('{"')]);
    const inside = { ...chunk, bytes: larger.subarray(3, 3 + chunk.bytes.length) };
    expect(identify(inside, { key: ['id'], seed })).toEqual(identify(chunk, { key: ['id'], seed }));
  });
});

describe('packed keys', () => {
  test('of one value are the same from CSV, JSON and a driver', () => {
    const values = [42, 42n, '42'].map((id) => packKey([id], seed));
    const csv = identify(chunkOf(['x,42', '"y","42"'], ['n', 'id']), { key: ['id'], seed });
    const json = identify(chunkOf(['{"id":42}']), { key: ['id'], seed });
    for (const key of [...values, keyAt(csv.keys, 0), keyAt(csv.keys, 1), keyAt(json.keys, 0)]) {
      expect(Buffer.from(key!)).toEqual(Buffer.from(packKeyText(['42'], seed)));
    }
  });

  test('hold text of up to 15 bytes as it is, and a hash of anything longer', () => {
    expect(showKey(packKeyText(['123456789012345'], seed))).toBe('123456789012345');
    expect(showKey(packKeyText(['1234567890123456'], seed))).toMatch(/^#[0-9a-f]{32}$/);
    expect(showKey(packKeyText([''], seed))).toBe('');
    expect(showKey(packKeyText(['de', '42'], seed))).toBe('de, 42');
  });

  test('of different lists of values are different', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 3 }),
        (a, b) => {
          const same = a.length === b.length && a.every((part, i) => part === b[i]);
          expect(Buffer.from(packKeyText(a, seed)).equals(packKeyText(b, seed))).toBe(same);
        },
      ),
    );
    expect(packKeyText(['a', 'b'], seed)).not.toEqual(packKeyText(['ab', ''], seed));
    expect(packKeyText(['\ud800'], seed)).not.toEqual(packKeyText(['\ud801'], seed));
  });

  test('are not there when a value is null or absent', () => {
    expect(packKey(['a', null], seed)).toBeUndefined();
    expect(packKey([undefined], seed)).toBeUndefined();
    expect(packKey([''], seed)).toBeDefined();
  });
});

describe('records without key columns', () => {
  test('have a hash of their content, and each further equal one another key', () => {
    const { keys, missing } = identify(chunkOf(['{"a":1}', '{"a":1}', '{"a":2}']), { key: null, seed });
    expect(missing).toEqual([]);
    expect(keyAt(keys, 0)).toEqual(keyAt(keys, 1));
    expect(keyAt(keys, 0)).not.toEqual(keyAt(keys, 2));
    const occurrences = [1, 2, 3, 11].map((n) => showKey(withOccurrence(keyAt(keys, 0), n, seed)));
    expect(new Set(occurrences).size).toBe(4);
    expect(occurrences[0]).toBe(showKey(keyAt(keys, 0)));
    expect(occurrences.every((shown) => shown.startsWith('#'))).toBe(true);
  });
});

describe('keys of CSV', () => {
  test('are the text of the field, quoted or not; nothing is no key and "" the empty one', () => {
    const { keys, missing } = identify(chunkOf(['1,a', ',b', '"",c', '"say ""x""",d'], ['id', 'v']), {
      key: ['id'],
      seed,
    });
    expect(missing).toEqual([1]);
    expect([0, 2, 3].map((i) => showKey(keyAt(keys, i)))).toEqual(['1', '', 'say "x"']);
  });

  test('are those of the values, whatever the fields hold', () => {
    const field = fc.option(fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/[\ud800-\udfff\0]/g, '')));
    fc.assert(
      fc.property(fc.array(fc.tuple(field, field, field), { minLength: 1 }), (records) => {
        const columns = ['a', 'b', 'c'];
        const lines = records.map((fields) =>
          encodeCsvRow(Object.fromEntries(fields.map((f, i) => [columns[i]!, f])), columns),
        );
        const { keys, missing } = identify(chunkOf(lines, columns), { key: ['c', 'a'], seed });
        for (const [i, [a, , c]] of records.entries()) {
          const expected = packKey([c, a], seed);
          expect(missing.includes(i)).toBe(expected === undefined);
          if (expected !== undefined) expect(keyAt(keys, i)).toEqual(Buffer.from(expected));
        }
      }),
    );
  });

  test('name the columns there are when the key is none of them', () => {
    expect(() => identify(chunkOf(['1'], ['a']), { key: ['id'], seed })).toThrow(/key column "id"/);
  });
});

describe('digests', () => {
  const digestOf = (text: string, exclude?: readonly string[], columns?: readonly string[]) =>
    Buffer.from(
      identify(chunkOf([text], columns), { key: null, seed, ...(exclude === undefined ? {} : { exclude }) }).digests,
    ).toString('hex');

  test('of the raw record change with any byte of it', () => {
    expect(digestOf('{"a":1}')).toBe(digestOf('{"a":1}'));
    expect(digestOf('{"a":1}')).not.toBe(digestOf('{"a": 1}'));
  });

  test('by column do not see the excluded ones, the order, or the space between', () => {
    const plain = digestOf('{"a":1,"at":"now","b":[1]}', ['at']);
    expect(digestOf('{ "b": [1], "at":"then" ,"a":1}', ['at'])).toBe(plain);
    expect(digestOf('{"a":1,"b":[1]}', ['at'])).toBe(plain);
    expect(digestOf('{"a":2,"b":[1]}', ['at'])).not.toBe(plain);
    expect(digestOf('{"ab":"1"}', ['at'])).not.toBe(digestOf('{"a":"b1"}', ['at']));
  });

  test('by column are the same from the kernel and from the slow way', () => {
    const plain = digestOf('{"a":1,"b":"x"}', ['at']);
    expect(digestOf('{"\\u0061":1,"b":"x"}', ['at'])).toBe(plain);
    expect(digestOf('{"a":5,"b":"x","a":1}', ['at'])).toBe(plain);
    expect(digestOf('{"a":1,"\\u0061t":9,"b":"x"}', ['at'])).toBe(plain);
    expect(digestOf('{"a":1,"b":"x"}', ['n'.repeat(20_000)])).toBe(plain);
  });

  test('by column of CSV leave fields out by name', () => {
    const columns = ['a', 'at', 'b'];
    expect(digestOf('1,now,2', ['at'], columns)).toBe(digestOf('1,then,2', ['at'], columns));
    expect(digestOf('1,now,2', ['at'], columns)).toBe(digestOf('2,1,"x,y"', ['at'], ['b', 'a', 'at']));
    expect(digestOf('1,now,2', ['at'], columns)).not.toBe(digestOf('1,now,3', ['at'], columns));
  });

  test('have a recipe that tells the two kinds apart', () => {
    expect([digestRecipe(undefined), digestRecipe([]), digestRecipe(['at'])]).toEqual(['raw-1', 'raw-1', 'columns-1']);
  });
});

test('a chunk of objects has the keys of its objects', () => {
  const records = [{ id: 9007199254740993n }, { id: true }, { id: 1.5 }, { id: 'ä'.repeat(9) }];
  const chunk = encodeRows(records, 'ndjson');
  const { keys } = identify(chunk, { key: ['id'], seed });
  for (const [i, { id }] of records.entries()) expect(keyAt(keys, i)).toEqual(Buffer.from(packKey([id], seed)!));
});

const spelledRow = fc.oneof(fc.integer(), fc.string(), fc.constant(null)).map((id) => JSON.stringify({ id, b: 2 }));

test('identities are the same in a room that others were in before', () => {
  const room = new IdentityRoom();
  const lines = fc.array(fc.oneof(spelledRow, fc.constant('{"b":1}')), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(lines, (rows) => {
      const chunk = chunkOf(rows);
      for (const key of [['id'], null]) {
        const { keys, digests, missing } = identify(chunk, { key, seed });
        const put = identify(chunk, { key, seed, room });
        expect(Buffer.compare(put.keys, keys)).toBe(0);
        expect(Buffer.compare(put.digests, digests)).toBe(0);
        expect(put.missing).toEqual(missing);
      }
    }),
  );
});
