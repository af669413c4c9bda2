import { closeSync, openSync, writeSync } from 'node:fs';
import { at } from './behaviour.ts';

/** One request as it came, and what was done with it. */
export interface ReceivedRequest {
  /** 1-based, over all requests that carry data. */
  readonly nth: number;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly records: readonly unknown[];
  readonly atMs: number;
  /** How many of the records were applied; set when that has happened. */
  applied: number;
  /** The status that was answered; undefined while there is no answer. */
  status?: number;
  /** The whole answer was handed to the connection. */
  answered: boolean;
}

export interface AppliedRecord {
  readonly record: unknown;
  readonly batch: string | undefined;
  readonly attempt: string | undefined;
  readonly nth: number;
  readonly atMs: number;
}

/**
 * All that a peer was ever sent, and all that it keeps. It forgets nothing and never merges two records, unless it is
 * told that a key replaces; so two copies of one record are always seen as two.
 */
export class PeerStore {
  readonly received: ReceivedRequest[] = [];
  readonly #applied: AppliedRecord[] = [];
  readonly #byKey = new Map<string, AppliedRecord>();
  readonly #log: number | undefined;

  constructor(logFile: string | undefined) {
    this.#log = logFile === undefined ? undefined : openSync(logFile, 'a');
  }

  /** What the peer holds now: the applied records, or the last one under each key. */
  held(keyed: boolean): readonly AppliedRecord[] {
    return keyed ? [...this.#byKey.values()] : this.#applied;
  }

  /** Applied records in the order of their application, replaced ones included. */
  get applied(): readonly AppliedRecord[] {
    return this.#applied;
  }

  apply(request: ReceivedRequest, records: readonly unknown[], upsertKey: string | undefined): void {
    const atMs = Date.now();
    const [batch, attempt] = [request.headers['x-waybill-batch'], request.headers['x-waybill-attempt']];
    for (const record of records) {
      const entry: AppliedRecord = { record, batch, attempt, nth: request.nth, atMs };
      this.#applied.push(entry);
      if (upsertKey !== undefined) this.#byKey.set(String(at(record, upsertKey)), entry);
    }
    request.applied += records.length;
    this.#write(request, records, true);
  }

  /** Records that came and were not applied, so that the log tells of every record. */
  leave(request: ReceivedRequest, records: readonly unknown[]): void {
    this.#write(request, records, false);
  }

  close(): void {
    if (this.#log !== undefined) closeSync(this.#log);
  }

  /** In the file before anything is answered: a peer that is killed afterwards has said nothing untrue. */
  #write(request: ReceivedRequest, records: readonly unknown[], applied: boolean): void {
    if (this.#log === undefined || records.length === 0) return;
    const { nth, headers } = request;
    const [batch, attempt] = [headers['x-waybill-batch'], headers['x-waybill-attempt']];
    const lines = records.map((record) => JSON.stringify({ nth, batch, attempt, applied, record }));
    writeSync(this.#log, `${lines.join('\n')}\n`);
  }
}

/** The records of a body: lines, an array somewhere in JSON, or one object. */
export function recordsOf(
  body: string,
  contentType: string,
  recordsAt: string,
  recordIn: string | undefined,
): readonly unknown[] {
  if (body.trim() === '' || !contentType.includes('json')) return [];
  if (contentType.includes('ndjson'))
    return body
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  const found = at(JSON.parse(body), recordsAt);
  const records = Array.isArray(found) ? found : found === undefined ? [] : [found];
  return recordIn === undefined ? records : records.map((record) => at(record, recordIn));
}
