import type { ErrorCode } from '../../model/error-codes.ts';
import { describeError, WaybillError } from '../../model/errors.ts';
import type { Command } from './verbs/all.ts';
import type { PackedSeal } from './verbs/seal.ts';

export type ToWorker =
  | { readonly kind: 'commands'; readonly commands: readonly Command[] }
  | { readonly kind: 'close' };
export type FromWorker =
  | { readonly kind: 'outcomes'; readonly outcomes: readonly WireOutcome[] }
  | { readonly kind: 'failed'; readonly error: WireError };
export type WireOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: WireError };

/** An error as it crosses between threads: its class would be lost on the way. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly ids: Readonly<Record<string, unknown>>;
  readonly cause: string | undefined;
}

export function toWire(error: unknown): WireError {
  const known =
    error instanceof WaybillError ? error : new WaybillError('UNEXPECTED', describeError(error), { cause: error });
  const { code, message, hint, ids, cause } = known;
  return { code, message, hint, ids, cause: cause === undefined ? undefined : describeError(cause) };
}

export function fromWire({ code, message, hint, ids, cause }: WireError): WaybillError {
  return new WaybillError(code, message, { hint, ids, ...(cause === undefined ? {} : { cause }) });
}

/** The large pieces of a seal were made for it alone and are given away; everything else is small and copied. */
export function transferables(commands: readonly Command[]): ArrayBuffer[] {
  return commands.flatMap(({ verb, ask }) =>
    verb === 'seal' ? (ask as PackedSeal).lanes.map((lane) => lane.keys.buffer as ArrayBuffer) : [],
  );
}
