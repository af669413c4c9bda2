import { setImmediate } from 'node:timers/promises';
import type { LoadAbilities, Sink } from '../../src/connectors/connector.ts';
import type { MemorySink } from '../../src/connectors/memory/sink.ts';
import type { MemoryTable } from '../../src/connectors/memory/store.ts';
import type { DataRecord } from '../../src/model/chunk.ts';
import type { LoadStep, MergeBy, StepReceipt } from '../../src/model/load.ts';
import type { LoadAbility, LoadFixture, LoadSubject } from '../../src/testing/suites/load-subject.ts';
import { memoryLoadFixture } from '../connectors/memory-loads.ts';

/** A sink that claims to take loads and does not keep what that promises; and the case that has to notice. */
export interface LoadLie {
  readonly subject: LoadSubject;
  /** Part of the title of a case that has to fail. */
  readonly noticedBy: string;
}

interface World {
  readonly table: MemoryTable;
  readonly can: LoadAbilities;
}

type Change = (world: World) => Partial<LoadAbilities>;

/** Changes what a memory sink does with loads, in this process and in every other that has it open. */
function lie(
  name: string,
  [abilities, noticedBy]: readonly [abilities: readonly LoadAbility[], noticedBy: string],
  change: Change,
  more: (fixture: LoadFixture) => Partial<LoadFixture> = () => ({}),
): LoadLie {
  return {
    noticedBy,
    subject: {
      name,
      abilities,
      open() {
        const { table, ...fixture } = memoryLoadFixture(abilities);
        const changed = (sink: Sink): Sink => ({
          ...sink,
          can: { ...sink.can, ...change({ table, can: sink.can as LoadAbilities }) },
        });
        const all = { ...fixture, sink: changed(fixture.sink), another: () => changed(fixture.another!()) };
        return { ...all, ...more(all) };
      },
    },
  };
}

const LOADED = (ability: LoadAbility, noticedBy: string) => [['load', ability], noticedBy] as const;

/** The place of a load, as whoever goes behind the back of the sink has it. */
const rowsOf = ({ table }: World, { load }: LoadStep): readonly DataRecord[] =>
  table.loads.places.get(load.id)?.rows ?? [];

const show = ({ table }: World, rows: readonly DataRecord[]): void => {
  table.loads.rows = rows;
};

/** Where the sink would refuse an older fence, everybody is the newest. */
const newest = (step: LoadStep): LoadStep => ({ ...step, fence: Number.MAX_SAFE_INTEGER });

const keyless = (rows: readonly DataRecord[], { key }: MergeBy): readonly DataRecord[] =>
  rows.map((row) => ({ ...row, ...Object.fromEntries(key.map((name) => [name, row[name] ?? -1])) }));

const PRETENCE = 'shows what its author says';
const TOLD: StepReceipt = { summary: 'done' };

const COLLECTING_LIES: readonly LoadLie[] = [
  lie('a place that adds what it holds already', LOADED('appendLoad', 'takes a batch once'), ({ can }) => ({
    load: {
      ...can.load,
      add: (permit) => {
        const idempotencyKey = `${permit.batch.idempotencyKey} ${permit.attempt}`;
        return can.load.add({ ...permit, batch: { ...permit.batch, idempotencyKey } });
      },
    },
  })),
  lie('a place that everybody sees', LOADED('appendLoad', 'shows nobody what is collected'), ({ table, can }) => ({
    load: {
      ...can.load,
      add: async (permit) => {
        const verdict = await can.load.add(permit);
        table.loads.rows = [...table.loads.rows, ...table.loads.places.get(permit.load!.id)!.rows];
        return verdict;
      },
    },
  })),
  lie('a place that is emptied when it is opened again', LOADED('replace', 'keeps what it holds'), (world) => ({
    load: {
      ...world.can.load,
      open: async (step) => {
        const receipt = await world.can.load.open(step);
        (rowsOf(world, step) as DataRecord[]).length = 0;
        return receipt;
      },
    },
  })),
  lie('places that nobody cleans away', LOADED('merge', 'removes places of earlier generations'), ({ can }) => ({
    load: {
      ...can.load,
      open: (step) => can.load.open({ ...step, load: { ...step.load, family: step.load.id } }),
    },
  })),
  lie('a cleaning that takes too much', LOADED('merge', 'removes places of earlier generations'), ({ table, can }) => ({
    load: {
      ...can.load,
      open: async (step) => {
        for (const place of table.loads.places.values()) place.there = place.load.id === step.load.id;
        return await can.load.open(step);
      },
    },
  })),
  lie(
    'a batch that is taken without the record that does not fit',
    LOADED('publish', 'does not fit'),
    ({ can, table }) => ({
      load: {
        ...can.load,
        add: async (permit) => {
          try {
            return await can.load.add(permit);
          } catch (error) {
            (table.loads.places.get(permit.load!.id)?.rows as DataRecord[] | undefined)?.push({ n: 2, version: 0 });
            throw error;
          }
        },
      },
    }),
  ),
  lie('a batch that is taken although its time is over', LOADED('appendLoad', 'the permit has run out'), ({ can }) => ({
    load: {
      ...can.load,
      add: (permit) => can.load.add({ ...permit, signal: new AbortController().signal }),
    },
  })),
  lie('a batch that is taken for a load without a place', LOADED('appendLoad', 'has no place'), ({ can }) => ({
    load: {
      ...can.load,
      add: async (permit) => {
        await can.load.open({ load: permit.load!, fence: 1, correlationId: '', signal: permit.signal });
        return await can.load.add(permit);
      },
    },
  })),
];

