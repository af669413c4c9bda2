import type { Reject } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Converted } from '../formats.ts';
import { rawMembers } from '../json-members.ts';
import { LineWriter } from '../line-writer.ts';
import { textAt } from '../record-text.ts';

/** What is done with the fields of a record that are none of `known`. */
export interface FieldRule {
  readonly known: ReadonlySet<string>;
  /** `reject` lets a field pass that is null: leaving it out loses nothing. */
  readonly others: 'leave-out' | 'reject' | 'stop';
}

/** Names of the fields that were left out of a record and had a value in it, by the record's place in its chunk. */
export type LeftOut = ReadonlyMap<number, readonly string[]>;

/** NDJSON without the fields that a rule leaves out. */
export interface Filtered {
  readonly converted: Converted;
  readonly leftOut: LeftOut;
}

/** Throws SCHEMA_DIFFERS at a field that nobody knows, where the rule is to stop there. */
export function filterFields(given: Converted, { known, others }: FieldRule): Filtered {
  const lines = new LineWriter();
  const from: number[] = [];
  const failed: Reject[] = [...given.failed];
  const leftOut = new Map<number, readonly string[]>();
  for (let at = 0; at < given.count; at++) {
    const place = given.from?.[at] ?? at;
    const text = textAt({ ...given, firstRow: 1 }, at);
    const members = rawMembers(text);
    const unknown = [...members.keys()].filter((name) => !known.has(name));
    const brings = unknown.filter((name) => members.get(name) !== 'null');
    if (brings.length > 0 && others === 'stop') throw unknownField(brings[0]!);
    if (brings.length > 0 && others === 'reject') {
      failed.push({
        row: place,
        code: 'COLUMN_UNKNOWN',
        message: `the sink has no column ${JSON.stringify(brings[0])}`,
      });
      continue;
    }
    if (brings.length > 0) leftOut.set(place, brings);
    lines.write(unknown.length === 0 ? text : without(members, known));
    from.push(place);
  }
  const converted = { ...given, ...lines.finish(), from: Uint32Array.from(from), failed: failed.sort(byRow) };
  return { converted, leftOut };
}

const byRow = (a: Reject, b: Reject): number => a.row - b.row;

/** Values as they are spelled. */
function without(members: ReadonlyMap<string, string>, known: ReadonlySet<string>): string {
  const kept = [...members].filter(([name]) => known.has(name));
  return `{${kept.map(([name, raw]) => `${JSON.stringify(name)}:${raw}`).join(',')}}`;
}

const unknownField = (name: string): WaybillError =>
  new WaybillError(
    'SCHEMA_DIFFERS',
    `a record has the field ${JSON.stringify(name)}, and the sink has no such column`,
    {
      hint: 'Add the column, declare its type in `schema: { columns }`, or choose another policy of `schema:`.',
    },
  );
