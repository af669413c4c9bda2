import type { Evidence } from '../evidence.ts';
import { type LaneOfLoads, lanesOfLoads } from '../load-evidence.ts';
import type { StepEffect } from '../load-server.ts';

/**
 * I20: a step of a load leaves only after the ledger has it as begun, has its effect once, none after one of a newer
 * fence; and what is published is everything that was sealed for it, but for what was refused or given up by name.
 */
export function publishedInTurn(evidence: Evidence): void {
  for (const lane of lanesOfLoads(evidence)) {
    for (const effect of lane.server.effects) intendedAndInTurn(evidence, effect, lane);
    for (const { effect } of lane.published) wholeLoad(evidence, effect, lane);
  }
}

function intendedAndInTurn({ book }: Evidence, effect: StepEffect, { server }: LaneOfLoads): void {
  const { ability, step, sender, intended } = effect.request;
  const name = `${ability} of ${step.load.window.name}#${step.load.generation} by ${sender}`;
  book.check('I20', intended, () => `${name} left before the ledger had it as begun`);
  const before = server.effects.slice(0, server.effects.indexOf(effect));
  const mine = before.filter(({ request }) => request.step.load.family === step.load.family);
  const fenced = mine.some(({ request }) => request.step.fence > step.fence);
  book.check('I20', !fenced, () => `${name} had an effect with fence ${step.fence}, after a newer one`);
  const twice = mine.some(({ request }) => request.ability === ability && request.step.load.id === step.load.id);
  const mayRepeat = ability === 'versions.restore';
  book.check('I20', !twice || mayRepeat, () => `${name} had its effect twice`);
}

function wholeLoad(evidence: Evidence, effect: StepEffect, { lane }: LaneOfLoads): void {
  const { book, final, possiblyTwice } = evidence;
  const { window, generation } = effect.request.step.load;
  const run = final.runs.find((one) => one.window.name === window.name);
  const held = new Set(
    effect.place.map(({ request, index }) => final.batches.get(request.batch.id)?.identities[index]),
  );
  const left = givenUp(evidence);
  for (const { row, identities, texts } of final.batches.values()) {
    if (row.run !== run?.id || row.lane !== lane || row.generation !== generation || row.parent !== undefined) continue;
    identities.forEach((identity, at) => {
      const decided = texts[at]!.includes('"bad"') || possiblyTwice.has(identity) || left.has(identity);
      book.check('I20', decided || held.has(identity), () => `${identity} was not in the load when it was published`);
    });
  }
}

/**
 * What somebody has given up by name, so that the load might go without it. The ledger forgets that when a later load
 * takes the place of this one, so what was decided is looked up where it was seen.
 */
function givenUp({ book, final }: Evidence): ReadonlySet<string> {
  const skipped = book.settled.filter(({ decision }) => decision === 'skip');
  const now = final.records.filter(({ row }) => row.state === 'skipped').map(({ identity }) => identity);
  return new Set([...now, ...skipped.flatMap(({ batch }) => final.batches.get(batch)?.identities ?? [])]);
}
