import { access, constants, statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { describeError, WaybillError } from '../model/errors.ts';
import { showRun } from '../model/ids.ts';
import type { Ports } from '../model/ports.ts';
import type { Config } from './flow-config.ts';
import type { LedgerHome } from './ledger-home.ts';
import { isGone, showOwner } from './owner.ts';
import type { SecretStore } from './secrets.ts';
import type { Diagnosis } from './waybill.ts';

const require = createRequire(import.meta.url);
const NODE_LEAST = [20, 19] as const;
const FREE_BYTES_LEAST = 256 * 1024 * 1024;
const CLOCK_SLACK_MS = 60_000;
/** What `statfs` calls file systems that end with the machine or the container. */
const DISPOSABLE = new Map([
  [0x01021994, 'tmpfs, which is memory'],
  [0x858458f6, 'ramfs, which is memory'],
  [0x794c7630, 'overlay, which ends with its container'],
]);

/** What a flow needs besides its own file: packages that are installed only where they are wanted. */
const DRIVERS: Readonly<Record<string, readonly string[]>> = { postgres: ['pg'] };

export interface Patient {
  readonly config: Config | undefined;
  readonly home: LedgerHome;
  readonly ports: Ports;
  readonly secrets: SecretStore;
}

/** Everything around the flows that can be looked at without running one. Writes nothing and sends nothing. */
export async function diagnose(patient: Patient): Promise<readonly Diagnosis[]> {
  const checks: readonly (readonly [string, (patient: Patient) => Promise<readonly Diagnosis[]>])[] = [
    ['node', node],
    ['sqlite', sqlite],
    ['flow-file', flowFile],
    ['drivers', drivers],
    ['secrets', secrets],
    ['ledger', ledger],
    ['disk', disk],
    ['staging', staging],
    ['journal', journal],
  ];
  const found: Diagnosis[] = [];
  for (const [check, look] of checks) {
    try {
      found.push(...(await look(patient)));
    } catch (error) {
      const hint = error instanceof WaybillError ? { hint: error.hint } : {};
      found.push({ check, ok: false, message: describeError(error), ...hint });
    }
  }
  return found;
}

const good = (check: string, message: string): Diagnosis => ({ check, ok: true, message });
const bad = (check: string, message: string, hint: string): Diagnosis => ({ check, ok: false, message, hint });

/** Resolved as a run would, and forgotten: only whether each is there is told. */
async function secrets({ config, secrets: store }: Patient): Promise<readonly Diagnosis[]> {
  const uses = config?.secrets ?? [];
  const missing = uses.flatMap(({ reference, place }) => {
    try {
      store.resolve(reference);
      return [];
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      return [bad('secrets', `${place}: ${error.message}`, error.hint)];
    }
  });
  if (missing.length > 0 || uses.length === 0) return missing;
  return [good('secrets', `all that the flow file refers to can be read: ${uses.length}`)];
}

async function node(): Promise<readonly Diagnosis[]> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const enough = major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1]);
  if (enough) return [good('node', `Node ${process.versions.node}`)];
  return [bad('node', `Node ${process.versions.node} is too old`, `Install Node ${NODE_LEAST.join('.')} or newer.`)];
}

async function sqlite(): Promise<readonly Diagnosis[]> {
  try {
    const { default: Database } = await import('better-sqlite3');
    const db = new Database(':memory:');
    const version = db.prepare('SELECT sqlite_version()').pluck().get();
    db.close();
    return [good('sqlite', `better-sqlite3 loads, SQLite ${String(version)}`)];
  } catch (error) {
    return [
      bad(
        'sqlite',
        `better-sqlite3 does not load: ${describeError(error)}`,
        'Run `npm rebuild better-sqlite3` with the Node that runs Waybill.',
      ),
    ];
  }
}

async function flowFile({ config }: Patient): Promise<readonly Diagnosis[]> {
  if (config === undefined) return [bad('flow-file', 'there is no flow file', 'Run `waybill init` to write one.')];
  const errors = config.findings.filter((finding) => finding.level === 'error');
  if (errors.length > 0)
    return [bad('flow-file', `${config.file} has ${errors.length} faults`, 'Run `waybill check` to list them.')];
  return [good('flow-file', `${config.file}: ${config.flows.size} flows`)];
}

