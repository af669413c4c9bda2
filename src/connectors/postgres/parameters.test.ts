import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Parameters } from '../../model/window.ts';
import { bindQuery, replaceParameters } from './parameters.ts';

const mark = (query: string): string => replaceParameters(query, (name) => `<${name}>`);

describe('replaceParameters', () => {
  it('replaces names wherever a value can stand', () => {
    expect(mark('select :a, (:b),-:c where x=:date and y in (:d,:e)')).toBe(
      'select <a>, (<b>),-<c> where x=<date> and y in (<d>,<e>)',
    );
    expect(mark(':a')).toBe('<a>');
    expect(mark('x between :from_day and :to_day::timestamptz')).toBe('x between <from_day> and <to_day>::timestamptz');
  });

  it('leaves texts, names, comments, dollar quotes, casts and slices alone', () => {
    for (const query of [
      "select ':a', 'it''s :a', E'\\':a', e'\\\\' ",
      'select "x:a", " :a "" :a"',
      'select 1 -- :a\n',
      'select /* :a /* :a */ :a */ 1',
      'select $$ :a $$, $tag$ :a $$ :a $tag$',
      'select x::date, x :: date, a[1:n], a[b:c], (a)[1 : 2]',
      'f(x := 1)',
      "select ': a', 'unclosed :a",
      'select "unclosed :a',
      'select $x$ unclosed :a',
      '/* unclosed :a',
    ]) {
      expect(mark(query)).toBe(query);
    }
    expect(mark("E'\\' :a' :b")).toBe("E'\\' :a' <b>");
    expect(mark("type'\\' :b")).toBe("type'\\' <b>");
    expect(mark('a$1$ :b')).toBe('a$1$ <b>');
  });

  it('changes nothing in a query without colons', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const query = text.replaceAll(':', '');
        expect(mark(query)).toBe(query);
      }),
    );
  });
});

describe('bindQuery', () => {
  const parameters: Parameters = {
    date: { type: 'date', value: '2026-11-19' },
    none: { type: 'timestamp', value: null },
    n: { type: 'integer', value: 7 },
  };

  it('keeps values out of the text', () => {
    expect(bindQuery('select :date, :n, :date', parameters, 'settings')).toEqual({
      text:
        "select (current_setting('waybill.p1')::date), (current_setting('waybill.p2')::bigint), " +
        "(current_setting('waybill.p1')::date)",
      values: ['2026-11-19', '7'],
    });
    expect(bindQuery('select :n where :none is null', parameters, 'placeholders')).toEqual({
      text: 'select ($1::bigint) where (null::timestamptz) is null',
      values: ['7'],
    });
  });

  it('names the parameters that there are when one is asked for that is not', () => {
    expect(() => bindQuery('select :day', parameters, 'settings')).toThrow(
      /asks for :day, and the flow has date, none, n/,
    );
    expect(() => bindQuery('select :constructor', {}, 'settings')).toThrow(/no parameters/);
  });
});
