import type { Seal } from '../book.ts';
import type { Evidence } from '../evidence.ts';
import { laneName } from '../job.ts';
import { expectedHistory, type LogRow, NO_HISTORY } from '../pull-model.ts';
import { historyOf, OPERATION_COLUMN, PLACE } from '../pull-scenario.ts';

/**
 * I21: pulls bring each row of the log once. Every slice begins where the one before has ended, its offsets follow on
 * theirs, and what the lanes have is what the rows between the positions make, told by a model that knows no ledger.
 */
export function pulledOnce(evidence: Evidence): void {
  const { book, scenario, final, machine } = evidence;
  const { pull } = scenario;
  if (pull === undefined) return;
  const made: LogRow[] = [];
  const model = historyOf(pull) === undefined ? NO_HISTORY : expectedHistory(pull.merge);
  let before = -1;
  for (const seal of book.seals.filter(({ slice }) => slice !== undefined)) {
    const rows = rowsOf(seal, before, evidence);
    const out = model(rows);
    const { offset, records } = seal.slice!;
    const told = `the slice up to ${seal.position} by ${seal.process}`;
    book.check('I21', offset === made.length, () => `${told} begins at ${offset}, not at ${made.length}`);
    book.check('I21', records === out.length, () => `${told} has ${records} records, not ${out.length}`);
    made.push(...out);
    before = Number(seal.position);
  }
  const stands = final.positions.map(({ value }) => Number(value));
  const expected = before === -1 ? [] : [before];
  book.check('I21', String(stands) === String(expected), () => `the position is ${stands}, not ${expected}`);
  const there = final.slices.map(({ offset, position }) => `${offset} ${position.value}`);
  const sealed = book.seals.flatMap(({ slice, position }) =>
    slice === undefined ? [] : `${slice.offset} ${position}`,
  );
  book.check('I21', String(there) === String(sealed), () => `the slices are ${there}, sealed were ${sealed}`);
  for (let nth = 0; nth < scenario.lanes; nth++) laneHas(made, laneName(nth), evidence);
  nothingBehind(before, made, machine.source.log, evidence);
}

/** What its process was given between the slice before and this one. */
function rowsOf({ process, position }: Seal, before: number, { book, machine }: Evidence): readonly LogRow[] {
  const reading = machine.source.readings.findLast((one) => one.process === process);
  const began = reading?.after ?? Number.NaN;
  book.check('I21', began <= before, () => `${process} has read behind ${began} and sealed after ${before}`);
  const rows = (reading?.texts ?? []).map((text) => JSON.parse(text) as LogRow);
  return rows.filter((row) => Number(row[PLACE]) > before && Number(row[PLACE]) <= Number(position));
}

function laneHas(made: readonly LogRow[], lane: string, { final, book, scenario }: Evidence): void {
  const there = final.records
    .filter(({ row }) => row.lane === lane)
    .map(({ text }) => spelled(JSON.parse(text) as LogRow));
  const wanted = made.map((row, offset) => spelled(historyOf(scenario.pull!) === undefined ? row : { ...row, offset }));
  const [missing, extra] = [without(wanted, there), without(there, wanted)];
  book.check('I21', missing.length === 0, () => `${lane} has not ${missing.join(' ')}`);
  book.check('I21', extra.length === 0, () => `${lane} has more than was pulled: ${extra.join(' ')}`);
}

/** The rows that still stand before the position were all brought, or compared and found known. */
function nothingBehind(
  position: number,
  made: readonly LogRow[],
  log: readonly { readonly place: number }[],
  { book, scenario }: Evidence,
): void {
  if (historyOf(scenario.pull!) !== undefined) return;
  const places = new Set(made.map((row) => row[PLACE]));
  const lost = log.filter(({ place }) => place <= position && !places.has(place)).map(({ place }) => place);
  book.check('I21', lost.length === 0, () => `the position ${position} has passed ${lost}, which nobody has`);
}

/** The times at which rows were taken in are the clock's. */
function spelled({ system_time: _, event_time: __, ...row }: LogRow): string {
  const cells = Object.entries(row).map(([name, value]) => `${name === OPERATION_COLUMN ? 'op' : name}=${value}`);
  return cells.sort().join();
}

/** Those of a list that are not in another, as often as they are too many. */
function without(list: readonly string[], other: readonly string[]): readonly string[] {
  const left = new Map<string, number>();
  for (const one of other) left.set(one, (left.get(one) ?? 0) + 1);
  return list.filter((one) => {
    const count = left.get(one) ?? 0;
    left.set(one, count - 1);
    return count <= 0;
  });
}