async function drivers({ config }: Patient): Promise<readonly Diagnosis[]> {
  const used = new Set(
    [...(config?.flows.values() ?? [])].flatMap((flow) =>
      [flow.source, ...flow.lanes].map((one) => one.connection.connector.type),
    ),
  );
  const found: Diagnosis[] = [];
  for (const type of used) {
    for (const name of DRIVERS[type] ?? []) {
      try {
        require.resolve(name);
        found.push(good('drivers', `${name} is installed, for ${type}`));
      } catch {
        found.push(bad('drivers', `${name} is not installed, and ${type} needs it`, `Run \`npm install ${name}\`.`));
      }
    }
  }
  return found;
}

async function ledger({ home, ports }: Patient): Promise<readonly Diagnosis[]> {
  if (!home.exists) return [good('ledger', `there is no ledger ${home.path} yet; the first run makes it`)];
  const { read, identity } = await home.open({ create: false });
  const differences = await read.verify();
  const found: Diagnosis[] = [
    differences.length === 0
      ? good('ledger', `${home.path} opens (schema ${identity.schemaVersion}) and agrees with its digests`)
      : bad(
          'ledger',
          `${home.path} does not agree with its digests: ${differences[0]}`,
          'Stop, keep a copy, and run `waybill verify`.',
        ),
  ];
  const newest = (await read.runs({ newestFirst: true, limit: 100 })) ?? [];
  const latestMs = Math.max(0, ...newest.map((run) => Math.max(run.openedAtMs, run.endedAtMs ?? 0)));
  const aheadMs = latestMs - ports.wallMs();
  if (aheadMs > CLOCK_SLACK_MS) {
    found.push(
      bad(
        'clock',
        `the clock is ${Math.round(aheadMs / 1000)} s behind the ledger's last event`,
        'Set the clock; leases and schedules depend on it.',
      ),
    );
  } else found.push(good('clock', 'the clock agrees with the ledger'));
  for (const run of newest) {
    if (run.owner === undefined || (run.leaseUntilMs ?? 0) <= ports.wallMs() || isGone(run.owner) !== true) continue;
    found.push(
      bad(
        'leases',
        `${showRun(run.id)} is leased to ${showOwner(run.owner)}, which runs no more`,
        'Run the flow: the lease is broken at once.',
      ),
    );
  }
  return found;
}

async function disk({ home }: Patient): Promise<readonly Diagnosis[]> {
  const folder = await nearestFolder(dirname(home.path));
  const { type, bavail, bsize } = await statfs(folder);
  const disposable = DISPOSABLE.get(type);
  const free = bavail * bsize;
  const megabytes = Math.floor(free / 1e6);
  return [
    disposable === undefined
      ? good('disk', `the ledger is on a disk that lasts, as far as can be seen`)
      : bad(
          'disk',
          `the ledger is on ${disposable}: what it knows of sent batches ends with it`,
          'Put the ledger on a disk that lasts, with `ledger:` or --ledger.',
        ),
    free >= FREE_BYTES_LEAST
      ? good('space', `${megabytes} MB are free beside the ledger`)
      : bad(
          'space',
          `only ${megabytes} MB are free beside the ledger`,
          'Make room: batches are staged before they are sent.',
        ),
  ];
}

async function nearestFolder(folder: string): Promise<string> {
  try {
    await access(folder);
    return folder;
  } catch (error) {
    if (folder === dirname(folder)) throw error;
    return await nearestFolder(dirname(folder));
  }
}

async function staging({ home }: Patient): Promise<readonly Diagnosis[]> {
  const folder = await nearestFolder(home.stagingFolder);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return [good('staging', `${home.stagingFolder} can be written`)];
  } catch {
    return [
      bad(
        'staging',
        `${folder} cannot be written`,
        'Make it writable for this user, or name another with `staging: { folder: … }`.',
      ),
    ];
  }
}

async function journal({ home }: Patient): Promise<readonly Diagnosis[]> {
  const waiting = (await home.journal.entries()).length;
  if (waiting === 0) return [good('journal', 'no answer waits for the ledger')];
  return [bad('journal', `${waiting} answers wait for the ledger`, 'Run any flow: they are carried in first.')];
}
