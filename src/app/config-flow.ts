import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { z } from 'zod';
import type { Mapping } from '../formats/formats.ts';
import { compileMapping, functionMapping } from '../formats/mapping.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import { type HistorySettings, needsKey } from '../model/history.ts';
import type { Strategy } from '../strategies/strategy.ts';
import type { Connections, FaultyConnection } from './config-connections.ts';
import { readLoad } from './config-load.ts';
import { readSchema } from './config-schema.ts';
import type { ConnectionConfig, ConnectorList, FlowConfig, LaneConfig, SourceConfig } from './flow-config.ts';
import {
  BUILT_IN_CONNECTIONS,
  flowSchema,
  limitsSchema,
  type MappingSetting,
  sinkSchema,
  sourceSchema,
} from './flow-file.ts';
import { adviseKey } from './issues.ts';
import { didYouMean, nearest } from './nearest.ts';
import type { Path } from './places.ts';
import { keysAt } from './schema-walk.ts';
import type { SettingsReader } from './settings-reader.ts';
import { type ParameterMaker, parameterMaker } from './templates.ts';
import { parseWindow } from './windows.ts';

export interface FlowWorld {
  readonly reader: SettingsReader;
  readonly connections: Connections;
  readonly connectors: ConnectorList;
  readonly strategies: Readonly<Record<string, Strategy>>;
  /** The whole file: what a mapping that is a function may depend on. */
  readonly text: string;
}

type FlowSettings = z.output<typeof flowSchema>;
type Block = Readonly<Record<string, unknown>>;

/** One flow of the file; undefined when something in it is wrong, which has been reported then. */
export async function readFlow(name: string, raw: unknown, world: FlowWorld): Promise<FlowConfig | undefined> {
  const path: Path = ['flows', name];
  if (!isMap(raw)) return undefined;
  const { source: rawSource, sink: rawSink, sinks: rawSinks, ...rest } = raw;
  const flow = world.reader.check(
    flowSchema,
    { ...rest, ...emptied({ source: rawSource, sink: rawSink, sinks: rawSinks }) },
    path,
  );
  const reading = new FlowReading(world, path);
  const source = isMap(rawSource) ? reading.source(rawSource) : undefined;
  const lanes = reading.lanes(rawSink, rawSinks, flow);
  if (flow === undefined || source === undefined || lanes === undefined) return undefined;
  if (!reading.waysPart(source, lanes, rawSink !== undefined)) return undefined;
  if (!reading.timesAreRight(flow) || !reading.historyIsRight(flow, source)) return undefined;
  const used = [source.connection, ...lanes.map((lane) => lane.connection)];
  return {
    name,
    description: flow.description,
    source,
    lanes,
    window: flow.window,
    history: historyOf(flow.history),
    timezone: flow.timezone,
    schedule: flow.schedule,
    start: flow.start,
    deliver: flow.deliver,
    staging: flow.staging,
    leaseMs: flow.lease,
    digest: digestOf(raw, used),
  };
}

function historyOf(settings: FlowSettings['history']): HistorySettings | undefined {
  if (settings === undefined) return undefined;
  const { eventTime, ...rest } = settings;
  return eventTime === undefined ? rest : { ...rest, eventTime };
}

type Told = [message: string, more: { readonly hint: string; readonly level?: 'warning' }];
const READ_BACK = 'the source of this flow reads what is written here: each run would double it';
const DOUBLES_AMONG: Told = [
  READ_BACK,
  { hint: 'Write to a name that the path of the source does not fit, such as one in another folder.' },
];
const DOUBLES: Told = [
  READ_BACK,
  { hint: 'Write to another table, or with a strategy that takes the place of what is there, such as `merger`.' },
];
const WRITES_OVER: Told = [
  'the source of this flow reads what is written over here: what others write between the two is lost',
  { hint: 'Write to another table, or let nobody else write to this one while the flow runs.', level: 'warning' },
];

const laneSetup = ({ connection, settings }: LaneConfig) => ({ connection: connection.settings, settings });

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Source and sinks are checked apart; here only that they are maps. */
function emptied(parts: Readonly<Record<'source' | 'sink' | 'sinks', unknown>>): Block {
  const shape: Record<string, unknown> = {};
  for (const part of ['source', 'sink'] as const) {
    if (parts[part] !== undefined) shape[part] = isMap(parts[part]) ? {} : parts[part];
  }
  if (isMap(parts.sinks))
    shape.sinks = Object.fromEntries(Object.entries(parts.sinks).map(([lane, it]) => [lane, isMap(it) ? {} : it]));
  else if (parts.sinks !== undefined) shape.sinks = parts.sinks;
  return shape;
}

class FlowReading {
  readonly #world: FlowWorld;
  readonly #path: Path;

  constructor(world: FlowWorld, path: Path) {
    this.#world = world;
    this.#path = path;
  }