const PUBLISHING_LIES: readonly LoadLie[] = [
  lie('a step that is done each time', LOADED('appendLoad', 'asked again'), (world) => {
    const rows = new Map<string, readonly DataRecord[]>();
    return {
      appendLoad: async (step) => {
        if (!rows.has(step.load.id)) rows.set(step.load.id, [...rowsOf(world, step)]);
        else show(world, [...world.table.loads.rows, ...rows.get(step.load.id)!]);
        return await world.can.appendLoad(step);
      },
    };
  }),
  lie('a step that tells something else the second time', LOADED('merge', 'tells the same'), ({ can }) => {
    let asked = 0;
    return { merge: async (step, by) => ({ ...(await can.merge(step, by)), facts: { asked: ++asked } }) };
  }),
  lie('a step that undoes what came later', LOADED('replace', 'asked again'), (world) => {
    const shown = new Map<string, readonly DataRecord[]>();
    return {
      replace: async (step, scope) => {
        const receipt = await world.can.replace(step, scope);
        shown.set(step.load.id, shown.get(step.load.id) ?? world.table.loads.rows);
        show(world, shown.get(step.load.id)!);
        return receipt;
      },
    };
  }),
  lie('a step that shuts nobody out', LOADED('publish', 'has an older fence'), ({ can }) => ({
    load: { ...can.load, open: (step) => can.load.open(newest(step)) },
    publish: (step, keep) => can.publish(newest(step), keep),
  })),
  lie('a step that shuts nobody out once it was opened', LOADED('appendLoad', 'has an older fence'), ({ can }) => ({
    appendLoad: (step) => can.appendLoad(newest(step)),
  })),
  lie('a load that is seen by halves', LOADED('appendLoad', 'whoever reads meanwhile'), (world) => ({
    appendLoad: async (step) => {
      const before = world.table.loads.rows;
      const receipt = await world.can.appendLoad(step);
      const after = world.table.loads.rows;
      for (let at = before.length; at < after.length; at++) {
        show(world, after.slice(0, at));
        await setImmediate();
      }
      show(world, after);
      return receipt;
    },
  })),
  lie('a name that is empty for a moment', LOADED('replace', 'whoever reads meanwhile'), (world) => ({
    replace: async (step, scope) => {
      const before = world.table.loads.rows;
      show(world, []);
      await setImmediate();
      show(world, before);
      return await world.can.replace(step, scope);
    },
  })),
  lie(
    'a step that leaves a half behind when it is broken off',
    LOADED('appendLoad', 'whole or not at all when it is broken off'),
    () => ({}),
    ({ sink }) => ({
      breakOff: async () => {
        const { loads } = (sink as MemorySink).table;
        loads.rows = loads.rows.slice(1);
        throw new Error('the process was killed');
      },
    }),
  ),
  lie('a load that is done by both who ask at once', LOADED('appendLoad', 'two ask at the same time'), (world) => ({
    appendLoad: async (step) => {
      if (world.table.loads.told.has(`${step.load.id} appendLoad`)) return await world.can.appendLoad(step);
      const rows = [...rowsOf(world, step)];
      await setImmediate();
      const late = world.table.loads.told.has(`${step.load.id} appendLoad`);
      if (late) show(world, [...world.table.loads.rows, ...rows]);
      return await world.can.appendLoad(step);
    },
  })),
  lie('a load that was given up and is published', LOADED('merge', 'a load that was given up'), ({ can }) => ({
    merge: async (step, by) => {
      try {
        return await can.merge(step, by);
      } catch {
        return TOLD;
      }
    },
  })),
  lie('a place that can be added to when it is shown', LOADED('publish', 'added after it'), ({ table, can }) => ({
    load: {
      ...can.load,
      add: async (permit) => {
        const place = table.loads.places.get(permit.load!.id);
        if (place?.state !== 'published') return await can.load.add(permit);
        table.loads.rows = [...table.loads.rows, { n: 9, version: 1, day: '2026-11-17', gone: false }];
        return 'already';
      },
    },
  })),
  lie('an empty load that is not published', LOADED('replace', 'a load without records'), (world) => ({
    replace: async (step, scope) => {
      if (world.table.loads.places.get(step.load.id)?.rows.length === 0) return TOLD;
      return await world.can.replace(step, scope);
    },
  })),
  lie('a step that goes on although it was told to stop', LOADED('addToPeriod', 'told to stop'), ({ can }) => ({
    addToPeriod: (step, period, fresh) =>
      can.addToPeriod({ ...step, signal: new AbortController().signal }, period, fresh),
  })),
];

