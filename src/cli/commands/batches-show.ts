import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Waybill } from '../../app/waybill.ts';
import { WaybillError } from '../../model/errors.ts';
import type { BatchId } from '../../model/ids.ts';
import { flagOption, type Given, textOption } from '../command.ts';
import type { Context } from '../context.ts';
import { attemptDocument, batchDocument } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import {
  countOf,
  formatBytes,
  formatCount,
  formatDuration,
  formatTime,
  plainText,
  showState,
} from '../format-values.ts';
import type { OutputOf } from '../output-schemas.ts';
import type { AttemptDocument, BatchDocument } from '../output-shapes.ts';
import { readBatch, usage } from '../read-words.ts';
import { nextLines } from '../run-report.ts';
import { stateStyle } from '../view.ts';

type ShowDocument = OutputOf<'batches-show'>;

/** U05, U15: all that is known of one batch, and its frozen bytes for whoever asks for them. */
export async function showBatchAction(context: Context, given: Given): Promise<number> {
  const id = readBatch(given.words[0]!);
  const waybill = await context.waybill();
  if (flagOption(given, 'payload')) return await writePayload(context, waybill, id);
  const file = textOption(given, 'payloadTo');
  if (file !== undefined) await savePayload(waybill, id, resolve(context.io.cwd, file));
  const reader = await waybill.reader();
  const [batch, attempts, children] = await Promise.all([reader.batch(id), reader.attempts(id), reader.children(id)]);
  const shown = batchDocument(batch);
  const document: ShowDocument = {
    schema: 'waybill.batches-show/1',
    batch: shown,
    attempts: attempts.map((attempt) => attemptDocument(attempt, true)),
    children: children.map(batchDocument),
    payloadFile: file,
    next: nextOf(context, shown),
  };
  context.show(document, () => showLines(context, document));
  return EXIT.ok;
}

async function writePayload(context: Context, waybill: Waybill, id: BatchId): Promise<number> {
  if (context.view.json)
    throw usage('--payload writes bytes, not JSON', 'Use --payload-to FILE, or leave out --output.');
  // Not masked: these are the bytes of the records, exactly as they are sent, and somebody asked for them.
  context.writeBytes((await waybill.payload(id)).payload.bytes);
  return EXIT.ok;
}

/** A new file that only its owner can read; one that is there is not overwritten. */
async function savePayload(waybill: Waybill, id: BatchId, path: string): Promise<void> {
  const { payload } = await waybill.payload(id);
  try {
    await writeFile(path, payload.bytes, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new WaybillError('USAGE', `the file ${path} cannot be written`, {
      cause,
      hint: 'Name a file that is not there yet, in a folder that can be written.',
    });
  }
}

function nextOf(context: Context, batch: BatchDocument): string[] {
  switch (batch.state) {
    case 'in-doubt':
      return [context.command('settle', batch.id), context.command('records', '--batch', batch.id)];
    case 'refused':
    case 'partial':
      return [
        context.command('records', '--batch', batch.id, '--state', 'refused'),
        context.command('retry', batch.id, '--reason', 'WHY'),
      ];
    case 'sealed':
      return [
        context.command(
          'run',
          batch.flow,
          ...(batch.window === 'all' ? [] : ['--for', batch.window]),
          '--batches',
          batch.id,
        ),
      ];
    default:
      return [];
  }
}

function showLines(context: Context, document: ShowDocument): string[] {
  const { batch } = document;
  const { paint } = context.view;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['state', stateStyle(paint, batch.state)(showState(batch.state))],
    ['why', batch.reason === undefined ? undefined : plainText(batch.reason)],
    ['possibly', batch.possibly === undefined ? undefined : paint.yellow(batch.possibly)],
    ['run', `${batch.run}, ${batch.flow} ${batch.window}, lane ${batch.lane}`],
    ['place', `${formatCount(batch.seq)} in its lane, generation ${batch.generation}`],
    ['holds', `${countOf(batch.records, 'record')}, ${formatBytes(batch.bytes)}`],
    ['records', balanceText(batch)],
    ['made of', batch.parent],
    ['children', document.children.map((child) => `${child.id} (${showState(child.state)})`).join(', ') || undefined],
    ['digest', batch.digest],
    ['idempotency key', plainText(batch.idempotencyKey)],
    ['bytes in', document.payloadFile],
  ];
  const lines = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [`  ${paint.dim(name.padEnd(15))} ${value}`],
  );
  const attempts = document.attempts.flatMap((attempt) => attemptLines(context, attempt));
  return [paint.bold(batch.id), ...lines, ...attempts, ...nextLines(context, document.next)];
}

export function balanceText(batch: BatchDocument): string {
  const { balance, movedRecords } = batch;
  const parts: readonly (readonly [number, string])[] = [
    [balance.delivered, 'delivered'],
    [balance.refused, 'refused'],
    [balance.skipped, 'skipped'],
    [balance.inDoubt, 'in doubt'],
    [balance.pending, 'pending'],
    [movedRecords, 'moved to children'],
  ];
  return (
    parts
      .filter(([count]) => count > 0)
      .map(([count, word]) => `${formatCount(count)} ${word}`)
      .join(', ') || 'none'
  );
}

export function attemptLines(context: Context, attempt: AttemptDocument): string[] {
  const { paint } = context.view;
  const lines = [`  attempt ${attempt.attempt}, ${formatTime(Date.parse(attempt.intendedAt))}: ${answerText(attempt)}`];
  const add = (text: string | undefined) => {
    if (text !== undefined && text !== '') lines.push(`    ${paint.dim(plainText(text))}`);
  };
  add(attempt.reason);
  add(attempt.receipt?.summary);
  if (attempt.receipt?.reference !== undefined) add(`reference: ${attempt.receipt.reference}`);
  if (attempt.receipt?.position !== undefined) add(`position: ${attempt.receipt.position}`);
  if (attempt.receipt?.excerpt !== undefined) add(`answer: ${attempt.receipt.excerpt}`);
  return lines;
}

function answerText(attempt: AttemptDocument): string {
  const took = attempt.durationMs === undefined ? '' : ` after ${formatDuration(attempt.durationMs)}`;
  switch (attempt.answer) {
    case undefined:
      return 'no answer is recorded';
    case 'verdict':
      return [
        `${formatCount(attempt.applied)} applied`,
        `${formatCount(attempt.refused)} refused`,
        `${formatCount(attempt.unknown)} unknown${took}`,
      ].join(', ');
    case 'not-applied':
      return `proved not applied${took}`;
    case 'refused':
      return `refused as a whole${took}`;
    case 'lost':
      return `the answer was lost${took}`;
  }
}
