import type { PostgresAddress } from './address.ts';
import { Line, type LinePorts } from './line.ts';

/** What a server says of itself that a ledger depends on. */
export interface ServerHealth {
  /** As the server writes it, such as `16.4`. */
  readonly version: string;
  /** Such as 160004. */
  readonly versionNumber: number;
  /** How far its clock is ahead of ours; half of the time that asking took is taken off. */
  readonly clockAheadMs: number;
  /** A commit that has been answered is on the disk, as the server is set up for whoever asks nothing else. */
  readonly synchronousCommit: string;
  readonly fsync: boolean;
  readonly fullPageWrites: boolean;
  readonly standby: boolean;
}

/** The oldest that can tell what became of a transaction by its number. */
export const SERVER_LEAST = 130_000;

const QUESTION = `SELECT current_setting('server_version'), current_setting('server_version_num'),
  (extract(epoch from clock_timestamp()) * 1000)::bigint,
  (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'),
  current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery()`;

/** Asks the server, whether there is a ledger on it or not. Throws as opening the ledger does. */
export async function examine(address: PostgresAddress, ports: LinePorts): Promise<ServerHealth> {
  const line = new Line(address, ports, `waybill-doctor-${ports.id()}`);
  try {
    const session = await line.session();
    const askedAtMs = ports.wallMs();
    const { rows } = await session.run(QUESTION);
    const [version, number, nowMs, synchronousCommit, fsync, pages, standby] = rows[0] ?? [];
    const clockAheadMs = Number(nowMs) - (askedAtMs + ports.wallMs()) / 2;
    return {
      version: String(version),
      versionNumber: Number(number),
      clockAheadMs,
      synchronousCommit: String(synchronousCommit),
      fsync: fsync === 'on',
      fullPageWrites: pages === 'on',
      standby: standby === 't',
    };
  } finally {
    await line.close();
  }
}
