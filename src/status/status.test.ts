import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { conclude } from './conclude.ts';
import { LOG_PREFIX, logEmitter, logLine, readLog } from './emit-log.ts';
import { readStore, storeEmitter } from './emit-store.ts';
import { readMessage, writeMessage } from './spelling.ts';
import {
  type DatasetDetails,
  type Profile,
  STAGES,
  STATUSES,
  type StatusChange,
  type StatusMessage,
} from './status.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-status-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const common = (sequence: number, datasetId = 'f:2026-11-19') => ({
  messageId: `ledger/${sequence}/0`,
  sequence,
  correlationId: 'c-1',
  datasetId,
  run: 'r1',
  flow: 'f',
  window: '2026-11-19',
  timestamp: 1_763_500_000_000 + sequence,
});
const details = (sequence: number, recordCount: number, datasetId?: string): DatasetDetails => ({
  ...common(sequence, datasetId),
  kind: 'datasetDetails',
  datasetVersionId: '1',
  datasetType: 'FILE',
  recordCount,
});
const change = (sequence: number, more: Partial<StatusChange> & { datasetId?: string }): StatusChange => ({
  ...common(sequence, more.datasetId),
  kind: 'status',
  recordId: null,
  recordIdVersion: null,
  stage: 'DELIVER',
  status: 'IN_PROGRESS',
  message: 'sending',
  errorCode: 0,
  ...more,
});

