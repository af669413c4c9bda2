import type { Pulls, Source } from '../../connectors/connector.ts';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Window } from '../../model/window.ts';
import { type LoadScenario, merges, windowsOf } from './load-scenario.ts';
import type { SimProcess } from './process.ts';
import { historyOf, OPERATION_COLUMN, PLACE } from './pull-scenario.ts';
import { RangeStore, rereading } from './range-store.ts';
import type { Scenario } from './scenario.ts';
import { SHARED_KEY } from './sink-request.ts';
import type { Tape } from './tape.ts';
import type { World } from './world.ts';

/** Stands in every record. It may be in no byte of ledger, event, notice or error: records belong to the sink. */
export const CANARY = 'canary-7f3a9c';

/** In which positions of these sources are said. */
const PLACE_KIND = 'sim/place';

interface Row {
  /** Where it stands in the order of the source; never changes. */
  readonly place: number;
  readonly id: number;
  version: number;
  flavour: 'plain' | 'bad' | 'later';
  /** It says that the row of its key is gone. */
  readonly retracts?: boolean;
}

/** One reading of a window, as the engine was given it. */
export interface Reading {
  readonly window: string;
  readonly process: string;
  readonly texts: string[];
  /** In a pull: the place behind which it began. */
  readonly after: number;
  ended: boolean;
  failed: boolean;
  /** It failed when it was to end anyway, since the start had been told to stop. */
  failedOnTheWayOut: boolean;
}

/** The source as it really is: rows that come, change and go between readings, and what each reading was given. */
export class SourceModel {
  readonly readings: Reading[] = [];
  /** What pulls read: it grows at its end. */
  readonly log: Row[] = [];
  readonly kept = new RangeStore();
  readonly #rows = new Map<string, Row[]>();
  readonly #world: World;
  readonly #scenario: Scenario;
  #fresh = 1_000;
  #lastOfLog = 0;

  constructor(world: World, scenario: Scenario) {
    this.#world = world;
    this.#scenario = scenario;
  }

