import type { LaneJob } from '../engine/engine.ts';
import { WaybillError } from '../model/errors.ts';
import { nearestFit } from '../strategies/nearest.ts';
import { NO_FACTS } from '../strategies/strategy.ts';
import { fitMatrix } from './fit-matrix.ts';

/** Why the strategy of a lane cannot keep its promise, and what comes nearest and can. Undefined where it can. */
export async function whyImpossible(lane: LaneJob): Promise<{ message: string; hint: string } | undefined> {
  const facts = lane.facts ?? NO_FACTS;
  const fit = lane.strategy.fit(lane.sink, facts);
  if (fit.fits) return whyNoPolicy(lane);
  const { name } = lane.strategy;
  const nearest = nearestFit(name, lane.sink, facts);
  const here =
    nearest === undefined
      ? 'No strategy fits this sink.'
      : `The nearest that fits this sink is \`strategy: ${nearest.strategy.name}\`: ${nearest.fit.guarantee.promise}`;
  const elsewhere = await sinksFor(name, lane.connector);
  return {
    message: `lane ${lane.name}: ${name} does not fit this sink: ${fit.reason}`,
    hint: elsewhere.length === 0 ? here : `${here} ${name} itself fits sinks of ${elsewhere.join(', ')}.`,
  };
}

/** Fields are looked at, and left out, of records that carry their names. */
function whyNoPolicy({ name, schema, sink }: LaneJob): { message: string; hint: string } | undefined {
  if (schema?.policy === undefined || sink.accepts.some(({ format }) => format === 'ndjson')) return undefined;
  return {
    message: `lane ${name}: \`schema: ${schema.policy}\` does not fit a sink that takes no JSON`,
    hint: 'Leave `schema` out for this lane, or write another format.',
  };
}

/** Throws PROMISE_IMPOSSIBLE for the first lane whose strategy cannot keep its promise, before anything is begun. */
export async function requireFits(flow: string, lanes: readonly LaneJob[]): Promise<void> {
  for (const lane of lanes) {
    const why = await whyImpossible(lane);
    if (why === undefined) continue;
    throw new WaybillError('PROMISE_IMPOSSIBLE', `flow ${flow}, ${why.message}`, {
      hint: why.hint,
      ids: { flow, lane: lane.name },
    });
  }
}

/** Other connectors of which some sink fits; this one too where it does when it is set up in another way. */
async function sinksFor(strategy: string, connector: string): Promise<readonly string[]> {
  const fitting = (await fitMatrix()).filter((row) =>
    row.cells.some((cell) => cell.strategy === strategy && cell.fit.fits),
  );
  const own = fitting.filter((row) => row.connector === connector).map((row) => `${connector} (${row.sample})`);
  const others = fitting.map((row) => row.connector).filter((type) => type !== connector && type !== 'memory');
  return [...own, ...new Set(others)];
}
