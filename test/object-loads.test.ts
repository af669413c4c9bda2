import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { RefusedError } from '../src/model/errors.ts';
import type { Load, LoadStep } from '../src/model/load.ts';
import { testPermit } from '../src/testing/permit.ts';
import { loadOf, recordsOf } from '../src/testing/suites/load-bench.ts';
import type { LoadRecord } from '../src/testing/suites/load-subject.ts';
import { type FolderFixture, fileLoads, filesBelow, LOAD_PATHS, visibleFiles } from './connectors/files-loads.ts';

let place: FolderFixture;
afterEach(() => place.close?.());

const step = (load: Load, fence = 1): LoadStep => ({
  load,
  fence,
  correlationId: 'test',
  signal: new AbortController().signal,
});

async function collected(fixture: FolderFixture, load: Load, records: readonly LoadRecord[], fence = 1): Promise<void> {
  await fixture.sink.can.load!.open(step(load, fence));
  for (const [at, record] of records.entries())
    await fixture.sink.can.load!.add(permitOf(fixture, load, record, at + 1));
}

const permitOf = (fixture: FolderFixture, load: Load, record: LoadRecord, batch: number) =>
  testPermit({
    records: [fixture.record!(record)],
    framing: fixture.sink.accepts[0]!,
    columns: fixture.columns ?? [],
    batch,
    load,
  });

const replaced = async (fixture: FolderFixture, load: Load, records: readonly LoadRecord[]) => {
  await collected(fixture, load, records);
  return await fixture.sink.can.replace!(step(load), { kind: 'all' });
};

const inOrder = (records: readonly LoadRecord[]): readonly LoadRecord[] =>
  [...records].sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : a.n - b.n));

