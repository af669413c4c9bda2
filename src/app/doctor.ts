import { access, constants } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describeError, WaybillError } from '../model/errors.ts';
import { bad, good, nearestFolder, type Patient } from './diagnosis.ts';
import { ledger, place } from './doctor-ledger.ts';
import type { Diagnosis } from './waybill.ts';

const require = createRequire(import.meta.url);
const NODE_LEAST = [20, 19] as const;
/** What a flow needs besides its own file: packages that are installed only where they are wanted. */
const DRIVERS: Readonly<Record<string, readonly string[]>> = {
  lancedb: ['@lancedb/lancedb', 'apache-arrow'],
  postgres: ['pg'],
};

/** Everything around the flows that can be looked at without running one. Writes nothing and sends nothing. */
export async function diagnose(patient: Patient): Promise<readonly Diagnosis[]> {
  const checks: readonly (readonly [string, (patient: Patient) => Promise<readonly Diagnosis[]>])[] = [
    ['node', node],
    ['sqlite', sqlite],
    ['flow-file', flowFile],
    ['drivers', drivers],
    ['secrets', secrets],
    ['ledger', ledger],
    ['disk', place],
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
