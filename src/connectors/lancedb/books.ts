import { RefusedError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import { encoded } from './batch-rows.ts';
import type { LanceDatabase, Opened } from './database.ts';
import { quoteText } from './predicate.ts';

/** How a load stands, beside the table that it goes to. */
export interface LoadNote {
  /** `void`: what it had brought was taken out again. `gone`: another generation has begun. */
  readonly state: 'open' | 'publishing' | 'published' | 'void' | 'gone';
  readonly family: string;
  readonly generation: number;
  /** Absent in notes of an earlier version, which did not say. */
  readonly flow?: string;
  readonly step?: string;
  /** The version of the table before it was published. */
  readonly base?: number;
  readonly receipt?: StepReceipt;
}

/** What one version of the table holds: the name of the content, and its digest. */
export interface VersionNote {
  readonly name: string;
  readonly digest: string;
}

interface Notes {
  readonly load: LoadNote;
  readonly family: { readonly fence: number };
  readonly version: VersionNote;
  readonly table: { readonly stable: boolean };
}
export type Kind = keyof Notes;

const COLUMNS = ['kind', 'id', 'value'].map((name) => ({ name, type: { kind: 'text' as const }, nullable: true }));
const KEY = ['kind', 'id'];
/** So many small commits are put together into one file. */
const FRAGMENTS_MAX = 60;

/**
 * What must be known again after a crash, in a table of its own beside the one it is about: LanceDB commits one table
 * at a time, so what was intended is written first, and whether it was done is found out from the table itself.
 */
export class Books {
  readonly #database: LanceDatabase;
  readonly #name: string;

  constructor(database: LanceDatabase, table: string) {
    this.#database = database;
    this.#name = `${table}_waybill`;
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Notes[K] | undefined> {
    const [found] = await this.#read(`kind = ${quoteText(kind)} and id = ${quoteText(id)}`);
    return found === undefined ? undefined : (JSON.parse(found.value) as Notes[K]);
  }

  async all<K extends Kind>(kind: K): Promise<ReadonlyMap<string, Notes[K]>> {
    const found = await this.#read(`kind = ${quoteText(kind)}`);
    return new Map(found.map(({ id, value }) => [id, JSON.parse(value) as Notes[K]]));
  }

  async put<K extends Kind>(kind: K, id: string, note: Notes[K]): Promise<void> {
    await this.#put(kind, id, note);
  }

  /** Of several who publish a load at the same time, what the first has written stands, and all tell that. */
  async putUnlessPublished(id: string, note: LoadNote): Promise<LoadNote> {
    await this.#put('load', id, note, `target.value not like '{"state":"published"%'`);
    return (await this.get('load', id)) ?? note;
  }

  async #put<K extends Kind>(kind: K, id: string, note: Notes[K], where?: string): Promise<void> {
    const opened = await this.#database.open();
    const columns = opened.newColumns(COLUMNS, KEY);
    const fields = columns.map(({ field }) => field);
    const table = (await opened.find(this.#name)) ?? (await opened.make(this.#name, fields));
    const row = encoded(opened.arrow, columns, [[kind, id, noteText(note)]]);
    const merge = table.mergeInsert(KEY).whenMatchedUpdateAll(where === undefined ? undefined : { where });
    await merge.whenNotMatchedInsertAll().execute(row);
    if ((await table.stats()).fragmentStats.numFragments > FRAGMENTS_MAX) await table.optimize();
  }

  /** A process that was stalled and wakes up late has an older fence. */
  async shutOut({ load, fence }: LoadStep): Promise<void> {
    const known = (await this.get('family', load.family))?.fence;
    if (known !== undefined && known > fence) {
      throw new RefusedError(`the run has been started again since: fence ${fence} is older than ${known}`, {
        reason: 'fence',
        about: 'request',
      });
    }
    if (known !== fence) await this.put('family', load.family, { fence });
  }

  async #read(where: string): Promise<readonly { readonly id: string; readonly value: string }[]> {
    const opened: Opened = await this.#database.open();
    const table = await opened.find(this.#name);
    if (table === undefined) return [];
    const rows = await table.query().where(where).select(['id', 'value']).toArray();
    return rows.map((row: { id: string; value: string }) => ({ id: row.id, value: row.value }));
  }
}

/** The state comes first, where a condition finds it. */
function noteText(note: Notes[Kind]): string {
  if (!('state' in note)) return JSON.stringify(note);
  const { state, ...rest } = note;
  return JSON.stringify({ state, ...rest });
}