describe('loads of files', () => {
  it('P10: a window that is run again replaces its own file, and leaves all others untouched', async () => {
    place = fileLoads({ path: 'orders/{{ window }}.ndjson' });
    await replaced(place, loadOf(16), recordsOf(16, [1, 2]));
    await replaced(place, loadOf(17), recordsOf(17, [3]));
    writeFileSync(join(place.root, 'orders/of-somebody-else.ndjson'), '');
    const before = readFileSync(join(place.root, 'orders/2026-11-17.ndjson'));
    await replaced(place, loadOf(16, 2), recordsOf(16, [1], 1));
    expect(visibleFiles(place.root, undefined)).toEqual([
      'orders/2026-11-16.ndjson',
      'orders/2026-11-17.ndjson',
      'orders/of-somebody-else.ndjson',
    ]);
    expect(readFileSync(join(place.root, 'orders/2026-11-17.ndjson'))).toEqual(before);
    expect(inOrder(await place.seen())).toEqual([...recordsOf(16, [1], 1), ...recordsOf(17, [3])]);
  });

  it('P10: a prefix that is the beginning of another one leaves the objects of that one alone', async () => {
    place = fileLoads({ path: 'orders/{{ lane }}-{{ batch }}.ndjson' });
    const of = (lane: string, generation = 1): Load => {
      const load = loadOf(16, generation);
      const family = `wb_${lane.replace('-', '')}_`;
      return { ...load, lane, family, id: `${family}${generation}` };
    };
    await replaced(place, of('eu-west'), recordsOf(16, [1]));
    writeFileSync(join(place.root, 'orders/eu-by-hand.ndjson'), '');
    writeFileSync(join(place.root, 'orders/eu-west-wb-1a2b3c4d-7-0123456789abcdef.ndjson'), '');
    for (const generation of [1, 2]) await replaced(place, of('eu', generation), recordsOf(16, [2]));
    expect(visibleFiles(place.root, undefined)).toEqual([
      'orders/eu-wb_eu_2-000000001.ndjson',
      'orders/eu-west-wb-1a2b3c4d-7-0123456789abcdef.ndjson',
      'orders/eu-west-wb_euwest_1-000000001.ndjson',
    ]);
  });

  it('P11: rows cannot be replaced by what they hold, and that is refused before anything changes', async () => {
    place = fileLoads({ path: 'orders/{{ window }}.ndjson' });
    await replaced(place, loadOf(16), recordsOf(16, [1]));
    await collected(place, loadOf(16, 2), recordsOf(16, [2]));
    const scope = { kind: 'equals', column: 'day', value: 'x' } as const;
    await expect(place.sink.can.replace!(step(loadOf(16, 2)), scope)).rejects.toBeInstanceOf(RefusedError);
    expect(await place.seen()).toEqual(recordsOf(16, [1]));
  });

  it('P13: a replacement says how much it took the place of, and what is left of that', async () => {
    place = fileLoads({ path: 'out.csv' });
    await replaced(place, loadOf(16), recordsOf(16, [1, 2]));
    const single = await replaced(place, loadOf(16, 2), recordsOf(16, [3]));
    expect(single).toMatchObject({ summary: expect.stringContaining('nothing of it remains'), facts: { replaced: 1 } });
    await place.close?.();
    place = fileLoads({ path: 'orders/{{ window }}/{{ batch }}.ndjson' });
    await replaced(place, loadOf(16), recordsOf(16, [1, 2]));
    const listed = await replaced(place, loadOf(16, 2), recordsOf(16, [3]));
    expect(listed).toMatchObject({ facts: { replaced: 2, objects: 1 }, summary: expect.stringContaining('2 objects') });
    await place.close?.();
    place = fileLoads({ path: '{{ batch }}.ndjson', manifest: '_manifest.json' });
    await replaced(place, loadOf(16), recordsOf(16, [1, 2]));
    const shown = await replaced(place, loadOf(16, 2), recordsOf(16, [3]));
    expect(shown).toMatchObject({ summary: expect.stringMatching(/1 earlier loads still lie there \(\d+ bytes\)/) });
  });

  it('P27, P28, P29: a file is named by the window alone, whichever process writes it and however often', async () => {
    place = fileLoads({ path: 'orders/{{ window }}.ndjson' });
    for (const generation of [1, 2, 3]) {
      const other = { ...place, sink: place.another!() };
      // What is in it came late; the name is that of the window that was run.
      await replaced(other, loadOf(17, generation), recordsOf(12, [generation]));
      expect(visibleFiles(place.root, undefined)).toEqual(['orders/2026-11-17.ndjson']);
      expect(await place.seen()).toEqual(recordsOf(12, [generation]));
    }
  });

  it('P36, P39: each load has a place of its own, which nobody can write to any more', async () => {
    place = fileLoads({ path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json' });
    for (const date of [16, 17]) {
      await collected(place, loadOf(date), recordsOf(date, [date]));
      await place.sink.can.publish!(step(loadOf(date)), 5);
    }
    const names = filesBelow(place.root).filter((name) => name.includes('/wb_') && name.endsWith('.ndjson'));
    expect(names.map((name) => JSON.parse(readFileSync(join(place.root, name), 'utf8')) as unknown)).toEqual([
      ...recordsOf(16, [16]),
      ...recordsOf(17, [17]),
    ]);
    await expect(place.tamper!(loadOf(16))).rejects.toThrow('permission');
    const late = permitOf(place, loadOf(16), recordsOf(16, [9])[0]!, 9);
    await expect(place.sink.can.load!.add(late)).rejects.toMatchObject({ reason: 'closed' });
  });

  it('P38: a load that is not whole is not shown, is listed, and goes when the next generation begins', async () => {
    place = fileLoads({ path: 'orders/{{ batch }}.ndjson', manifest: 'orders/_manifest.json' });
    await collected(place, loadOf(16), recordsOf(16, [1]));
    expect(await place.seen()).toEqual([]);
    expect(await place.places()).toEqual([loadOf(16).id]);
    const receipt = await place.sink.can.load!.open(step(loadOf(16, 2), 2));
    expect(receipt.facts).toEqual({ removed: 1 });
    expect(await place.places()).toEqual([loadOf(16, 2).id]);
  });

  it('a part that was changed in the place of its load is noticed, and nothing is replaced', async () => {
    place = fileLoads({ path: 'out.csv' });
    await replaced(place, loadOf(16), recordsOf(16, [1]));
    await collected(place, loadOf(17), recordsOf(17, [2, 3]));
    const part = filesBelow(place.root).find((name) => name.includes(`/${loadOf(17).id}/`) && name.endsWith('.csv'))!;
    const text = readFileSync(join(place.root, part), 'utf8');
    writeFileSync(join(place.root, part), text.replace('2,0', '7,0'));
    await expect(place.sink.can.replace!(step(loadOf(17)), { kind: 'all' })).rejects.toThrow(
      'does not hold what was written',
    );
    expect(await place.seen()).toEqual(recordsOf(16, [1]));
  });

  it('a manifest of somebody else is left alone', async () => {
    place = fileLoads({ path: '{{ batch }}.ndjson', manifest: '_manifest.json' });
    writeFileSync(join(place.root, '_manifest.json'), '{"entries":[]}\n');
    await expect(place.sink.can.load!.open(step(loadOf(16)))).rejects.toMatchObject({ reason: 'manifest' });
    expect(readFileSync(join(place.root, '_manifest.json'), 'utf8')).toBe('{"entries":[]}\n');
  });
});

const STEPS_MAX = 200;

describe.each(LOAD_PATHS)('P02, P12, P37: $name, by a process that dies', ({ abilities, name: _, ...settings }) => {
  const ways = abilities.filter((ability) => ability !== 'load');
  it.each(ways)('in any step of %s, is whole for readers, and right when it is asked again', async (way) => {
    for (let steps = 1; steps < STEPS_MAX; steps++) {
      place = fileLoads(settings);
      const [old, young] = [recordsOf(16, [1, 2]), recordsOf(17, [3, 4, 5])];
      const call = (load: Load) => {
        const { replace, publish, appendLoad } = place.another!().can;
        if (way === 'replace') return replace!(step(load), { kind: 'all' });
        return way === 'publish' ? publish!(step(load), 0) : appendLoad!(step(load));
      };
      await collected(place, loadOf(16), old);
      await call(loadOf(16));
      await collected(place, loadOf(17), young);
      const added = way === 'appendLoad' || place.sink.facts.placePerWindow === true;
      const after = added ? [...old, ...young] : young;
      const died = await place.death
        .in(steps)(() => call(loadOf(17)))
        .then(
          () => false,
          () => true,
        );
      const seen = inOrder(await place.seen());
      if (place.sink.facts.seenByHalves !== true) expect([old, after], `after ${steps} steps`).toContainEqual(seen);
      await call(loadOf(17));
      expect(inOrder(await place.seen()), `asked again after ${steps} steps`).toEqual(after);
      const places = settings.manifest === undefined ? [] : added ? [loadOf(16).id, loadOf(17).id] : [loadOf(17).id];
      if (way !== 'replace') expect([...(await place.places())].sort(), `after ${steps} steps`).toEqual(places);
      if (!died) return expect(steps).toBeGreaterThan(4);
      await place.close?.();
    }
    expect.unreachable(`${way} has more than ${STEPS_MAX} steps`);
  });
});
