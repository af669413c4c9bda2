import { parseJson } from '../../formats/rows.ts';
import type { Batch, Payload } from '../../model/batch.ts';
import { NotAppliedError, RefusedError } from '../../model/errors.ts';
import { mask } from '../../model/masking.ts';
import type { Receipt } from '../../model/receipt.ts';
import { applied, OUTCOME, unknown, type Verdict } from '../../model/verdict.ts';
import type { Account, Sent } from './account.ts';
import { classOf, retryAfterMs } from './outcome.ts';
import { readReceipt } from './receipt.ts';
import type { ReceiptConfig } from './receipt-config.ts';
import type { Reply } from './reply.ts';
import type { SinkConfig } from './settings.ts';

/** Longest beginning of an answer that is kept. */
const EXCERPT_BYTES = 10_000;
const REFERENCE_CHARS = 4000;
const PAGE = /^\uFEFF?(?:\s|<!--(?:(?!-->)[\s\S])*-->)*<(?:!doctype\s+html|html|head|body)\b/i;
const PAGE_BYTES = 1000;
const REQUEST_ID_HEADERS = ['x-request-id', 'request-id', 'x-amzn-requestid', 'x-ms-request-id', 'x-trace-id'];

export interface JudgeOptions {
  readonly statuses: SinkConfig['statuses'];
  readonly atomic: boolean;
  /** The wall clock, for `Retry-After` with a date. */
  wallMs(): number;
}

/** The address, the credentials or the kind of request is wrong: no record is to blame, and none would pass. */
const ABOUT_THE_REQUEST: ReadonlySet<number> = new Set([401, 403, 404, 405, 415]);

/** Turns a complete answer into a verdict, or into the error that says what it proves. */
export class Judge {
  readonly #options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** `payload` is parsed only where the receipt names records by what is in them. */
  verdict(name: string, reply: Reply, batch: Batch, payload: Payload, config: ReceiptConfig): Verdict {
    const later = this.#later(reply);
    const kind = this.classOf(reply.status);
    switch (kind) {
      case 'read':
        if (this.#isBelievedUnread(reply.status, config)) {
          const doubtful = speaksAgainst(reply);
          if (doubtful !== undefined) {
            return unknown(batch.records, this.receipt(reply, `${reply.status}: ${doubtful}`, config, true));
          }
        }
        return { ...this.read(reply, config, sentOf(batch, payload)), ...later };
      case 'already':
        return applied(batch.records, this.receipt(reply, `${reply.status}: applied before`, config));
      case 'refused':
        throw this.refused(name, reply, config);
      case 'later':
        throw this.notNow(name, reply);
      case 'unknown':
        return { ...unknown(batch.records, this.receipt(reply, unclearSummary(reply.status), config, true)), ...later };
    }
  }

