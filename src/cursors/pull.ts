import type { Look, LookNotice, ReadRange, Source } from '../connectors/connector.ts';
import { convert } from '../formats/convert.ts';
import { type Chunk, endChunk } from '../model/chunk.ts';
import { WaybillError } from '../model/errors.ts';
import type { Position } from '../model/position.ts';
import { ANY_TYPE, type CursorSession, type CursorSource, type Top } from './cursor.ts';
import { type CursorPlace, cursorPosition, readPlace } from './place.ts';
import type { Bound, Stretch } from './stretch.ts';
import { type CursorRows, countSeen, rowColumns, rowDigest, TIES_MAX, Ties, withoutSeen } from './ties.ts';

/** Rows of a notice are not counted further than this: it says `more than`. */
const NOTICE_ROWS = 100_000;

/** Reads what lies behind `range.from`, and says at the end of each chunk where that is. */
export async function* readByCursor(
  source: CursorSource,
  range: ReadRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const session = await source.open(range, signal);
  try {
    const from = placeOf(source, session, range);
    const { bound, newest } = await session.top(from);
    await expectNameable(source, session, newest);
    const reading = new Reading(source, session, range);
    for await (const rows of headOf(session, from)) {
      signal.throwIfAborted();
      const chunk = reading.head(rows, from);
      if (chunk !== undefined) yield chunk;
    }
    if (newest !== undefined) {
      for await (const rows of session.rows(restOf(from, bound))) {
        signal.throwIfAborted();
        yield reading.next(rows);
      }
    }
    const last = reading.last();
    if (last !== undefined) yield last;
  } finally {
    await session.end();
  }
}

export async function lookByCursor(source: CursorSource, range: ReadRange, signal: AbortSignal): Promise<Look> {
  const session = await source.open(range, signal);
  try {
    const from = placeOf(source, session, range);
    const top = await session.top(from);
    const isNew = await hasNew(session, from, top);
    const notices = await noticesOf(source, session, from, top);
    const why = from === undefined ? 'it holds no row yet' : `there is no row behind ${shown(from)}`;
    return { ...(isNew ? { kind: 'new' } : { kind: 'unchanged', why }), ...(notices.length > 0 ? { notices } : {}) };
  } finally {
    await session.end();
  }
}

/** How many records `readByCursor` would bring. */
export async function remainingByCursor(source: CursorSource, range: ReadRange, signal: AbortSignal): Promise<number> {
  const session = await source.open(range, signal);
  try {
    const from = placeOf(source, session, range);
    const { bound } = await session.top(from);
    const rest = await session.count(restOf(from, bound), Number.MAX_SAFE_INTEGER);
    return rest + (await newAtHead(session, from));
  } finally {
    await session.end();
  }
}

/** The parts of a source that are there because it has a cursor. */
export function cursorParts(source: CursorSource): Required<Pick<Source, 'pulls'>> {
  return {
    pulls: {
      refuses: (position) => {
        const place = readPlace(position, source.columns);
        return typeof place === 'string' ? place : undefined;
      },
      look: (range, signal) => lookByCursor(source, range, signal),
    },
  };
}

/** A position that cannot be read is no position: the caller has been told so by `refuses`. */
function placeOf({ columns }: CursorSource, { types }: CursorSession, { from }: ReadRange): CursorPlace | undefined {
  const place = from === undefined ? undefined : readPlace(from, columns);
  if (place === undefined || typeof place === 'string') return undefined;
  const changed = types.findIndex(
    (type, at) => ![type, ANY_TYPE].includes(place.types?.[at] ?? type) && type !== ANY_TYPE,
  );
  if (changed < 0) return place;
  const [name, was, is] = [JSON.stringify(columns[changed]), place.types?.[changed], types[changed]];
  throw new WaybillError(
    'SOURCE_INVALID',
    `the cursor column ${name} is now of the type ${is}, and the position is a value of the type ${was}`,
    {
      hint:
        'Values of another type may be in another order. Set the position to a value of the new type, or reset it ' +
        'to read everything again: `waybill state FLOW set` or `reset`.',
    },
  );
}

