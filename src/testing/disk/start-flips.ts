import { describeError, WaybillError } from '../../model/errors.ts';
import { drive } from '../drive.ts';
import { VirtualPorts } from '../virtual-ports.ts';
import { diskWith, type Fate, filesOf, type Target } from './bit-flips.ts';
import { openLedgerOn } from './ledger-on-disk.ts';
import { booksAsText, NEXT, PAST, type Starting, type StartOf, startFlow } from './next-start.ts';
import { type UsedPage, usedPages } from './page-bytes.ts';
import type { SimDisk } from './sim-disk.ts';
import type { WasmSqlite } from './wasm-sqlite.ts';
import { asText } from './witness.ts';

const LEDGER = { path: '/books/ledger.db', mark: '/books/staging/ledger.mark' };
const SEED = Uint8Array.from({ length: 16 }, (_, at) => at * 11 + 3);
const BEGIN_MS = Date.UTC(2026, 10, 19, 6);
/** Longer than any lease of a process that is gone. */
const APART_MS = 3_600_000;
const NEXT_MS = BEGIN_MS + PAST.length * APART_MS;
/** Few rows make trees with inner pages then. */
const pragma = (text: string): string => (text.startsWith('page_size') ? 'page_size = 512' : text);

/** What became of one start: what left for its sinks, and how it ended. */
interface Came {
  readonly name: string;
  readonly sent: readonly string[];
  readonly ended: string;
  readonly how: 'well' | 'noticed' | 'unclear';
}

interface Outcome {
  readonly starts: readonly Came[];
  /** What the books say afterwards. */
  readonly books: string;
  /** Where they say otherwise than they should: what came of starting everything once more. */
  readonly once: readonly Came[];
}

/**
 * Books with a past, which somebody starts the same flows on again, without having them verified. `large`: the ledger
 * passes for one that is not looked through when it is opened. What was sent before must not leave again.
 */
export async function startTarget(sqlite: WasmSqlite, size: 'small' | 'large'): Promise<Target> {
  let files: ReadonlyMap<string, Uint8Array> = new Map();
  for (const [nth, start] of PAST.entries()) files = await past(sqlite, files, start, nth);
  const truth = await nextStart(sqlite, files, size);
  const bad = truth.starts.find(({ how }) => how !== 'well');
  if (bad !== undefined) throw new RangeError(`${bad.name} does not even end well on sound books: ${bad.ended}`);
  const ledger = files.get(LEDGER.path) as Uint8Array;
  const rest = new Map([...files].filter(([path]) => path !== LEDGER.path));
  return {
    name: `next start, ${size} ledger`,
    files: new Map([[LEDGER.path, ledger]]),
    choose: choosing(usedPages(ledger)),
    judge: async (damaged) => compare(await nextStart(sqlite, new Map([...rest, ...damaged]), size, truth), truth),
  };
}

/** Of a hundred flips so many hit what leads to rows and carries no digest. */
const TREES_PERCENT = 70;

/** Each byte of an index or an inner page once before any of them comes again; and any other that is in use. */
function choosing(pages: readonly UsedPage[]): NonNullable<Target['choose']> {
  const inTree = (page: UsedPage): boolean => page.kind.startsWith('in');
  const trees = pages.filter(inTree).flatMap(({ bytes }) => bytes);
  const others = pages.filter((page) => !inTree(page)).flatMap(({ bytes }) => bytes);
  let left: number[] = [];
  return (chance) => {
    if (chance.below(100) >= TREES_PERCENT) return { path: LEDGER.path, byte: chance.of(others) };
    if (left.length === 0) left = [...trees];
    const [byte] = left.splice(chance.below(left.length), 1);
    return { path: LEDGER.path, byte: byte as number };
  };
}

/** One process that ends, or dies, and leaves what is on the disk. */
async function past(
  sqlite: WasmSqlite,
  files: ReadonlyMap<string, Uint8Array>,
  start: StartOf,
  nth: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const disk = copied(files);
  const ports = new VirtualPorts({ wallMs: BEGIN_MS + nth * APART_MS, seed: nth });
  const on = openLedgerOn(sqlite, disk, { ...LEDGER, ports, pragma, seed: SEED });
  const dead = new Promise<void>((died, failed) => {
    startFlow(start, { ledger: on.ledger, disk, ports, owner: `process ${nth}` }, { sent: [], died }).then(
      () => died(),
      failed,
    );
  });
  await drive(ports, dead);
  await on.ledger.close();
  const left = contents(disk);
  disk.plan.end('the process was ended');
  on.drop();
  return left;
}

/** The log is folded into the ledger when that is closed. */
const contents = (disk: SimDisk): ReadonlyMap<string, Uint8Array> =>
  new Map([...filesOf(disk)].filter(([path]) => !/-(wal|shm|journal)$/.test(path)));

/** Files that were written by one process are not changed by the next one. */
const copied = (files: ReadonlyMap<string, Uint8Array>): SimDisk =>
  diskWith(new Map([...files].map(([path, bytes]) => [path, bytes.slice()])));

