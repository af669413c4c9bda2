import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ColumnType, parseColumnType, showColumnType } from './columns.ts';
import { columnsInEvent, decideSchema, SCHEMA_POLICIES, type SchemaSides, wideningOf } from './schema.ts';

const type = (text: string): ColumnType => parseColumnType(text)!;
const column = (name: string, text: string, nullable = true) => ({ name, type: type(text), nullable });
const TYPES = [
  'boolean',
  'int16',
  'int32',
  'int64',
  'float32',
  'float64',
  'decimal',
  'decimal(5,0)',
  'decimal(12,2)',
  'decimal(10,4)',
  'decimal(1000,1000)',
  'decimal(3,-2)',
  'text',
  'bytes',
  'date',
  'timestamp',
  'timestamptz',
  'json',
  'int16[]',
  'int64[]',
].map(type);
const anyType = fc.constantFrom(...TYPES);
const anySide = (wide: readonly string[]): fc.Arbitrary<Omit<SchemaSides, 'carrier'>> => {
  const columns = fc.uniqueArray(fc.tuple(fc.constantFrom(...wide), anyType), { selector: ([name]) => name });
  return fc.record({ source: columns, sink: columns, partial: fc.boolean() }).map(({ source, sink, partial }) => ({
    partial,
    before: undefined,
    source: source.map(([name, of]) => ({ name, type: of, nullable: true })),
    sink: sink.map(([name, of]) => ({ name, type: of, required: false })),
  }));
};
const carrier: SchemaSides['carrier'] = (of) => ({ type: of, as: showColumnType(of) });

describe('a type that holds all of two', () => {
  it('is found where one is wider, or where neither is', () => {
    const wide = (sink: string, source: string) => {
      const found = wideningOf(type(sink), type(source));
      return found === undefined ? undefined : showColumnType(found);
    };
    expect(wide('int16', 'int64')).toBe('int64');
    expect(wide('int64', 'int16')).toBeUndefined();
    expect(wide('int32', 'decimal(5,2)')).toBe('decimal(12,2)');
    expect(wide('decimal(12,2)', 'decimal(10,4)')).toBe('decimal(14,4)');
    expect(wide('decimal(12,2)', 'int64')).toBe('decimal(21,2)');
    expect(wide('decimal(12,2)', 'decimal')).toBe('decimal');
    expect(wide('decimal', 'decimal(12,2)')).toBeUndefined();
    expect(wide('float32', 'float64')).toBe('float64');
    expect(wide('int64', 'float64')).toBeUndefined();
    expect(wide('int16[]', 'int64[]')).toBe('int64[]');
    expect(wide('int16', 'int64[]')).toBeUndefined();
    expect(wide('text', 'int64')).toBeUndefined();
  });

  it('is wide enough: widened once, nothing is left to be widened', () => {
    fc.assert(
      fc.property(anyType, anyType, (sink, source) => {
        const wide = wideningOf(sink, source);
        if (wide !== undefined) {
          expect(wideningOf(wide, source)).toBeUndefined();
          expect(wideningOf(wide, sink)).toBeUndefined();
        }
      }),
    );
  });
});

describe('what is decided about columns', () => {
  it('is done once: with the sink as it is afterwards, nothing is left to be done', () => {
    fc.assert(
      fc.property(anySide(['a', 'b', 'c', 'd']), (side) => {
        const { actions, stops } = decideSchema({ ...side, carrier }, { policy: 'evolve', create: true });
        expect(stops).toEqual([]);
        const after = new Map(side.sink!.map((one) => [one.name, one]));
        for (const action of actions) {
          if (action.kind === 'add') after.set(action.column.name, { ...action.column, required: false });
          if (action.kind === 'widen')
            after.set(action.column, { name: action.column, type: action.to, required: false });
        }
        const again = decideSchema({ ...side, sink: [...after.values()], carrier }, { policy: 'evolve', create: true });
        expect(again.actions).toEqual([]);
      }),
    );
  });

  it('changes nothing unless it is to evolve, and leaves no column without a decision', () => {
    fc.assert(
      fc.property(anySide(['a', 'b', 'c']), fc.constantFrom(...SCHEMA_POLICIES), (side, policy) => {
        const decision = decideSchema({ ...side, carrier }, { policy, create: false });
        if (policy !== 'evolve') expect(decision.actions).toEqual([]);
        const fresh = side.source.filter(({ name }) => side.sink!.every((one) => one.name !== name));
        const added = decision.actions.flatMap((action) => (action.kind === 'add' ? [action.column.name] : []));
        const decided = [...added, ...decision.leftOut, ...decision.refused];
        if (policy === 'freeze') expect(decision.stops.length > 0 || fresh.length === 0).toBe(true);
        else expect(decided).toEqual(fresh.map(({ name }) => name));
      }),
    );
  });

  it('refuses to make what the store has no place for, and says which column', () => {
    const side = {
      source: [column('id', 'int64'), column('v', 'int64[]')],
      partial: false,
      sink: undefined,
      before: undefined,
    };
    const poor: SchemaSides['carrier'] = (of) => (of.array === true ? { refused: 'it has no arrays' } : carrier(of));
    const { actions, stops } = decideSchema({ ...side, carrier: poor }, { policy: 'evolve', create: true });
    expect(actions).toEqual([]);
    expect(stops).toEqual(['the column "v" of type int64[] cannot be made: it has no arrays']);
  });

  it('is kept in an event, and read from it', () => {
    expect(
      columnsInEvent([
        ['id', 'int64', false],
        ['v', 'decimal(12,2)[]', true],
      ]),
    ).toEqual([column('id', 'int64', false), column('v', 'decimal(12,2)[]')]);
    expect(columnsInEvent(undefined)).toBeUndefined();
  });
});