function restOf(from: CursorPlace | undefined, bound: Bound | undefined): Stretch {
  return {
    ...(from === undefined ? {} : { after: from.values }),
    ...(bound === undefined ? {} : { upTo: bound }),
  };
}

async function* headOf(session: CursorSession, from: CursorPlace | undefined): AsyncGenerator<CursorRows> {
  if (from === undefined || from.seen === null) return;
  yield* session.rows({ at: from.values }, from.as);
}

async function hasNew(session: CursorSession, from: CursorPlace | undefined, top: Top): Promise<boolean> {
  if (from === undefined) return top.newest !== undefined;
  if ((await session.count(restOf(from, top.bound), 1)) > 0) return true;
  return (await newAtHead(session, from)) > 0;
}

async function newAtHead(session: CursorSession, from: CursorPlace | undefined): Promise<number> {
  const seen = countSeen(from?.seen ?? []);
  let count = 0;
  // To the end, since the session can be asked nothing else before.
  for await (const { chunk } of headOf(session, from)) count += withoutSeen(chunk, seen, from?.of).count;
  return count;
}

/** Better before anything is read: a pull that could not say where it ends would bring nothing. */
async function expectNameable(source: CursorSource, session: CursorSession, newest: string | undefined): Promise<void> {
  if (newest === undefined || session.settled || source.columns.length > 1) return;
  if ((await session.count({ at: [newest] }, TIES_MAX + 1)) > TIES_MAX) throw tooManyTies(source, newest);
}

function tooManyTies({ columns }: CursorSource, value: string): WaybillError {
  const cursor = columns.join(', ');
  return new WaybillError(
    'SOURCE_INVALID',
    `more than ${TIES_MAX} rows have the newest value of the cursor ${cursor} (${value}), so a later one among them ` +
      'could not be told from those that were read',
    {
      hint:
        `Add the key of the rows to the cursor (\`cursor: [${cursor}, id]\`), or let the reading stay behind with ` +
        '`lag` until such values are settled.',
    },
  );
}

const shown = ({ columns, values }: CursorPlace): string =>
  columns.map((column, at) => `${column} = ${values[at]}`).join(', ');

async function noticesOf(
  { columns }: CursorSource,
  session: CursorSession,
  from: CursorPlace | undefined,
  top: Top,
): Promise<readonly LookNotice[]> {
  const notices = [...(top.notices ?? [])];
  const tell = (kind: string, message: string) => notices.push({ kind, message });
  const nulls = await session.count('nulls', NOTICE_ROWS + 1);
  if (nulls > 0) tell('cursor-null', `${many(nulls)} without a value in ${columns.join(', ')} and never read`);
  if (top.now !== undefined) {
    const ahead = await session.count({ beyond: top.now }, NOTICE_ROWS + 1);
    const when = `a ${columns[0]} later than the time of the server (${top.now})`;
    if (ahead > 0) tell('cursor-ahead', `${many(ahead)} with ${when}: read when their time has come`);
  }
  if (from !== undefined && top.newest !== undefined && (await isBehind(session, from))) {
    const newest = `the newest ${columns[0]} is ${top.newest}, and the position stands at ${shown(from)}`;
    tell(
      'cursor-behind',
      `${newest}: rows were removed, or are numbered anew; reset the position if they have to be read again`,
    );
  }
  return notices;
}

/** Whether every row lies before the position. */
async function isBehind(session: CursorSession, { values }: CursorPlace): Promise<boolean> {
  if ((await session.count({ after: values }, 1)) > 0) return false;
  return (await session.count({ at: values }, 1)) === 0;
}

const many = (count: number): string => {
  const rows = count > NOTICE_ROWS ? `more than ${NOTICE_ROWS} rows are` : `${count} rows are`;
  return count === 1 ? '1 row is' : rows;
};

/** One reading: numbers its rows and knows where it stands. */
class Reading {
  readonly #source: CursorSource;
  readonly #session: CursorSession;
  readonly #takes: ReadRange['takes'];
  readonly #ties: Ties;
  /** Rows at the position that were read before and are not found yet; found later, they are still not new. */
  #left: Map<string, number> | undefined;
  #present: string[] = [];
  #rows = 0;
  /** Rows that were read before the first one behind the position. */
  #ahead: number | undefined;
  /** Something was handed over, and no position behind it. */
  #unplaced: readonly string[] | undefined;
  /** Rows came of which none could be read as a record, and no record before them. */
  #unread = false;
  readonly #from: Position | undefined;

