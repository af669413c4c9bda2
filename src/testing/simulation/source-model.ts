import type { Source } from '../../connectors/connector.ts';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Window } from '../../model/window.ts';
import type { SimProcess } from './process.ts';
import type { Scenario } from './scenario.ts';
import type { Tape } from './tape.ts';
import type { World } from './world.ts';

/** Stands in every record. It may be in no byte of ledger, event, notice or error: records belong to the sink. */
export const CANARY = 'canary-7f3a9c';

interface Row {
  /** Where it stands in the order of the source; never changes. */
  readonly place: number;
  readonly id: number;
  version: number;
  readonly flavour: 'plain' | 'bad' | 'later';
}

/** One reading of a window, as the engine was given it. */
export interface Reading {
  readonly window: string;
  readonly process: string;
  readonly texts: string[];
  ended: boolean;
  failed: boolean;
  /** It failed when it was to end anyway, since the start had been told to stop. */
  failedOnTheWayOut: boolean;
}

/** The source as it really is: rows that come, change and go between readings, and what each reading was given. */
export class SourceModel {
  readonly readings: Reading[] = [];
  readonly #rows = new Map<string, Row[]>();
  readonly #world: World;
  readonly #scenario: Scenario;
  #fresh = 1_000;

  constructor(world: World, scenario: Scenario) {
    this.#world = world;
    this.#scenario = scenario;
  }

  begin(window: string, process: string): { rows: readonly Row[]; reading: Reading } {
    const rows = this.#rowsOf(window);
    const changes = this.readings.some((one) => one.window === window) && this.#world.fault('source-changes');
    if (changes) for (let left = this.#world.tape.between(1, 3); left > 0; left--) this.#change(rows);
    const reading = { window, process, texts: [], ended: false, failed: false, failedOnTheWayOut: false };
    this.readings.push(reading);
    return { rows: rows.map((row) => ({ ...row })), reading };
  }

  textOf(window: string, row: Row): string {
    const flavour = row.flavour === 'plain' ? {} : { [row.flavour]: 1 };
    const identity = this.#scenario.keyed ? { id: `${window}-${row.id}` } : { group: row.id % 3 };
    return JSON.stringify({ ...identity, v: row.version, body: CANARY, ...flavour });
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
    async *read({ window, from }, signal) {
      const { rows, reading } = model.begin(window.name, process.name);
      const after = from === undefined || !scenario.resumable ? -1 : Number(from.value);
      if (after >= 0) process.world.mark('a generation was gone on with');
      const left = rows.filter((row) => row.place > after);
      for (const part of partsOf(left, scenario.chunkRecords)) {
        signal.throwIfAborted();
        const texts = part.map((row) => model.textOf(window.name, row));
        yield await chunkOf(texts, part.at(-1)!, { model, process, scenario, window, reading, signal });
      }
      reading.ended = true;
    },
  };
}

interface At {
  readonly model: SourceModel;
  readonly process: SimProcess;
  readonly scenario: Scenario;
  readonly window: Window;
  readonly reading: Reading;
  readonly signal: AbortSignal;
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
  if (!scenario.resumable) return chunk;
  return { ...chunk, end: { sourceName: 'rows', kind: 'sim/place', value: String(last.place) } };
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