  classOf(status: number): ReturnType<typeof classOf> {
    return classOf(status, this.#options.statuses, this.#options.atomic);
  }

  /** Nothing was applied, and the reply may say how long it makes no sense to ask again. */
  notNow(name: string, reply: Reply, what = 'not now'): NotAppliedError {
    const later = this.#later(reply);
    const wait = later.retryAfterMs ?? 0;
    const when = wait === 0 ? '' : `, and not before ${Math.ceil(wait / 1000)} s have passed`;
    return new NotAppliedError(`${name} was answered with ${reply.status}: ${what}${when}`, {
      sinkAway: reply.status >= 500,
      ids: { status: reply.status },
      ...later,
    });
  }

  #later(reply: Reply): { retryAfterMs?: number } {
    const ms = retryAfterMs(reply.header('retry-after'), this.#options.wallMs());
    return ms === undefined ? {} : { retryAfterMs: ms };
  }

  /** The status alone is to say that all was applied, and the flow does not name it as one that does. */
  #isBelievedUnread(status: number, config: ReceiptConfig): boolean {
    if (this.#options.statuses.applied.includes(status)) return false;
    return config.shape === 'none' || (config.shape === 'all-or-nothing' && !config.ok && !config.applied);
  }

  refused(name: string, reply: Reply, config: ReceiptConfig | undefined): RefusedError {
    return new RefusedError(`${name} was refused with ${reply.status}`, {
      about: ABOUT_THE_REQUEST.has(reply.status) ? 'request' : 'content',
      reason: String(reply.status),
      receipt: this.receipt(reply, `${reply.status}: refused`, config, true),
      tooLarge: reply.status === 413,
      ids: { status: reply.status },
    });
  }

  /** The verdict of an answer of success. Throws RefusedError where it says that all of it was refused as one. */
  read(reply: Reply, config: ReceiptConfig, sent: Sent): Verdict {
    if (config.shape === 'none') {
      return applied(sent.count, this.receipt(reply, `${reply.status}, all ${sent.count} applied`, config));
    }
    const account = readReceipt(config, { text: reply.text() }, sent);
    const refusals = account.refusals.map((one) => ({
      ...one,
      code: mask(one.code),
      message: mask(one.message),
    }));
    const whole = account.tell(OUTCOME.applied) === sent.count;
    const receipt = this.receipt(reply, summaryOf(reply.status, account), config, !whole, account.remoteIds);
    const [first] = refusals;
    // What was refused for now is not to be taken apart: all of it may pass later.
    if (config.shape === 'all-or-nothing' && first !== undefined && !first.retryable) {
      throw new RefusedError(`the whole batch was refused: ${first.code}`, { reason: first.code, receipt });
    }
    return { outcomes: account.outcomes, refusals, receipt };
  }

  receipt(
    reply: Reply,
    summary: string,
    config: ReceiptConfig | undefined,
    keepText = false,
    remoteIds: readonly string[] = [],
  ): Receipt {
    const names = config?.requestId === undefined ? REQUEST_ID_HEADERS : [config.requestId.toLowerCase()];
    const requestId = names.map((name) => reply.header(name)).find((value) => value !== undefined);
    const ids = remoteIds.length === 0 ? undefined : `ids ${remoteIds.join(',')}`;
    const reference = [requestId, ids].filter((part) => part !== undefined).join('; ');
    return {
      summary,
      ...(reference === '' ? {} : { reference: mask(reference).slice(0, REFERENCE_CHARS) }),
      // Trimmed after hiding: a secret that is cut in two would be hidden in neither part.
      ...(keepText ? { excerpt: trim(mask(reply.excerpt(EXCERPT_BYTES * 2))) } : {}),
    };
  }
}

/** Records of a batch as objects, one at a time and only when asked for. */
export function sentOf(batch: Pick<Batch, 'records'>, payload: Payload): Sent {
  return {
    count: batch.records,
    record(index) {
      const [start, end] = [payload.spans[index * 2] ?? 0, payload.spans[index * 2 + 1] ?? 0];
      const { bytes } = payload;
      return parseJson(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8'));
    },
  };
}

function summaryOf(status: number, account: Account): string {
  const [done, refused] = [account.tell(OUTCOME.applied), account.tell(OUTCOME.refused)];
  if (done === account.count) return `${status}, all ${done} applied`;
  const unclear = account.count - done - refused;
  const parts = [`${done} of ${account.count} applied`];
  if (refused > 0) parts.push(`${refused} refused`);
  if (unclear > 0) parts.push(`${unclear} unclear`);
  const notes = account.notes.length === 0 ? '' : ` (${account.notes.join('; ')})`;
  return `${status}, ${parts.join(', ')}${notes}`;
}

/**
 * Why a reply of success may not be one of success for all. 207 says that its body tells what became of each. A page to
 * look at comes from whoever stands before an API: a form to sign in, a portal, a host that knows no such address.
 */
function speaksAgainst(reply: Reply): string | undefined {
  if (reply.status === 207) return 'not the same for all records';
  return PAGE.test(reply.excerpt(PAGE_BYTES)) ? 'a page of HTML, which is no answer of an API' : undefined;
}

function unclearSummary(status: number): string {
  if (status >= 300 && status < 400) return `${status}: a redirect, which is not followed and proves nothing`;
  return `${status}: does not prove whether anything was applied`;
}

function trim(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= EXCERPT_BYTES
    ? text
    : bytes
        .subarray(0, EXCERPT_BYTES - 4)
        .toString('utf8')
        .replace(/\uFFFD+$/, '');
}
