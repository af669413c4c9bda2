import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export interface ObjectGateway {
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Stops the processes and removes their files. */
  stop(): Promise<void>;
}

const NEEDED = ['ceph', 'ceph-mon', 'ceph-osd', 'ceph-authtool', 'monmaptool', 'radosgw', 'radosgw-admin'];
const TRIES_MAX = 240;
const BETWEEN_MS = 250;
const ACCESS = { accessKeyId: 'test', secretAccessKey: 'test-secret' };

/** Why no gateway can be started here; undefined when one can. */
export function cephMissing(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const missing = NEEDED.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  if (missing.length === 0) return undefined;
  return `there is no ${missing.join(', ')} here (Debian: ceph-mon ceph-osd radosgw)`;
}

/**
 * A real S3 server of its own: the object gateway of Ceph over one monitor and one store in memory, on free ports of
 * 127.0.0.1. It takes about ten seconds to start: do it once a file, in `beforeAll`, and stop it in `afterAll`.
 */
export async function startCeph(): Promise<ObjectGateway> {
  const cluster = new Cluster();
  try {
    const port = await cluster.start();
    return { port, ...ACCESS, stop: () => cluster.stop() };
  } catch (error) {
    const said = cluster.said();
    await cluster.stop();
    throw new Error(`the object gateway of Ceph did not start: ${said}`, { cause: error });
  }
}

class Cluster {
  readonly #folder = mkdtempSync(join(tmpdir(), 'waybill-ceph-'));
  readonly #processes: ChildProcess[] = [];

  async start(): Promise<number> {
    const [messenger, older, port] = [await freePort(), await freePort(), await freePort()];
    const id = randomUUID();
    const monitor = `[v2:127.0.0.1:${messenger},v1:127.0.0.1:${older}]`;
    writeFileSync(join(this.#folder, 'ceph.conf'), configuration(this.#folder, { id, monitor, port }));
    for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(this.#folder, name));
    this.#keys();
    this.#run('monmaptool', ['--create', '--clobber', '--addv', 'a', monitor, '--fsid', id, 'monmap']);
    this.#run('ceph-mon', ['-c', 'ceph.conf', '--mkfs', '-i', 'a', '--monmap', 'monmap', '--keyring', 'keyring']);
    this.#serve('ceph-mon', ['-c', 'ceph.conf', '-i', 'a', '-f']);
    this.#store();
    this.#serve('radosgw', ['-c', 'ceph.conf', '-n', 'client.admin', '-f']);
    await this.#answers(port);
    const keys = ['--access-key', ACCESS.accessKeyId, '--secret-key', ACCESS.secretAccessKey];
    this.#run('radosgw-admin', [
      '-c',
      'ceph.conf',
      'user',
      'create',
      '--uid',
      'test',
      '--display-name',
      'test',
      ...keys,
    ]);
    return port;
  }

  #keys(): void {
    const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *', '--cap', 'mgr', 'allow *'];
    this.#run('ceph-authtool', ['--create-keyring', 'keyring', '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *']);
    this.#run('ceph-authtool', ['keyring', '--gen-key', '-n', 'client.admin', ...all]);
    this.#run('ceph-authtool', ['keyring', '--gen-key', '-n', 'osd.0', ...all]);
  }

  #store(): void {
    const ceph = (...words: string[]): string =>
      this.#run('ceph', ['-c', 'ceph.conf', '--connect-timeout', '30', ...words]);
    ceph('osd', 'create');
    ceph('auth', 'import', '-i', 'keyring');
    const { osds } = JSON.parse(ceph('osd', 'dump', '-f', 'json')) as { osds: { uuid: string }[] };
    this.#run('ceph-osd', ['-c', 'ceph.conf', '-i', '0', '--mkfs', '--osd-uuid', osds[0]!.uuid]);
    ceph('osd', 'crush', 'add', 'osd.0', '1', 'root=default');
    this.#serve('ceph-osd', ['-c', 'ceph.conf', '-i', '0', '-f']);
  }

  #run(command: string, words: readonly string[]): string {
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
    return execFileSync(command, words, { cwd: this.#folder, stdio, timeout: 60_000, encoding: 'utf8' });
  }

  #serve(command: string, words: readonly string[]): void {
    const log = openSync(join(this.#folder, `${command}.out`), 'a');
    this.#processes.push(spawn(command, words, { cwd: this.#folder, stdio: ['ignore', log, log] }));
  }

  async #answers(port: number): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      // Until it listens.
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
      if (answer?.ok === true) return;
      await pause(BETWEEN_MS);
    }
    throw new Error(`nothing answers on port ${port}`);
  }

  said(): string {
    const logs = ['ceph-mon', 'ceph-osd', 'radosgw'].map((name) => join(this.#folder, `${name}.out`));
    return logs.map((log) => (existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : '')).join(' ');
  }

  async stop(): Promise<void> {
    const dead = this.#processes.filter((one) => one.exitCode !== null || one.signalCode !== null);
    if (dead.length > 0) console.warn(`a process of Ceph has died before it was stopped: ${this.said()}`);
    for (const one of this.#processes.reverse()) {
      if (one.exitCode !== null || one.signalCode !== null) continue;
      const ended = once(one, 'exit');
      one.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const configuration = (folder: string, { id, monitor, port }: { id: string; monitor: string; port: number }): string =>
  `[global]
fsid = ${id}
mon host = ${monitor}
public addr = 127.0.0.1
ms bind ipv4 = true
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd objectstore = memstore
memstore device bytes = 2147483648
osd class load list = *
osd class default list = *
run dir = ${folder}
log file = ${folder}/$name.log
admin socket = ${folder}/$name.$pid.asok
mon data = ${folder}/mon
osd data = ${folder}/osd
rgw data = ${folder}/rgw
keyring = ${folder}/keyring
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw gc max objs = 7
rgw lc max objs = 7
`;

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
