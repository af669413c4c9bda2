import type { ErrorCode } from '../../model/error-codes.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Command } from '../books/verbs/all.ts';
import type { PackedSeal } from '../books/verbs/seal.ts';
import type { Outcome } from '../books/waiting.ts';
import type { Answer } from '../ledger.ts';

/**
 * How commands and outcomes cross between threads. Most of them are small and hold no bytes: those of one message go
 * as one text, since copying a text costs a tenth of what copying the objects costs. The others go as they are.
 */
export type ToWorker =
  | { readonly kind: 'commands'; readonly texts: string; readonly objects: readonly Command[] }
  | { readonly kind: 'close' };
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'outcomes'; readonly texts: string }
  | { readonly kind: 'failed'; readonly error: WireError };

/** What a thread is started with. */
export interface WorkerStart {
  readonly path: string;
  readonly mark: string | undefined;
  readonly firstCome: SharedArrayBuffer;
}

/**
 * Who was first: the thread that begins to load its driver, or whoever finds that it is not needed any more. A thread
 * that is ended while a driver of native code starts up in it takes the whole process down; once it has begun, it is
 * waited for.
 */
export class FirstCome {
  readonly shared: SharedArrayBuffer;
  readonly #word: Int32Array;

  constructor(shared = new SharedArrayBuffer(4)) {
    this.shared = shared;
    this.#word = new Int32Array(shared);
  }

  /** Whether the caller is the first one here. */
  first(): boolean {
    return Atomics.exchange(this.#word, 0, 1) === 0;
  }
}

/** An error as it crosses between threads: its class would be lost on the way. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly ids: Readonly<Record<string, unknown>>;
  readonly cause?: string;
}

export function toWire(error: unknown): WireError {
  const known = error instanceof WaybillError ? error : new WaybillError('UNEXPECTED', describeError(error));
  const { code, message, hint, ids, cause } = known;
  return { code, message, hint, ids, ...(cause === undefined ? {} : { cause: describeError(cause) }) };
}

export function fromWire({ code, message, hint, ids, cause }: WireError): WaybillError {
  return new WaybillError(code, message, { hint, ids, ...(cause === undefined ? {} : { cause }) });
}

export interface Packed {
  readonly message: ToWorker;
  readonly transfer: ArrayBuffer[];
}

/** One message out of commands, and the buffers to hand over with it instead of copying them. */
export function packCommands(commands: readonly Command[]): Packed {
  const objects: Command[] = [];
  const transfer: ArrayBuffer[] = [];
  const texts = commands.map((command) => {
    const plain = withoutBytes(command);
    if (plain !== undefined) return plain;
    objects.push(command);
    // Made for this seal alone; the caller keeps its own.
    if (command.verb === 'seal') transfer.push(...(command.ask as PackedSeal).lanes.map(keysBuffer));
    return null;
  });
  return { message: { kind: 'commands', texts: JSON.stringify(texts), objects }, transfer };
}

const keysBuffer = (lane: PackedSeal['lanes'][number]): ArrayBuffer => lane.keys.buffer as ArrayBuffer;

export function unpackCommands(message: ToWorker & { kind: 'commands' }): Command[] {
  const objects = [...message.objects];
  const texts = JSON.parse(message.texts) as (Command | null)[];
  return texts.map((text) => (text === null ? (objects.shift() as Command) : withBytes(text)));
}

export const packOutcomes = (outcomes: readonly Outcome[]): string =>
  JSON.stringify(outcomes.map((outcome) => (outcome.ok ? outcome : { ok: false, error: toWire(outcome.error) })));

export function unpackOutcomes(texts: string): Outcome[] {
  const outcomes = JSON.parse(texts) as ({ ok: true; value: unknown } | { ok: false; error: WireError })[];
  return outcomes.map((outcome) => (outcome.ok ? outcome : { ok: false, error: fromWire(outcome.error) }));
}

/** A command that can be written as text; undefined when it holds bytes that cannot. */
function withoutBytes(command: Command): Command | undefined {
  if (command.verb === 'seal' || command.verb === 'settle' || command.verb === 'retry') return undefined;
  if (command.verb !== 'answer') return command;
  const ask = command.ask as { readonly answer: Answer };
  if ('children' in ask.answer && ask.answer.children.length > 0) return undefined;
  if (ask.answer.kind !== 'verdict') return command;
  return { ...command, ask: { ...ask, answer: { ...ask.answer, outcomes: runsOf(ask.answer.outcomes) } } };
}

function withBytes(command: Command): Command {
  const ask = command.ask as { answer?: { outcomes?: unknown } };
  const runs = ask.answer?.outcomes;
  if (command.verb !== 'answer' || !Array.isArray(runs)) return command;
  return { ...command, ask: { ...ask, answer: { ...ask.answer, outcomes: fromRuns(runs) } } };
}

/** Outcome, how often, outcome, how often… Nearly always there is only one. */
function runsOf(outcomes: Uint8Array): number[] {
  const runs: number[] = [];
  for (let from = 0; from < outcomes.length; ) {
    let to = from + 1;
    while (to < outcomes.length && outcomes[to] === outcomes[from]) to++;
    runs.push(outcomes[from] as number, to - from);
    from = to;
  }
  return runs;
}

function fromRuns(runs: readonly number[]): Uint8Array {
  let count = 0;
  for (let nth = 1; nth < runs.length; nth += 2) count += runs[nth] as number;
  const outcomes = new Uint8Array(count);
  for (let nth = 0, at = 0; nth < runs.length; nth += 2) {
    const end = at + (runs[nth + 1] as number);
    outcomes.fill(runs[nth] as number, at, end);
    at = end;
  }
  return outcomes;
}
