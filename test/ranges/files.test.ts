import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { CANARY, csv, type Member, members, ndjson, type PlaceOptions, RangePlace } from './place.ts';

const RECORDS = 3_000;
const ALL = members(1, RECORDS);

let place: RangePlace;
afterEach(async () => await place.close());

function open(options: PlaceOptions, file: string, content: string | Uint8Array): void {
  place = new RangePlace(options);
  place.write(file, content);
}

const PLAIN: PlaceOptions = { source: 'connection: here, path: members.ndjson' };

async function batches(state: string): Promise<readonly { id: string; records: number }[]> {
  const words = ['batches', 'r1', '--state', state, '--limit', '1000'];
  return (await place.json<{ batches: { id: string; records: number }[] }>(words)).batches;
}

/** Those that are still to be sent. */
const sealed = () => batches('sealed');

interface Shape {
  readonly options: PlaceOptions;
  readonly file: string;
  readonly content: string;
  readonly rows: readonly Member[];
  readonly status?: number;
}

describe('batches that are ranges of files', () => {
  const shapes: Readonly<Record<string, Shape>> = {
    NDJSON: { options: PLAIN, file: 'members.ndjson', content: ndjson(ALL), rows: ALL },
    'NDJSON that is mapped, with lines that are no records and keys that come twice': {
      options: {
        source: 'connection: here, path: members.ndjson, onReject: skip, onDuplicate: drop',
        flow: '    mapping: { select: [id], set: { name: "{{ record.name | upper }}" } }\n',
        records: 7,
      },
      file: 'members.ndjson',
      content: ALL.map((row) => `${ndjson([row])}${row.id % 5 === 0 ? `nothing\n${ndjson([row])}\n` : ''}`).join(''),
      rows: ALL.map(({ id, name }) => ({ id, name: name.toUpperCase() })),
      status: 3,
    },
    CSV: {
      options: { source: 'connection: here, path: members.csv, types: { id: int64 }' },
      file: 'members.csv',
      content: `\ufeff${csv(ALL)}`,
      rows: ALL,
    },
  };

  it.each(Object.entries(shapes))(
    'U09: are made again by who goes on after a kill, each record once: %s',
    async (_, shape) => {
      open(shape.options, shape.file, shape.content);
      await place.killedAfter(200);
      await place.killedAfter(200);
      expect(place.staged().includes(CANARY), 'a record in the staging folder').toBe(false);
      // Lines that are no records are listed as refused, which the code says as well.
      await place.cli(['run', 'members'], shape.status ?? 0);
      expect(place.rows()).toEqual(shape.rows);
      expect((await place.cli(['verify'])).stdout).toMatch(/nothing|agree|no difference/i);
    },
  );

  it('U07: are what they were when they are looked at, and can be traced', async () => {
    open(PLAIN, 'members.ndjson', ndjson(ALL));
    await place.killedAfter(200);
    const [first] = await sealed();
    const { stdout } = await place.cli(['batches', 'show', first!.id, '--payload']);
    const ids = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Member).id);
    expect(stdout).toBe(ndjson(members(ids[0]!, ids[0]! + first!.records - 1)));
    const trace = await place.cli(['trace', String(ids[0]), '--flow', 'members']);
    expect(trace.stdout).toContain(first!.id);
  });

  it('are told to be lost, and nothing wrong is sent, when the file has changed; others go on', async () => {
    open(PLAIN, 'members.ndjson', ndjson(ALL));
    await place.killedAfter(200);
    const id = RECORDS - 5;
    place.write('members.ndjson', ndjson(ALL).replace(`${CANARY} ${id}"`, `${CANARY} ----"`));
    const failed = await place.cli(['run', 'members'], 1);
    expect(failed.stderr).toMatch(/RANGE_LOST/);
    expect(failed.stderr).toMatch(/b\d+: members\.ndjson, \d+ to \d+ \(version 20.*bytes\): what stands there is not/);
    expect(place.rows().filter(({ name }) => name.includes('----'))).toEqual([]);
    expect(await sealed()).toHaveLength(1);
    const [one] = await sealed();
    expect(place.ids()).toHaveLength(RECORDS - one!.records);
    const verified = await place.cli(['verify'], 7);
    expect(verified.stdout + verified.stderr).toContain(`${one!.id}: members.ndjson`);
    place.write('members.ndjson', ndjson(ALL));
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual(ALL);
  });

  it('are given up for what the file holds now by one command; what is in doubt is settled by a person', async () => {
    open(PLAIN, 'members.ndjson', ndjson(ALL));
    await place.killedAfter(200);
    place.remove('members.ndjson');
    const failed = await place.cli(['run', 'members'], 1);
    expect(failed.stderr).toContain('the file is gone');
    expect(failed.stderr).toContain('RANGE_LOST');

    const there = new Set(place.ids());
    const now = [
      ...ALL.map((row) => (there.has(row.id) ? row : { ...row, name: `${row.name}!` })),
      ...members(9_001, 9_007),
    ];
    place.write('members.ndjson', ndjson(now));
    const { status, stderr } = await place.start(['run', 'members', '--refresh']).ended;
    const doubts = await batches('in-doubt');
    expect(status, stderr).toBe(doubts.length === 0 ? 0 : 1);
    for (const { id } of doubts) {
      // Ten records each, in the order of the file.
      const as = there.has(Number(id.slice(1)) * 10) ? 'delivered' : 'absent';
      await place.cli(['settle', id, '--as', as, '--evidence', 'looked into the table', '--yes']);
    }
    await place.cli(['run', 'members', '--refresh']);
    expect(place.rows()).toEqual(now);

    expect(place.staged().includes(CANARY)).toBe(false);
  });

  it('say so when it is not the file that has changed, but what the lane makes of it', async () => {
    open(PLAIN, 'members.ndjson', ndjson(ALL));
    await place.killedAfter(200);
    const mapping = '    mapping: { set: { name: somebody } }\n';
    place.edit((text) => `${text}${mapping}`);
    const { stderr } = await place.cli(['run', 'members'], 1);
    expect(stderr).toContain('the rows are those that were read, but the lane makes something else of them now');
    expect(stderr).toContain('Put the mapping and the sink of the lane back');
    place.edit((text) => text.replace(mapping, ''));
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual(ALL);
  });

  it('stand beside copies, where a file is packed', async () => {
    const [one, two, three] = [members(1, 1_000), members(1_001, 2_000), members(2_001, RECORDS)];
    open({ source: 'connection: here, path: "*.ndjson*"', records: 7 }, 'a.ndjson', ndjson(one));
    place.write('b.ndjson.gz', gzipSync(ndjson(two)));
    place.write('c.ndjson', ndjson(three));
    const plan = (await place.cli(['plan', 'members'])).stdout.replaceAll(/\s+/g, ' ');
    expect(plan).toMatch(/\d+ of 429 batches are ranges of the source: what they are made of has to stay as it is/);
    await place.killedAfter(200);
    const staged = place.staged();
    // 1000 is no multiple of 7, so two batches are of both and are copied whole.
    for (const { id } of two) expect(staged.includes(`${CANARY} ${id}"`), `${id}`).toBe(true);
    for (const id of [1, 500, 990, 2_010, RECORDS]) expect(staged.includes(`${CANARY} ${id}"`), `${id}`).toBe(false);
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual(ALL);
  });

  it('F05: hold in a pull by name, and a file that comes later is a range as well', async () => {
    open(
      { source: 'connection: here, path: "*.ndjson", settleSeconds: 0', flow: '    window: pull\n' },
      '1.ndjson',
      ndjson(ALL),
    );
    await place.killedAfter(200);
    const more = members(RECORDS + 1, RECORDS + 900);
    place.write('2.ndjson', ndjson(more));
    await place.cli(['run', 'members']);
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual([...ALL, ...more]);
    expect(place.staged().includes(CANARY)).toBe(false);
  });

  it('are given up with their pull where nobody can put the file back, and the next pull goes on', async () => {
    const pull = '    window: pull\n';
    open({ source: 'connection: here, path: "*.ndjson", settleSeconds: 0', flow: pull }, '1.ndjson', ndjson(ALL));
    await place.killedAfter(200);
    place.remove('1.ndjson');
    const more = members(RECORDS + 1, RECORDS + 900);
    place.write('2.ndjson', ndjson(more));
    expect((await place.cli(['run', 'members'], 1)).stderr).toContain('1.ndjson');
    const before = place.rows();
    await place.cli(['cancel', 'r1', '--reason', 'the file is gone', '--yes']);
    await place.cli(['run', 'members']);
    expect(place.rows()).toEqual([...before, ...more]);
  });

  it('take 33 bytes of the disk for a record and a little for a batch, whatever a record holds', async () => {
    const wide = ALL.map((row) => ({ ...row, name: row.name.padEnd(300, '.') }));
    const sizes: Record<string, number> = {};
    for (const staging of ['copy', 'range']) {
      open({ ...PLAIN, records: 500 }, 'members.ndjson', ndjson(wide));
      place.edit((text) => text.replace('staging: range', `staging: ${staging}`));
      await place.cli(['run', 'members']);
      expect(place.ids()).toHaveLength(RECORDS);
      sizes[staging] = place.staged().length / RECORDS;
      if (staging === 'copy') await place.close();
    }
    console.info(`staged bytes a record: copy ${sizes.copy!.toFixed(1)}, range ${sizes.range!.toFixed(1)}`);
    expect(sizes.range).toBeLessThan(34);
    expect(sizes.copy).toBeGreaterThan(360);
  });
});

