import { packKeyText } from '../../../formats/keys.ts';
import type { Evidence } from '../evidence.ts';
import { laneName } from '../job.ts';
import { historyOf } from '../pull-scenario.ts';

/** I1: whatever the source yielded and the ledger read past is in exactly one live place. */
export function nothingHidden(evidence: Evidence): void {
  eachPlaceOnce(evidence);
  lastReadingIsThere(evidence);
}

function eachPlaceOnce({ final, book }: Evidence): void {
  const live = new Map<string, number>();
  for (const { identity } of final.records) live.set(identity, (live.get(identity) ?? 0) + 1);
  for (const { row, identities } of final.batches.values()) {
    if (row.parent !== undefined) continue;
    for (const identity of identities) {
      const times = live.get(identity) ?? 0;
      book.check('I1', times === 1, () => `record ${identity} stands in ${times} live places`);
    }
  }
}

/** The reading with which a generation was closed: each of its records is in a batch, left out by name, or the same. */
function lastReadingIsThere(evidence: Evidence): void {
  const { final, book, machine, scenario } = evidence;
  // Not every row makes one of history: see I21.
  if (scenario.pull !== undefined && historyOf(scenario.pull) !== undefined) return;
  for (const run of final.runs) {
    const closed = book.closed.filter((one) => one.run === run.id).at(-1);
    const reading = machine.source.readings.find((one) => one === closed?.reading);
    if (reading === undefined) continue;
    for (let nth = 0; nth < scenario.lanes; nth++) {
      const known = countsOf(evidence, run.id, laneName(nth));
      for (const [name, needed] of needsOf(reading.texts, evidence)) {
        const times = known.get(name) ?? 0;
        const holds = scenario.keyed ? times > 0 : times >= needed;
        book.check('I1', holds, () => `${name} was read ${needed} times, ${laneName(nth)} has it ${times} times`);
      }
    }
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Of a keyed flow the keys, of any other the contents, and how often each. */
function needsOf(texts: readonly string[], { scenario, machine }: Evidence): Map<string, number> {
  const needs = new Map<string, number>();
  for (const text of texts) {
    const { id } = JSON.parse(text) as { id?: string };
    const name = scenario.keyed ? hex(packKeyText([id!], machine.bench.identity.seed)) : text;
    needs.set(name, (needs.get(name) ?? 0) + 1);
  }
  return needs;
}

function countsOf({ final, scenario }: Evidence, run: number, lane: string): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { row, key, text } of final.records) {
    if (row.run === run && row.lane === lane) add(scenario.keyed ? key : text);
  }
  for (const row of final.unbatched) {
    if (row.run === run && row.lane === lane && row.key !== undefined) add(hex(row.key));
  }
  return counts;
}
