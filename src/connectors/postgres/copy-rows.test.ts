import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FRAME_HEAD } from './copy-in.ts';
import { CopyRows, membersOf } from './copy-rows.ts';
import type { InputKind, TableColumn } from './table.ts';

const column = (name: string, kind: InputKind, array = false): TableColumn => ({
  name,
  kind,
  array,
  defaulted: false,
  generated: false,
  oid: 0,
});
const KINDS = ['text', 'boolean', 'integer', 'json', 'other'] as const;
const columns = [...KINDS.map((kind) => column(`a ${kind}"\\`, kind)), column('ü', 'text', true)];

const rowsOf = (write: (rows: CopyRows) => void): string => {
  const rows = new CopyRows(columns);
  write(rows);
  return rows.frame().subarray(FRAME_HEAD).toString('utf8');
};
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).filter((one) => !one.includes('\0'));
const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);
const nested = fc.jsonValue().filter((one) => !JSON.stringify(one).includes('\\u0000'));

describe('rows for COPY', () => {
  it('are the same by their bytes as by their members', () => {
    const record = fc.tuple(scalar, scalar, scalar, nested, scalar, fc.oneof(text, fc.array(scalar)));
    fc.assert(
      fc.property(record, (values) => {
        const json = JSON.stringify(Object.fromEntries(columns.map(({ name }, nth) => [name, values[nth]])));
        const bytes = Buffer.from(`xx${json}\nyy`);
        const [start, end] = [2, bytes.length - 3];
        const members = membersOf(bytes, start, end);
        const bySlow = rowsOf((rows) => rows.addMembers(members, '\t7'));
        const byFast = rowsOf((rows) => expect(rows.addBytes(bytes, start, end, '\t7')).toBe(true));
        // A quote or a slash may stand behind a backslash or not: both are read as themselves.
        expect(byFast.replaceAll(/\\(["/])/g, '$1')).toBe(bySlow.replaceAll(/\\(["/])/g, '$1'));
        expect(byFast.split('\n')).toHaveLength(2);
        expect(byFast.split('\t')).toHaveLength(columns.length + 1);
      }),
      { numRuns: 500 },
    );
  });

  it('leave a record of another shape to be taken apart, and nothing of it behind', () => {
    const [a, b] = [column('a', 'text'), column('b', 'text')];
    const rows = new CopyRows([a, b]);
    const add = (json: string): boolean => rows.addBytes(Buffer.from(json), 0, Buffer.byteLength(json), '');
    expect(add('{"a":"1","b":"2"}')).toBe(true);
    for (const other of [
      '{"a":"1"}',
      '{"b":"2","a":"1"}',
      '{"a":"1","b":"2","c":3}',
      '{"a": "1","b":"2"}',
      '{}',
      '{"a":"1","b":"2"',
    ]) {
      expect(add(other), other).toBe(false);
    }
    expect(rows.frame().subarray(FRAME_HEAD).toString()).toBe('1\t2\n');
  });

  it('grow with a record that is larger than a frame', () => {
    const long = 'x"\\\n'.repeat(60_000);
    const rows = new CopyRows([column('a', 'text'), column('j', 'json')]);
    const json = JSON.stringify({ a: long, j: [long] });
    expect(rows.addBytes(Buffer.from(json), 0, Buffer.byteLength(json), '')).toBe(true);
    expect(rows.full).toBe(true);
    const [a, j] = rows.frame().subarray(FRAME_HEAD).toString().trimEnd().split('\t');
    expect(a!.replaceAll(/\\([\\n"])/g, (_all, letter: string) => (letter === 'n' ? '\n' : letter))).toBe(long);
    expect(JSON.parse(j!.replaceAll('\\\\', '\\'))).toEqual([long]);
  });
});