/** `truth`: what should come of it; where the books say otherwise in the end, everything is started once more. */
async function nextStart(
  sqlite: WasmSqlite,
  files: ReadonlyMap<string, Uint8Array>,
  size: 'small' | 'large',
  truth?: Outcome,
): Promise<Outcome> {
  const disk = copied(files);
  const { starts, books = '' } = await oneProcess(sqlite, disk, { size, wallMs: NEXT_MS });
  const differs = truth !== undefined && books !== truth.books && starts.every(({ how }) => how === 'well');
  if (!differs) return { starts, books, once: [] };
  const again = { size, wallMs: NEXT_MS + 2 * NEXT.length * APART_MS };
  return { starts, books, once: (await oneProcess(sqlite, copied(contents(disk)), again)).starts };
}

/** Opens the ledger, starts everything that is to be started, says what the books say then, and ends. */
async function oneProcess(
  sqlite: WasmSqlite,
  disk: SimDisk,
  { size, wallMs }: { size: 'small' | 'large'; wallMs: number },
): Promise<{ starts: Came[]; books?: string }> {
  const ports = new VirtualPorts({ wallMs, seed: PAST.length });
  let drop = (): void => sqlite.forget(disk);
  try {
    const on = openLedgerOn(sqlite, disk, { ...LEDGER, ports, pragma, large: size === 'large' });
    drop = on.drop;
    const starts: Came[] = [];
    for (const [nth, start] of NEXT.entries()) {
      // Each at a time of its own, however long the one before it took.
      ports.advanceClock(wallMs + (nth + 1) * APART_MS - ports.wallMs());
      starts.push(await cameOf(start, { ledger: on.ledger, disk, ports, owner: 'next' }));
    }
    const told = booksAsText(on.ledger).catch((error: unknown) => `${howOf(error)}: ${describeError(error)}`);
    const books = timeless(await drive(ports, told));
    await on.ledger.close().catch(noticedOnly);
    return { starts, books };
  } catch (error) {
    return { starts: [{ name: 'opening', sent: [], ended: describeError(error), how: howOf(error) }] };
  } finally {
    disk.plan.end('judged');
    drop();
  }
}

function noticedOnly(error: unknown): void {
  if (howOf(error) !== 'noticed') throw error;
}

async function cameOf(start: StartOf, by: Starting): Promise<Came> {
  const sent: string[] = [];
  const { name } = start.flow;
  try {
    const { elapsedMs: _, ...summary } = await drive(by.ports, startFlow(start, by, { sent }));
    return { name, sent: sent.map(timeless), ended: timeless(asText(summary)), how: 'well' };
  } catch (error) {
    return { name, sent: sent.map(timeless), ended: describeError(error), how: howOf(error) };
  }
}

/** A step more of some work in between, and everything behind it is a little later. */
const timeless = (text: string): string =>
  text.replace(/(AtMs|UntilMs|TimeMs)":\d+/g, '$1":0').replace(/T\d\d:\d\d:\d\d\.\d{3}Z/g, 'T');

const howOf = (error: unknown): 'noticed' | 'unclear' =>
  error instanceof WaybillError && error.code.startsWith('LEDGER_') ? 'noticed' : 'unclear';

/** Nothing may leave that would not have left otherwise, whoever is told what; silence means that all is as it was. */
function compare(outcome: Outcome, truth: Outcome): { fate: Fate } | { wrong: string } {
  let noticed = false;
  for (const came of outcome.starts) {
    const expected = truth.starts.find(({ name }) => name === came.name);
    const wrong = wrongWith(came, expected, noticed);
    if (wrong !== undefined) return { wrong: `${came.name} ${wrong}` };
    noticed ||= came.how === 'noticed';
  }
  if (noticed || outcome.books.startsWith('noticed')) return { fate: 'noticed' };
  if (outcome.books === truth.books) return { fate: 'harmless' };
  const again = outcome.once.find(({ sent }) => sent.length > 0);
  if (again !== undefined) return { wrong: `${again.name} sends when it is started once more: ${again.sent[0]}` };
  // A look at the books shows less, and the next start says so: nothing was decided on the strength of it.
  if (outcome.once.some(({ how }) => how === 'noticed')) return { fate: 'noticed' };
  return { wrong: `the books say otherwise: ${firstDifference(outcome.books, truth.books)}` };
}

/** After a start that was refused, those behind it have other numbers, and are held to what they send. */
function wrongWith(came: Came, expected: Came | undefined, noticed: boolean): string | undefined {
  const sent = expected?.sent ?? [];
  const again = came.sent.find((one) => count(came.sent, one) > count(sent, one));
  if (again !== undefined) return `sends again: ${again}`;
  if (came.how === 'unclear') return `is not clear: ${came.ended}`;
  if (came.how === 'noticed') return undefined;
  const hidden = sent.find((one) => count(came.sent, one) < count(sent, one));
  if (hidden !== undefined) return `hides: ${hidden}`;
  if (noticed || came.ended === expected?.ended) return undefined;
  return `ends otherwise: ${firstDifference(came.ended, expected?.ended ?? '')}`;
}

const count = (all: readonly string[], one: string): number => all.filter((other) => other === one).length;

function firstDifference(one: string, other: string): string {
  let at = 0;
  while (one[at] === other[at] && at < one.length) at++;
  return `…${one.slice(Math.max(0, at - 80), at + 80)}… and not …${other.slice(Math.max(0, at - 80), at + 80)}…`;
}
