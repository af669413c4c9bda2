import type { BatchRow, EventRow, LedgerReader, RecordRow, RunRow } from '../ledger/ledger.ts';
import { assertNever } from '../model/assert.ts';
import { type BatchId, NO_RUN, type RunId, showBatch, showRun } from '../model/ids.ts';
import type { BatchState, RunState } from '../model/states.ts';
import type { DatasetDetails, MessageCommon, Stage, Status, StatusChange, StatusMessage } from './status.ts';

/** Records of one batch or one generation that get messages of their own; what is more is counted, not listed. */
const RECORDS_MAX = 10_000;
const PAGE = 1000;

export interface MessageWorld {
  readonly read: Pick<LedgerReader, 'run' | 'batch' | 'records' | 'generations'>;
  /** The ledger's id: message ids are unique beyond it. */
  readonly ledger: string;
  /** What people call a record, from its packed key. */
  showKey(key: Uint8Array): string;
}

/** Makes the messages of events, with a small memory of the runs that they belong to. */
export class MessageMaker {
  readonly #world: MessageWorld;
  readonly #runs = new Map<RunId, RunRow>();

  constructor(world: MessageWorld) {
    this.#world = world;
  }

  async of(event: EventRow): Promise<readonly StatusMessage[]> {
    // What was done to a flow belongs to no data set.
    if (event.run === NO_RUN) return [];
    const run = await this.#run(event.run);
    const about = new EventMessages(event, run, this.#world.ledger);
    switch (event.kind) {
      case 'generation-closed':
        return await this.#closed(event, about);
      case 'answered':
      case 'settled':
        return await this.#decided(event, about);
      case 'cancelled':
        return [about.change('DELIVER', 'SKIPPED', `cancelled by ${text(event.detail.who)}`, { final: true })];
      default:
        return simple(event, about);
    }
  }

  /** The data set is known now, and so are the records that got into no batch. */
  async #closed(event: EventRow, about: EventMessages): Promise<readonly StatusMessage[]> {
    const generations = await this.#world.read.generations(event.run);
    const generation = generations.find((one) => one.generation === event.detail.generation) ?? generations.at(-1);
    const count = Math.max(0, ...(generation?.lanes.map((lane) => lane.read) ?? []));
    const unbatched = generation?.lanes.some((lane) => lane.unbatched > 0) === true;
    const records = unbatched ? await this.#exceptions({ run: event.run }) : [];
    const version = String(generation?.generation ?? 1);
    return [
      about.details(version, count),
      about.change('EXTRACT', 'SUCCESS', `${count} records read`),
      ...records
        .filter((record) => record.batch === undefined)
        .map((record, nth) => about.record('SEAL', record, nth, this.#world)),
      about.change('SEAL', 'SUCCESS', 'every record that can be sent is in a batch'),
    ];
  }

  async #decided(event: EventRow, about: EventMessages): Promise<readonly StatusMessage[]> {
    const batch = event.batch === undefined ? undefined : await this.#world.read.batch(event.batch);
    const stage = event.kind === 'answered' ? 'DELIVER' : 'SETTLE';
    const state = event.detail.state as BatchState;
    const whole = about.batch(stage, state, batch);
    const hasExceptions =
      batch !== undefined &&
      (state === 'partial' || state === 'refused' || state === 'in-doubt' || state === 'skipped');
    const records = hasExceptions ? await this.#exceptions({ batch: batch.id }) : [];
    return [whole, ...records.map((record, nth) => about.record(stage, record, nth, this.#world, batch?.lane))];
  }

  async #exceptions(of: { run?: RunId; batch?: BatchId }): Promise<readonly RecordRow[]> {
    const records: RecordRow[] = [];
    let after: string | undefined;
    do {
      const states = ['refused', 'in-doubt', 'skipped'] as const;
      const page = await this.#world.read.records({
        ...of,
        states,
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      records.push(...page.records);
      after = page.cursor;
    } while (after !== undefined && records.length < RECORDS_MAX);
    return records;
  }

  /** Flow, window and correlation id of a run never change, so its row is read once. */
  async #run(id: RunId): Promise<RunRow> {
    let run = this.#runs.get(id);
    if (run === undefined) {
      run = await this.#world.read.run(id);
      if (this.#runs.size >= 100) this.#runs.clear();
      this.#runs.set(id, run);
    }
    return run;
  }
}

/** Events that say all that there is to say. */
function simple(event: EventRow, about: EventMessages): readonly StatusMessage[] {
  const { detail } = event;
  switch (event.kind) {
    case 'run-opened':
      return detail.created === true ? [about.change('EXTRACT', 'SUBMITTED', 'the run was opened')] : [];
    case 'generation-started':
      return [about.change('EXTRACT', 'IN_PROGRESS', `reading begins, generation ${text(detail.generation)}`)];
    case 'sealed':
      return [about.change('SEAL', 'IN_PROGRESS', 'records were sealed in batches')];
    case 'generation-abandoned':
      return [about.change('EXTRACT', 'IN_PROGRESS', 'reading was interrupted and begins again')];
    case 'intended':
      return [about.change('DELIVER', 'IN_PROGRESS', `sending, attempt ${text(detail.attempt)}`)];
    case 'retried':
      return [about.change('DELIVER', 'SUBMITTED', 'refused records will be sent again')];
    case 'paused':
      return [about.change('DELIVER', 'IN_PROGRESS', 'paused')];
    case 'resumed':
      return [about.change('DELIVER', 'IN_PROGRESS', 'resumed')];
    case 'load-moved':
      return loadMoved(detail, about);
    case 'failed':
      return [about.change('EXTRACT', 'FAILED', `failed: ${text(detail.code)}`, { errorCode: 500, final: true })];
    case 'concluded':
      return [
        about.conclusion(detail.state as RunState, detail.balance as Readonly<Record<string, number>> | undefined),
      ];
    case 'lease-broken':
    case 'position-set':
    case 'schema-kept':
    case 'columns-left-out':
      return [];
    case 'generation-closed':
    case 'answered':
    case 'settled':
    case 'cancelled':
      return [];
    default:
      return assertNever(event.kind);
  }
}

/** What a person waits for is the publishing; a load that is opened is no news. */
function loadMoved(detail: EventRow['detail'], about: EventMessages): readonly StatusMessage[] {
  const said = [text(detail.summary), text(detail.reason)].filter((part) => part !== '').join('; ');
  if (detail.state === 'opening' || (detail.state === 'open' && detail.reason === undefined)) return [];
  return [about.change('PUBLISH', 'IN_PROGRESS', `load ${text(detail.state)}${said === '' ? '' : `: ${said}`}`)];
}

const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '');

/** The messages about one event. Their ids come from the event, so that they are the same each time. */
class EventMessages {
  readonly #common: Omit<MessageCommon, 'messageId'>;
  readonly #id: string;
  readonly #batch: BatchId | undefined;
  readonly #version: string;
  #nth = 0;

  constructor(event: EventRow, run: RunRow, ledger: string) {
    this.#id = `${ledger}/${event.seq}`;
    this.#batch = event.batch;
    this.#version = String(run.generation);
    this.#common = {
      sequence: event.seq,
      correlationId: run.correlationId,
      datasetId: `${run.flow}:${run.window.name}`,
      run: showRun(run.id),
      flow: run.flow,
      window: run.window.name,
      timestamp: event.atMs,
    };
  }

  details(version: string, recordCount: number): DatasetDetails {
    return { ...this.#next(), kind: 'datasetDetails', datasetVersionId: version, datasetType: 'FILE', recordCount };
  }

  change(
    stage: Stage,
    status: Status,
    message: string,
    more: { errorCode?: number; final?: true; lane?: string; counts?: Readonly<Record<string, number>> } = {},
  ): StatusChange {
    const batch = this.#batch === undefined ? {} : { batch: showBatch(this.#batch) };
    const none = { recordId: null, recordIdVersion: null, errorCode: 0 };
    return { ...this.#next(), kind: 'status', ...none, stage, status, message, ...batch, ...more };
  }

  /** A batch whose answer was lost is not finished: it is never told as a success. */
  batch(stage: Stage, state: BatchState, row: BatchRow | undefined): StatusChange {
    const lane = row === undefined ? {} : { lane: row.lane };
    switch (state) {
      case 'delivered':
        return this.change(stage, 'SUCCESS', 'delivered', lane);
      case 'partial':
        return this.change(stage, 'PARTIAL_SUCCESS', 'a part was delivered', lane);
      case 'refused':
        return this.change(stage, 'FAILED', 'refused by the sink', { ...lane, errorCode: 400 });
      case 'in-doubt':
        return this.change(stage, 'IN_PROGRESS', 'in doubt: the sink’s answer was lost', lane);
      case 'skipped':
        return this.change(stage, 'SKIPPED', 'skipped', lane);
      case 'sealed':
        return this.change(stage, 'IN_PROGRESS', 'not applied; it will be sent again', lane);
      case 'moved':
        return this.change(stage, 'IN_PROGRESS', 'its records go on in other batches', lane);
      case 'sending':
        return this.change(stage, 'IN_PROGRESS', 'sending', lane);
      default:
        return assertNever(state);
    }
  }

  record(stage: Stage, record: RecordRow, nth: number, world: MessageWorld, lane = record.lane): StatusChange {
    const recordId = record.key === undefined ? null : world.showKey(record.key);
    const status = record.state === 'refused' ? 'FAILED' : record.state === 'skipped' ? 'SKIPPED' : 'IN_PROGRESS';
    const where = record.row === undefined ? '' : ` (record ${record.row} of the source)`;
    // Only the sink's word for the reason: its sentence may quote the record.
    const word = record.state === 'in-doubt' ? 'in doubt' : record.state;
    const message = `${word}${record.code === undefined ? '' : `: ${record.code}`}${where}`;
    const errorCode = status === 'FAILED' ? httpLike(record.code) : 0;
    return {
      ...this.change(stage, status, message, { errorCode, lane }),
      recordId,
      recordIdVersion: this.#version,
      messageId: `${this.#id}/r${nth}`,
    };
  }

  conclusion(state: RunState, balance: Readonly<Record<string, number>> | undefined): StatusChange {
    const counts = balance === undefined ? {} : { counts: balance };
    switch (state) {
      case 'complete':
        return this.change('DELIVER', 'SUCCESS', 'every record was delivered', { ...counts, final: true });
      case 'complete-with-refusals': {
        const none = balance !== undefined && balance.delivered === 0;
        const message = `${balance?.refused ?? 'some'} records were refused`;
        return this.change('DELIVER', none ? 'FAILED' : 'PARTIAL_SUCCESS', message, {
          ...counts,
          errorCode: none ? 400 : 0,
          final: true,
        });
      }
      case 'in-doubt':
        return this.change('SETTLE', 'IN_PROGRESS', `${balance?.inDoubt ?? 'some'} records are in doubt`, counts);
      case 'failed':
        return this.change('DELIVER', 'FAILED', 'failed', { ...counts, errorCode: 500, final: true });
      case 'cancelled':
        return this.change('DELIVER', 'SKIPPED', 'cancelled', { ...counts, final: true });
      case 'open':
        return this.change('DELIVER', 'IN_PROGRESS', 'not finished', counts);
      default:
        return assertNever(state);
    }
  }

  #next(): MessageCommon {
    return { messageId: `${this.#id}/${this.#nth++}`, ...this.#common };
  }
}

const httpLike = (code: string | undefined): number =>
  code !== undefined && /^[1-5]\d\d$/.test(code) ? Number(code) : 400;
