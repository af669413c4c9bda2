import type { ErrorCode } from '../model/error-codes.ts';
import { describeError, WaybillError } from '../model/errors.ts';
import { type Context, commandLine } from './context.ts';
import { plainText } from './format-values.ts';
import type { ErrorDocument } from './output-shapes.ts';
import { wrapText } from './table.ts';
import type { Globals } from './view.ts';

/** Writes an error to stderr, as text or as one JSON line, and gives the exit code that it stands for. */
export function renderError(error: unknown, context: Pick<Context, 'view' | 'globals' | 'complain'>): number {
  const document = errorDocument(error, context.globals, context.view.verbose);
  if (context.view.json) context.complain(JSON.stringify(document));
  else context.complain(errorLines(document, context.view).join('\n'));
  return document.exitCode;
}

export function errorDocument(error: unknown, globals: Globals, verbose: boolean): ErrorDocument {
  const known = error instanceof WaybillError ? error : asUnexpected(error);
  const { place, command: given, ...ids } = known.ids;
  const command = typeof given === 'string' ? given : commandFor(known, globals);
  const causes = verbose ? causesOf(error) : [];
  return {
    schema: 'waybill.error/1',
    code: known.code,
    exitCode: known.exitCode,
    message: known.message,
    ...(typeof place === 'string' ? { where: place } : {}),
    hint: known.hint,
    ...(command === undefined ? {} : { command }),
    docs: `docs/reference/errors/${known.code}.md`,
    ids: { ...ids },
    ...(causes.length === 0 ? {} : { causes }),
  };
}

const asUnexpected = (error: unknown): WaybillError =>
  new WaybillError('UNEXPECTED', describeError(error) || 'something without a message was thrown', { cause: error });

function errorLines(document: ErrorDocument, view: Context['view']): string[] {
  const paint = view.talkPaint;
  const width = Math.min(view.width, 100);
  const lines = [`${paint.bold(paint.red('error:'))} ${plainLines(document.message)}`];
  const add = (name: string, text: string) => lines.push(`  ${paint.dim(name.padEnd(5))} ${text}`);
  if (document.where !== undefined) add('where', plainText(document.where));
  const ids = Object.entries(document.ids).map(([name, value]) => `${name} ${plainText(showId(value))}`);
  if (ids.length > 0) add('what', ids.join(', '));
  const [first = '', ...rest] = wrapText(plainText(document.hint), width - 8);
  add('do', first);
  for (const line of rest) add('', line);
  if (document.command !== undefined) add('try', paint.bold(document.command));
  add('code', `${document.code} (exit ${document.exitCode}), ${document.docs}`);
  for (const cause of document.causes ?? []) add('cause', plainLines(cause));
  return lines;
}

/** Line ends are kept, since a list of findings is one message; everything else that steers a terminal is not. */
const plainLines = (text: string): string => text.split('\n').map(plainText).join('\n        ');

const showId = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value)) ?? '';

/** The chain of causes with the stack of the first, for `--verbose`. */
function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  if (error instanceof Error && error.stack !== undefined) causes.push(error.stack);
  for (let at = error instanceof Error ? error.cause : undefined, depth = 0; at !== undefined && depth < 8; depth++) {
    causes.push(at instanceof Error ? `${at.name}: ${at.message}` : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return causes;
}

/** The next thing to type, where there is one that fits whatever happened. */
function commandFor(error: WaybillError, globals: Globals): string | undefined {
  const words = commandWords(error.code, error.ids);
  return words === undefined ? undefined : commandLine(globals, words);
}

function commandWords(code: ErrorCode, ids: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  const run = idText(ids.run, 'r');
  const flow = typeof ids.flow === 'string' ? ids.flow : undefined;
  switch (code) {
    case 'CONFIG_INVALID':
    case 'CONFIG_VARIABLE':
    case 'SECRET_MISSING':
    case 'FLOW_UNKNOWN':
    case 'CONNECTION_UNKNOWN':
    case 'MAPPING_INVALID':
      return ['check'];
    case 'CONFIG_NOT_FOUND':
      return ['init'];
    case 'CONNECTOR_UNKNOWN':
    case 'PROMISE_IMPOSSIBLE':
      return ['connectors'];
    case 'WINDOW_INVALID':
    case 'LEDGER_MISSING':
      return flow === undefined ? ['check'] : ['plan', flow];
    case 'LEASE_HELD':
    case 'FENCED':
      return flow === undefined ? ['status'] : ['status', flow];
    case 'LEDGER_AWAY':
      return ['doctor'];
    case 'LEDGER_CORRUPT':
    case 'STAGING_CORRUPT':
    case 'RANGE_LOST':
      return ['verify'];
    case 'RUN_UNKNOWN':
      return ['runs'];
    case 'BATCH_UNKNOWN':
    case 'MOVE_FORBIDDEN':
      return run === undefined ? ['batches'] : ['batches', run];
    case 'RUN_PAUSED':
      return run === undefined ? ['status'] : ['resume', run];
    case 'SINK_FAILED':
      return run === undefined ? ['doubts'] : ['doubts', run];
    default:
      return undefined;
  }
}

/** Ids come as `r3` or as the bare number. */
function idText(value: unknown, letter: string): string | undefined {
  if (typeof value === 'number') return `${letter}${value}`;
  return typeof value === 'string' && value !== '' ? value : undefined;
}
