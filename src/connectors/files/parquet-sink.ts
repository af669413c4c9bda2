import { constants } from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { openParquet } from '../../formats/parquet/read.ts';
import { type Batch, LINES } from '../../model/batch.ts';
import type { Columns } from '../../model/columns.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { DIGEST_ENTRY, parquetOf } from '../../objects/parquet-batch.ts';
import { fillPath } from '../../objects/paths.ts';
import type { Permit, Sink } from '../connector.ts';
import { accessOf } from './access.ts';
import { away } from './sink.ts';
import { madeTarget, syncFolder } from './target.ts';

export interface ParquetSinkOptions {
  readonly root: string;
  /** A path with `{{ batch }}`; also `{{ window }}`, `{{ flow }}` and `{{ lane }}`. */
  readonly path: string;
  readonly columns: Columns;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
}

/** Names tried for the file that is written before it gets its own. */
const DRAFTS_MAX = 100;

/**
 * Each batch is a file of its own, named after the batch. It is written under another name, synced, and then linked to
 * its own, which fails if there is one already: so a file is there as a whole or not at all, and it is its own marker.
 */
export function parquetSink(options: ParquetSinkOptions): Sink {
  return {
    accepts: [LINES],
    limits: { recordsPerBatch: options.recordsPerBatch, bytesPerBatch: options.bytesPerBatch, inFlight: 4 },
    can: { commitOnce: (permit) => commitOnce(options, permit) },
    facts: { rejectsAtomically: true },
    requestTimeoutMs: 60_000,
  };
}

async function commitOnce(options: ParquetSinkOptions, permit: Permit): Promise<Verdict | 'already'> {
  if (permit.signal.aborted) throw new NotAppliedError('the send was given up before it began');
  const { batch } = permit;
  const { flow, window, lane, idempotencyKey } = batch;
  const name = fillPath(options.path, { flow, window, lane, batch: idempotencyKey });
  const bytes = await parquetOf(options.columns, batch, await permit.payload(), name);
  const { target, folder } = await madeTarget(options.root, name).catch(away(name));
  const draft = await writtenDraft(join(folder, `.${basename(target)}`), bytes).catch(away(name));
  try {
    await link(draft, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw away(name)(error);
    return await already(target, name, batch);
  } finally {
    await unlink(draft).catch(undecided(`what ${name} was made from could not be removed`));
  }
  await syncFolder(folder).catch(undecided(`the name ${name} may not have reached the disk`));
  return applied(batch.records, { summary: `${bytes.length} bytes as ${name}`, reference: name });
}

/** From the link on, no error proves that nothing was applied; the file itself tells it at the next try. */
function undecided(message: string): (error: unknown) => never {
  return (error) => {
    throw new WaybillError('SINK_FAILED', message, { cause: error });
  };
}

/** A whole file under a name that nobody reads. What a crash left there is passed over. */
async function writtenDraft(path: string, bytes: Uint8Array): Promise<string> {
  for (let nth = 0; nth < DRAFTS_MAX; nth++) {
    const draft = `${path}.${nth}.draft`;
    const file = await openNew(draft);
    if (file === undefined) continue;
    try {
      await file.writeFile(bytes);
      await file.sync();
      return draft;
    } catch (error) {
      await unlink(draft);
      throw error;
    } finally {
      await file.close();
    }
  }
  throw new WaybillError('SINK_AWAY', `there are ${DRAFTS_MAX} files like ${basename(path)}.0.draft`, {
    hint: 'Remove those that an interrupted run has left.',
  });
}

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  }
}

async function already(target: string, name: string, batch: Batch): Promise<'already'> {
  const file = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { entries } = await openParquet(await accessOf(file));
    if (entries.get(DIGEST_ENTRY) === batch.digest) {
      // The one who linked it may have died before the name was durable.
      await syncFolder(join(target, '..'));
      return 'already';
    }
  } catch (error) {
    if (error instanceof WaybillError)
      throw new RefusedError(`${name} is there and no file of Waybill`, { reason: 'marker', cause: error });
    throw error;
  } finally {
    await file.close();
  }
  throw new RefusedError(`${name} is there and holds another batch`, { reason: 'marker' });
}