const PROMISE_LIES: readonly LoadLie[] = [
  lie('an addition that replaces', LOADED('appendLoad', 'leaves alone what is there'), (world) => ({
    appendLoad: async (step) => {
      const rows = [...rowsOf(world, step)];
      const receipt = await world.can.appendLoad(step);
      if (rows.length > 0) show(world, rows);
      return receipt;
    },
  })),
  lie('a range that replaces everything', LOADED('replace', 'the rows of a range'), ({ can }) => ({
    replace: (step) => can.replace(step, { kind: 'all' }),
  })),
  lie('a value that replaces everything', LOADED('replace', 'equal to a value'), ({ can }) => ({
    replace: (step, scope) => can.replace(step, scope.kind === 'equals' ? { kind: 'all' } : scope),
  })),
  lie('rows outside of what they take the place of', LOADED('replace', 'lie outside'), (world) => ({
    replace: async (step, scope) => {
      const before = world.table.loads.rows;
      if (scope.kind !== 'range') return await world.can.replace(step, scope);
      const rows = [...rowsOf(world, step)];
      const receipt = await world.can.replace(step, { kind: 'all' });
      show(world, [...before.filter(({ day }) => !rows.some((row) => row.day === day)), ...rows]);
      return receipt;
    },
  })),
  lie('a deletion that is inserted', LOADED('merge', 'removes what is flagged'), ({ can }) => ({
    merge: (step, { key }) => can.merge(step, { key }),
  })),
  lie('a mark that is inserted', LOADED('merge', 'marks what is flagged'), ({ can }) => ({
    merge: (step, by) => can.merge(step, by.deleted?.how === 'mark' ? { key: by.key } : by),
  })),
  lie('a choice between rows that differ', LOADED('merge', 'refuses others without a rule'), (world) => ({
    merge: async (step, by) => {
      const rows = rowsOf(world, step) as DataRecord[];
      const last = new Map(rows.map((row) => [row.n, row]));
      if (by.latestBy === undefined && !rows.some((row) => row.n === null))
        rows.splice(0, rows.length, ...last.values());
      return await world.can.merge(step, by);
    },
  })),
  lie('the last row instead of the latest', LOADED('merge', 'takes the latest row'), (world) => ({
    merge: async (step, by) => {
      const rows = rowsOf(world, step) as DataRecord[];
      if (by.latestBy !== undefined) rows.splice(0, rows.length, ...new Map(rows.map((row) => [row.n, row])).values());
      return await world.can.merge(step, by);
    },
  })),
  lie('a row without a key', LOADED('merge', 'refuses rows without a key'), (world) => ({
    merge: async (step, by) => {
      const rows = rowsOf(world, step) as DataRecord[];
      if (!by.key.includes('nowhere')) rows.splice(0, rows.length, ...keyless(rows, by));
      return await world.can.merge(step, by);
    },
  })),
  lie('a column that nobody knows and nobody misses', LOADED('merge', 'columns that nobody knows'), ({ can }) => ({
    merge: (step, { key, ...by }) => {
      const known = by.latestBy === 'nowhere' ? {} : by;
      return can.merge(step, { key, ...known });
    },
  })),
  lie('a history that nobody goes back in', LOADED('mergeAt', 'a load that is done again'), ({ table }) => ({
    mergeAt: async (step, by) => table.loads.merge(step, by),
  })),
  lie('a history that forgets the latest load only', LOADED('mergeAt', 'does not bring any more'), ({ table, can }) => {
    let last = '';
    return {
      mergeAt: async (step, by, at) => {
        const again = last === at;
        last = at;
        return again ? table.loads.merge(step, by) : await can.mergeAt(step, by, at);
      },
    };
  }),
  lie('a period that is never begun again', LOADED('addToPeriod', 'joins what the period holds'), ({ can }) => ({
    addToPeriod: (step, period) => can.addToPeriod(step, period, false),
  })),
  lie('a period that never keeps what it holds', LOADED('addToPeriod', 'joins what the period holds'), ({ can }) => ({
    addToPeriod: (step, period) => can.addToPeriod(step, period, true),
  })),
  lie('earlier loads that are not kept', LOADED('publish', 'keeps as many earlier loads'), ({ can }) => ({
    publish: (step) => can.publish(step, 0),
  })),
  lie('earlier loads that are never removed', LOADED('publish', 'keeps as many earlier loads'), ({ can }) => ({
    publish: (step) => can.publish(step, 1000),
  })),
  lie(
    'a place that can be written to when it is published',
    LOADED('publish', 'lets nobody write'),
    () => ({}),
    () => ({ tamper: async () => undefined }),
  ),
];

