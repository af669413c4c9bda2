import { userInfo } from 'node:os';
import type { PersonServices } from '../engine/person.ts';
import { showKey } from '../formats/keys.ts';
import type { BatchRow, Ledger, LedgerReader, Moved, RecordRow, RunRow } from '../ledger/ledger.ts';
import { isRanges } from '../ledger/staging.ts';
import { assert } from '../model/assert.ts';
import { WaybillError } from '../model/errors.ts';
import type { BatchId, RunId } from '../model/ids.ts';
import type { Ports } from '../model/ports.ts';
import type { Position } from '../model/position.ts';
import type { Window } from '../model/window.ts';
import type { MetadataBlock, OdfSpelling } from '../odf/blocks.ts';
import { type BackfillWorld, backfillPlan, backfillTurn } from './backfill.ts';
import type { BackfillPlan } from './backfill-plan.ts';
import { BatchBytes } from './batch-bytes.ts';
import { discover } from './discovery.ts';
import { diagnose } from './doctor.ts';
import { checkFlows, requireFlow, requireSecrets, requireSound } from './findings.ts';
import type { Config, FlowConfig } from './flow-config.ts';
import { copyLedger } from './ledger-copy.ts';
import type { LedgerHome } from './ledger-home.ts';
import { exportOdf } from './odf-export.ts';
import { ownerOf } from './owner.ts';
import { retryBatches, settleBatches } from './person.ts';
import { goOn, planPull, pull } from './pulls.ts';
import { planWindow, type RunWorld, runWindow } from './running.ts';
import { dueWindows } from './schedule.ts';
import { withTakeover } from './takeover.ts';
import { type TraceFilter, traceKey, verifyStaging } from './tracing.ts';
import type {
  BackfillAsk,
  BackfillTurn,
  Diagnosis,
  Discovery,
  Finding,
  FlowInfo,
  PlanOptions,
  PullOptions,
  PullOutcome,
  ReadableTrace,
  RunOptions,
  SettleAsk,
  Waybill,
} from './waybill.ts';
import { parseWindow, windowsFrom } from './windows.ts';
import { fitOf, type WireWorld, wireLanes } from './wire.ts';

export interface InstanceParts {
  readonly config: Config;
  readonly ports: Ports;
  readonly home: LedgerHome;
  readonly world: WireWorld;
  /** PGPASSWORD, for a server that a ledger is copied to. */
  readonly password: string | undefined;
}

/** One flow file and one ledger: what `openWaybill` gives out. Holds little; each method is at home in its own file. */
export class Instance implements Waybill {
  readonly file: string;
  readonly #config: Config;
  readonly #ports: Ports;
  readonly #home: LedgerHome;
  readonly #world: WireWorld;
  readonly #owner: string;
  readonly #password: string | undefined;
  #infos: readonly FlowInfo[] | undefined;

  constructor(parts: InstanceParts) {
    this.file = parts.config.file;
    this.#config = parts.config;
    this.#ports = parts.ports;
    this.#home = parts.home;
    this.#world = parts.world;
    this.#owner = ownerOf(parts.ports);
    this.#password = parts.password;
  }

  flows(): readonly FlowInfo[] {
    this.#infos ??= [...this.#config.flows.values()].map((flow) => flowInfo(flow, this.#world));
    return this.#infos;
  }

