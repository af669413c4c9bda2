import type { Ledger } from '../../ledger/ledger.ts';
import { asBatchId, asRunId } from '../../model/ids.ts';
import { Book, child, delivered, keyOf, keysOf, LEASE_MS, shardClaim, verdict } from './ledger-fixture.ts';

/**
 * What a ledger may have behind it: runs in several states, each kind of answer, doubts that are open and doubts that
 * were settled, children, refusals, unbatched records, abandoned extractions, broken leases, positions, and an index
 * that knows only some of the keys. The same calls in the same order every time. `size` stretches the plain part.
 */
export async function tellStory(ledger: Ledger, advance: (ms: number) => void, size = 1): Promise<void> {
  await busyRun(ledger, advance, size);
  while (!(await ledger.indexKeys({})).done) advance(1);
  await abandonedRun(ledger, advance);
  await cancelledRun(ledger);
  await ledger.setPosition({
    flow: 'members',
    sourceName: 'table',
    position: { sourceName: 'table', kind: 'row', value: '18446744073709551615' },
    who: 'a person',
  });
  await ledger.emitted({ emitter: 'queue', seq: 7 });
}

async function busyRun(ledger: Ledger, advance: (ms: number) => void, size: number): Promise<void> {
  const book = await Book.open(ledger, { lanes: ['api', 'archive'] });
  await book.start();
  const sizes = [3, 2, 4, 5, 2, 1, 3, ...Array.from({ length: 20 * size }, (_, nth) => 1 + (nth % 7))];
  const ids = await book.seal(sizes);
  await book.seal([6, 6], 'archive');
  await sealOddities(ledger, book);
  await book.close();
  const { claim } = await book.deliver(ids[0]!, delivered(3));
  advance(10);
  const { children } = await book.deliver(ids[1]!, verdict('ar', [child([1])]), claim);
  await book.deliver(children[0]!.id, { kind: 'lost', evidence: 'the connection was cut' }, claim);
  await book.deliver(ids[2]!, verdict('aruu'), claim);
  await book.deliver(ids[3]!, { kind: 'not-applied', reason: 'connection refused' }, claim);
  const refused = { kind: 'refused', code: '413', message: 'too large', receipt: { summary: '413' } } as const;
  await book.deliver(ids[4]!, { ...refused, children: [child([0]), child([1])] }, claim);
  await book.deliver(ids[5]!, { kind: 'lost', evidence: 'no answer in 30 s' }, claim);
  await ledger.settle({ batch: ids[5]!, claim, decision: { kind: 'skip' }, who: 'policy:skip', evidence: 'ordered' });
  const resend = { kind: 'resend', child: child([2, 3]) } as const;
  await ledger.settle({ batch: ids[2]!, claim, decision: resend, who: 'a person', evidence: 'asked by phone' });
  await ledger.retry({ batch: ids[2]!, children: [child([1], 'mended')], who: 'a person', reason: 'mended' });
  await ledger.intend({ ...claim, batch: ids[6]!, deadlineMs: 100, notes: { expectedPosition: '12' } });
  advance(LEASE_MS);
  const taken = shardClaim((await book.claimShard({ owner: 'second' }))!);
  for (const [nth, id] of ids.slice(7).entries()) {
    if (nth % 5 < 4) await book.deliver(id, delivered(sizes[nth + 7]!), taken);
  }
  await ledger.pause({ run: book.run, lane: 'archive', who: 'a person', reason: 'the archive is moved' });
}

/** A position, records that got into no batch, and counts that are not zero. */
async function sealOddities(ledger: Ledger, book: Book): Promise<void> {
  await ledger.seal({
    ...book.claim,
    generation: book.generation,
    batches: [],
    unbatched: [
      { lane: 'api', row: 900, state: 'refused', code: 'JSON_INVALID', message: 'not JSON' },
      { lane: 'api', row: 901, key: keyOf(1), state: 'skipped', code: 'DUPLICATE_KEY', message: 'came before' },
    ],
    counts: [{ lane: 'api', read: 5, same: 3, changed: 0, duplicates: 1 }],
    position: { sourceName: 'stream', kind: 'sequence', value: '901' },
    rows: 901,
  });
}

