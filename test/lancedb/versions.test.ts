import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WaybillError } from '../../src/model/errors.ts';
import { statefulMerger } from '../../src/strategies/stateful-merger.ts';
import { type LanceBench, onLance } from './bench.ts';
import { loadOf, stepOf, surely } from './steps.ts';
import { items, KEYED, Story } from './story.ts';

const names = async (bench: LanceBench): Promise<readonly unknown[]> => (await bench.rows()).map(({ name }) => name);

/** Three days: what each changes is in its names. */
async function threeDays(bench: LanceBench) {
  const sink = bench.sink(KEYED);
  const story = new Story();
  await story.run(sink, 1, items('1a', '2a'));
  await story.run(sink, 2, items('2b', '3b'));
  await story.run(sink, 3, items('3c', '4c'));
  return { sink, story };
}

/** All versions but the present one. */
async function cleanUp(bench: LanceBench): Promise<void> {
  const table = await bench.table();
  // LanceDB removes versions that are older than a moment, to the millisecond.
  await pause(5);
  await table.optimize({ cleanupOlderThan: new Date(), deleteUnverified: true });
}

async function versionsOf(bench: LanceBench): Promise<number> {
  return (await (await bench.table()).listVersions()).length;
}

describe('a stateful merger on LanceDB', () => {
  it(
    'P20: keeps for each window which version it left behind, also when the window is loaded again',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const { '2026-11-01': first, '2026-11-02': second, '2026-11-03': third } = story.state;
      expect(new Set([first, second, third]).size).toBe(3);
      expect(await surely(sink, 'versions').current()).toBe(third);
      await story.run(sink, 2, items('2B'), 2);
      expect(story.state).toMatchObject({ '2026-11-01': first, '2026-11-03': third });
      expect([first, second, third]).not.toContain(story.state['2026-11-02']);
      expect(await surely(sink, 'versions').current()).toBe(story.state['2026-11-02']);
    }),
  );

  it(
    'P21: with no previous version empties the table, whatever was in it',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const { receipt } = await story.run(sink, 1, items('1A', '5A'), 2);
      expect(await names(bench)).toEqual(['1A', '5A']);
      expect(receipt.summary).toMatch(/the table is empty; 4 rows were taken out/);
    }),
  );

  it(
    'P21: takes out nothing that another flow has brought, with a previous version or without',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const ofReturns = (day: number) => ({ ...loadOf(day), flow: 'returns', family: 'wb_r_', id: `wb_r_${day}` });
      const others = new Story();
      await others.collect(sink, ofReturns(1), items('9r'));
      await expect(others.publish(sink, ofReturns(1))).rejects.toMatchObject({
        reason: 'flow-foreign',
        ids: { table: 't', other: 'f' },
      });
      expect(await names(bench)).toEqual(['1a', '2b', '3c', '4c']);
      const merger = new Story([], 'merger');
      await merger.collect(sink, ofReturns(2), items('9r'));
      await merger.publish(sink, ofReturns(2));
      for (const [day, generation] of [
        [4, 1],
        [2, 2],
        [1, 2],
      ] as const)
        await expect(story.run(sink, day, items('1z'), generation)).rejects.toMatchObject({ reason: 'flow-foreign' });
      expect(await names(bench)).toEqual(['1a', '2b', '3c', '4c', '9r']);
    }),
  );

  it(
    'P21: with the same version does not restore, in the order of the days',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const before = await versionsOf(bench);
      const { receipt } = await story.run(sink, 4, items('1d'));
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c']);
      expect(receipt.summary).not.toMatch(/back to/);
      // One commit: the merge.
      expect(await versionsOf(bench)).toBe(before + 1);
    }),
  );

  it(
    'P21: with a different version restores, then merges; the run after a backfilled one counts as normal',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const second = await story.run(sink, 2, items('2B', '5B'), 2);
      expect(second.receipt.summary).toMatch(/back to v\d+/);
      expect(second.undone?.map(({ window }) => window.name)).toEqual(['2026-11-03']);
      expect(await names(bench)).toEqual(['1a', '2B', '5B']);
      const third = await story.run(sink, 3, items('3c', '4c'), 2);
      expect(third.receipt.summary).not.toMatch(/back to/);
      expect(await names(bench)).toEqual(['1a', '2B', '3c', '4c', '5B']);
    }),
  );

  it(
    'P22: is not made to restore by a compaction between two runs',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const before = await surely(sink, 'versions').current();
      await (await bench.table()).optimize();
      expect(await surely(bench.sink(KEYED), 'versions').current()).toBe(before);
      const { receipt } = await story.run(sink, 4, items('1d'));
      expect(receipt.summary).not.toMatch(/back to/);
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c']);
    }),
  );

  it(
    'P22: goes back to the compacted version before a run, so the compaction is not lost',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const story = new Story();
      await story.run(sink, 1, items('1a', '2a'));
      await story.run(sink, 2, items('2b', '3b'));
      await (await bench.table()).optimize();
      await (await bench.table()).optimize();
      const compacted = await (await bench.table()).version();
      await story.run(sink, 3, items('3c', '4c'));
      const { receipt } = await story.run(sink, 3, items('3C'), 2);
      expect(receipt.summary).toContain(`which was version ${compacted} of the table`);
      expect(await names(bench)).toEqual(['1a', '2b', '3C']);
    }),
  );

  it(
    'P22: sees a change by somebody else, which a compaction does not hide',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const table = await bench.table();
      await table.update({ where: 'id = 1', values: { name: 'changed' } });
      await table.optimize();
      const { receipt } = await story.run(sink, 4, items('4d'));
      expect(receipt.summary).toMatch(/back to/);
      expect(await names(bench)).toEqual(['1a', '2b', '3c', '4d']);
    }),
  );

  it(
    'P23: refuses before any write where a clean-up has removed the version, and names the earliest day',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      await cleanUp(bench);
      const before = await versionsOf(bench);
      expect(await surely(sink, 'versions').kept()).toEqual([story.state['2026-11-03']]);
      const error: unknown = await story.collect(sink, loadOf(2, 2), items('2B')).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(WaybillError);
      expect(error).toMatchObject({
        code: 'VERSION_GONE',
        message: expect.stringContaining('the one after 2026-11-03'),
      });
      expect(await versionsOf(bench)).toBe(before);
      expect(await names(bench)).toEqual(['1a', '2b', '3c', '4c']);
      // What comes next is not hindered.
      await story.run(sink, 4, items('1d'));
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c']);
    }),
  );

  it(
    'P25: takes out what a corrected load of the latest window has no more',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      await story.run(sink, 3, items('3C'), 2);
      expect(await names(bench)).toEqual(['1a', '2b', '3C']);
    }),
  );

  it(
    'P26: ends right after a crash between the merge and the ledger, without restoring and merging anew',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const load = loadOf(4);
      await story.collect(sink, load, items('1d', '9d'));
      const lost = await statefulMerger.load!.publish(story.job(sink, stepOf(load)));
      const before = await versionsOf(bench);
      const { receipt } = await story.publish(bench.sink(KEYED), load, 2);
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c', '9d']);
      expect(receipt.facts?.version).toBe(lost.receipt.facts?.version);
      expect(await versionsOf(bench)).toBe(before);
      // And as well if the table was compacted meanwhile.
      await (await bench.table()).optimize();
      expect((await story.publish(bench.sink(KEYED), load, 3)).receipt.facts?.version).toBe(receipt.facts?.version);
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c', '9d']);
    }),
  );

  it(
    'P26: ends right after a crash of the first window, and of one that was restored for',
    onLance(async (bench) => {
      const sink = bench.sink(KEYED);
      const story = new Story();
      await story.collect(sink, loadOf(1), items('1a', '2a'));
      await statefulMerger.load!.publish(story.job(sink, stepOf(loadOf(1))));
      await story.publish(bench.sink(KEYED), loadOf(1), 2);
      expect(await names(bench)).toEqual(['1a', '2a']);
      await story.run(sink, 2, items('2b'));
      await story.run(sink, 3, items('3c'));
      const load = loadOf(2, 2);
      await story.collect(sink, load, items('2B'));
      await statefulMerger.load!.publish(story.job(sink, stepOf(load)));
      await story.publish(bench.sink(KEYED), load, 2);
      expect(await names(bench)).toEqual(['1a', '2B']);
    }),
  );

  it(
    'P26: ends right after a crash between the restore and the merge',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const load = loadOf(2, 2);
      await story.collect(sink, load, items('2B'));
      await surely(sink, 'versions').restore(stepOf(load), String(story.state['2026-11-01']));
      expect(await names(bench)).toEqual(['1a', '2a']);
      const { receipt } = await story.publish(bench.sink(KEYED), load, 2);
      expect(await names(bench)).toEqual(['1a', '2B']);
      // Going back was done: it is seen by the name of the content and not done again.
      expect(receipt.summary).not.toMatch(/back to/);
    }),
  );

  it(
    'P26: ends right where somebody else has written between the crash and the next try',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      const load = loadOf(4);
      await story.collect(sink, load, items('1d'));
      await statefulMerger.load!.publish(story.job(sink, stepOf(load)));
      await (await bench.table()).delete('id = 2');
      await story.publish(bench.sink(KEYED), load, 2);
      expect(await names(bench)).toEqual(['1d', '2b', '3c', '4c']);
    }),
  );

  it(
    'P40: uses the versions of LanceDB itself and states how long they are kept',
    onLance(async (bench) => {
      const { sink, story } = await threeDays(bench);
      expect(sink.facts.retention).toMatch(/until `optimize` cleans them up/);
      const fit = statefulMerger.fit(sink, { key: ['id'], window: 'day', load: {} });
      expect(fit.fits).toBe(true);
      const kept = await surely(sink, 'versions').kept();
      expect(kept).toEqual(expect.arrayContaining(Object.values(story.state)));
      await surely(sink, 'versions').restore(stepOf(loadOf(9)), null);
      await surely(sink, 'versions').restore(stepOf(loadOf(9)), null);
      expect(await names(bench)).toEqual([]);
    }),
  );

  it(
    'names contents by what rows hold where the table was made by another tool',
    onLance(async (bench) => {
      const connection = await bench.connection();
      const other = await connection.createTable('t', [{ id: 1n, name: 'other' }]);
      expect((await other.schema()).fields[0]?.nullable).toBe(true);
      const error: unknown = await surely(bench.sink(KEYED), 'versions')
        .current()
        .catch((thrown: unknown) => thrown);
      expect(String(error)).toMatch(/unenforced primary key is not the `key`/);
      await connection.dropTable('t');
      const { Schema, Field, Int64, Utf8 } = await import('apache-arrow');
      const schema = new Schema([new Field('id', new Int64(), false), new Field('name', new Utf8(), true)]);
      await connection.createEmptyTable('t', schema);
      const story = new Story();
      const sink = bench.sink(KEYED);
      await story.run(sink, 1, items('1a', '2a'));
      await story.run(sink, 2, items('2b'));
      const before = await surely(sink, 'versions').current();
      await (await bench.table()).optimize();
      expect(await surely(sink, 'versions').current()).toBe(before);
      await story.run(sink, 2, items('1B'), 2);
      expect(await names(bench)).toEqual(['1B', '2a']);
    }),
  );
});
