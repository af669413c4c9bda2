import { join } from 'node:path';
import type { Disk, DiskFile } from '../../src/ledger/disk.ts';
import type { Journal, JournalEntry } from '../../src/ledger/journal.ts';
import { fileJournal } from '../../src/ledger/journal-file.ts';
import type { Ledger, StagedAt } from '../../src/ledger/ledger.ts';
import { headerEnd, parseHeader, type SegmentHeader, unpackBlock } from '../../src/ledger/segment.ts';
import type { Staged, StagedRanges, Staging } from '../../src/ledger/staging.ts';
import { JOURNAL, type Mistake, STAGING } from '../../src/testing/disk/machine.ts';

/** A mistake that somebody might make, and what must be said of it. */
export interface Planted {
  readonly name: string;
  readonly mistake: Mistake;
  readonly found: RegExp;
}

const unsynced =
  (which: RegExp) =>
  (kind: 'sync' | 'sync-folder', path: string): boolean =>
    kind === 'sync' && which.test(path);

export const PLANTED: readonly Planted[] = [
  {
    name: 'the log of the ledger is not synced',
    mistake: { skip: unsynced(/db-wal$/) },
    found: /acknowledged, but not there|knows of no intent|cannot be read/,
  },
  {
    name: 'the ledger runs with synchronous = NORMAL',
    mistake: { pragma: (text) => text.replace('synchronous = FULL', 'synchronous = NORMAL') },
    found: /acknowledged, but not there|knows of no intent/,
  },
  {
    name: 'the ledger runs with synchronous = OFF',
    mistake: { pragma: (text) => text.replace(/synchronous = \w+/, 'synchronous = OFF') },
    found: /acknowledged, but not there|LEDGER_CORRUPT/,
  },
  {
    name: 'staged bytes are not synced',
    mistake: { skip: unsynced(/\.seg$/) },
    found: /cannot be read back/,
  },
  {
    name: 'staged bytes and answers are synced before they are written',
    mistake: { disk: (disk) => reopened(disk, syncFirst) },
    found: /cannot be read back|written to the journal, but not there/,
  },
  {
    name: 'the ledger commits before the staged bytes are synced',
    mistake: { staging: syncLater },
    found: /cannot be read back/,
  },
  {
    name: 'the folders of staged bytes are not synced after a file is made',
    mistake: { skip: (kind, path) => kind === 'sync-folder' && path.includes('/staging'), among: { names: 'strict' } },
    found: /cannot be read back/,
  },
  {
    name: "the folder above the ledger's is not synced after that is made",
    mistake: { skip: (kind, path) => kind === 'sync-folder' && !path.includes('/books'), among: { names: 'strict' } },
    found: /acknowledged, but not there|knows of no intent/,
  },
  {
    name: 'the folder is not synced after the journal is made or renamed',
    mistake: {
      among: { names: 'strict', journalFirst: true },
      journal: (_, disk) => fileJournal(JOURNAL, { ...methods(disk), syncFolder: async () => undefined }),
    },
    found: /written to the journal, but not there/,
  },
  {
    name: 'an answer counts as written to the journal before it is synced',
    mistake: { among: { journalFirst: true }, skip: unsynced(/\.journal$/) },
    found: /written to the journal, but not there/,
  },
  {
    name: 'torn staged bytes are handed out',
    mistake: {
      skip: unsynced(/\.seg$/),
      staging: (staging, disk) => ({ ...methods(staging), read: readBlindly(disk) }),
    },
    found: /is not what was sealed/,
  },
  {
    name: 'a torn line of the journal is taken for an answer',
    mistake: { among: { journalFirst: true }, skip: unsynced(/\.journal$/), journal: believing },
    found: /never written like that/,
  },
  {
    name: 'a batch is sent before its intent is durable',
    mistake: { ledger: intendLater },
    found: /knows of no intent|arrived/,
  },
];

/** The methods of an object of a class, as a plain object that can be changed. */
function methods<T extends object>(target: T): T {
  const bound: Record<string, unknown> = {};
  for (let at: object = target; at !== Object.prototype; at = Object.getPrototypeOf(at) as object)
    for (const name of Object.getOwnPropertyNames(at)) {
      const value: unknown = Reflect.get(target, name);
      bound[name] ??= typeof value === 'function' ? value.bind(target) : value;
    }
  return bound as T;
}

export const reopened = (disk: Disk, change: (file: DiskFile) => DiskFile): Disk => ({
  ...methods(disk),
  open: async (path, how) => change(await disk.open(path, how)),
});

function syncFirst(file: DiskFile): DiskFile {
  const held: Uint8Array[] = [];
  const sync = async (): Promise<void> => {
    await file.sync();
    for (const bytes of held.splice(0)) await file.write(bytes, 0, bytes.length);
  };
  const write = async (bytes: Uint8Array, offset: number, length: number) => {
    held.push(bytes.slice(offset, offset + length));
    return { bytesWritten: length };
  };
  return { write, sync, datasync: sync, identity: () => file.identity(), close: () => file.close() };
}

function syncLater(staging: Staging): Staging {
  return {
    ...methods(staging),
    writer: (run, lane) => {
      const writer = staging.writer(run, lane);
      let owed = false;
      const settle = async (): Promise<void> => {
        if (owed) await writer.sync();
        owed = false;
      };
      return {
        append: async (draft) => {
          await settle();
          return await writer.append(draft);
        },
        sync: async () => {
          owed = true;
        },
        close: async () => {
          await settle();
          await writer.close();
        },
      };
    },
  };
}

function intendLater(ledger: Ledger): Ledger {
  const intend: Ledger['intend'] = async (ask) => {
    const { attempts } = await ledger.read.batch(ask.batch);
    // Nobody waits for it, and nobody hears when it fails: that is the mistake.
    setImmediate(() => setImmediate(() => ledger.intend(ask).catch(() => undefined)));
    return { attempt: attempts + 1 };
  };
  return new Proxy(ledger, { get: (target, name) => (name === 'intend' ? intend : Reflect.get(target, name)) });
}

const readBlindly =
  (disk: Disk) =>
  async (at: StagedAt): Promise<Staged | StagedRanges> => {
    const bytes = (await disk.readFile(join(STAGING, at.segment))).subarray(at.offset);
    const end = headerEnd(bytes) ?? 0;
    const header =
      parseHeader(bytes.subarray(0, end)) ?? ({ bytes: at.bytes, records: 0, digest: '' } as SegmentHeader);
    return unpackBlock(header, bytes.subarray(end, end + at.bytes + at.trailerBytes));
  };

/** Whatever looks like JSON when what is missing is left out. */
function believing(journal: Journal, disk: Disk): Journal {
  const entries = async (): Promise<readonly JournalEntry[]> => {
    const found = [...(await journal.entries())];
    const bytes = await disk.readFile(JOURNAL).catch(() => new Uint8Array());
    for (const line of Buffer.from(bytes).toString('utf8').replaceAll('\0', '').split('\n')) {
      const [, json] = /^[0-9a-f]{8} [0-9a-f]{8} (.*)$/.exec(line) ?? [];
      const entry = json === undefined ? undefined : parsed(json);
      if (entry !== undefined) found.push(entry);
    }
    return found;
  };
  return { ...methods(journal), entries };
}

function parsed(json: string): JournalEntry | undefined {
  try {
    const line = JSON.parse(json) as { kind: string; entry: JournalEntry };
    return line.kind === 'answer' ? line.entry : undefined;
  } catch {
    return undefined;
  }
}
