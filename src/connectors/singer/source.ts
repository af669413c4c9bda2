import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Chunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import { hideSecret } from '../../model/masking.ts';
import type { Position } from '../../model/position.ts';
import type { Look, ReadRange, Source } from '../connector.ts';
import { choose, type StreamChoice } from './catalog.ts';
import { TapFiles } from './tap-files.ts';
import { TapOutput } from './tap-output.ts';
import { type TapCommand, TapProcess, tapName } from './tap-process.ts';

export interface TapConnection extends TapCommand {
  readonly config: Readonly<Record<string, unknown>>;
  /** References to secrets, by where they go in the config: names between dots. */
  readonly secrets: Readonly<Record<string, string>>;
  secret(reference: string): string;
}

export interface SingerSourceOptions extends TapConnection {
  readonly stream?: string;
  /** The path of a catalog, or that the tap is asked for one each time. */
  readonly catalog?: { readonly path: string } | 'discover';
  readonly replication: Omit<StreamChoice, 'stream'>;
  readonly catalogFlag: '--catalog' | '--properties';
  readonly activateVersion: 'ignore' | 'fail';
  readonly lineBytesMax: number;
  /** A tap that writes nothing for so long is ended; it may take its time when absent. */
  readonly silenceMs?: number;
}

/** A bookmark of a tap, as it has spelled it. */
export const STATE_POSITION = 'singer/state';
/** The tap has ended with success and given no bookmark: what it brings next time may be the same again. */
export const UNCACHEABLE_POSITION = 'waybill/uncacheable';
const CATALOG_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Runs a Singer tap and reads what it writes. Only in a pull is it given its last bookmark, and only there do chunks
 * have an `end`: taps may bring the last records before a bookmark once more, so a reading that has to be exact begins
 * from the top.
 */
export function singerSource(options: SingerSourceOptions): Source {
  return {
    emits: ['ndjson'],
    resumable: false,
    read: (range, signal) => chunks(options, range, signal),
    pulls: { refuses, look: async ({ from, pull }) => look(options, from, pull.force) },
  };
}

function refuses({ kind, value }: Position): string | undefined {
  if (kind === UNCACHEABLE_POSITION) return undefined;
  if (kind !== STATE_POSITION) return `a position of the kind ${kind} is no bookmark of a tap`;
  try {
    const state: unknown = JSON.parse(value);
    return typeof state === 'object' && state !== null ? undefined : 'the bookmark is no object';
  } catch {
    return 'the bookmark is no JSON';
  }
}

/** Whether anything is new only the tap can tell, by reading. */
function look(options: SingerSourceOptions, from: Position | undefined, force = false): Look {
  if (force || from?.kind !== UNCACHEABLE_POSITION) return { kind: 'new' };
  const why = `the tap ${tapName(options)} gave no bookmark when it was read, so it would bring everything again`;
  return { kind: 'uncacheable', why };
}

async function* chunks(options: SingerSourceOptions, range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
  signal.throwIfAborted();
  const files = await TapFiles.make();
  try {
    const words = await wordsOf(options, range, files, signal);
    signal.throwIfAborted();
    yield* tapChunks(new TapProcess(options, words, files.folder), options, range, signal);
  } finally {
    await files.remove();
  }
}

async function* tapChunks(
  tap: TapProcess,
  options: SingerSourceOptions,
  { pull, from }: ReadRange,
  signal: AbortSignal,
): AsyncGenerator<Chunk> {
  const { stream, lineBytesMax, activateVersion } = options;
  const sourceName = stream ?? tap.name;
  const position = (value: string): Position => ({ sourceName, kind: STATE_POSITION, value });
  const output = new TapOutput({
    ...{ tap: tap.name, lineBytesMax, activateVersion },
    ...(stream === undefined ? {} : { stream }),
    ...(pull === undefined ? {} : { position }),
  });
  try {
    for await (const piece of pieces(tap, options, signal)) {
      signal.throwIfAborted();
      yield* output.push(piece);
    }
    signal.throwIfAborted();
    await tap.expectSuccess();
    yield* output.finish((state) => (pull === undefined ? undefined : finalPosition(state, from, position)));
  } catch (error) {
    // Its output breaks off when it is ended.
    signal.throwIfAborted();
    throw error;
  } finally {
    await tap.stop();
  }
}

/** A tap that has given no bookmark this time may have given one before, and that still stands. */
function finalPosition(
  state: string | undefined,
  from: Position | undefined,
  position: (state: string) => Position,
): Position {
  if (state !== undefined) return position(state);
  if (from?.kind === STATE_POSITION) return from;
  return { ...position(''), kind: UNCACHEABLE_POSITION, value: 'no-bookmark' };
}