  begin(window: string, process: string): { rows: readonly Row[]; reading: Reading } {
    const rows = this.#rowsOf(window);
    const changes = this.readings.some((one) => one.window === window) && this.#world.fault('source-changes');
    if (changes) for (let left = this.#world.tape.between(1, 3); left > 0; left--) this.#change(rows);
    return { rows: rows.map((row) => ({ ...row })), reading: this.#reading(window, process, -1) };
  }

  /** The rows of the log behind a place. What a pull has not come to may have changed or gone; none comes between. */
  beginBehind(after: number, window: string, process: string): { rows: readonly Row[]; reading: Reading } {
    const { tape } = this.#world;
    if (this.readings.length > 0 && this.#world.fault('source-changes')) {
      const left = this.log.filter(({ place }) => place > after);
      const row = left.length === 0 ? undefined : tape.pick(left);
      if (row !== undefined && tape.draw(3) === 2) this.log.splice(this.log.indexOf(row), 1);
      else if (row !== undefined) row.version++;
    }
    const rows = this.log.filter(({ place }) => place > after);
    return { rows: rows.map((row) => ({ ...row })), reading: this.#reading(window, process, after) };
  }

  /** Time has gone by since the last look: there may be more. */
  grow(): void {
    const { tape } = this.#world;
    const first = this.#lastOfLog === 0;
    for (let left = first ? this.#scenario.rows : tape.draw(this.#scenario.rows + 1); left > 0; left--) {
      this.#lastOfLog += 10;
      const { pull } = this.#scenario;
      const again = pull !== undefined && historyOf(pull) !== undefined;
      const row = this.#row(this.#lastOfLog, again ? tape.draw(4) : this.#lastOfLog);
      const version = again ? tape.draw(3) : 0;
      this.log.push({ ...row, version, retracts: pull?.merge === 'upsert-stream' && tape.draw(5) === 4 });
    }
  }

  #reading(window: string, process: string, after: number): Reading {
    const reading = { window, process, after, texts: [], ended: false, failed: false, failedOnTheWayOut: false };
    this.readings.push(reading);
    return reading;
  }

  textOf(window: string, row: Row): string {
    const flavour = row.flavour === 'plain' ? {} : { [row.flavour]: 1 };
    if (this.#scenario.load !== undefined) return this.#loadText(window, row, this.#scenario.load);
    if (this.#scenario.pull !== undefined) return this.#logText(row, flavour);
    const identity = this.#scenario.keyed ? { id: `${window}-${row.id}` } : { group: row.id % 3 };
    const shared = this.#scenario.shared === true ? { [SHARED_KEY]: `${window}-${row.id % 3}` } : {};
    return JSON.stringify({ ...identity, ...shared, v: row.version, body: CANARY, ...flavour });
  }

  /** Somebody has put right what the sink refused. */
  mend(window: string): void {
    for (const row of this.#rowsOf(window)) row.flavour = 'plain';
  }

  /** Where loads are merged, windows name the same keys. What is there to choose by is in every row. */
  #loadText(window: string, row: Row, load: LoadScenario): string {
    const shift = windowsOf(this.#scenario).findIndex(({ name }) => name === window) * 2;
    const id = merges(load) ? `k${row.id + shift}` : `${window}-${row.id}`;
    const identity = this.#scenario.keyed ? { id } : { group: row.id % 3 };
    const gone = merges(load) ? { gone: (row.id + shift + row.version) % 4 === 3 } : {};
    const flavour = row.flavour === 'plain' ? {} : { [row.flavour]: 1 };
    return JSON.stringify({
      ...identity,
      day: window,
      tenant: 'one',
      v: row.version,
      ...gone,
      body: CANARY,
      ...flavour,
    });
  }

  #logText({ place, id, version, retracts }: Row, flavour: object): string {
    const identity = this.#scenario.keyed ? { id: `k${id}` } : { group: id % 3 };
    const operation = retracts === true ? { [OPERATION_COLUMN]: '-R' } : {};
    return JSON.stringify({ ...identity, [PLACE]: place, v: version, body: CANARY, ...flavour, ...operation });
  }

  #rowsOf(window: string): Row[] {
    let rows = this.#rows.get(window);
    if (rows !== undefined) return rows;
    rows = Array.from({ length: this.#scenario.rows }, (_, at) => this.#row(at * 10, at));
    this.#rows.set(window, rows);
    return rows;
  }

  #row(place: number, id: number): Row {
    const { tape, swarm } = this.#world;
    const bad = swarm.refusal !== undefined && tape.chance(swarm.refusal);
    const later = swarm['refusal-for-now'] !== undefined && tape.chance(swarm['refusal-for-now']);
    const repeated = this.#scenario.repeats && id > 0 && tape.draw(3) === 2;
    const flavour = bad ? 'bad' : later ? 'later' : 'plain';
    return { place, id: repeated ? id - 1 : id, version: repeated ? 7 : 0, flavour };
  }

  #change(rows: Row[]): void {
    const { tape } = this.#world;
    const at = tape.draw(rows.length + 1);
    const what = tape.pick(['update', 'insert', 'delete'] as const);
    if (what === 'insert' || rows[at] === undefined) {
      const row = this.#row(tape.draw(rows.length * 10 + 9), this.#fresh++);
      rows.push(row);
      rows.sort((a, b) => a.place - b.place || a.id - b.id);
    } else if (what === 'update') rows[at].version++;
    else rows.splice(at, 1);
  }
}

/** The source as one process reads it: chunk by chunk, each with a wait, and possibly not to its end. */
export function simSource(model: SourceModel, process: SimProcess, scenario: Scenario): Source {
  return {
    emits: ['ndjson'],
    resumable: scenario.resumable,
    ...(scenario.pull === undefined ? {} : { pulls: simPulls(model, process) }),
    ...(scenario.ranges === true ? rereading(model.kept, process, (texts) => encodeChunk(texts, 0)) : {}),
    async *read({ window, from, pull, ranges }, signal) {
      const after = from === undefined || (pull === undefined && !scenario.resumable) ? -1 : Number(from.value);
      const { rows, reading } =
        pull === undefined
          ? model.begin(window.name, process.name)
          : model.beginBehind(after, window.name, process.name);
      if (after >= 0 && pull === undefined) process.world.mark('a generation was gone on with');
      const left = rows.filter((row) => row.place > after);
      for (const part of partsOf(left, scenario.chunkRecords)) {
        signal.throwIfAborted();
        const texts = part.map((row) => model.textOf(window.name, row));
        const ends = part.at(-1) === left.at(-1);
        const chunk = await chunkOf(texts, part.at(-1)!, { model, process, scenario, window, reading, signal, ends });
        yield ranges === true ? { ...chunk, range: model.kept.keep(texts) } : chunk;
      }
      reading.ended = true;
    },
  };
}

/** Each look is a moment later, so there may be more than at the last one. */
const simPulls = (model: SourceModel, process: SimProcess): Pulls => ({
  refuses: ({ kind }) => (kind === PLACE_KIND ? undefined : `it is no place in the log but ${kind}`),
  look: ({ from }) =>
    process.effect('source.look', readMs(process.world.tape), () => {
      model.grow();
      const more = model.log.some(({ place }) => place > Number(from?.value ?? -1));
      return more ? { kind: 'new' } : { kind: 'unchanged', why: 'the log ends where it did' };
    }),
});

interface At {
  readonly model: SourceModel;
  readonly process: SimProcess;
  readonly scenario: Scenario;
  readonly window: Window;
  readonly reading: Reading;
  readonly signal: AbortSignal;
  /** Nothing comes after it. */
  readonly ends: boolean;
}

/** Rows that stand at the same place are never parted: a position between them could not be told. */
function partsOf(rows: readonly Row[], size: number): Row[][] {
  const parts: Row[][] = [];
  for (const row of rows) {
    const last = parts.at(-1);
    if (last !== undefined && (last.length < size || last.at(-1)!.place === row.place)) last.push(row);
    else parts.push([row]);
  }
  return parts;
}

async function chunkOf(texts: readonly string[], last: Row, at: At): Promise<Chunk> {
  const { process, scenario, reading } = at;
  const chunk = encodeChunk(texts, reading.texts.length);
  await process.effect('source.chunk', readMs(process.world.tape), () => {
    if (process.world.fault('source-fails')) {
      reading.failed = true;
      reading.failedOnTheWayOut = at.signal.aborted;
      throw new WaybillError('SOURCE_FAILED', 'the query was cancelled');
    }
    reading.texts.push(...texts);
  });
  // A pull that gives no position on its way has to give one at its end.
  if (!scenario.resumable && !(at.ends && scenario.pull !== undefined)) return chunk;
  return { ...chunk, end: { sourceName: 'rows', kind: PLACE_KIND, value: String(last.place) } };
}

const readMs = (tape: Tape): number => tape.between(1, 40);

function encodeChunk(texts: readonly string[], before: number): Chunk {
  const spans = new Uint32Array(texts.length * 2);
  let end = 0;
  texts.forEach((text, at) => {
    spans[at * 2] = end;
    end += Buffer.byteLength(text);
    spans[at * 2 + 1] = end;
    end += 1;
  });
  const bytes = new Uint8Array(Buffer.from(texts.map((text) => `${text}\n`).join('')));
  return { format: 'ndjson', bytes, spans, count: texts.length, firstRow: before + 1 };
}
