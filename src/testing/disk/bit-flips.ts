import type { JournalEntry } from '../../ledger/journal.ts';
import { fileJournal } from '../../ledger/journal-file.ts';
import type { StagedAt } from '../../ledger/ledger.ts';
import { type StagedDraft, wholeOf } from '../../ledger/staging.ts';
import { folderStaging } from '../../ledger/staging-folder.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import { asBatchId, asRunId } from '../../model/ids.ts';
import { everyAnswer, tellStory } from '../suites/ledger-story.ts';
import type { Chance } from './chance.ts';
import { openLedgerOn } from './ledger-on-disk.ts';
import { SimDisk } from './sim-disk.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';
import { asText } from './witness.ts';

/** What became of a bit that was inverted: an error or a finding; the very same answers; or an answer less. */
export type Fate = 'noticed' | 'harmless' | 'left out';
export interface Flip {
  readonly path: string;
  readonly byte: number;
  readonly bit: number;
}
/** One part of the books, to be damaged and read again. `wrong`: what was handed out that was never written. */
export interface Target {
  readonly name: string;
  /** The files that hold it, by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The next byte to be damaged, where some are worth more than others; any of them when absent. */
  choose?(chance: Chance): Omit<Flip, 'bit'>;
  judge(files: ReadonlyMap<string, Uint8Array>): Promise<{ readonly fate: Fate } | { readonly wrong: string }>;
}

/** Inverts one bit and says what comes of it. */
export async function flipBit(
  target: Target,
  chance: Chance,
): Promise<Flip & ({ readonly fate: Fate } | { readonly wrong: string })> {
  const flip = { ...(target.choose?.(chance) ?? anywhere(target, chance)), bit: chance.below(8) };
  const bytes = (target.files.get(flip.path) as Uint8Array).slice();
  bytes[flip.byte] = (bytes[flip.byte] as number) ^ (1 << flip.bit);
  return { ...flip, ...(await target.judge(new Map(target.files).set(flip.path, bytes))) };
}

function anywhere({ name, files }: Target, chance: Chance): Omit<Flip, 'bit'> {
  const sizes = [...files].map(([path, bytes]) => ({ path, size: bytes.length }));
  let byte = chance.below(sizes.reduce((sum, { size }) => sum + size, 0));
  const at = sizes.find(({ size }) => {
    if (byte < size) return true;
    byte -= size;
    return false;
  });
  if (at === undefined) throw new RangeError(`${name} has no bytes`);
  return { path: at.path, byte };
}

/** A disk that holds just these files. */
export function diskWith(files: ReadonlyMap<string, Uint8Array>): SimDisk {
  const disk = new SimDisk({ names: 'ordered' });
  for (const [path, bytes] of files) {
    const parts = path.split('/').slice(1, -1);
    parts.forEach((_, nth) => {
      const folder = `/${parts.slice(0, nth + 1).join('/')}`;
      if (disk.sizeNow(folder) === undefined) disk.makeFolderNow(folder);
    });
    disk.openForWriting(path, 'new').overwrite(bytes);
  }
  return disk;
}

export const filesOf = (disk: SimDisk): Map<string, Uint8Array> =>
  new Map([...disk.files()].map(([path, file]) => [path, file.bytes]));

// ---- the ledger ----

const HOME = '/books';
const LEDGER = { path: `${HOME}/ledger.db`, mark: `${HOME}/ledger.mark` };
const ID = '00000000-0000-4000-8000-000000000001';

/** `closed`: all of it in one file. `killed`: as a process that was ended leaves it, the newest part in the log. */
export async function ledgerTarget(sqlite: WasmSqlite, left: 'closed' | 'killed'): Promise<Target> {
  let nowMs = Date.UTC(2026, 10, 19, 6);
  const ports = { wallMs: () => nowMs, monotonicMs: () => nowMs, id: () => ID };
  const disk = new SimDisk({ names: 'ordered' });
  const on = openLedgerOn(sqlite, disk, { ...LEDGER, ports, checkpointPages: left === 'killed' ? 60 : 1000 });
  await tellStory(on.ledger, (ms) => {
    nowMs += ms;
  });
  // Last comes a commit that has an event: what is lost behind the last event is at most a lease or an index.
  await on.ledger.pause({ run: asRunId(1), who: 'a person', reason: 'the end of the story' });
  const truth = asText([...(await everyAnswer(on.ledger))]);
  if (left === 'closed') await on.ledger.close();
  const files = filesOf(disk);
  disk.plan.end('the process was ended');
  on.drop();
  const kept = new Map([...files].filter(([path]) => path === LEDGER.mark));
  files.delete(LEDGER.mark);
  return {
    name: `ledger, ${left}`,
    files,
    judge: (damaged) => judgeLedger(sqlite, new Map([...damaged, ...kept]), { ports, truth }),
  };
}

async function judgeLedger(
  sqlite: WasmSqlite,
  files: ReadonlyMap<string, Uint8Array>,
  { ports, truth }: { ports: Parameters<typeof openLedgerOn>[2]['ports']; truth: string },
): Promise<{ fate: Fate } | { wrong: string }> {
  const disk = diskWith(files);
  let drop = (): void => sqlite.forget(disk);
  try {
    const on = openLedgerOn(sqlite, disk, { ...LEDGER, ports });
    drop = on.drop;
    if ((await on.ledger.read.verify()).length > 0) return { fate: 'noticed' };
    const found = asText([...(await everyAnswer(on.ledger))]);
    return found === truth ? { fate: 'harmless' } : { wrong: 'the ledger answers otherwise, and nobody says a word' };
  } catch (error) {
    if (error instanceof WaybillError && /^LEDGER_/.test(error.code)) return { fate: 'noticed' };
    return { wrong: `not clear: ${describeError(error)}` };
  } finally {
    disk.plan.end('judged');
    drop();
  }
}