/** Any text, with what could end a line, a string or an array put in more often. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: fc.constantFrom(...'[]{}"\\\n\u2028,:a'), maxLength: 30 }),
);
const message: fc.Arbitrary<StatusMessage> = fc.oneof(
  fc.tuple(fc.nat(), fc.nat(), text).map(([sequence, count, id]) => details(sequence, count, id)),
  fc
    .record({
      sequence: fc.nat(),
      stage: fc.constantFrom(...STAGES),
      status: fc.constantFrom(...STATUSES),
      message: text,
      recordId: fc.option(text),
      batch: text,
    })
    .map(({ sequence, ...more }) => change(sequence, more)),
);

describe('status messages', () => {
  it('S01: a data set is told with its id, version, type and number of records', () => {
    const { kind, properties } = writeMessage(details(4, 3), 'osdu');
    expect(kind).toBe('datasetDetails');
    expect(properties).toMatchObject({
      correlationId: 'c-1',
      datasetId: 'f:2026-11-19',
      datasetVersionId: '1',
      datasetType: 'FILE',
      recordCount: 3,
      timestamp: 1_763_500_000_004,
    });
  });

  it('S03: the spelling is that of the profile, and both are read', () => {
    expect(writeMessage(details(4, 3), 'adr')).toMatchObject({
      kind: 'dataSetDetails',
      properties: { dataSetId: 'f:2026-11-19', dataSetVersionId: '1', dataSetType: 'FILE' },
    });
    expect(writeMessage(details(4, 3), 'adr').properties).not.toHaveProperty('datasetId');
    fc.assert(
      fc.property(message, fc.constantFrom<Profile>('osdu', 'adr'), (given, profile) => {
        expect(readMessage(JSON.parse(JSON.stringify(writeMessage(given, profile))))).toEqual(given);
      }),
    );
    for (const other of [
      null,
      7,
      'x',
      [],
      {},
      { kind: 'status' },
      { kind: 'other', properties: { correlationId: 'c' } },
    ])
      expect(readMessage(other)).toBeUndefined();
  });

  it('S11: a message survives in a log among any other text', () => {
    const noise = text.filter((other) => !other.includes(LOG_PREFIX));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(noise, message, noise)),
        fc.constantFrom<Profile>('osdu', 'adr'),
        (lines, profile) => {
          const log = lines
            .map(([before, given, after]) => `${before} ${logLine(given, profile).trimEnd()} ${after}\n`)
            .join('');
          expect(readLog(log)).toEqual(lines.map(([, given]) => given));
        },
      ),
    );
    expect(logLine(change(1, { message: 'a\u2028b\nc' }), 'osdu').trimEnd()).not.toMatch(/[\n\u2028]/);
    const line = logLine(change(1, {}), 'osdu');
    expect(readLog(line.slice(0, -9) + line)).toHaveLength(1);
  });

  it('S08: the two tables hold each message once, however often it comes, and give it back unchanged', async () => {
    const path = join(folder, 'deep/store.db');
    const emitter = storeEmitter(path);
    const all: StatusMessage[] = [
      details(1, 2),
      change(2, { recordId: 'k', message: 'refused: 400', errorCode: 400, lane: 'l', batch: 'b1', status: 'FAILED' }),
      change(3, { final: true, counts: { read: 2, delivered: 1, refused: 1 }, status: 'PARTIAL_SUCCESS' }),
    ];
    await emitter.emit(all);
    await emitter.emit([...all].reverse());
    await emitter.close();
    expect([...readStore(path, 'c-1')].sort((a, b) => a.sequence - b.sequence)).toEqual(all);
    expect(readStore(path, 'another')).toEqual([]);
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it('S16: an emitter that cannot write says so, and can when the way is free', async () => {
    writeFileSync(join(folder, 'in-the-way'), '');
    const emitter = storeEmitter(join(folder, 'in-the-way/store.db'));
    await expect(emitter.emit([details(1, 2)])).rejects.toMatchObject({ code: 'LEDGER_WRITE' });
    rmSync(join(folder, 'in-the-way'));
    await emitter.emit([details(1, 2)]);
    await emitter.close();
    expect(readStore(join(folder, 'in-the-way/store.db'), 'c-1')).toHaveLength(1);
  });
});

describe('what messages alone allow to conclude', () => {
  const delivered = [
    change(1, { stage: 'EXTRACT', status: 'SUBMITTED' }),
    details(4, 3),
    change(5, { batch: 'b1' }),
    change(7, { batch: 'b1', status: 'SUCCESS' }),
    change(9, { status: 'SUCCESS', final: true, counts: { read: 3, delivered: 3 } }),
  ];

  it('S04: finished, successful, and where it stands; the same from store and log', async () => {
    const expected = { finished: true, status: 'SUCCESS', stage: 'DELIVER', reasons: [] };
    expect(conclude(delivered)).toMatchObject(expected);
    expect(conclude(delivered.slice(0, 3))).toMatchObject({ finished: false, status: 'IN_PROGRESS' });
    expect(conclude([])).toBeUndefined();
    const path = join(folder, 'store.db');
    const lines: string[] = [];
    const emitters = [
      storeEmitter(path),
      logEmitter({ profile: 'adr', write: async (written) => void lines.push(written) }),
    ];
    for (const emitter of emitters) await emitter.emit(delivered);
    for (const emitter of emitters) await emitter.close();
    expect(conclude(readStore(path, 'c-1'))).toEqual(conclude(delivered));
    expect(conclude(readLog(lines.join('')))).toEqual(conclude(delivered));
  });

  it('S04: failed, and why', () => {
    const failed = [
      ...delivered.slice(0, 3),
      change(7, { batch: 'b1', status: 'FAILED', message: 'refused by the sink', errorCode: 400 }),
      change(8, { batch: 'b1', recordId: 'k-7', status: 'FAILED', message: 'refused: 422', errorCode: 422 }),
      change(9, { status: 'FAILED', final: true, counts: { read: 3, delivered: 0, refused: 3 } }),
    ];
    expect(conclude(failed)).toMatchObject({
      finished: true,
      status: 'FAILED',
      reasons: expect.arrayContaining(['k-7: refused: 422', 'b1: refused by the sink']),
    });
  });

  it('S05: several data sets under one correlation id are judged one by one, and a million records in seconds', () => {
    const second = [details(20, 5, 'g:1'), change(21, { datasetId: 'g:1', stage: 'EXTRACT' })];
    expect(conclude([...delivered, ...second])).toMatchObject({
      finished: false,
      status: 'IN_PROGRESS',
      stage: 'EXTRACT',
      datasets: [
        { datasetId: 'f:2026-11-19', finished: true },
        { datasetId: 'g:1', finished: false },
      ],
    });
    function* million(): Generator<StatusMessage> {
      yield details(50, 1_000_000);
      const one = change(100, { batch: 'b1', status: 'FAILED', errorCode: 400 });
      for (let at = 0; at < 1_000_000; at++) yield { ...one, recordId: `k${at}`, messageId: `ledger/100/r${at}` };
      yield end;
    }
    const end = change(2_000_000, {
      status: 'FAILED',
      final: true,
      counts: { read: 1_000_000, delivered: 0, refused: 1_000_000 },
    });
    const begun = performance.now();
    expect(conclude(million())).toMatchObject({ finished: true, status: 'FAILED' });
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it('S17: late, repeated and reordered messages do not change the answer', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.infiniteStream(fc.nat()), (some, chance) => {
        // One id never says two things: that is the promise of whoever sends.
        const messages = [
          ...delivered,
          ...some.map((one, at) => ({ ...one, sequence: one.sequence + 100, messageId: `other/${at}` })),
        ];
        const shuffled = [...messages, ...messages]
          .map((one) => ({ one, at: chance.next().value }))
          .sort((a, b) => a.at - b.at);
        expect(conclude(shuffled.map(({ one }) => one))).toEqual(conclude(messages));
      }),
    );
  });

  it('S18: what is in doubt is neither finished nor a success', () => {
    const doubtful = [
      ...delivered.slice(0, 4),
      change(9, { stage: 'SETTLE', status: 'IN_PROGRESS', message: '2 records are in doubt' }),
    ];
    expect(conclude(doubtful)).toMatchObject({ finished: false, status: 'IN_PROGRESS', stage: 'SETTLE' });
  });

  it('S19: fewer records than were announced are an inconsistency, not an end', () => {
    const short = [
      ...delivered.slice(0, 4),
      change(9, { status: 'SUCCESS', final: true, counts: { read: 2, delivered: 2 } }),
    ];
    expect(conclude(short)).toMatchObject({ finished: false, datasets: [{ inconsistent: true, recordCount: 3 }] });
  });

  it('goes back to unfinished when work goes on after an end', () => {
    expect(conclude([...delivered, change(12, { batch: 'b3' })])).toMatchObject({
      finished: false,
      status: 'IN_PROGRESS',
    });
  });
});
