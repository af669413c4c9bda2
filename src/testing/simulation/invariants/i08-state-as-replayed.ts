import type { Evidence } from '../evidence.ts';
import type { FinalRecord } from '../final-view.ts';
import { laneName } from '../job.ts';
import type { SinkServer } from '../sink-server.ts';

/** I8: a sink that replaces holds, under each key, what a replay of the delivered records in order would leave. */
export function stateAsReplayed({ machine, final, book, scenario }: Evidence): void {
  if (scenario.rung !== 'put') return;
  machine.servers.forEach((server, nth) => {
    for (const [key, newest] of newestOf(final.records, laneName(nth), server)) {
      if (newest.row.state !== 'delivered') continue;
      const held = server.held.get(key)?.text;
      book.check('I8', held === newest.text, () => `key ${key} holds ${held}, delivered last was ${newest.text}`);
    }
  });
}

function newestOf(records: readonly FinalRecord[], lane: string, server: SinkServer): Map<string, FinalRecord> {
  const newest = new Map<string, FinalRecord>();
  for (const record of records) {
    if (record.row.lane !== lane) continue;
    const key = server.heldUnder(record);
    const known = newest.get(key);
    if (known === undefined || isNewer(record, known)) newest.set(key, record);
  }
  return newest;
}

/** By the order in which the source yielded them: that of the batches in which they were sealed. */
function isNewer(a: FinalRecord, b: FinalRecord): boolean {
  const [rootA, placeA] = a.identity.split('/').map(Number) as [number, number];
  const [rootB, placeB] = b.identity.split('/').map(Number) as [number, number];
  return rootA !== rootB ? rootA > rootB : placeA > placeB;
}
