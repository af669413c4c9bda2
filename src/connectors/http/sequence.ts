import { parseObject } from '../../formats/rows.ts';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import { emittedFormats } from '../../objects/record-format.ts';
import type { Look, LookNotice, PullRange, Pulls, ReadRange, Source } from '../connector.ts';
import { filled } from './body-template.ts';
import { expectNoFailure } from './failed-reply.ts';
import { notAll } from './leads-on.ts';
import { bodyOf, getPage, orMissing } from './page.ts';
import { at } from './paths.ts';
import { type Place, readBy, stoppable } from './place.ts';
import { questionOf } from './question.ts';
import type { SequenceConfig } from './source-settings.ts';
import { ETAG } from './validators.ts';

/** Its value is the last number that was read, in digits. */
export const SEQUENCE = 'waybill/seq';

interface Head {
  /** The newest number there is. */
  readonly newest: bigint;
  /** The newest that is read: some behind, where the source may still change its mind. */
  readonly last: bigint;
}

/**
 * A source whose records are numbered without gaps, such as the blocks of a chain: one request tells the newest
 * number, others bring what belongs to some of them. The numbers of each request are committed together. It reads to
 * where the head was when it began, and never beyond; a head that has gone back behind what was read is reported, and
 * nothing is read, since nobody can know here which of the two is wrong.
 */
export function sequenceSource(place: Place, config: SequenceConfig): Source {
  const sequence = new Sequence(place, config);
  const name = place.settings.path.split('?', 1)[0]?.split('/').at(-1) ?? '';
  return {
    emits: emittedFormats(name, place.settings),
    resumable: true,
    read: (range, signal) => stoppable(sequence.read(range, signal), signal),
    pulls: sequence,
    close: async () => place.fetcher.close(),
  };
}

class Sequence implements Pulls {
  readonly #place: Place;
  readonly #config: SequenceConfig;
  /** What the last look was told, for the reading that follows it. */
  #held: { readonly done: bigint; readonly head: Head } | undefined;

  constructor(place: Place, config: SequenceConfig) {
    this.#place = place;
    this.#config = config;
  }

  refuses(position: Position): string | undefined {
    if (position.kind !== SEQUENCE && position.kind !== ETAG)
      return `a number is no position of the kind ${position.kind}`;
    return numberOf(position) === undefined ? `${JSON.stringify(position.value)} is no number` : undefined;
  }

  async look({ from }: ReadRange & { readonly pull: PullRange }, signal: AbortSignal): Promise<Look> {
    const done = this.#done(from);
    const head = await this.#head(signal);
    this.#held = { done, head };
    if (head.last > done) return { kind: 'new' };
    const why = head.newest > done ? `${head.newest} still waits to be confirmed` : `${done} is still the newest`;
    return { kind: 'unchanged', why, notices: wentBack(done, head) };
  }

  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const done = this.#done(range.from);
    const held = range.pull !== undefined && this.#held?.done === done ? this.#held.head : undefined;
    this.#held = undefined;
    const { last } = held ?? (await this.#head(signal));
    const step = BigInt(this.#config.step);
    let row = 1;
    for (let from = done + 1n; from <= last; from += step) {
      signal.throwIfAborted();
      const to = from + step - 1n < last ? from + step - 1n : last;
      for (const chunk of await this.#chunks(range, { from, to, row }, signal)) {
        yield chunk;
        row += chunk.count + (chunk.rejects?.length ?? 0);
      }
    }
  }

  async #chunks(
    range: ReadRange,
    { from, to, row }: { readonly from: bigint; readonly to: bigint; readonly row: number },
    signal: AbortSignal,
  ): Promise<readonly Chunk[]> {
    const { fetcher, name: sourceName } = this.#place;
    const numbers = { number: from, from, to, before: to + 1n };
    const stop = fetcher.reach.start(questionOf(this.#place, range, numbers));
    const name = from === to ? `number ${from}` : `numbers ${from} to ${to}`;
    const later = from > this.#done(range.from) + 1n;
    const asking = getPage(readBy(this.#place, range), { name, stop, row, further: later }, signal);
    const page = await (this.#config.whenMissing === 'skip' ? orMissing(asking) : asking);
    const further = this.#place.settings.pages === undefined ? page?.leadsOn() : undefined;
    if (further !== undefined)
      throw notAll(`${sourceName} (${name})`, further, 'Ask for fewer numbers: a smaller `step`.');
    const end = { sourceName, kind: SEQUENCE, value: `${to}` };
    const last = page?.chunks.at(-1);
    if (page === undefined || last === undefined) return [endChunk(end, { firstRow: row })];
    return [...page.chunks.slice(0, -1), { ...last, end }];
  }

  /** The last number that was read; the one before the first when none was. */
  #done(from: Position | undefined): bigint {
    const number = from === undefined ? undefined : numberOf(from);
    return number ?? BigInt(this.#config.first) - 1n;
  }

  async #head(signal: AbortSignal): Promise<Head> {
    const { fetcher, name } = this.#place;
    const { head, confirmations } = this.#config;
    const body = filled(head.body, {}, (reference) => fetcher.secret(reference));
    const asked = { stop: fetcher.reach.start({ url: fetcher.address(head.path), body }), name: `${name} (its head)` };
    const text = (await bodyOf(this.#place, await fetcher.get(asked, signal), signal)).toString('utf8').trim();
    const reply = head.at === undefined ? undefined : objectIn(text, name);
    const newest = integerOf(head.at === undefined ? text.replace(/^"(.*)"$/s, '$1') : at(reply, head.at));
    if (newest === undefined) {
      expectNoFailure(reply, { name: asked.name, records: 0 });
      throw new WaybillError('SOURCE_INVALID', `the head of ${name} tells no whole number`, {
        hint: 'Say with `sequence.head.at` where in the reply the newest number is.',
      });
    }
    return { newest, last: newest - BigInt(confirmations) };
  }
}

function objectIn(text: string, name: string): unknown {
  try {
    return parseObject(text);
  } catch (error) {
    throw new WaybillError('SOURCE_INVALID', `the head of ${name} is no JSON object`, { cause: error });
  }
}

/** A whole number of any size: in digits, or with `0x` as chains like to write them. */
function integerOf(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value >= 0n ? value : undefined;
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  return typeof value === 'string' && /^([0-9]{1,80}|0x[0-9a-f]{1,64})$/i.test(value) ? BigInt(value) : undefined;
}

/** Our own, or `BLOCK@HASH` as others keep it under the kind of an ETag. */
function numberOf({ kind, value }: Position): bigint | undefined {
  if (kind === SEQUENCE) return /^[0-9]{1,80}$/.test(value) ? BigInt(value) : undefined;
  const block = kind === ETAG ? /^([0-9]{1,80})@0x[0-9a-f]+$/i.exec(value)?.[1] : undefined;
  return block === undefined ? undefined : BigInt(block);
}

function wentBack(done: bigint, { newest }: Head): readonly LookNotice[] {
  if (newest >= done || done < 0n) return [];
  const message = `the head is at ${newest}, although ${done} was read: nothing is read until it has passed that`;
  return [{ kind: 'head-went-back', message }];
}