  constructor(source: CursorSource, session: CursorSession, { takes, from }: ReadRange) {
    this.#source = source;
    this.#session = session;
    this.#takes = takes;
    this.#from = from;
    this.#ties = new Ties(session.types);
  }

  /** Rows with the very value of the position: those that were not read yet. Undefined: there are none. */
  head({ chunk, valuesAt }: CursorRows, from: CursorPlace | undefined): Chunk | undefined {
    this.#left ??= countSeen(from?.seen ?? []);
    for (let place = 0; place < chunk.count && this.#present.length <= TIES_MAX; place++) {
      this.#present.push(rowDigest(chunk, place));
    }
    const fresh = withoutSeen(chunk, this.#left, from?.of);
    if (fresh.count === 0) return undefined;
    const values = valuesAt(0);
    const seen = [...this.#present, ...[...this.#left].flatMap(([one, times]) => Array<string>(times).fill(one))];
    const of = rowColumns(chunk);
    const place = { values, seen, as: chunk.format, ...(of === undefined ? {} : { of }) };
    const end = seen.length > TIES_MAX ? undefined : this.#position(place);
    return this.#handed(this.#numbered(this.#taken(fresh)), values, end);
  }

  /** Rows behind the position. */
  next(rows: CursorRows): Chunk {
    this.#ahead ??= this.#rows;
    const end = this.#ties.add(rows);
    // Nothing of it could be read as a record: it stands where what was read before does.
    if (end === undefined && rows.chunk.count === 0) {
      this.#unread ||= this.#rows === 0;
      return rows.chunk;
    }
    this.#unread = false;
    const firstRow = rows.chunk.firstRow + this.#ahead;
    this.#rows = firstRow + rows.chunk.count - 1;
    const place = end === undefined ? undefined : this.#position(end);
    return this.#handed({ ...rows.chunk, firstRow }, this.#ties.values ?? [], place);
  }

  /** What says where the reading ends, if no chunk has. */
  last(): Chunk | undefined {
    const values = this.#unplaced;
    if (values === undefined) return this.#unread ? this.#notMoved() : undefined;
    if (!this.#session.settled) throw tooManyTies(this.#source, values.join(', '));
    return endChunk(this.#position({ values, seen: null }), { firstRow: this.#rows + 1 });
  }

  /** It stands where it stood: rows that nobody could read are met again, until they are mended or others come. */
  #notMoved(): Chunk {
    if (this.#from !== undefined) return endChunk(this.#from, { firstRow: 1 });
    throw new WaybillError(
      'SOURCE_INVALID',
      'none of the rows could be read as a record, so no position says where it ends',
      {
        hint: 'Correct one of them at least; `onReject: stop` says which is the first.',
      },
    );
  }

  #handed(chunk: Omit<Chunk, 'end'>, values: readonly string[], end: Position | undefined): Chunk {
    this.#unplaced = end === undefined ? values : undefined;
    return end === undefined ? chunk : { ...chunk, end };
  }

  #numbered(chunk: Omit<Chunk, 'end'>): Omit<Chunk, 'end'> {
    const firstRow = this.#rows + 1;
    this.#rows += chunk.count;
    return { ...chunk, firstRow };
  }

  /** Rows were read in the format of the position, which not every lane may take today. */
  #taken(chunk: Omit<Chunk, 'end'>): Omit<Chunk, 'end'> {
    if (chunk.format === 'ndjson' || this.#takes?.includes(chunk.format) === true) return chunk;
    const { dropped: _, failed, from: __, ...converted } = convert(chunk, 'ndjson');
    const failure = failed[0];
    if (failure !== undefined) throw new WaybillError('SOURCE_FAILED', failure.message);
    return { ...converted, firstRow: chunk.firstRow };
  }

  #position(place: Omit<CursorPlace, 'columns' | 'types'>): Position {
    const { columns, sourceName } = this.#source;
    return cursorPosition(sourceName, { columns, types: this.#session.types, ...place });
  }
}
