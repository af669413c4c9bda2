import { rmSync } from 'node:fs';
import type { TestContext } from 'vitest';
import type { OpenContext, Sink } from '../../src/connectors/connector.ts';
import { textsOf } from '../../src/connectors/lancedb/arrow-read.ts';
import { lancedb } from '../../src/connectors/lancedb/config.ts';
import { loadDrivers } from '../../src/connectors/lancedb/driver.ts';
import type { Load, MergeBy, StepReceipt } from '../../src/model/load.ts';
import { newFolder } from '../connectors/place.ts';
import { permitOf, stepOf, surely } from './steps.ts';

const unusable = await import('@lancedb/lancedb').then(
  () => undefined,
  (error: unknown) => String(error).split('\n')[0],
);
export const isUsable = unusable === undefined;
const WHY = `SKIPPED: LanceDB cannot be loaded on this machine: ${unusable}`;

export type Settings = Record<string, unknown>;
type Row = Record<string, unknown>;

/** A database in a new folder, and sinks for it as processes have them. */
export class LanceBench {
  readonly folder = newFolder('lancedb');
  readonly #sinks: Sink[] = [];

  sink(settings: Settings = {}): Sink {
    const parsed = lancedb.sink!.settings.parse({ table: 't', ...settings });
    const connection = lancedb.connection.parse({ uri: 'db' });
    const sink = lancedb.sink!.open(connection, parsed, { folder: this.folder } as OpenContext);
    this.#sinks.push(sink);
    return sink;
  }

  async connection(place = 'db') {
    const { connect } = await import('@lancedb/lancedb');
    return await connect(`${this.folder}/${place}`, { readConsistencyInterval: 0 });
  }

  async table(name = 't') {
    return await (await this.connection()).openTable(name);
  }

  /** Rows as objects of plain texts, sorted; none when there is no table. */
  async rows(name = 't', filter?: string, place = 'db'): Promise<readonly Record<string, string | null>[]> {
    const connection = await this.connection(place);
    if (!(await connection.tableNames()).includes(name)) return [];
    const { arrow } = await loadDrivers();
    const query = (await connection.openTable(name)).query();
    const found = await (filter === undefined ? query : query.where(filter)).toArrow();
    const names = found.schema.fields.map((field) => field.name);
    const columns = names.map((column) => textsOf(arrow, found.getChild(column)!));
    const rows = Array.from({ length: found.numRows }, (_, at) =>
      Object.fromEntries(names.map((column, nth) => [column, columns[nth]![at] ?? null])),
    );
    return rows.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }

  /** Each row as its values in a line. */
  async lines(name = 't', filter?: string): Promise<readonly string[]> {
    return (await this.rows(name, filter)).map((row) => Object.values(row).join(' '));
  }

  async close(): Promise<void> {
    for (const sink of this.#sinks) await sink.close?.();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A test on a database of its own; skipped, with the reason, where the native part of LanceDB is not to be had. */
export function onLance(work: (bench: LanceBench) => Promise<void>): (context: TestContext) => Promise<void> {
  return async ({ skip }) => {
    if (!isUsable) {
      console.warn(WHY);
      skip(WHY);
    }
    const bench = new LanceBench();
    try {
      await work(bench);
    } finally {
      await bench.close();
    }
  };
}

/** Collects a load: opens its place and adds the rows in batches of twenty. */
export async function collected(sink: Sink, load: Load, rows: readonly Row[], fence = 1): Promise<void> {
  const { open, add } = surely(sink, 'load');
  await open(stepOf(load, fence));
  for (let at = 0; at < rows.length; at += 20) await add(permitOf(load, rows.slice(at, at + 20)));
}

export async function merged(sink: Sink, load: Load, rows: readonly Row[], by: MergeBy): Promise<StepReceipt> {
  await collected(sink, load, rows);
  return await surely(sink, 'merge')(stepOf(load), by);
}