const VERSIONED = (noticedBy: string) => [['load', 'merge', 'versions'], noticedBy] as const;

const VERSION_LIES: readonly LoadLie[] = [
  lie('a going back that goes nowhere', VERSIONED('goes back to a version'), ({ can }) => ({
    versions: { ...can.versions, restore: async () => TOLD },
  })),
  lie('one name for every content', VERSIONED('names each content'), ({ can }) => ({
    versions: { ...can.versions, current: async () => '1' },
  })),
  lie('versions that are not kept', VERSIONED('names each content'), ({ can }) => ({
    versions: { ...can.versions, kept: async () => [(await can.versions.kept()).at(-1)!] },
  })),
  lie('a version that nobody has made', VERSIONED('refuses a version'), ({ can }) => ({
    versions: {
      ...can.versions,
      restore: async (step, version) =>
        (await can.versions.kept()).includes(version ?? '0') ? await can.versions.restore(step, version) : TOLD,
    },
  })),
  lie('a going back for somebody who was stalled', VERSIONED('goes back for nobody'), ({ can }) => ({
    versions: { ...can.versions, restore: (step, version) => can.versions.restore(newest(step), version) },
  })),
  lie('a going back that loses what was merged', VERSIONED('goes back no more'), (world) => ({
    versions: {
      ...world.can.versions,
      restore: async (step, version) => {
        const receipt = await world.can.versions.restore(step, version);
        if (world.table.loads.places.get(step.load.id)?.state === 'published') show(world, []);
        return receipt;
      },
    },
  })),
];

const PRETENCES: readonly LoadLie[] = [
  {
    noticedBy: PRETENCE,
    subject: {
      name: 'an ability that its author does not name',
      abilities: ['load', 'merge'],
      open: () => memoryLoadFixture(['load', 'merge', 'replace']),
    },
  },
  {
    noticedBy: PRETENCE,
    subject: {
      name: 'an ability that is named and not shown',
      abilities: ['load', 'merge', 'replace'],
      open: () => memoryLoadFixture(['load', 'merge']),
    },
  },
  {
    noticedBy: 'swap: is known',
    subject: {
      name: 'a named ability that the suite does not know',
      abilities: ['load', 'merge', 'swap' as LoadAbility],
      open: () => memoryLoadFixture(['load', 'merge']),
    },
  },
  {
    noticedBy: 'keeps what it holds',
    subject: {
      name: 'a place that nothing is published from',
      abilities: ['load'],
      open: () => memoryLoadFixture(['load']),
    },
  },
  {
    noticedBy: PRETENCE,
    subject: {
      name: 'something that is published and collected nowhere',
      abilities: ['merge'],
      open: () => memoryLoadFixture(['merge']),
    },
  },
];

export const LOAD_LIES: readonly LoadLie[] = [
  ...COLLECTING_LIES,
  ...PUBLISHING_LIES,
  ...PROMISE_LIES,
  ...VERSION_LIES,
  ...PRETENCES,
];
