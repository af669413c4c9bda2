import type * as Lance from '@lancedb/lancedb';
import type * as Arrow from 'apache-arrow';
import { RefusedError } from '../../model/errors.ts';
import type { LoadStep, StepReceipt } from '../../model/load.ts';
import type { LoadNote } from './books.ts';
import { contentDigest } from './content-digest.ts';
import { expectAsked, within, writeError } from './driver.ts';
import type { Target } from './target.ts';

/** What a table is called that is not there. */
const NOTHING = 'nothing';
/** Before the first version of a table. */
const NO_VERSION = 0;
/** So many versions that nobody has named yet are looked at, the newest first. */
const UNNAMED_MAX = 64;

/**
 * LanceDB counts commits, and a compaction is one too. What is named here is the content: all versions of the same
 * rows have one name, that of the first of them that was named. So a compaction changes no name, and going back to a
 * name takes the newest version that has it, with its compaction.
 */
export class Versions {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  async current(): Promise<string> {
    const table = await this.#target.find();
    return table === undefined ? NOTHING : await this.#nameOf(table, await table.version());
  }

  async kept(): Promise<readonly string[]> {
    const table = await this.#target.find();
    if (table === undefined) return [];
    const names = [...(await this.#named(table)).values()];
    return [...new Set(names)];
  }

  async restore(step: LoadStep, name: string | null): Promise<StepReceipt> {
    const { books } = this.#target;
    expectAsked(step);
    await books.shutOut(step);
    const table = await this.#target.find();
    if (table === undefined) return { summary: 'there is no table yet' };
    const note = await books.get('load', step.load.id);
    if (note !== undefined && (await this.#standsLast(table, note))) {
      return { summary: 'the load itself is what came last, so there is nothing to go back from' };
    }
    const version = name === null ? NO_VERSION : await this.#wayBackTo(table, name);
    if (version !== undefined) await this.#surelyOwn(step, version);
    // The load may have been published, and others have written since: from here on it is not, and will be once more.
    if (note !== undefined && note.state !== 'open') {
      const { base: _, receipt: __, ...rest } = note;
      await books.put('load', step.load.id, { ...rest, state: 'void' });
    }
    if (name === null || version === NO_VERSION) return await emptied(step, table);
    if (version === undefined) return { summary: `the table is at ${name} already` };
    return await restored(step, table, { name, version });
  }

  /** What another flow has brought is not this one's to take out: nobody would bring it again. */
  async #surelyOwn({ load }: LoadStep, version: number): Promise<void> {
    const { books, options } = this.#target;
    const notes = [...(await books.all('load')).values()];
    const other = notes.find((note) => (note.flow ?? load.flow) !== load.flow && mayStandIn(note) > version)?.flow;
    if (other === undefined) return;
    const { table } = options;
    throw new RefusedError(
      `${JSON.stringify(table)} holds loads of the flow ${other}, and this load would take them out`,
      {
        reason: 'flow-foreign',
        about: 'request',
        ids: { table, other },
        hint: `Give each flow a table of its own. If ${other} is called ${load.flow} now, load it into a new table.`,
      },
    );
  }

  /** Undefined: it is there. Throws RefusedError where there is no way, before anything is written down. */
  async #wayBackTo(table: Lance.Table, name: string): Promise<number | undefined> {
    if ((await this.#nameOf(table, await table.version())) === name) return undefined;
    const version = [...(await this.#named(table))].filter(([, known]) => known === name).at(-1)?.[0];
    if (version === undefined) {
      throw new RefusedError(`the table no longer keeps ${name}`, { reason: 'version-gone', about: 'request' });
    }
    return version;
  }

  /** Whether the load was published and nothing has changed since, other than the files that hold it. */
  async #standsLast(table: Lance.Table, { state, receipt }: LoadNote): Promise<boolean> {
    const after = receipt?.facts?.tableVersion;
    if (state !== 'published' || after === undefined) return false;
    const now = await table.version();
    if (now === after) return true;
    const kept = (await table.listVersions()).some(({ version }) => version === after);
    return kept && (await this.#nameOf(table, Number(after))) === (await this.#nameOf(table, now));
  }

  /** Names of the versions that are kept, oldest first. */
  async #named(table: Lance.Table): Promise<ReadonlyMap<number, string>> {
    const versions = (await table.listVersions()).map(({ version }) => version).sort((a, b) => a - b);
    const known = await this.#target.books.all('version');
    const unnamed = versions.filter((version) => !known.has(String(version))).slice(-UNNAMED_MAX);
    const names = new Map<number, string>();
    for (const version of versions) {
      const name = known.get(String(version))?.name;
      if (name !== undefined) names.set(version, name);
      else if (unnamed.includes(version)) names.set(version, await this.#nameOf(table, version));
    }
    return names;
  }

  async #nameOf(table: Lance.Table, version: number): Promise<string> {
    const { books } = this.#target;
    const known = await books.get('version', String(version));
    if (known !== undefined) return known.name;
    const stable = await this.#target.isStable();
    await table.checkout(version);
    const digest = await contentDigest(await this.#arrow(), table, stable);
    await table.checkoutLatest();
    const others = [...(await books.all('version')).values()];
    const name = others.find((other) => other.digest === digest)?.name ?? `v${version}`;
    await books.put('version', String(version), { name, digest });
    return name;
  }

  async #arrow(): Promise<typeof Arrow> {
    return (await this.#target.database.open()).arrow;
  }
}

/** The version that a load made; of one that is being published, the first that it may have made. */
function mayStandIn({ state, base, receipt }: LoadNote): number {
  if (state === 'publishing') return (base ?? NO_VERSION) + 1;
  return state === 'published' ? Number(receipt?.facts?.tableVersion ?? NO_VERSION) : NO_VERSION;
}

async function restored(
  { signal }: LoadStep,
  table: Lance.Table,
  { name, version }: { readonly name: string; readonly version: number },
): Promise<StepReceipt> {
  await table.checkout(version);
  await within(signal, table.restore()).catch((error: unknown) => {
    throw writeError(error, `going back to version ${version}`);
  });
  const facts = { restored: name, tableVersion: await table.version() };
  return { summary: `back to ${name}, which was version ${version} of the table`, facts };
}

async function emptied(step: LoadStep, table: Lance.Table): Promise<StepReceipt> {
  const rows = await table.countRows();
  if (rows === 0) return { summary: 'the table is empty already' };
  await within(step.signal, table.delete('true')).catch((error: unknown) => {
    throw writeError(error, 'emptying the table');
  });
  return { summary: `the table is empty; ${rows} rows were taken out`, facts: { deleted: rows } };
}