/** What the tap writes. Ends it when it falls silent, or when the reading is stopped. */
async function* pieces(
  tap: TapProcess,
  { silenceMs, ports }: Pick<SingerSourceOptions, 'silenceMs' | 'ports'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const stop = (): void => void tap.stop();
  signal.addEventListener('abort', stop, { once: true });
  const iterator = tap.output[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await within(iterator.next(), silenceMs, ports);
      if (next === 'silent') throw silent(tap, silenceMs!);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Only the time that we wait for it counts as silence, not the time that others take with what it has written. */
async function within<T>(
  next: Promise<T>,
  silenceMs: number | undefined,
  ports: SingerSourceOptions['ports'],
): Promise<T | 'silent'> {
  if (silenceMs === undefined) return await next;
  const heard = new AbortController();
  const silence = ports.sleep(silenceMs, heard.signal).then(() => 'silent' as const);
  // It is called off when something was heard.
  silence.catch(() => undefined);
  try {
    return await Promise.race([next, silence]);
  } finally {
    heard.abort();
    // When the silence was too long nobody waits for this any more.
    next.catch(() => undefined);
  }
}

function silent(tap: TapProcess, silenceMs: number): WaybillError {
  const log = tap.log();
  const message = `the tap ${tap.name} has written nothing for ${silenceMs} ms${log === '' ? '' : `; its log: ${log}`}`;
  return new WaybillError('SOURCE_FAILED', message, { ids: { tap: tap.name } });
}

// ---- what the tap is started with ----

async function wordsOf(
  options: SingerSourceOptions,
  { pull, from }: ReadRange,
  files: TapFiles,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const words = ['--config', await files.write('config.json', configOf(options))];
  const catalog = await catalogOf(options, words, files, signal);
  if (catalog !== undefined) words.push(options.catalogFlag, await files.write('catalog.json', catalog));
  const state = pull !== undefined && from?.kind === STATE_POSITION ? from.value : undefined;
  if (state !== undefined) words.push('--state', await files.write('state.json', state));
  return words;
}

async function catalogOf(
  options: SingerSourceOptions,
  config: readonly string[],
  files: TapFiles,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { catalog, stream, replication, folder } = options;
  if (catalog === undefined) return undefined;
  const text = catalog === 'discover' ? await discovered(options, config, files, signal) : await file(folder, catalog);
  return stream === undefined ? text : choose(text, { stream, ...replication }, tapName(options));
}

async function file(folder: string, { path }: { readonly path: string }): Promise<string> {
  try {
    return await readFile(resolve(folder, path), 'utf8');
  } catch (cause) {
    throw new WaybillError('SOURCE_INVALID', `the catalog ${path} cannot be read`, { cause, ids: { path } });
  }
}

/** Asks a tap for its catalog: the streams that it could read, as the JSON text that it writes. */
export async function discoverCatalog(connection: TapConnection, signal: AbortSignal): Promise<string> {
  const files = await TapFiles.make();
  try {
    const config = ['--config', await files.write('config.json', configOf(connection))];
    return await discovered(connection, config, files, signal);
  } finally {
    await files.remove();
  }
}

async function discovered(
  options: TapCommand & Pick<SingerSourceOptions, 'silenceMs'>,
  config: readonly string[],
  files: TapFiles,
  signal: AbortSignal,
): Promise<string> {
  const tap = new TapProcess(options, [...config, '--discover'], files.folder);
  const found: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of pieces(tap, options, signal)) {
      found.push(piece);
      bytes += piece.length;
      if (bytes <= CATALOG_BYTES_MAX) continue;
      throw new WaybillError('SOURCE_INVALID', `the catalog of the tap ${tap.name} has no end`);
    }
    signal.throwIfAborted();
    await tap.expectSuccess();
    return Buffer.concat(found).toString();
  } finally {
    await tap.stop();
  }
}

function configOf({ config, secrets, secret }: TapConnection): string {
  const made = structuredClone(config) as Record<string, unknown>;
  for (const [path, reference] of Object.entries(secrets)) {
    const value = secret(reference);
    // Taps like to log their config.
    hideSecret(value);
    place(made, path.split('.'), value);
  }
  return JSON.stringify(made);
}

function place(config: Record<string, unknown>, path: readonly string[], value: string): void {
  const [name = '', ...rest] = path;
  if (rest.length === 0) {
    config[name] = value;
    return;
  }
  const inner = Object.hasOwn(config, name) ? config[name] : undefined;
  const next = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
  config[name] = next;
  place(next, rest, value);
}
