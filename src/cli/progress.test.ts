import fc from 'fast-check';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import type { Progress } from '../app/waybill.ts';
import { type Balance, EMPTY_BALANCE } from '../model/states.ts';
import { ProgressMeter, percent, renderBar, renderBars, renderPlain } from './progress.ts';
import { displayWidth } from './table.ts';

const paint = pc.createColors(false);
const balance = (part: Partial<Balance>): Balance => {
  const whole = { ...EMPTY_BALANCE, ...part };
  return { ...whole, read: whole.delivered + whole.refused + whole.skipped + whole.inDoubt + whole.pending };
};
const at = (elapsedMs: number, part: Partial<Balance>, more: Partial<Progress> = {}): Progress => ({
  stage: 'DELIVER',
  read: balance(part).read,
  elapsedMs,
  lanes: [{ lane: 'roket', balance: balance(part) }],
  ...more,
});

describe('progress', () => {
  it('gives rate and time remaining from what was decided lately', () => {
    const meter = new ProgressMeter();
    meter.read(at(0, { pending: 1000 }));
    const [lane] = meter.read(at(2000, { delivered: 200, pending: 800 })).lanes;
    expect(lane).toMatchObject({ decided: 200, total: 1000, perSecond: 100, remainingMs: 8000 });
  });

  it('forgets a rate that is long over', () => {
    const meter = new ProgressMeter();
    meter.read(at(0, { pending: 10_000 }));
    meter.read(at(1000, { delivered: 5000, pending: 5000 }));
    for (let ms = 2000; ms <= 40_000; ms += 1000) meter.read(at(ms, { delivered: 5000, pending: 5000 }));
    const [lane] = meter.read(at(41_000, { delivered: 5000, pending: 5000 })).lanes;
    expect(lane!.perSecond).toBe(0);
    expect(lane).not.toHaveProperty('remainingMs');
  });

  it('counts no rate from one reading, and does not take what an earlier start sent for speed', () => {
    const meter = new ProgressMeter();
    expect(meter.read(at(1000, { delivered: 900, pending: 100 })).lanes[0]).not.toHaveProperty('perSecond');
    expect(meter.read(at(2000, { delivered: 910, pending: 90 })).lanes[0]!.perSecond).toBe(10);
  });

  it('knows no total while the source is read and cannot tell', () => {
    const reading = new ProgressMeter().read(at(0, { pending: 100 }, { stage: 'EXTRACT' }));
    expect(reading.lanes[0]).not.toHaveProperty('total');
    const told = new ProgressMeter().read(at(0, { pending: 100 }, { stage: 'EXTRACT', expected: 400 }));
    expect(told.lanes[0]!.total).toBe(400);
  });

  it('says 100 only at the end', () => {
    expect(percent(999_999, 1_000_000)).toBe(99);
    expect(percent(1_000_000, 1_000_000)).toBe(100);
    expect(percent(0, 0)).toBe(100);
  });

  it('draws a header and a line a lane', () => {
    const meter = new ProgressMeter();
    meter.read(at(0, { pending: 1000 }));
    const lines = renderBars(
      'roket-daily 2026-11-19',
      meter.read(at(10_000, { delivered: 600, inDoubt: 10, pending: 390 })),
      { width: 80, paint },
    );
    expect(lines).toEqual([
      'roket-daily 2026-11-19: sending, 1,000 records read, 10 s',
      `  roket  ${'█'.repeat(13)}▒${'░'.repeat(9)}   61%  610/1,000  61/s  10 in doubt  6.3 s left`,
    ]);
  });

  it('draws no line wider than the terminal, so that it can be drawn over', () => {
    const counts = fc.record({
      delivered: fc.nat(),
      refused: fc.nat(),
      skipped: fc.nat(),
      inDoubt: fc.nat(),
      pending: fc.nat(),
    });
    fc.assert(
      fc.property(counts, fc.integer({ min: 20, max: 200 }), fc.string(), fc.string(), (part, width, lane, waits) => {
        const progress = { ...at(1000, part), lanes: [{ lane, balance: balance(part), waits }] };
        for (const line of renderBars('a flow', new ProgressMeter().read(progress), { width, paint })) {
          expect(displayWidth(line)).toBeLessThanOrEqual(width);
        }
      }),
    );
  });

  it('draws bars of exactly their width, in which no part that is not empty is invisible', () => {
    const counts = fc.record({
      delivered: fc.nat(),
      refused: fc.nat(),
      skipped: fc.nat(),
      inDoubt: fc.nat(),
      pending: fc.nat(),
    });
    fc.assert(
      fc.property(
        counts,
        fc.integer({ min: 8, max: 60 }),
        fc.option(fc.nat(), { nil: undefined }),
        (part, width, total) => {
          const bar = renderBar(balance(part), total, width, paint);
          expect(displayWidth(bar)).toBe(width);
          if (part.inDoubt > 0) expect(bar).toContain('▒');
          if (part.refused > 0) expect(bar).toContain('▓');
          if (part.pending > 0 && part.delivered + part.refused + part.inDoubt + part.skipped === 0)
            expect(bar).toBe('░'.repeat(width));
        },
      ),
    );
  });

  it('promises no time remaining once it has ended, finished or not', () => {
    const meter = new ProgressMeter();
    meter.read(at(0, { pending: 1000 }));
    const ended = meter.read(at(2000, { delivered: 200, pending: 800 }, { stage: 'DONE' }));
    expect(ended.lanes[0]).not.toHaveProperty('remainingMs');
    expect(renderPlain('roket-daily', ended)).toBe(
      'roket-daily: ended after 2.0 s, 1,000 records read; roket 20%, 200/1,000, 100/s',
    );
  });

  it('says below a lane, or behind it in a log, why its last batch has not got through', () => {
    const lanes = [{ lane: 'roket', balance: balance({ pending: 10 }), waits: 'nobody\nanswers at 127.0.0.1:5432' }];
    const reading = new ProgressMeter().read(at(2000, { pending: 10 }, { lanes }));
    expect(renderBars('roket-daily', reading, { width: 36, paint })).toEqual([
      'roket-daily: sending, 10 records re…',
      '  roket  ░░░░░░░░░░░░░░░    0%  0/10',
      '    waits: nobody answers at 127.0.…',
    ]);
    expect(renderPlain('roket-daily', reading)).toBe(
      'roket-daily: sending for 2.0 s, 10 records read; roket 0%, 0/10, waits: nobody answers at 127.0.0.1:5432',
    );
  });

  it('says why the source brings nothing, before the lanes', () => {
    const reading = new ProgressMeter().read({ ...at(2000, { pending: 10 }), waits: 'page 3: 429' });
    expect(renderBars('f', reading, { width: 40, paint })[1]).toBe('    waits: page 3: 429');
    expect(renderPlain('f', reading)).toContain('10 records read, waits: page 3: 429; ');
  });

  it('is one plain line for a log', () => {
    const meter = new ProgressMeter();
    meter.read(at(0, { pending: 1000 }));
    expect(renderPlain('roket-daily', meter.read(at(10_000, { delivered: 500, refused: 2, pending: 498 })))).toBe(
      'roket-daily: sending for 10 s, 1,000 records read; roket 50%, 502/1,000, 50/s, 2 refused, 9.9 s left',
    );
  });
});