async function abandonedRun(ledger: Ledger, advance: (ms: number) => void): Promise<void> {
  const book = await Book.open(ledger, { window: '2026-11-20', owner: 'gone' });
  await book.start();
  await book.seal([4, 4]);
  await ledger.abandonGeneration({ ...book.claim, generation: book.generation, reason: 'interrupted' });
  await book.start();
  await book.seal([3, 3, 3]);
  advance(5);
  await ledger.breakLeases({ owner: 'gone', evidence: 'its process ended' });
}

async function cancelledRun(ledger: Ledger): Promise<void> {
  const { book, ids } = await Book.sealed(ledger, [2, 2], { flow: 'orders', window: 'all' });
  const { claim } = await book.deliver(ids[0]!, verdict('au'));
  await ledger.cancel({ run: book.run, who: 'a person', reason: 'the wrong month' });
  await ledger.releaseShard(claim);
  await ledger.releaseRun(book.claim);
}

/** Runs, batches and keys that the questions below are put about; one of each that the story never had. */
const RUNS = [1, 2, 3, 4];
const KEYS = [1, 4, 5, 8, 9, 11, 20, 25, 31, 60, 99_999];

/** Every question that a reader answers, with its answer as text. A refusal is an answer: its code. */
export async function everyAnswer(ledger: Ledger): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  const { read } = ledger;
  const ask = async (question: string, answer: Promise<unknown>): Promise<void> => {
    answers.set(question, await answer.then(asText, (error: { code?: string }) => `refused: ${String(error.code)}`));
  };
  await ask('runs', read.runs({}));
  await ask('runs, newest first', read.runs({ newestFirst: true, flow: 'members' }));
  for (const id of RUNS) await askAboutRun(ledger, id, ask);
  const batches = await read.batches({}).catch(() => []);
  const ids = [...batches.map((batch) => batch.id), asBatchId(99_999)];
  for (const id of ids) {
    await ask(`batch ${id}`, read.batch(id));
    await ask(`attempts of ${id}`, read.attempts(id));
    await ask(`children of ${id}`, read.children(id));
  }
  await ask('batches', read.batches({}));
  await ask('batches delivered or refused', read.batches({ states: ['delivered', 'refused', 'moved'] }));
  await ask('doubts', read.doubts({}));
  await ask('records', read.records({}));
  await ask('records refused or skipped', read.records({ states: ['refused', 'skipped'] }));
  for (const key of KEYS) await ask(`trace ${key}`, read.trace({ key: keyOf(key) }));
  await ask('events', read.events({}));
  await ask('emitted', read.emitted('queue'));
  await ask('positions', read.positions('members'));
  return answers;
}

async function askAboutRun(
  { read }: Ledger,
  number: number,
  ask: (question: string, answer: Promise<unknown>) => Promise<void>,
): Promise<void> {
  const run = asRunId(number);
  await ask(`run ${run}`, read.run(run));
  await ask(`lanes of ${run}`, read.lanes(run));
  await ask(`generations of ${run}`, read.generations(run));
  await ask(`balance of ${run}`, read.balance(run));
  await ask(`events of ${run}`, read.events({ run }));
  await ask(`doubts of ${run}`, read.doubts({ run }));
  await ask(`sealed batches of ${run}`, read.batches({ run, lane: 'api', states: ['sealed', 'in-doubt'] }));
  await ask(`keys of ${run}`, read.laneKeys({ run, lane: 'api' }));
  await ask(`found keys of ${run}`, read.findKeys({ run, lane: 'api', keys: keysOf(1, 30) }));
}

const asText = (answer: unknown): string =>
  JSON.stringify(answer, (_, value: unknown) => {
    if (value instanceof Map) return [...value];
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  }) ?? 'nothing';
