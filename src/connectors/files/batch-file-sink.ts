import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openParquet } from '../../formats/parquet/read.ts';
import type { Batch } from '../../model/batch.ts';
import { NotAppliedError, RefusedError, WaybillError } from '../../model/errors.ts';
import { applied, type Verdict } from '../../model/verdict.ts';
import { encodedBatch, framingsOf, needsTypes, type WrittenFormat } from '../../objects/encode.ts';
import { objectLoads } from '../../objects/loads.ts';
import { DIGEST_ENTRY } from '../../objects/parquet-batch.ts';
import { fillPath, segmentsOf } from '../../objects/paths.ts';
import type { Permit, Sink } from '../connector.ts';
import { accessOf } from './access.ts';
import { FolderStore } from './folder-store.ts';
import { syncFolder } from './target.ts';

export interface BatchFileSinkOptions {
  readonly root: string;
  /** A path with `{{ batch }}`; also `{{ window }}`, `{{ flow }}` and `{{ lane }}`. */
  readonly path: string;
  readonly manifest?: string | undefined;
  readonly written: WrittenFormat;
  readonly recordsPerBatch: number;
  readonly bytesPerBatch: number;
}

/**
 * Each batch is a file of its own, named after the batch. It is written under another name, synced, and then linked to
 * its own, which fails if there is one already: so a file is there as a whole or not at all, and it is its own marker.
 * Where a manifest leads readers, it is collected with its load instead, and listed when all of that is there.
 */
export function batchFileSink(options: BatchFileSinkOptions): Sink {
  const { root, path, manifest, written } = options;
  const store = new FolderStore(root);
  const loads = objectLoads({ store, path, manifest, encode: (permit) => encodedBatch(written, permit) });
  const alone = manifest === undefined ? { commitOnce: (permit: Permit) => commitOnce(store, options, permit) } : {};
  return {
    accepts: framingsOf(written),
    limits: { recordsPerBatch: options.recordsPerBatch, bytesPerBatch: options.bytesPerBatch, inFlight: 4 },
    can: { ...alone, ...loads.can },
    facts: { rejectsAtomically: true, ...loads.facts },
    ...(needsTypes(written) ? { needsTypes: true } : {}),
    requestTimeoutMs: 60_000,
  };
}

async function commitOnce(
  store: FolderStore,
  { root, path, written }: BatchFileSinkOptions,
  permit: Permit,
): Promise<Verdict | 'already'> {
  const { batch, signal } = permit;
  if (signal.aborted) throw new NotAppliedError('the send was given up before it began');
  const { flow, window, lane, idempotencyKey } = batch;
  const name = fillPath(path, { flow, window, lane, batch: idempotencyKey });
  const { bytes } = await encodedBatch(written, permit);
  if ((await store.create(name, bytes, signal)) === 'there') {
    const target = join(root, ...segmentsOf(name));
    await (written.format === 'parquet' ? isParquet(target, name, batch) : isText(target, name, bytes));
    // The one who linked it may have died before the name was durable.
    await syncFolder(join(target, '..'));
    return 'already';
  }
  return applied(batch.records, { summary: `${bytes.length} bytes as ${name}`, reference: name });
}

async function isText(target: string, name: string, bytes: Uint8Array): Promise<void> {
  if (Buffer.compare(await readFile(target), bytes) !== 0) throw another(name);
}

async function isParquet(target: string, name: string, batch: Batch): Promise<void> {
  const file = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { entries } = await openParquet(await accessOf(file));
    if (entries.get(DIGEST_ENTRY) === batch.digest) return;
  } catch (error) {
    if (error instanceof WaybillError)
      throw new RefusedError(`${name} is there and no file of Waybill`, { reason: 'marker', cause: error });
    throw error;
  } finally {
    await file.close();
  }
  throw another(name);
}

const another = (name: string): RefusedError =>
  new RefusedError(`${name} is there and holds another batch`, { reason: 'marker' });
