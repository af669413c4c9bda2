import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Ledger } from '../../src/ledger/ledger.ts';
import type { PostgresAddress } from '../../src/ledger/postgres/address.ts';
import { SCHEMA_VERSION } from '../../src/ledger/postgres/migrations/all.ts';
import { openPostgresLedger } from '../../src/ledger/postgres/open.ts';
import { Book, delivered, LEASE_MS, refusedWith, shardClaim } from '../../src/testing/suites/ledger-fixture.ts';
import { startPostgres, type TestPostgres } from '../postgres.ts';
import { ledgerPorts, parsed } from './bench.ts';

let server: TestPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => server.stop());

const opened: Ledger[] = [];
afterAll(async () => {
  for (const ledger of opened) await ledger.close();
});
async function open(address: PostgresAddress, create = true): Promise<Ledger> {
  const ledger = await openPostgresLedger({ address, ports: ledgerPorts(), create });
  opened.push(ledger);
  return ledger;
}
async function sql(address: PostgresAddress, statement: string): Promise<unknown[]> {
  const client = await server.client();
  await client.query(`SET search_path TO "${address.schema}"`);
  const { rows } = await client.query(statement);
  await client.end();
  return rows;
}

describe('the schema', () => {
  it('is made once when eight processes come at the same moment', async () => {
    const address = parsed(server);
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => open(address)));
    expect(new Set(ledgers.map((ledger) => ledger.identity.id)).size).toBe(1);
    expect(ledgers[0]!.identity.place).not.toContain(server.password);
  });

  it('is missing where nobody may make it', async () => {
    expect(await refusedWith(open(parsed(server), false))).toBe('LEDGER_MISSING');
  });

  it('of a newer Waybill is refused, and one whose row was changed by hand is not believed', async () => {
    const address = parsed(server);
    const ledger = await open(address);
    await sql(address, "UPDATE meta SET value = '99' WHERE name = 'version'");
    expect(await refusedWith(open(address)), 'without its digest').toBe('LEDGER_CORRUPT');
    expect(ledger.identity.schemaVersion).toBe(SCHEMA_VERSION);
    const { RowDigest } = await import('../../src/ledger/row-digest.ts');
    const chk = new RowDigest(new Uint8Array(16)).of(100, ['version', '99']);
    await sql(address, `UPDATE meta SET chk = ${chk} WHERE name = 'version'`);
    expect(await refusedWith(open(address))).toBe('LEDGER_NEWER');
  });
});

describe('rows', () => {
  it('that were changed behind its back are noticed before anything is decided by them', async () => {
    const address = parsed(server);
    const ledger = await open(address);
    const { book, ids } = await Book.sealed(ledger, [2, 2]);
    const claim = shardClaim((await book.claimShard())!);
    await book.deliver(ids[0]!, delivered(2), claim);
    await sql(address, `UPDATE batch SET delivered = 1, refused = 1 WHERE id = ${ids[0]}`);
    expect(await refusedWith(ledger.read.batch(ids[0]!))).toBe('LEDGER_CORRUPT');
    expect((await ledger.read.verify()).join('\n')).toMatch(/row \d+ of batch is not what was written/);
  });

  it('that are gone give the whole transaction up, together with its COMMIT', async () => {
    const address = parsed(server);
    const ledger = await open(address);
    const { book, ids } = await Book.sealed(ledger, [2]);
    const claim = shardClaim((await book.claimShard())!);
    const { attempt } = await ledger.intend({ ...claim, batch: ids[0]!, deadlineMs: 5_000 });
    await sql(address, 'DELETE FROM attempt');
    const answer = ledger.answer({ ...claim, batch: ids[0]!, attempt, answer: delivered(2) });
    expect(await refusedWith(answer)).toBe('LEDGER_CORRUPT');
    expect((await ledger.read.batch(ids[0]!)).state).toBe('sending');
  });

  it('keep every character of what a sink has said', async () => {
    const ledger = await open(parsed(server));
    const { book, ids } = await Book.sealed(ledger, [1]);
    const summary = 'answer with \0, \x10@, \\x41, é and 漢';
    await book.deliver(ids[0]!, { ...delivered(1), receipt: { summary } });
    const [attempt] = await ledger.read.attempts(ids[0]!);
    expect(attempt?.receipt?.summary).toBe(summary);
  });
});

describe('leases', () => {
  it('go by the clock of the server, whatever the clock of a process says', async () => {
    const address = parsed(server);
    const wrong = { ...ledgerPorts(), wallMs: () => Date.UTC(2001, 0, 1) };
    const slow = await openPostgresLedger({ address, ports: wrong, create: true });
    opened.push(slow);
    const book = await Book.open(slow);
    const [row] = (await sql(address, 'SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint AS now')) as [
      { now: string },
    ];
    expect(Math.abs(book.opened.leaseUntilMs - LEASE_MS - Number(row.now))).toBeLessThan(20_000);
    expect(await refusedWith(Book.open(await open(address), { owner: 'second' }))).toBe('LEASE_HELD');
  });

  it('let one of thirty claimants have a shard, through six connections', async () => {
    const address = parsed(server);
    const ledgers = await Promise.all(Array.from({ length: 6 }, () => open(address)));
    const { book } = await Book.sealed(ledgers[0]!, [1, 1]);
    const claims = await Promise.all(
      Array.from({ length: 30 }, (_, nth) => book.through(ledgers[nth % 6]!).claimShard({ owner: `claimant ${nth}` })),
    );
    expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
  });
});

describe('verbs of several processes at once', () => {
  it('are all booked, each once, and the books add up', async () => {
    const address = parsed(server);
    const ledgers = await Promise.all(Array.from({ length: 4 }, () => open(address)));
    const done = await Promise.all(
      ledgers.map(async (ledger, nth) => {
        const { book, ids } = await Book.sealed(
          ledger,
          Array.from({ length: 30 }, () => 2),
          { window: `window ${nth}`, owner: `process ${nth}` },
        );
        const claim = shardClaim((await book.claimShard({ owner: `process ${nth}` }))!);
        await Promise.all(ids.map((id) => book.deliver(id, delivered(2), claim)));
        return await ledger.concludeRun(book.claim);
      }),
    );
    expect(done.map((run) => run.state)).toEqual(done.map(() => 'complete'));
    expect(new Set(done.map((run) => run.id)).size).toBe(4);
    const { read } = ledgers[0]!;
    const events = await read.events({ limit: 10_000 });
    expect(events.filter((event) => event.kind === 'answered')).toHaveLength(120);
    expect(await read.verify()).toEqual([]);
  });
});
