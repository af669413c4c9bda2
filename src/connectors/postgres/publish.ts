import { quoteName } from './connection.ts';
import type { LoadBooks } from './load-books.ts';
import { FIELDS } from './load-place.ts';
import type { Done, Publishing } from './load-steps.ts';
import { type Place, placeOf, quoteNames, readShape } from './shape.ts';
import { closeForWriting, expectViewable, letRead, readersOf, removeUnlessHeld, showAs } from './views.ts';

/** Lets the name show this load alone, whose table is never changed again. Earlier ones stay, as many as are kept. */
export async function showLoad(publishing: Publishing, loads: LoadBooks, keep: number): Promise<Done> {
  const { client, target, records, options } = publishing;
  const before = await loads.shown(client, target.quoted);
  expectViewable(target, before.length > 0);
  const stays = await settled(publishing);
  const shape = (await readShape(client, stays.quoted))!;
  if (target.shape !== undefined) await letRead(client, stays, await readersOf(client, target.shape));
  await closeForWriting(client, stays, options.markerSchema);
  const names = quoteNames(shape.columns.map(({ name }) => name));
  await showAs(client, target, { query: `select ${names} from ${stays.quoted}`, columns: shape.columns });
  const removed: string[] = [];
  const held: string[] = [];
  for (const { load, place } of before.slice(keep)) {
    if (await removeUnlessHeld(client, place)) {
      await loads.removed(client, load);
      removed.push(load);
    } else held.push(place);
  }
  const kept = before.length - removed.length;
  const wait = held.length === 0 ? '' : `; still in use, so removed the next time: ${held.join(', ')}`;
  return {
    stays,
    receipt: {
      summary: `${target.quoted} shows ${stays.quoted} with ${records} rows; ${kept} earlier loads can be read${wait}`,
      facts: { table: stays.quoted, rows: records, kept, removed: removed.length },
    },
  };
}

/** The table of the load beside the name, as readers are to find it. */
async function settled({ client, place, target, options }: Publishing): Promise<Place> {
  await client.query(`alter table ${place.quoted} drop column ${FIELDS}`);
  // Written to the log only now, so a crash of the server cannot empty what readers see.
  if (options.places === 'fast') await client.query(`alter table ${place.quoted} set logged`);
  if (options.create !== undefined && options.key !== undefined) {
    await client.query(`alter table ${place.quoted} add primary key (${quoteNames(options.key)})`);
  }
  if (place.schema !== target.schema) {
    await client.query(`alter table ${place.quoted} set schema ${quoteName(target.schema)}`);
  }
  return placeOf(target.schema, place.name);
}
