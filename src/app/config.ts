import { access, readFile } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { isPostgresAddress } from '../ledger/postgres/address.ts';
import { WaybillError } from '../model/errors.ts';
import type { Strategy } from '../strategies/strategy.ts';
import { readConnections } from './config-connections.ts';
import { readFlow } from './config-flow.ts';
import type { Config, ConnectionConfig, ConnectorList, FlowConfig } from './flow-config.ts';
import { fileSchema } from './flow-file.ts';
import type { RawFile } from './places.ts';
import { readScript } from './script-file.ts';
import { SettingsReader } from './settings-reader.ts';
import { warnOfSharedPlaces } from './shared-places.ts';
import type { Environment } from './variables.ts';
import { readYaml } from './yaml-file.ts';

export interface ConfigWorld {
  readonly env: Environment;
  readonly cwd: string;
  readonly connectors: ConnectorList;
  readonly strategies: Readonly<Record<string, Strategy>>;
}

export const FILE_NAMES = ['waybill.yaml', 'waybill.yml', 'waybill.config.ts', 'waybill.config.js'] as const;

/** The flow file that belongs to a folder: in it, or in the nearest folder above. Throws CONFIG_NOT_FOUND. */
export async function findConfig(cwd: string, named: string | undefined): Promise<string> {
  if (named !== undefined) {
    const path = resolve(cwd, named);
    if (await exists(path)) return path;
    throw new WaybillError('CONFIG_NOT_FOUND', `there is no flow file ${path}`, { ids: { path } });
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    for (const name of FILE_NAMES) if (await exists(join(folder, name))) return join(folder, name);
    if (folder === dirname(folder)) break;
  }
  throw new WaybillError('CONFIG_NOT_FOUND', `neither ${cwd} nor a folder above it has a ${FILE_NAMES[0]}`, {
    ids: { cwd },
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Reads and checks a flow file. What is wrong with it is in the result; throws only when it cannot be read at all. */
export async function loadConfig(path: string, world: ConfigWorld): Promise<Config> {
  const raw = await readRaw(path, world.cwd);
  const folder = dirname(path);
  const reader = new SettingsReader(raw, world.env);
  const top = reader.broken ? undefined : reader.check(fileSchema, withoutParts(raw.value), []);
  const flows = new Map<string, FlowConfig>();
  const sound = new Map<string, ConnectionConfig>();
  const parts = partsOf(raw.value);
  if (!hasSyntaxErrors(raw)) {
    const connections = await readConnections(parts.connections, parts.flows, reader, world.connectors);
    for (const connection of connections.values())
      if (!('faulty' in connection)) sound.set(connection.name, connection);
    for (const [name, value] of Object.entries(parts.flows)) {
      const flow = await readFlow(name, value, {
        reader,
        connections,
        connectors: world.connectors,
        strategies: world.strategies,
        text: raw.text,
      });
      if (flow !== undefined) flows.set(name, flow);
    }
    warnOfSharedPlaces(flows, { strategies: world.strategies, reader, raw: parts.flows });
  }
  const { log, store, profile } = top?.status ?? {};
  return {
    file: path,
    folder,
    flows,
    connections: sound,
    flowNames: Object.keys(parts.flows),
    ledger: placeOf(folder, top?.ledger ?? LEDGER_BESIDE),
    stagingFolder: top?.staging === undefined ? undefined : resolve(folder, top.staging.folder),
    status: {
      profile: profile ?? 'osdu',
      ...(log === undefined || log === false ? {} : { log: log === true ? log : resolve(folder, log) }),
      ...(store === undefined ? {} : { store: resolve(folder, store) }),
    },
    findings: reader.findings,
    secrets: reader.secrets,
  };
}

/** Where a ledger is when nobody says otherwise, seen from the folder of the flow file. */
export const LEDGER_BESIDE = '.waybill/ledger.db';

/** A path as it is meant from a folder; an address as it is. */
export const placeOf = (folder: string, ledger: string): string =>
  isPostgresAddress(ledger) ? ledger : resolve(folder, ledger);

const hasSyntaxErrors = (raw: RawFile): boolean => raw.problems.length > 0;

async function readRaw(path: string, cwd: string): Promise<RawFile> {
  const near = relative(cwd, path);
  const name = near !== '' && !near.startsWith('..') ? near : path;
  try {
    if (/^\.[cm]?[jt]s$/.test(extname(path))) return await readScript(name, path);
    return readYaml(name, await readFile(path, 'utf8'));
  } catch (cause) {
    throw new WaybillError('CONFIG_NOT_FOUND', `the flow file ${path} cannot be read`, { cause, ids: { path } });
  }
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function partsOf(value: unknown): {
  connections: Readonly<Record<string, unknown>>;
  flows: Readonly<Record<string, unknown>>;
} {
  const { connections, flows } = isMap(value) ? value : {};
  return { connections: isMap(connections) ? connections : {}, flows: isMap(flows) ? flows : {} };
}

/** The file with every connection and flow emptied: their contents are checked apart, with schemas of their own. */
function withoutParts(value: unknown): unknown {
  if (!isMap(value)) return value;
  const copy = Object.assign(Object.create(null) as Record<string, unknown>, value);
  for (const part of ['connections', 'flows']) {
    const map = copy[part];
    if (!isMap(map)) continue;
    const empty = Object.create(null) as Record<string, unknown>;
    for (const [name, item] of Object.entries(map)) empty[name] = isMap(item) ? Object.create(null) : item;
    copy[part] = empty;
  }
  return copy;
}