  source(raw: Block): SourceConfig | undefined {
    const path = [...this.#path, 'source'];
    const block = this.#block(raw, path, sourceSchema, 'source', keysAt(sourceSchema, []));
    if (block === undefined) return undefined;
    const { generic, connection, settings } = block;
    const params: Record<string, ParameterMaker> = {};
    let wrong = false;
    for (const [name, setting] of Object.entries(generic.params)) {
      const maker = parameterMaker(setting);
      if (typeof maker === 'function') params[name] = maker;
      else {
        wrong = true;
        this.#world.reader.report([...path, 'params', name], maker.wrong);
      }
    }
    const { exclude, onReject, onDuplicate } = generic;
    return wrong
      ? undefined
      : {
          name: generic.name ?? connection.name,
          connection,
          settings,
          key: generic.key ?? null,
          exclude,
          onReject,
          onDuplicate,
          params,
        };
  }

  /** A single `sink` is the lane that has its connection's name; `sinks` name their lanes. */
  lanes(sink: unknown, sinks: unknown, flow: FlowSettings | undefined): readonly LaneConfig[] | undefined {
    const { reader } = this.#world;
    if (sink === undefined && sinks === undefined) {
      reader.report(this.#path, '"sink" is missing (a map), or "sinks" for several', { at: 'key' });
      return undefined;
    }
    if (sink !== undefined && sinks !== undefined) {
      reader.report([...this.#path, 'sink'], 'a flow has either "sink" or "sinks"', {
        at: 'key',
        hint: 'Move the single sink under `sinks:`.',
      });
      return undefined;
    }
    if (isMap(sink)) {
      const name = typeof sink.connection === 'string' ? sink.connection : 'sink';
      const lane = this.#lane(name, sink, [...this.#path, 'sink'], flow);
      return lane === undefined ? undefined : [lane];
    }
    if (!isMap(sinks)) return undefined;
    if (Object.keys(sinks).length === 0) reader.report([...this.#path, 'sinks'], 'a flow needs at least one sink');
    const lanes = Object.entries(sinks).map(([name, raw]) =>
      isMap(raw) ? this.#lane(name, raw, [...this.#path, 'sinks', name], flow) : undefined,
    );
    return lanes.length === 0 || lanes.includes(undefined) ? undefined : (lanes as LaneConfig[]);
  }

  /** A flow that reads what it writes finds more at each run, and doubles it. */
  waysPart({ connection, settings }: SourceConfig, lanes: readonly LaneConfig[], single: boolean): boolean {
    const { connector } = connection;
    let part = true;
    for (const lane of lanes) {
      if (lane.connection.connector.type !== connector.type) continue;
      const back = connector.readsBack?.({ connection: connection.settings, settings }, laneSetup(lane)) ?? 'no';
      if (back === 'no') continue;
      const path = [...this.#path, ...(single ? ['sink'] : ['sinks', lane.name])];
      const rewrites = back === 'all' && this.#world.strategies[lane.strategy]?.rewrites === true;
      this.#world.reader.report(path, ...(rewrites ? WRITES_OVER : back === 'all' ? DOUBLES : DOUBLES_AMONG));
      part &&= rewrites;
    }
    return part;
  }

  #lane(name: string, raw: Block, path: Path, flow: FlowSettings | undefined): LaneConfig | undefined {
    const block = this.#block(raw, path, sinkSchema, 'sink', keysAt(sinkSchema, []));
    const strategy = (typeof raw.strategy === 'string' ? raw.strategy : flow?.strategy) ?? 'ledgered-append';
    const known = this.#strategyIsKnown(strategy, raw.strategy === undefined ? this.#path : path);
    const load = known
      ? readLoad(block?.generic.load, { ...this.#world, raw: raw.load, strategy, path: [...path, 'load'] })
      : undefined;
    const own = raw.mapping !== undefined;
    const mapping = this.#mapping(own ? block?.generic.mapping : flow?.mapping, own ? path : this.#path);
    if (block === undefined || flow === undefined || load === undefined || mapping === null) return undefined;
    const { generic, connection, settings, narrowing } = block;
    return {
      name,
      connection,
      settings,
      strategy,
      load,
      mapping,
      schema: readSchema(generic.schema ?? flow.schema),
      onDoubt: generic.onDoubt ?? flow.onDoubt ?? 'hold',
      onChanged: generic.onChanged ?? flow.onChanged ?? 'hold',
      limits: { ...narrowing, ...generic.limits },
      rate: generic.rate,
      retry: generic.retry ?? flow.retry,
    };
  }

  /** Null when it cannot be carried out. */
  #mapping(setting: MappingSetting | undefined, path: Path): Mapping | undefined | null {
    if (setting === undefined) return undefined;
    if (typeof setting === 'function') return functionMapping(setting, this.#world.text);
    try {
      return compileMapping(setting);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      this.#world.reader.report([...path, 'mapping'], error.message, { code: error.code, hint: error.hint });
      return null;
    }
  }

  #strategyIsKnown(strategy: string, path: Path): boolean {
    const { strategies, reader } = this.#world;
    if (Object.hasOwn(strategies, strategy)) return true;
    const names = Object.keys(strategies);
    const message = `there is no strategy ${JSON.stringify(strategy)}${didYouMean(strategy, names)}`;
    reader.report([...path, 'strategy'], message, { hint: `Strategies: ${names.join(', ')}.` });
    return false;
  }

  /** Takes the keys that every source or sink has out of a block, and gives the rest to the connector. */
  #block<T extends { readonly connection: string }>(
    raw: Block,
    path: Path,
    schema: z.ZodType<T>,
    side: 'source' | 'sink',
    own: ReadonlySet<string>,
  ) {
    const { reader } = this.#world;
    const connection = this.#connection(raw.connection, [...path, 'connection']);
    const connector = connection?.connector;
    const part = connector?.[side];
    const theirs = part === undefined ? new Set<string>() : keysAt(part.settings, []);
    // `batch` narrows any sink; where the connector has a setting of that name, it is the connector's.
    const isOwn = (key: string): boolean => own.has(key) && !(theirs.has(key) && ['limits', 'rate'].includes(key));
    const isNarrowing = (key: string): boolean =>
      side === 'sink' && key === 'batch' && part !== undefined && !theirs.has(key);
    const pick = (keep: (key: string) => boolean): Block =>
      Object.fromEntries(Object.entries(raw).filter(([key]) => keep(key)));
    const generic = reader.check(schema, pick(isOwn), path);
    const rest = pick((key) => !isOwn(key) && !isNarrowing(key));
    if (part === undefined) {
      this.#strangers(rest, path, own);
      if (connector !== undefined)
        reader.report([...path, 'connection'], `the connector ${connector.type} has no ${side}s`);
      return undefined;
    }
    const settings = reader.check(part.settings, rest, path, { also: own });
    const narrowing =
      raw.batch === undefined || !isNarrowing('batch') ? {} : reader.check(limitsSchema, raw.batch, [...path, 'batch']);
    if (
      generic === undefined ||
      connection === undefined ||
      'faulty' in connection ||
      settings === undefined ||
      narrowing === undefined
    )
      return undefined;
    return { generic, connection, settings, narrowing };
  }

  /** With no connector to ask, only keys that are nearly one of ours can be called wrong. */
  #strangers(rest: Block, path: Path, own: ReadonlySet<string>): void {
    for (const key of Object.keys(rest)) {
      if (nearest(key, own) === undefined) continue;
      const { message, hint } = adviseKey(key, own);
      this.#world.reader.report([...path, key], message, { at: 'key', hint });
    }
  }

  #connection(name: unknown, path: Path): ConnectionConfig | FaultyConnection | undefined {
    const { connections, reader } = this.#world;
    if (typeof name !== 'string') return undefined;
    const found = connections.get(name);
    if (found !== undefined) return found;
    const known = [...new Set([...connections.keys(), ...Object.keys(BUILT_IN_CONNECTIONS)])];
    const message = `there is no connection ${JSON.stringify(name)}${didYouMean(name, known)}`;
    const hint = `Connections: ${known.join(', ')}.`;
    reader.report(path, message, { code: 'CONNECTION_UNKNOWN', hint });
    return undefined;
  }

  /** The schedule and the start mean something only together with the window and the time zone. */
  timesAreRight(flow: FlowSettings): boolean {
    const { reader } = this.#world;
    let right = true;
    const wrong = (part: string, message: string, hint?: string): void => {
      right = false;
      reader.report([...this.#path, part], message, hint === undefined ? {} : { hint });
    };
    if (flow.schedule !== undefined) {
      try {
        new Cron(flow.schedule, { timezone: flow.timezone, paused: true, mode: '5-part' });
      } catch (error) {
        wrong(
          'schedule',
          `is no schedule of five fields: ${describeError(error)}`,
          'Minute, hour, day, month, weekday: "0 6 * * *" is every day at six.',
        );
      }
    }
    if (flow.start !== undefined) {
      try {
        parseWindow({ kind: flow.window, timezone: flow.timezone }, flow.start, 0);
      } catch (error) {
        wrong('start', describeError(error));
      }
    }
    return right;
  }

  /** History is made of what is new, and some ways to make it have to know rows apart. */
  historyIsRight({ history, window }: FlowSettings, source: SourceConfig): boolean {
    const { reader } = this.#world;
    if (history === undefined) return true;
    if (window !== 'pull') {
      reader.report([...this.#path, 'history'], 'goes with `window: pull`: history is made of what is new');
      return false;
    }
    if (!needsKey(history.merge) || source.key !== null) return true;
    reader.report([...this.#path, 'history', 'merge'], `${history.merge} has to know rows apart`, {
      hint: 'Name the columns that do under `source: { key: [...] }`.',
    });
    return false;
  }
}

/** Order of keys and descriptions do not count; a mapping that is a function counts by its text. */
function digestOf(raw: Block, connections: readonly ConnectionConfig[]): string {
  const { description: _, ...flow } = raw;
  const used = Object.fromEntries(connections.map((connection) => [connection.name, connection.raw]));
  return createHash('sha256')
    .update(canonical({ flow, connections: used }))
    .digest('hex');
}

function canonical(value: unknown): string {
  if (typeof value === 'function') return `function:${JSON.stringify(String(value))}`;
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined';
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
