import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { PostgresAddress } from '../ledger/postgres/address.ts';
import { showRun } from '../model/ids.ts';
import type { Ports } from '../model/ports.ts';
import { bad, good, nearestFolder, type Patient } from './diagnosis.ts';
import { isGone, showOwner } from './owner.ts';
import type { Diagnosis } from './waybill.ts';

const FREE_BYTES_LEAST = 256 * 1024 * 1024;
const CLOCK_SLACK_MS = 60_000;
/** What `statfs` calls file systems that end with the machine or the container. */
const DISPOSABLE = new Map([
  [0x01021994, 'tmpfs, which is memory'],
  [0x858458f6, 'ramfs, which is memory'],
  [0x794c7630, 'overlay, which ends with its container'],
]);

/** Whether it opens, agrees with itself and with the clock, and whether somebody who is gone still holds a run. */
export async function ledger({ home, ports }: Patient): Promise<readonly Diagnosis[]> {
  const found = await home.find();
  if (found === undefined) return [good('ledger', `there is no ledger ${home.place} yet; the first run makes it`)];
  const { read, identity } = found;
  const differences = await read.verify();
  const told: Diagnosis[] = [
    differences.length === 0
      ? good('ledger', `${home.place} opens (schema ${identity.schemaVersion}) and agrees with its digests`)
      : bad(
          'ledger',
          `${home.place} does not agree with its digests: ${differences[0]}`,
          'Stop, keep a copy, and run `waybill verify`.',
        ),
  ];
  const newest = (await read.runs({ newestFirst: true, limit: 100 })) ?? [];
  const latestMs = Math.max(0, ...newest.map((run) => Math.max(run.openedAtMs, run.endedAtMs ?? 0)));
  const aheadMs = latestMs - ports.wallMs();
  if (aheadMs > CLOCK_SLACK_MS) {
    told.push(
      bad(
        'clock',
        `the clock is ${Math.round(aheadMs / 1000)} s behind the ledger's last event`,
        'Set the clock; leases and schedules depend on it.',
      ),
    );
  } else told.push(good('clock', 'the clock agrees with the ledger'));
  for (const run of newest) {
    if (run.owner === undefined || (run.leaseUntilMs ?? 0) <= ports.wallMs() || isGone(run.owner) !== true) continue;
    told.push(
      bad(
        'leases',
        `${showRun(run.id)} is leased to ${showOwner(run.owner)}, which runs no more`,
        'Run the flow: the lease is broken at once.',
      ),
    );
  }
  return told;
}

async function disk(path: string): Promise<readonly Diagnosis[]> {
  const folder = await nearestFolder(dirname(path));
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

/** Where the ledger lies: the disk of this machine, or a server. */
export async function place({ home, ports }: Patient): Promise<readonly Diagnosis[]> {
  return home.at.kind === 'file' ? await disk(home.at.path) : await server(home.at.address, ports);
}

async function server(address: PostgresAddress, ports: Ports): Promise<readonly Diagnosis[]> {
  const { examine, SERVER_LEAST } = await import('../ledger/postgres/health.ts');
  const health = await examine(address, ports);
  const told: Diagnosis[] = [
    health.versionNumber >= SERVER_LEAST
      ? good('server', `PostgreSQL ${health.version} answers at ${address.place}`)
      : bad('server', `PostgreSQL ${health.version} is too old for a ledger`, 'Use PostgreSQL 13 or newer.'),
  ];
  if (health.standby)
    told.push(bad('server', 'the server is a read-only standby', 'Name the primary server in WAYBILL_LEDGER.'));
  const lost = 'what it has answered can be gone after a crash, and would be sent again';
  if (!health.fsync) told.push(bad('durability', `the server runs with fsync = off: ${lost}`, 'Set fsync = on.'));
  if (!health.fullPageWrites)
    told.push(bad('durability', `the server runs with full_page_writes = off: ${lost}`, 'Set full_page_writes = on.'));
  if (health.synchronousCommit === 'off')
    told.push(
      bad(
        'durability',
        'the server is set to synchronous_commit = off; Waybill asks for it on its own connections all the same',
        'Set synchronous_commit = on for this database, so that nothing else is lost either.',
      ),
    );
  const apart = Math.round(Math.abs(health.clockAheadMs) / 1000);
  if (Math.abs(health.clockAheadMs) > CLOCK_SLACK_MS)
    told.push(
      bad(
        'clock',
        `the clock of the server is ${apart} s ${health.clockAheadMs > 0 ? 'ahead of' : 'behind'} this machine's`,
        'Set both clocks; leases go by that of the server, schedules by this one.',
      ),
    );
  return told;
}
