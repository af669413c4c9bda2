import { existsSync, renameSync } from 'node:fs';
import { WaybillError } from '../model/errors.ts';
import type { Ports } from '../model/ports.ts';
import { type LedgerHome, ledgerAt } from './ledger-home.ts';
import type { LedgerCopy } from './waybill.ts';

/**
 * Copies the ledger of this instance, which is a file, to a PostgreSQL server. Afterwards the file is set aside: two
 * ledgers that both go on would send everything twice.
 */
export async function copyLedger(
  home: LedgerHome,
  ask: { to: string; keep: boolean; folder: string; password: string | undefined },
  ports: Ports,
): Promise<LedgerCopy> {
  const to = ledgerAt(ask.to, ask.folder, ask.password);
  if (to.kind !== 'postgres')
    throw new WaybillError('USAGE', 'a ledger is copied to a PostgreSQL server', {
      hint: 'Write --to postgres://USER@HOST:PORT/DATABASE.',
    });
  if (home.at.kind !== 'file')
    throw new WaybillError('USAGE', `the ledger ${home.place} is on a server already`, {
      hint: 'Name the file to copy with --ledger PATH.',
    });
  const { path } = home.at;
  const waiting = (await home.journal.entries()).length;
  await home.close();
  if (waiting > 0)
    throw new WaybillError('LEDGER_BUSY', `${waiting} answers in the journal are not in the ledger ${path} yet`, {
      hint: 'Run any flow once: they are carried in first. Then copy again.',
    });
  const { openSource } = await import('../ledger/sqlite/copy-out.ts');
  const { copyInto } = await import('../ledger/postgres/copy-in.ts');
  const source = openSource(path, ports.wallMs());
  try {
    const { tables, already } = await copyInto(to.address, source, ports);
    source.close();
    const aside = ask.keep ? {} : { setAside: setAside(path) };
    return { from: path, to: to.address.place, already, tables, staging: home.stagingFolder, ...aside };
  } catch (error) {
    source.close();
    throw error;
  }
}

/** Under a name that nobody opens by mistake. A file of that name is an earlier copy, and is not written over. */
function setAside(path: string): string {
  let aside = `${path}.copied`;
  for (let nth = 2; existsSync(aside); nth++) aside = `${path}.copied-${nth}`;
  renameSync(path, aside);
  return aside;
}
