import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Connector, Sink } from '../src/connectors/connector.ts';
import { postgres } from '../src/connectors/postgres/config.ts';
import { NotAppliedError, WaybillError } from '../src/model/errors.ts';
import { SchemaBench } from './schema-bench.ts';

let bench: SchemaBench;
beforeAll(async () => {
  bench = await SchemaBench.start();
});
afterAll(() => bench?.stop());

let nth = 0;
let name: string;
beforeEach(async () => {
  name = `crash_${++nth}`;
  await bench.client.query(`create table src_${name} (id int8, day date, n int4);
    insert into src_${name} values (1, '2026-11-19', 1), (2, '2026-11-20', 2)`);
});

/** The sink of PostgreSQL, with faults in its way. */
function flaky(change: (sink: Sink) => Partial<Sink>): Connector {
  const { sink, ...rest } = postgres as Connector;
  const open: NonNullable<Connector['sink']>['open'] = (...given) => {
    const opened = sink!.open(...given);
    return { ...opened, ...change(opened) };
  };
  return { ...rest, type: 'flaky', sink: { settings: sink!.settings, open } };
}

type Fault = 'before' | 'after' | 'none';
const lost = (): WaybillError => new WaybillError('SINK_FAILED', 'the answer was lost');

/** What happens to each change of columns, in turn; and how often one was asked for. */
function changing(...faults: Fault[]): { readonly connector: Connector; asked: number } {
  const bad = { asked: 0, connector: flaky((sink) => ({ schema: wrapped(sink.schema!) })) };
  const wrapped = (schema: NonNullable<Sink['schema']>): NonNullable<Sink['schema']> => ({
    carrier: (type) => schema.carrier(type),
    read: (signal) => schema.read(signal),
    async change(actions, how) {
      bad.asked++;
      const fault = faults.shift() ?? 'none';
      if (fault === 'before') throw new NotAppliedError('the server was away');
      await schema.change(actions, how);
      if (fault === 'after') throw lost();
    },
  });
  return bad;
}

const flow = (connection: string, more = '', strategy = 'ledgered-append', attempts = 4): string =>
  `source: { connection: db, query: "select * from src_${name} where day = :date", key: id }
sink: { connection: ${connection}, table: ${name}${more}, retry: { attempts: ${attempts}, firstDelay: 5ms } }
window: day
strategy: ${strategy}
schema: evolve`;
const DAY = '2026-11-19';
const NEXT = '2026-11-20';

describe('a change of the columns of a sink', () => {
  it('P08: is asked for again when its answer was lost, and when the sink was away, and made once', async () => {
    bench.configure({ [name]: flow('flaky') });
    const first = changing('before', 'after');
    expect((await bench.run(name, { window: DAY, connectors: [first.connector] })).run.state).toBe('complete');
    expect(first.asked).toBe(3);
    await bench.client.query(`alter table src_${name} add note text, alter n type int8`);
    const second = changing('after', 'before', 'after');
    expect((await bench.run(name, { window: NEXT, connectors: [second.connector] })).run.state).toBe('complete');
    expect(second.asked).toBe(4);
    expect(await bench.columns(name)).toEqual({ id: 'bigint', day: 'date', n: 'bigint', note: 'text' });
    expect(await bench.dump(name)).toEqual(['(1,2026-11-19,1,)', '(2,2026-11-20,2,)']);
  });

  it('P08: ends the start before anything is sent when it cannot be made, and the next start goes on', async () => {
    bench.configure({ [name]: flow('flaky', '', 'ledgered-append', 1) });
    for (const fault of ['before', 'after'] as const) {
      const { connector } = changing(fault);
      await expect(bench.run(name, { window: DAY, connectors: [connector] })).rejects.toMatchObject({
        code: 'SCHEMA_FAILED',
      });
    }
    expect(await bench.dump(name, 'count(*)')).toEqual(['(0)']);
    expect((await bench.run(name, { window: DAY, connectors: [changing().connector] })).run.state).toBe('complete');
    expect(await bench.dump(name)).toEqual(['(1,2026-11-19,1)']);
  });

  it('P08: leaves batches that were frozen before it as they are, and they are delivered after it', async () => {
    bench.configure({ [name]: flow('flaky', '', 'ledgered-append', 1), [`${name}_next`]: flow('db') });
    const away = flaky(() => ({
      can: {
        commitOnce: async () => {
          throw new NotAppliedError('the server was away');
        },
      },
    }));
    const stalled = await bench.run(name, { window: DAY, connectors: [away] });
    expect(stalled.lanes[0]!.balance).toMatchObject({ pending: 1, delivered: 0 });
    await bench.client.query(`alter table src_${name} add note text, alter n type int8`);
    const next = await bench.run(`${name}_next`, { window: NEXT, connectors: [changing().connector] });
    expect(next.run.state).toBe('complete');
    expect(await bench.columns(name)).toMatchObject({ n: 'bigint', note: 'text' });
    const { run } = await bench.run(name, { window: DAY, connectors: [changing().connector] });
    expect(run.state).toBe('complete');
    expect(await bench.dump(name)).toEqual(['(1,2026-11-19,1,)', '(2,2026-11-20,2,)']);
  });

  it('P08: that a load makes when it is published is known to a later start that reads nothing', async () => {
    bench.configure({ [name]: flow('flaky', ', key: [id]', 'merger', 1) });
    const away = flaky((sink) => ({
      can: {
        ...sink.can,
        merge: async () => {
          throw new NotAppliedError('the server was away');
        },
      },
    }));
    const stalled = await bench.run(name, { window: DAY, connectors: [away] });
    expect(stalled.stalled).toHaveLength(1);
    expect(await bench.columns(name)).toEqual({});
    await bench.client.query(`truncate src_${name}`);
    const { run } = await bench.run(name, { window: DAY, connectors: [changing().connector] });
    expect(run.state).toBe('complete');
    expect(await bench.columns(name)).toEqual({ id: 'bigint', day: 'date', n: 'integer' });
    const { rows } = await bench.client.query('select indisprimary from pg_index where indrelid = to_regclass($1)', [
      name,
    ]);
    expect(rows).toEqual([{ indisprimary: true }]);
    expect(await bench.dump(name)).toEqual(['(1,2026-11-19,1)']);
  });
});
