import type { LoadRow } from '../../model/load.ts';
import type { Evidence } from './evidence.ts';
import { laneName } from './job.ts';
import type { ModelLoad } from './load-model.ts';
import type { LoadServer, StepEffect } from './load-server.ts';
import type { SinkEffect } from './sink-request.ts';

/** A load that the sink has really published, and what the ledger says of it. */
export interface PublishedLoad extends ModelLoad {
  readonly effect: StepEffect;
  /** Undefined: the ledger knows no such load. */
  readonly row: LoadRow | undefined;
}

/** One lane: what its sink did, and what its loads should have held by the ledger. */
export interface LaneOfLoads {
  readonly lane: string;
  readonly server: LoadServer;
  /** In the order in which the sink published them. */
  readonly published: readonly PublishedLoad[];
  /** All that has changed what readers see: those, and how the sink went back in between. */
  readonly steps: readonly PublishedLoad[];
}

const PUBLISHING: ReadonlySet<string> = new Set([
  'appendLoad',
  'replace',
  'merge',
  'mergeAt',
  'addToPeriod',
  'publish',
]);

export function lanesOfLoads(evidence: Evidence): readonly LaneOfLoads[] {
  return evidence.machine.servers.flatMap(({ loads: server }, nth) => {
    if (server === undefined) return [];
    const lane = laneName(nth);
    const steps = server.effects.filter(isSeen).map((effect) => publishedLoad(evidence, lane, effect));
    return [{ lane, server, steps, published: steps.filter(({ back }) => back !== true) }];
  });
}

const wentBack = ({ request }: StepEffect): boolean => request.ability === 'versions.restore';

/** Readers see what it has done. */
export const isSeen = (effect: StepEffect): boolean => PUBLISHING.has(effect.request.ability) || wentBack(effect);

function publishedLoad(evidence: Evidence, lane: string, effect: StepEffect): PublishedLoad {
  const { load } = effect.request.step;
  const row = evidence.final.loads.find(
    (one) => one.lane === lane && one.window.name === load.window.name && one.generation === load.generation,
  );
  const about = { id: load.id, window: load.window, effect, row };
  if (wentBack(effect)) return { ...about, texts: [], back: true };
  return { ...about, texts: textsOf(evidence, lane, effect, row) };
}

/**
 * By the ledger: the records of the generation that it calls delivered. Where it says of itself that it does not know,
 * since somebody has decided without proof or the load was taken out again later, by what the place held.
 */
function textsOf(
  { final, possiblyTwice }: Evidence,
  lane: string,
  { place, request }: StepEffect,
  row: LoadRow | undefined,
): readonly string[] {
  if (row?.state !== 'published') return place.map(({ text }) => text);
  const { run, generation } = row;
  const records = final.records.filter(
    (one) => one.row.run === run && one.row.lane === lane && one.row.generation === generation,
  );
  const unsure = (batch: number, identity: string): boolean =>
    final.batches.get(batch)?.row.possibly !== undefined || possiblyTwice.has(identity);
  const sure = records.filter((one) => one.row.state === 'delivered' && !unsure(one.batch.id, one.identity));
  const identityOf = ({ request: sent, index }: SinkEffect): string =>
    final.batches.get(sent.batch.id)?.identities[index] ?? 'unknown to the ledger';
  void request;
  return [
    ...sure.map(({ text }) => text),
    ...place.filter((one) => unsure(one.request.batch.id, identityOf(one))).map(({ text }) => text),
  ];
}
