import { WaybillError } from '../model/errors.ts';
import { strategies } from '../strategies/all.ts';
import { findConfig, LEDGER_BESIDE, loadConfig, placeOf } from './config.ts';
import { allConnectors } from './connector-list.ts';
import type { Config } from './flow-config.ts';
import { Instance } from './instance.ts';
import { LedgerHome, ledgerAt } from './ledger-home.ts';
import { realPorts } from './ports.ts';
import { maskError, SecretStore } from './secrets.ts';
import type { OpenOptions, Waybill } from './waybill.ts';

/**
 * Opens a flow file with its ledger. Reads the flow file and nothing else; what is wrong with it is found by `check`
 * and thrown by whatever needs it, so that a ledger can still be looked into. Throws CONFIG_NOT_FOUND, except where a
 * ledger is named: looking into one needs no flow file.
 */
export async function openWaybill(options: OpenOptions): Promise<Waybill> {
  const { cwd, env } = options;
  const ports = realPorts();
  const world = { cwd, env, connectors: await allConnectors(options.connectors), strategies };
  const path = await configPath(options);
  const config = path === undefined ? withoutFile(cwd) : await loadConfig(path, world);
  const told = options.ledger ?? env.WAYBILL_LEDGER;
  // What is named on the command line is meant from here, not from the folder of the flow file.
  const named = told === undefined || told === '' ? config.ledger : placeOf(cwd, told);
  const at = ledgerAt(named, config.folder, env.PGPASSWORD);
  const secrets = new SecretStore(env, config.folder);
  const instance = new Instance({
    config,
    ports,
    home: new LedgerHome({ at, folder: config.folder, stagingFolder: config.stagingFolder }, ports),
    world: { ports, folder: config.folder, secrets, strategies },
    password: env.PGPASSWORD,
  });
  return masked(instance);
}

async function configPath({ cwd, file, ledger }: OpenOptions): Promise<string | undefined> {
  try {
    return await findConfig(cwd, file);
  } catch (error) {
    const optional = file === undefined && ledger !== undefined;
    if (optional && error instanceof WaybillError && error.code === 'CONFIG_NOT_FOUND') return undefined;
    throw error;
  }
}

const withoutFile = (cwd: string): Config => ({
  file: '',
  folder: cwd,
  flows: new Map(),
  connections: new Map(),
  flowNames: [],
  ledger: placeOf(cwd, LEDGER_BESIDE),
  stagingFolder: undefined,
  status: { profile: 'osdu' },
  findings: [],
  secrets: [],
});

/** Drivers quote addresses and headers in their errors: no error leaves with a secret in it. */
function masked(instance: Waybill): Waybill {
  return new Proxy(instance, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        try {
          const result: unknown = Reflect.apply(value, target, args);
          if (!(result instanceof Promise)) return result;
          return result.catch((error: unknown) => {
            throw maskError(error);
          });
        } catch (error) {
          throw maskError(error);
        }
      };
    },
  });
}
