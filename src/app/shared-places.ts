import type { Strategy } from '../strategies/strategy.ts';
import type { FlowConfig, LaneConfig } from './flow-config.ts';
import type { SettingsReader } from './settings-reader.ts';

const OWN_PLACE = 'Give each a place of its own.';
const OWN_ROWS =
  'Give each a place of its own. In a table each may name its rows: `load: { scope: { column: …, value: … } }`.';

interface Writer {
  readonly flow: string;
  readonly lane: LaneConfig;
  readonly place: string;
}

/**
 * Warns of lanes that take the place of what another lane of the file brings: its records were delivered, and are gone.
 * A warning, since it may be meant: a flow that loads everything again beside one that brings what is new.
 */
export function warnOfSharedPlaces(
  flows: ReadonlyMap<string, FlowConfig>,
  {
    strategies,
    reader,
    raw,
  }: {
    readonly strategies: Readonly<Record<string, Strategy>>;
    readonly reader: Pick<SettingsReader, 'report'>;
    readonly raw: Readonly<Record<string, unknown>>;
  },
): void {
  const writers = [...flows.values()].flatMap((flow) => flow.lanes.flatMap((lane) => writerOf(flow, lane)));
  for (const writer of writers) {
    const { flow, lane, place } = writer;
    const strategy = strategies[lane.strategy];
    if (strategy?.load?.displaces?.(lane.load) !== true) continue;
    const others = writers.filter((other) => other !== writer && other.place === place);
    if (others.length === 0) continue;
    const names = [...new Set(others.map((other) => nameBeside(flow, other)))];
    const [write, they] = names.length === 1 ? ['writes', 'it has'] : ['write', 'they have'];
    const self = others.some((other) => other.flow === flow) ? 'lane' : 'flow';
    const who = names.join(' and ');
    const message = `${who} ${write} here too: what ${they} brought is gone once this ${self} has loaded`;
    const path = ['flows', flow, ...(isSingle(raw[flow]) ? ['sink'] : ['sinks', lane.name])];
    reader.report(path, message, {
      hint: strategy.load.uses.includes('scope') ? OWN_ROWS : OWN_PLACE,
      level: 'warning',
    });
  }
}

function writerOf({ name: flow }: FlowConfig, lane: LaneConfig): Writer[] {
  const { connector, settings } = lane.connection;
  const place = connector.sink?.place?.(settings, lane.settings, { flow, lane: lane.name });
  return place === undefined ? [] : [{ flow, lane, place: JSON.stringify([connector.type, place]) }];
}

const nameBeside = (own: string, { flow, lane }: Writer): string =>
  flow === own ? `lane ${lane.name}` : `flow ${flow}`;

const isSingle = (raw: unknown): boolean => typeof raw === 'object' && raw !== null && 'sink' in raw;