describe('`staging: range` where it cannot be', () => {
  const refused: Readonly<Record<string, readonly [PlaceOptions, RegExp]>> = {
    'a packed file': [
      { source: 'connection: here, path: members.ndjson.gz' },
      /files, as it is set up, cannot be read again/,
    ],
    'a JSON document': [{ source: 'connection: here, path: members.json' }, /cannot be read again in parts/],
    'lines that are added': [
      { source: 'connection: here, path: members.ndjson, pullBy: offset', flow: '    window: pull\n' },
      /cannot be read again in parts/,
    ],
    'a table': [{ source: 'connection: db, table: others' }, /sqlite, as it is set up, cannot be read again/],
    history: [{ ...PLAIN, flow: '    window: pull\n    history: { merge: append }\n' }, /does not go with `history`/],
  };

  it.each(Object.entries(refused))(
    'is refused by check, plan and run, with what comes nearest: %s',
    async (_, [options, why]) => {
      open(options, 'members.ndjson', ndjson(members(1, 3)));
      for (const command of [['check'], ['plan', 'members'], ['run', 'members']]) {
        const { stdout, stderr, status } = await place.start(command).ended;
        expect(status, command.join(' ')).not.toBe(0);
        expect((stdout + stderr).replaceAll(/\s+/g, ' '), command.join(' ')).toMatch(why);
        expect((stdout + stderr).replaceAll(/\s+/g, ' ')).toContain('Leave `staging` out of this flow');
      }
      expect(place.ids()).toEqual([]);
    },
  );
});
