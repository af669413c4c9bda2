import type { OpenContext, Sink, Source } from '../connectors/connector.ts';
import type { Job, LaneJob, SourceJob } from '../engine/engine.ts';
import type { Limits } from '../model/batch.ts';
import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';
import type { Parameters, Window } from '../model/window.ts';
import { type Fit, NO_FACTS, type Strategy } from '../strategies/strategy.ts';
import type { FlowConfig, LaneConfig } from './flow-config.ts';
import type { SecretStore } from './secrets.ts';
import { windowParameters } from './windows.ts';

/** What connectors are opened with, and the strategies that there are. */
export interface WireWorld {
  readonly ports: Ports;
  readonly folder: string;
  readonly secrets: SecretStore;
  readonly strategies: Readonly<Record<string, Strategy>>;
}

export interface WiredJob {
  readonly job: Job;
  /** Closes every source and sink, also when one of them fails to; resolves with what failed. */
  close(): Promise<readonly unknown[]>;
}

export interface WiredFlow {
  readonly source: SourceJob;
  readonly lanes: readonly LaneJob[];
  /** As of a job. */
  close(): Promise<readonly unknown[]>;
}

/** One window of one flow, ready for the engine. Opens sources and sinks, which does no I/O. */
export function wireJob(flow: FlowConfig, window: Window, world: WireWorld, correlationId?: string): WiredJob {
  const { source, lanes, close } = wireFlow(flow, world);
  const job: Job = {
    flow: flow.name,
    window,
    parameters: parametersOf(flow, window),
    source,
    lanes,
    deliver: flow.deliver,
    keep: flow.staging,
    configDigest: flow.digest,
    ...(correlationId === undefined ? {} : { correlationId }),
  };
  return { job, close };
}

/** Source and sinks of a flow, whatever the window. */
export function wireFlow(flow: FlowConfig, world: WireWorld): WiredFlow {
  const opened: (Source | Sink)[] = [];
  const context = openContext(world);
  const source = openSource(flow, context);
  opened.push(source);
  const lanes = flow.lanes.map((lane) => {
    const sink = openSink(flow.name, lane, context);
    opened.push(sink);
    return laneJob(flow, lane, sink, world.strategies);
  });
  const { name, key, exclude, onReject, onDuplicate } = flow.source;
  return { source: { name, source, key, exclude, onReject, onDuplicate }, lanes, close: () => closeAll(opened) };
}

/** The sinks alone: to see what they can do, or to ask them. */
export function wireLanes(
  flow: FlowConfig,
  world: WireWorld,
): { lanes: readonly LaneJob[]; close(): Promise<readonly unknown[]> } {
  const context = openContext(world);
  const sinks = flow.lanes.map((lane) => openSink(flow.name, lane, context));
  const lanes = flow.lanes.map((lane, at) => laneJob(flow, lane, sinks[at]!, world.strategies));
  return { lanes, close: () => closeAll(sinks) };
}

export const fitOf = (lane: LaneJob): Fit => lane.strategy.fit(lane.sink, lane.facts ?? NO_FACTS);

export function openContext(world: WireWorld): OpenContext {
  return {
    ports: world.ports,
    folder: world.folder,
    secret: (reference) => world.secrets.resolve(reference).reveal(),
    stdin: process.stdin,
    stdout: process.stdout,
  };
}

function openSource(flow: FlowConfig, context: OpenContext): Source {
  const { connection, settings } = flow.source;
  const side = connection.connector.source;
  if (side === undefined) throw notA(flow.name, connection.connector.type, 'source');
  return side.open(connection.settings, settings, context);
}

function openSink(flow: string, lane: LaneConfig, context: OpenContext): Sink {
  const side = lane.connection.connector.sink;
  if (side === undefined) throw notA(flow, lane.connection.connector.type, 'sink');
  return side.open(lane.connection.settings, lane.settings, context);
}

const notA = (flow: string, connector: string, side: string): WaybillError =>
  new WaybillError('CONFIG_INVALID', `flow ${flow}: the connector ${connector} has no ${side}s`, {
    ids: { flow, connector },
  });

function laneJob(
  flow: FlowConfig,
  lane: LaneConfig,
  sink: Sink,
  strategies: Readonly<Record<string, Strategy>>,
): LaneJob {
  const strategy = Object.hasOwn(strategies, lane.strategy) ? strategies[lane.strategy] : undefined;
  if (strategy === undefined) {
    throw new WaybillError('CONFIG_INVALID', `lane ${lane.name}: there is no strategy ${lane.strategy}`, {
      ids: { lane: lane.name },
    });
  }
  const { attempts, firstDelay, maxDelay, maxAge } = lane.retry;
  const rate = lane.rate === undefined ? undefined : withoutHoles(lane.rate);
  return {
    name: lane.name,
    connector: lane.connection.connector.type,
    sink,
    strategy,
    facts: { key: flow.source.key, sentKey: sentKeyOf(flow, lane), window: flow.window, load: lane.load },
    limits: narrowed(sink.limits, lane.limits),
    onDoubt: lane.onDoubt,
    onChanged: lane.onChanged,
    retry: { attempts, firstDelayMs: firstDelay, maxDelayMs: maxDelay, maxAgeMs: maxAge },
    ...(lane.mapping === undefined ? {} : { mapping: lane.mapping }),
    ...(lane.schema === undefined ? {} : { schema: lane.schema }),
    ...(rate === undefined ? {} : { rate }),
    ...(lane.limits.intendAhead === undefined ? {} : { intendAhead: lane.limits.intendAhead }),
  };
}

function sentKeyOf({ source: { key } }: FlowConfig, { mapping }: LaneConfig): readonly string[] | null {
  if (key === null || mapping === undefined) return key;
  const fields = key.flatMap((column) => mapping.sentAs?.(column) ?? []);
  return fields.length === key.length ? fields : null;
}

/** A flow file can ask for less than the sink takes, never for more. */
function narrowed(limits: Limits, wish: LaneConfig['limits']): Limits {
  const bytes = Math.min(limits.bytesPerBatch ?? Number.POSITIVE_INFINITY, wish.maxBytes ?? Number.POSITIVE_INFINITY);
  return {
    recordsPerBatch: Math.min(limits.recordsPerBatch, wish.maxRecords ?? limits.recordsPerBatch),
    inFlight: Math.min(limits.inFlight, wish.inFlight ?? limits.inFlight),
    ...(Number.isFinite(bytes) ? { bytesPerBatch: bytes } : {}),
  };
}

/** The same without the fields that are there and undefined. */
function withoutHoles<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function parametersOf(flow: FlowConfig, window: Window): Parameters {
  const cut = { kind: flow.window, timezone: flow.timezone };
  const own = Object.entries(flow.source.params).map(
    ([name, make]) => [name, make({ cut, window, flow: flow.name })] as const,
  );
  return { ...windowParameters(cut, window), ...Object.fromEntries(own) };
}

async function closeAll(opened: readonly (Source | Sink)[]): Promise<readonly unknown[]> {
  const ends = await Promise.allSettled(opened.map(async (one) => await one.close?.()));
  return ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
}
