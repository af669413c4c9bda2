import { createHash } from 'node:crypto';
import type { Remake } from '../engine/remake.ts';
import { packKeyText, showKey } from '../formats/keys.ts';
import type { BatchRow, DoubtRow, Ledger, LedgerReader, Trace } from '../ledger/ledger.ts';
import { isRanges, isUnkept, type Staging } from '../ledger/staging.ts';
import { describeError } from '../model/errors.ts';
import { type RunId, showBatch } from '../model/ids.ts';
import type { LoadRow } from '../model/load.ts';
import type { BatchState } from '../model/states.ts';
import type { ReadableTrace } from './waybill.ts';

/** What `showKey` prints for a key that is too long to be kept; it can be typed in again. */
const SHOWN_HASH = /^#([0-9a-f]{32})$/;
const PAGE = 500;
const OPEN: ReadonlySet<BatchState> = new Set(['sealed', 'sending', 'in-doubt']);

export interface TraceFilter {
  readonly flow?: string;
  readonly window?: string;
  readonly lane?: string;
}

/** Where the record with this key is, in every lane of every run that met it. */
export async function traceKey(
  key: readonly string[],
  filter: TraceFilter,
  ledger: Ledger,
): Promise<readonly ReadableTrace[]> {
  const hash = key.length === 1 ? SHOWN_HASH.exec(key[0] ?? '') : null;
  const packed = hash === null ? packKeyText(key, ledger.identity.seed) : Buffer.from(hash[1]!, 'hex');
  const { flow, window, lane } = filter;
  const ask = { ...(flow === undefined ? {} : { flow }), ...(lane === undefined ? {} : { lane }) };
  const traces = await ledger.read.trace({ key: packed, ...ask });
  const shown = hash === null ? key.join(', ') : showKey(packed);
  const kept = traces.filter((trace) => window === undefined || trace.record.window === window);
  const readable: ReadableTrace[] = [];
  for (const trace of kept) readable.push(await explained(trace, shown, ledger.read));
  return readable;
}

/** With what the record's last batch is about: its doubt, and the load that it belongs to. */
async function explained(trace: Trace, keyText: string, read: LedgerReader): Promise<ReadableTrace> {
  const batch = trace.steps.at(-1)?.batch;
  const doubt = batch?.state === 'in-doubt' ? await doubtOf(batch, read) : undefined;
  const load = batch === undefined ? undefined : await loadOf(batch, read);
  return {
    ...trace,
    record: { ...trace.record, keyText },
    ...(doubt === undefined ? {} : { doubt }),
    ...(load === undefined ? {} : { load }),
  };
}

async function loadOf({ run, flow, lane, generation }: BatchRow, read: LedgerReader): Promise<LoadRow | undefined> {
  const loads = await read.loads({ flow, lane });
  return loads.find((load) => load.run === run && load.generation === generation);
}

async function doubtOf(batch: BatchRow, read: LedgerReader): Promise<DoubtRow | undefined> {
  const found = await read.doubts({ run: batch.run, after: batch.id - 1, limit: 1 });
  return found.find((doubt) => doubt.id === batch.id);
}

export interface StagedStores {
  readonly read: LedgerReader;
  readonly staging: Staging;
  /** For batches whose bytes lie with their source: these are made again. */
  remakeOf(batch: BatchRow): Remake;
}

/**
 * Whether the staged bytes are those that were sealed: each batch that has bytes of its own is read and its digest
 * compared. Children are records of such a batch, so they are right when it is. What a source has to give once more is
 * asked for as long as it may be sent: after that files may go.
 */
export async function verifyStaging(run: RunId | undefined, stores: StagedStores): Promise<readonly string[]> {
  const differences: string[] = [];
  for (let after = 0; ; ) {
    const page = await stores.read.batches({ after, limit: PAGE, ...(run === undefined ? {} : { run }) });
    for (const batch of page) {
      const difference = await verifyBatch(batch, stores);
      if (difference !== undefined) differences.push(difference);
    }
    const last = page.at(-1);
    if (last === undefined) return differences;
    after = last.id;
  }
}

async function verifyBatch(batch: BatchRow, { staging, remakeOf }: StagedStores): Promise<string | undefined> {
  try {
    const staged = await staging.read(batch.staged);
    if (isRanges(staged)) {
      // Of bytes that were never kept there is nothing to be compared.
      if (isUnkept(staged)) return undefined;
      if (OPEN.has(batch.state)) await remakeOf(batch)(staged, new AbortController().signal);
      return undefined;
    }
    if (batch.picks !== undefined) return undefined;
    const { bytes, spans } = staged;
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (digest !== batch.digest)
      return `${showBatch(batch.id)}: the staged bytes in ${batch.staged.segment} are not those that were sealed`;
    if (spans.length !== batch.records * 2)
      return `${showBatch(batch.id)}: ${spans.length / 2} records are staged, and ${batch.records} were sealed`;
    return undefined;
  } catch (error) {
    return `${showBatch(batch.id)}: ${describeError(error)}`;
  }
}
