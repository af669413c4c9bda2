import type { Client } from 'pg';
import type { LoadAbilities, Permit, Sink } from '../src/connectors/connector.ts';
import type { Load, LoadStep, StepReceipt } from '../src/model/load.ts';
import { testPermit } from '../src/testing/permit.ts';
import type { Places } from './postgres-place.ts';

export type Rows = readonly (object | string)[];

/** A load by the day that it is meant for. */
export interface LoadAsk {
  readonly day?: number;
  readonly generation?: number;
  readonly fence?: number;
  /** Which run; two runs of one window are different families. */
  readonly run?: number;
  readonly flow?: string;
  readonly ledger?: string;
  readonly signal?: AbortSignal;
  /** Records of each batch. */
  readonly perBatch?: number;
}

/** One name in a database, and the loads that are sent to it. */
export class LoadBench {
  readonly places: Places;
  readonly table: string;
  readonly markerSchema: string;
  readonly sink: Sink;
  readonly #settings: Record<string, unknown>;

  constructor(places: Places, settings: Record<string, unknown> = {}, connection: Record<string, unknown> = {}) {
    this.places = places;
    this.table = (settings.table as string | undefined) ?? places.name();
    this.markerSchema = (settings.markerSchema as string | undefined) ?? `books_${this.table}`;
    this.#settings = { ...settings, table: this.table, markerSchema: this.markerSchema };
    this.sink = places.open(this.#settings, connection);
  }

  static async make(places: Places, columns: string, settings: Record<string, unknown> = {}): Promise<LoadBench> {
    const bench = new LoadBench(places, settings);
    await places.client.query(`create table ${bench.table} (${columns})`);
    return bench;
  }

  get client(): Client {
    return this.places.client;
  }

  get can(): LoadAbilities {
    return this.sink.can as LoadAbilities;
  }

  /** The same name as another process has it open. */
  another(settings: Record<string, unknown> = {}, connection: Record<string, unknown> = {}): LoadBench {
    return new LoadBench(this.places, { ...this.#settings, ...settings }, connection);
  }

  load({ day = 19, generation = 1, run = 1, flow = 'orders', ledger = 'l' }: LoadAsk = {}): Load {
    const family = `wb_${this.table}_r${run}_d${day}_g`;
    return {
      id: `${family}${generation}`,
      family,
      ledger,
      flow,
      lane: 'main',
      window: { name: `2026-11-${day}`, start: `2026-11-${day}T00:00:00Z`, end: `2026-11-${day + 1}T00:00:00Z` },
      generation,
    };
  }

  step(ask: LoadAsk = {}): LoadStep {
    const signal = ask.signal ?? new AbortController().signal;
    return { load: this.load(ask), fence: ask.fence ?? 1, correlationId: 'test', signal };
  }

  permit(rows: Rows, batch = 1, ask: LoadAsk = {}): Permit {
    const load = this.load(ask);
    const idempotencyKey = `${load.id}-${batch}`;
    const options = { records: rows, batch, idempotencyKey, shard: load.id, fence: ask.fence ?? 1 };
    return { ...testPermit(options), load };
  }

  /** Opens a load and adds these rows to it. */
  async collect(rows: Rows, ask: LoadAsk = {}): Promise<LoadStep> {
    const { perBatch = 1000 } = ask;
    await this.can.load.open(this.step(ask));
    for (let at = 0; at < rows.length; at += perBatch) {
      await this.can.load.add(this.permit(rows.slice(at, at + perBatch), at / perBatch + 1, ask));
    }
    return this.step(ask);
  }

  async run(rows: Rows, publish: (step: LoadStep) => Promise<StepReceipt>, ask: LoadAsk = {}): Promise<StepReceipt> {
    return await publish(await this.collect(rows, ask));
  }

  /** What a reader sees, as values of each row in the order of the first column. */
  async rows(select = '*', table = this.table): Promise<unknown[][]> {
    const text = `select ${select} from ${table} order by 1`;
    return (await this.client.query({ text, rowMode: 'array' })).rows as unknown[][];
  }

  /** Tables of loads that lie about. */
  async lying(): Promise<readonly string[]> {
    const { rows } = await this.client.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = $1 and tablename like 'wb\\_%' order by 1",
      [this.markerSchema],
    );
    return rows.map(({ name }) => name);
  }
}

/** Asks the same question all the time, in a connection of its own, until it is told to stop. */
export class Poller<T> {
  readonly seen: T[] = [];
  #stopped = false;
  readonly #ended: Promise<void>;
  readonly #client: Client;

  private constructor(client: Client, text: string) {
    this.#client = client;
    this.#ended = this.#poll(text);
  }

  /** The question gives one row with one column. */
  static async start<T>(places: Places, text: string): Promise<Poller<T>> {
    return new Poller<T>(await places.server.client(), text);
  }

  async #poll(text: string): Promise<void> {
    while (!this.#stopped) {
      const { rows } = await this.#client.query({ text, rowMode: 'array' });
      this.seen.push(rows[0]![0] as T);
    }
  }

  /** Rejects with what the reader met. */
  async stop(): Promise<readonly T[]> {
    this.#stopped = true;
    try {
      await this.#ended;
    } finally {
      await this.#client.end();
    }
    return this.seen;
  }
}

export const numbered = (from: number, to: number, more: object = {}): Rows =>
  Array.from({ length: to - from + 1 }, (_, nth) => ({ id: from + nth, ...more }));
