// A run of a ledger as the benchmarks drive it: batches of 100 records, sealed, then intended and answered.

import { createHash, randomBytes } from 'node:crypto';

export const RECORDS = 100;
const RECEIPT = { summary: '200 OK, 100 of 100 applied' };
const OUTCOMES = new Uint8Array(RECORDS).fill(1);
const laneSpec = {
  connector: 'http',
  strategy: 'ledgered-append',
  rung: 'none',
  onDoubt: 'hold',
  mappingDigest: 'none',
};
export const seconds = async (work) => {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1_000;
};

/** A run with so many sealed batches of 100 records, 64 of them in a seal. */
export async function sealed(ledger, batches) {
  const opened = await ledger.openRun({
    flow: 'members',
    window: { name: 'all' },
    lanes: [{ lane: 'api', ...laneSpec }],
    owner: 'bench',
    leaseMs: 3_600_000,
    configDigest: 'c',
  });
  const claim = { run: opened.run.id, fence: opened.fence };
  const { generation } = await ledger.startGeneration({ ...claim, kind: 'first', reason: 'bench' });
  const ids = [];
  for (let from = 0; from < batches; from += 64) {
    const count = Math.min(64, batches - from);
    const keys = randomBytes(count * RECORDS * 16);
    const digests = createHash('sha512').update(keys.subarray(0, 16)).digest();
    const asked = Array.from({ length: count }, (_, n) => ({
      lane: 'api',
      records: RECORDS,
      bytes: 28_800,
      digest: n < 2 ? digests.subarray(n * 32, n * 32 + 32) : randomBytes(32),
      keys: keys.subarray(n * RECORDS * 16, (n + 1) * RECORDS * 16),
      staged: { segment: 'api-000001', offset: (from + n) * 30_400, bytes: 28_800, trailerBytes: 1_616 },
    }));
    const counts = [{ lane: 'api', read: count * RECORDS, same: 0, changed: 0, duplicates: 0 }];
    const rows = (from + count) * RECORDS;
    const position = { sourceName: 'members', kind: 'row', value: String(rows) };
    const seal = { ...claim, generation, batches: asked, unbatched: [], counts, rows, position };
    ids.push(...(await ledger.seal(seal)).batches);
  }
  await ledger.closeGeneration({ ...claim, generation, vanished: [] });
  return { claim, ids, run: opened.run.id };
}

/** So many workers, each with one shard after the other, intend and answer every batch. Returns batches a second. */
export async function deliver(ledger, { run, ids }, lanes) {
  const shards = [];
  for (let n = 0; n * 1024 < ids.length; n++) {
    shards.push(
      await ledger.claimShard({
        run,
        lane: 'api',
        owner: 'bench',
        leaseMs: 3_600_000,
        skip: shards.map((s) => s.shard),
      }),
    );
  }
  const work = shards.flatMap(({ run, lane, shard, fence, ready }) =>
    ready.map(({ id }) => ({ run, lane, shard, fence, batch: id })),
  );
  let at = 0;
  const lane = async () => {
    for (let next = work[at++]; next !== undefined; next = work[at++]) {
      const { attempt } = await ledger.intend({ ...next, deadlineMs: 30_000 });
      const answer = { kind: 'verdict', outcomes: OUTCOMES, refusals: [], receipt: RECEIPT, children: [] };
      await ledger.answer({ ...next, attempt, answer });
    }
  };
  const took = await seconds(() => Promise.all(Array.from({ length: lanes }, lane)));
  return ids.length / took;
}

/** Fails when the books do not say that everything was delivered, once, and nothing else. */
export async function check(ledger, run, batches) {
  const balance = (await ledger.read.balance(run)).get('api');
  const attempts = (await ledger.read.events({ run, limit: 1_000_000 })).filter(
    (event) => event.kind === 'answered',
  ).length;
  const whole = balance.delivered === batches * RECORDS && balance.read === balance.delivered && attempts === batches;
  const problems = await ledger.read.verify();
  if (!whole || problems.length > 0) throw new Error(`wrong books: ${JSON.stringify({ balance, attempts, problems })}`);
}