  async check(): Promise<readonly Finding[]> {
    return [...this.#config.findings, ...(await checkFlows(this.#config, this.#world))];
  }

  async plan(name: string, window: string | undefined, options: PlanOptions = {}): ReturnType<Waybill['plan']> {
    const flow = requireFlow(this.#config, name);
    if (flow.window === 'pull') return await planPull(flow, window, this.#running());
    return await planWindow(flow, this.#window(flow, window), options, this.#running());
  }

  async run(name: string, window: string | undefined, options: RunOptions): ReturnType<Waybill['run']> {
    const flow = requireFlow(this.#config, name);
    requireSecrets(this.#config, flow, this.#world.secrets);
    const at = this.#window(flow, window);
    if (flow.window !== 'pull') return await runWindow(flow, at, options, this.#running());
    const summary = await goOn(flow, at, options, this.#running());
    assert(summary !== undefined, 'run.has-a-summary');
    return summary;
  }

  async pull(name: string, options: PullOptions): Promise<PullOutcome> {
    const flow = requireFlow(this.#config, name);
    requireSecrets(this.#config, flow, this.#world.secrets);
    if (flow.window !== 'pull') {
      const reads = flow.window === 'all' ? 'everything' : `a ${flow.window}`;
      const message = `flow ${name} reads ${reads}, not what is new`;
      throw new WaybillError('PULL_IMPOSSIBLE', message, { hint: 'Say `window: pull`.', ids: { flow: name } });
    }
    return await pull(flow, options, this.#running());
  }

  async due(name?: string): ReturnType<Waybill['due']> {
    requireSound(this.#config);
    const flows = name === undefined ? [...this.#config.flows.values()] : [requireFlow(this.#config, name)];
    const reader = (await this.#home.find())?.read;
    const due = [];
    for (const flow of flows) due.push(...(await dueWindows(flow, reader, this.#ports.wallMs())));
    return due.sort((a, b) => Date.parse(a.window.start ?? '1970') - Date.parse(b.window.start ?? '1970'));
  }

  windows(name: string, from: string, to: string): readonly Window[] {
    const flow = requireFlow(this.#config, name);
    const cut = { kind: flow.window, timezone: flow.timezone };
    return windowsFrom(cut, { from, to }, this.#ports.wallMs());
  }

  async backfill(name: string, ask: BackfillAsk): Promise<BackfillPlan> {
    return await backfillPlan(requireFlow(this.#config, name), ask, await this.#backfilling());
  }

  async backfillTurn(plan: BackfillPlan, window: string): Promise<BackfillTurn> {
    return await backfillTurn(requireFlow(this.#config, plan.flow), plan, window, await this.#backfilling());
  }

  async #backfilling(): Promise<BackfillWorld> {
    const reader = (await this.#home.find())?.read;
    return { wire: this.#world, ports: this.#ports, reader, owner: this.#owner };
  }

  #window(flow: FlowConfig, text: string | undefined): Window {
    return parseWindow({ kind: flow.window, timezone: flow.timezone }, text, this.#ports.wallMs());
  }

  #running(): RunWorld {
    const { status } = this.#config;
    return { home: this.#home, ports: this.#ports, wire: this.#world, owner: this.#owner, who: userName(), status };
  }

  async ledger(): Promise<Ledger> {
    return await this.#home.open({ create: true });
  }

  async reader(): Promise<LedgerReader> {
    return (await this.#existing()).read;
  }

  async #existing(): Promise<Ledger> {
    return await this.#home.open({ create: false });
  }

  async trace(key: readonly string[], filter: TraceFilter): Promise<readonly ReadableTrace[]> {
    return await traceKey(key, filter, await this.#existing());
  }

  showKey(record: RecordRow): string {
    return record.key === undefined ? '' : showKey(record.key);
  }

  async payload(id: BatchId): ReturnType<Waybill['payload']> {
    return await this.#withBytes(async (bytes, { read }) => {
      const batch = await read.batch(id);
      const staged = await this.#home.staging.read(batch.staged);
      // A copy can be shown whatever became of the flow that it belongs to.
      if (batch.picks === undefined && !isRanges(staged)) return { batch, payload: staged };
      return { batch, payload: await bytes.payloads(batch).load(batch) };
    });
  }

  async #withBytes<T>(work: (bytes: BatchBytes, ledger: Ledger) => Promise<T>): Promise<T> {
    const ledger = await this.#existing();
    const bytes = new BatchBytes({ config: this.#config, world: this.#world }, { staging: this.#home.staging, ledger });
    try {
      return await work(bytes, ledger);
    } finally {
      await bytes.close();
    }
  }

  async settle(ask: SettleAsk): Promise<readonly Moved[]> {
    return await this.#withBytes((bytes, ledger) =>
      this.#settle(ask, { ledger, payloads: (batch) => bytes.payloads(batch) }),
    );
  }

  async #settle(ask: SettleAsk, person: PersonServices): Promise<readonly Moved[]> {
    if (ask.as === 'ask') {
      const run = async (row: RunRow, only: readonly BatchId[]): Promise<void> => {
        const stop = new AbortController().signal;
        const flow = requireFlow(this.#config, row.flow);
        const carry = flow.window === 'pull' ? goOn : runWindow;
        const told = ask.notice === undefined ? {} : { notice: ask.notice };
        await carry(flow, row.window, { only, signals: { stop, abort: stop }, ...told }, this.#running());
      };
      return await settleBatches(ask, person, run);
    }
    return await withTakeover(person.ledger, () => settleBatches(ask, person));
  }

  async retry(ask: Parameters<Waybill['retry']>[0]): Promise<readonly Moved[]> {
    return await this.#withBytes((bytes, ledger) =>
      withTakeover(ledger, () => retryBatches(ask, { ledger, payloads: (batch) => bytes.payloads(batch) })),
    );
  }

  async pause(ask: { run: RunId; lane?: string; reason: string }): Promise<void> {
    await (await this.#existing()).pause({ ...ask, who: userName() });
  }

  async resume(ask: { run: RunId; lane?: string }): Promise<void> {
    await (await this.#existing()).resume({ ...ask, who: userName() });
  }

  async cancel(ask: { run: RunId; reason: string }): Promise<void> {
    const ledger = await this.#existing();
    await withTakeover(ledger, () => ledger.cancel({ ...ask, who: userName() }));
  }

  async positions(flow: string): ReturnType<Waybill['positions']> {
    return await (await this.reader()).positions(flow);
  }

  async setPosition(flow: string, sourceName: string, position: Position | null): Promise<void> {
    const ledger = await this.#home.open({ create: true });
    await withTakeover(ledger, () => ledger.setPosition({ flow, sourceName, position, who: userName() }));
  }

  async exportOdf(name: string, spelling: OdfSpelling): Promise<AsyncIterable<MetadataBlock>> {
    return exportOdf(requireFlow(this.#config, name), await this.#existing(), spelling);
  }

  async discover(name: string, signal: AbortSignal): Promise<Discovery> {
    return await discover(this.#config, name, this.#world, signal);
  }

  async verify(run?: RunId): Promise<readonly string[]> {
    return await this.#withBytes(async (bytes, { read }) => {
      const stores = { read, staging: this.#home.staging, remakeOf: (batch: BatchRow) => bytes.remakeOf(batch) };
      return [...(await read.verify(run)), ...(await verifyStaging(run, stores))];
    });
  }

  async doctor(): Promise<readonly Diagnosis[]> {
    const config = this.#config.file === '' ? undefined : this.#config;
    return await diagnose({ config, home: this.#home, ports: this.#ports, secrets: this.#world.secrets });
  }

  async copyLedger({ to, keep = false }: Parameters<Waybill['copyLedger']>[0]): ReturnType<Waybill['copyLedger']> {
    const { folder } = this.#config;
    return await copyLedger(this.#home, { to, keep, folder, password: this.#password }, this.#ports);
  }

  async close(): Promise<void> {
    await this.#home.close();
  }
}

function flowInfo(flow: FlowConfig, world: WireWorld): FlowInfo {
  const { name, connection, key } = flow.source;
  const { lanes } = wireLanes(flow, world);
  return {
    name: flow.name,
    source: { name, connection: connection.name, connector: connection.connector.type, key },
    window: flow.window,
    timezone: flow.timezone,
    lanes: flow.lanes.map((lane, at) => {
      const fit = fitOf(lanes[at]!);
      const guarantee = fit.fits ? { guarantee: fit.guarantee } : {};
      const { name, strategy } = lane;
      return {
        name,
        connection: lane.connection.name,
        connector: lane.connection.connector.type,
        strategy,
        ...guarantee,
      };
    }),
    ...(flow.schedule === undefined ? {} : { schedule: flow.schedule }),
  };
}

/** For the audit lines of the ledger. A container may run as a user that has no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
