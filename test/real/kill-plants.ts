import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Sort } from './kill-campaign.ts';

/** A mistake in the built program that only a death at the wrong moment brings to light. */
export interface Plant {
  readonly name: string;
  /** Where it can be seen. */
  readonly sort: Sort;
  readonly file: string;
  readonly find: RegExp;
  readonly replace: string;
  /** What is said of it: anything else would be another finding. */
  readonly says: RegExp;
}

const TWICE = /is (?:delivered|in doubt), and is there [2-9] times/;
/** A ledger that is slow, and an answer that is quicker than the intent it belongs to: the ledger refuses it. */
const OVERTAKEN = /has had no attempt \d/;
const TOO_MANY = /0 rows are missing, [1-9]\d* are too many|its table holds \d+ of \d+ rows/;

export const PLANTS: readonly Plant[] = [
  {
    name: 'a batch whose attempt has no answer is taken for one that was never sent',
    sort: 'none',
    file: 'ledger/books/verbs/claim-shard.js',
    find: /yield\* lose\(tx, batch, before, lease\);/,
    replace: "tx.saveBatch(batch, { ...batch, state: 'sealed' });",
    says: TWICE,
  },
  {
    name: 'the intent to send is not waited for',
    sort: 'shared',
    file: 'engine/attempt.js',
    find: /const \{ attempt \} = await lane\.ledger\.intend\(/,
    replace: 'const attempt = batch.attempts + 1; void lane.ledger.intend(',
    says: new RegExp(`${TWICE.source}|${OVERTAKEN.source}`),
  },
  {
    name: 'the marker of a batch is not looked at',
    sort: 'rows',
    file: 'connectors/postgres/books.js',
    find: /await this\.#expectSame\(client, ask\.batch\);\s+return false;/,
    replace: 'return true;',
    says: TOO_MANY,
  },
  {
    name: 'the marker of a batch of a load is not looked at',
    sort: 'loads',
    file: 'connectors/postgres/load-books.js',
    find: /return \{ entry, isNew: [^}]*\};/,
    replace: 'return { entry, isNew: true };',
    says: TOO_MANY,
  },
];

const root = resolve(import.meta.dirname, '../..');

/** A copy of the built program with the mistake in it; it finds its packages, being below the same folder. */
export function planted({ file, find, replace }: Plant): { readonly program: string; remove(): void } {
  const place = join(root, '.cache', `planted-${process.pid}`, 'build');
  mkdirSync(place, { recursive: true });
  cpSync(join(root, 'build'), place, { recursive: true });
  cpSync(join(root, 'package.json'), join(place, '..', 'package.json'));
  const path = join(place, file);
  const parts = readFileSync(path, 'utf8').split(find);
  // A mistake that a change of the source has made impossible is no mistake that was not found.
  if (parts.length !== 2) throw new RangeError(`${parts.length - 1} places in ${file} instead of one`);
  writeFileSync(path, parts.join(replace));
  return {
    program: join(place, 'cli', 'main.js'),
    remove: () => rmSync(join(place, '..'), { recursive: true, force: true }),
  };
}