// ---- staged bytes ----

const STAGING = '/books/staging';
const BATCHES = 6;

/** Batches with and without columns, in one segment. */
export async function stagingTarget(chance: Chance): Promise<Target> {
  const disk = new SimDisk({ names: 'ordered' });
  disk.makeFolderNow(HOME);
  const writer = folderStaging(STAGING, { disk }).writer(asRunId(1), 'api');
  const places: StagedAt[] = [];
  for (let nth = 0; nth < BATCHES; nth++) places.push(await writer.append(draft(chance, nth)));
  await writer.sync();
  await writer.close();
  const truth: string[] = [];
  for (const at of places) truth.push(await readBoth(disk, at));
  return {
    name: 'staged bytes',
    files: filesOf(disk),
    judge: async (files) => {
      const damaged = diskWith(files);
      const fates = [];
      for (const [nth, at] of places.entries()) fates.push(await judgeStaged(damaged, at, truth[nth] as string));
      const wrong = fates.find((fate) => fate !== 'noticed' && fate !== 'harmless');
      if (wrong !== undefined) return { wrong: `batch ${fates.indexOf(wrong) + 1}: ${wrong}` };
      return { fate: fates.includes('noticed') ? 'noticed' : 'harmless' };
    },
  };
}

async function judgeStaged(disk: SimDisk, at: StagedAt, truth: string): Promise<string> {
  try {
    return (await readBoth(disk, at)) === truth ? 'harmless' : 'handed out, and not what was staged';
  } catch (error) {
    if (error instanceof WaybillError && error.code === 'STAGING_CORRUPT') return 'noticed';
    return `not clear: ${describeError(error)}`;
  }
}

/** A batch in both of the ways in which it can be read; whoever reads it anew finds nothing read ahead. */
async function readBoth(disk: SimDisk, at: StagedAt): Promise<string> {
  const whole = wholeOf(await folderStaging(STAGING, { disk }).read(at));
  const digests = await folderStaging(STAGING, { disk }).digests(at);
  return asText([whole, [...whole.spans], digests]);
}

function draft(chance: Chance, nth: number): StagedDraft {
  const records = 2 + chance.below(5);
  const lines = Array.from({ length: records }, (_, at) => `${nth},${at},${'x'.repeat(chance.below(60))}\n`);
  const bytes = new TextEncoder().encode(lines.join(''));
  const spans = new Uint32Array(records * 2);
  let end = 0;
  lines.forEach((line, at) => {
    spans.set([end, end + line.length - 1], at * 2);
    end += line.length;
  });
  const some = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => chance.below(256));
  return {
    bytes,
    spans,
    keys: some(records * 16),
    sourceDigests: some(records * 8),
    payloadDigests: some(records * 8),
    ...(nth % 2 === 0 ? {} : { columns: ['batch', 'row', 'name'] }),
    about: { flow: 'members', window: '2026-11-19', lane: 'api', digest: some(32).join('') },
  };
}

// ---- the journal ----

const JOURNAL = '/books/ledger.db.journal';

/** Answers of all kinds, some of them struck out. */
export async function journalTarget(chance: Chance): Promise<Target> {
  const disk = new SimDisk({ names: 'ordered' });
  disk.makeFolderNow(HOME);
  const journal = fileJournal(JOURNAL, disk);
  const entries = Array.from({ length: 12 }, (_, nth) => entry(chance, nth + 1));
  for (const one of entries) await journal.write(one);
  for (const one of entries.slice(0, 4)) await journal.strike(one);
  await journal.close();
  const written = new Set(entries.map(asText));
  const truth = (await journal.entries()).map(asText);
  return {
    name: 'journal',
    files: filesOf(disk),
    judge: async (files) => {
      const there = (await fileJournal(JOURNAL, diskWith(files)).entries()).map(asText);
      const wrong = there.find((text) => !written.has(text));
      if (wrong !== undefined) return { wrong: `handed out, and never written: ${wrong}` };
      // An entry that was struck out and comes back is an answer that the ledger hears twice, which changes nothing.
      return { fate: truth.every((text) => there.includes(text)) ? 'harmless' : 'left out' };
    },
  };
}

function entry(chance: Chance, nth: number): JournalEntry {
  const at = { run: asRunId(1), lane: 'api', shard: 0, fence: 1, batch: asBatchId(nth), attempt: 1, ledger: ID };
  const receipt = { summary: `${200 + chance.below(300)} ${'.'.repeat(chance.below(80))}` };
  if (nth % 3 === 0) return { ...at, answer: { kind: 'lost', evidence: `cut off after ${chance.below(9_000)} ms` } };
  if (nth % 3 === 1) return { ...at, answer: { kind: 'not-applied', reason: 'connection refused' } };
  const outcomes = Uint8Array.from({ length: 40 }, () => chance.below(2));
  return { ...at, answer: { kind: 'verdict', outcomes, refusals: [], receipt, children: [] } };
}
