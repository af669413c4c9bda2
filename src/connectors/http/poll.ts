import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import { emittedFormats } from '../../objects/record-format.ts';
import type { Look, LookNotice, Pulls, ReadRange, Source } from '../connector.ts';
import { openDocument, smallJson } from './document.ts';
import { Downloads, type Purpose, type Saved } from './downloads.ts';
import { expectNoFailure } from './failed-reply.ts';
import { leadsOn, notAll } from './leads-on.ts';
import type { OpenReply } from './open-reply.ts';
import { at, canonical } from './paths.ts';
import { type Place, stoppable } from './place.ts';
import { namedQuestion, pathIn, questionOf } from './question.ts';
import {
  conditionsOf,
  isSame,
  refusesDocument,
  secondsBack,
  UNCACHEABLE,
  type Validators,
  validatorsOf,
} from './validators.ts';

type PullRanged = ReadRange & Required<Pick<ReadRange, 'pull'>>;

/** What a look has come to: an answer that waits to be read, a document that lies here, or that nothing is new. */
type Found =
  | { readonly kind: 'reply'; readonly reply: OpenReply; readonly notices: readonly LookNotice[] }
  | { readonly kind: 'saved'; readonly saved: Saved; readonly notices: readonly LookNotice[] }
  | {
      readonly kind: 'none';
      readonly look: 'unchanged' | 'uncacheable';
      readonly why: string;
      readonly notices: readonly LookNotice[];
    };

/**
 * One document at one address. It is fetched as a whole, proved to be whole, and then read from this machine: a server
 * that goes away in the middle costs nothing, and a process that dies between fetching and committing has not fetched
 * in vain. Its position is what the server calls the version of the document: the ETag, else the time of its last
 * change; without both nobody can tell whether it has changed.
 */
export function documentSource(place: Place): Source {
  const poll = new Poll(place);
  return {
    emits: emittedFormats(nameIn(place.settings.path), place.settings),
    resumable: false,
    read: (range, signal) => stoppable(poll.read(range, signal), signal),
    pulls: poll,
    close: async () => poll.close(),
  };
}

class Poll implements Pulls {
  readonly #place: Place;
  /** What the last look found, until a reading from the same position takes it over. */
  #held: { readonly key: string; readonly found: Found } | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  refuses(position: Position): string | undefined {
    return refusesDocument(position);
  }

  async look(range: PullRanged, signal: AbortSignal): Promise<Look> {
    this.#letGo();
    const found = await this.#find(range, signal);
    this.#held = { key: heldKey(range), found };
    const notices = found.notices.length === 0 ? {} : { notices: found.notices };
    if (found.kind === 'none') return { kind: found.look, why: found.why, ...notices };
    const bytes = found.kind === 'saved' ? found.saved.bytes : plainLength(found.reply);
    return { kind: 'new', ...(bytes === undefined ? {} : { estimate: { bytes } }), ...notices };
  }

  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    if (isPull(range)) {
      yield* this.#pull(range, signal);
      return;
    }
    // Nothing is kept of it: the next reading is meant to see what is there then.
    const folder = await mkdtemp(join(tmpdir(), 'waybill-http-'));
    try {
      const reply = await this.#ask(range, {}, signal);
      const downloads = new Downloads(folder);
      const saved = await downloads.save(this.#purpose(range), this.#named(reply), signal);
      yield* await this.#records(saved, range, signal);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  close(): void {
    this.#letGo();
    this.#place.fetcher.close();
  }

  async *#pull(range: PullRanged, signal: AbortSignal): AsyncGenerator<Chunk> {
    const held = this.#held?.key === heldKey(range) ? this.#held.found : undefined;
    this.#held = held === undefined ? this.#held : undefined;
    this.#letGo();
    const found = held ?? (await this.#find(range, signal));
    if (found.kind === 'none') return;
    const downloads = new Downloads(range.pull.downloads);
    const purpose = this.#purpose(range);
    const saved =
      found.kind === 'saved' ? found.saved : await downloads.save(purpose, this.#named(found.reply), signal);
    const known = range.pull.force === true ? undefined : await downloads.digestAt(purpose);
    // Byte for byte what the last pull brought, under another name: only the position has moved.
    if (known === saved.digest) {
      yield endChunk(saved.position, { firstRow: 1 });
      return;
    }
    try {
      yield* ending(await this.#records(saved, range, signal), saved.position);
    } catch (error) {
      // What cannot be read now cannot be read the next time either; the server may have mended it by then.
      const broken = error instanceof WaybillError && error.code.startsWith('SOURCE_');
      if (broken) await downloads.discard(purpose);
      throw error;
    }
  }

  async #find(range: PullRanged, signal: AbortSignal): Promise<Found> {
    const { from, pull } = range;
    const force = pull.force === true;
    const downloads = new Downloads(pull.downloads);
    const purpose = this.#purpose(range);
    await downloads.tidy(purpose);
    const saved = force ? undefined : await downloads.find(purpose);
    // What was read again by force and was the same as before has left a download that brings nothing.
    const isRead = saved?.position.kind === from?.kind && saved?.position.value === from?.value;
    if (saved !== undefined && !isRead) return await this.#again(saved, range, signal);
    if (force) return { kind: 'reply', reply: await this.#ask(range, {}, signal), notices: [] };
    if (from?.kind === UNCACHEABLE) {
      const why = 'the server gives it neither an ETag nor a time of its last change, and it was read before';
      return { kind: 'none', look: 'uncacheable', why, notices: [] };
    }
    return this.#judged(await this.#ask(range, conditionsOf(from), signal), from);
  }

  /**
   * A document that was fetched and never committed. The server says whether it is still the one that is there; where
   * it cannot be asked, or has no name for the version, it is taken as it lies here.
   */
  async #again(saved: Saved, range: PullRanged, signal: AbortSignal): Promise<Found> {
    const conditions = conditionsOf(saved.position);
    const notices = (why: string): readonly LookNotice[] => [
      { kind: 'download-reused', message: `a document that was fetched before and not committed is read: ${why}` },
    ];
    if (Object.keys(conditions).length === 0) {
      return { kind: 'saved', saved, notices: notices('the server has no name for its version') };
    }
    try {
      const reply = await this.#ask(range, conditions, signal);
      if (reply.status !== 304 && !isSame(saved.position, validatorsOf(reply))) return this.#judged(reply, range.from);
      reply.discard();
      return { kind: 'saved', saved, notices: notices('the server says that it has not changed since') };
    } catch (error) {
      if (!(error instanceof WaybillError) || error.code !== 'SOURCE_AWAY') throw error;
      return { kind: 'saved', saved, notices: notices('the server cannot be asked for a newer one now') };
    }
  }

  #judged(reply: OpenReply, from: Position | undefined): Found {
    const validators = validatorsOf(reply);
    const notices = clockNotices(from, validators);
    const same = (why: string): Found => ({ kind: 'none', look: 'unchanged', why, notices });
    if (reply.status === 304) return same('the server says that it has not changed');
    if (!isSame(from, validators)) return { kind: 'reply', reply, notices };
    reply.discard();
    return same('the server sends the version that was read before');
  }

  async #ask(range: ReadRange, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<OpenReply> {
    const { fetcher, name } = this.#place;
    const stop = fetcher.reach.start(questionOf(this.#place, range));
    const conditional = Object.keys(headers).length === 0 ? {} : { headers };
    const reply = await fetcher.get({ stop, name, ...conditional }, signal);
    try {
      expectAll(this.#place, reply.list('link'), undefined);
      return reply;
    } catch (error) {
      reply.discard();
      throw error;
    }
  }

  async #records(saved: Saved, range: ReadRange, signal: AbortSignal): Promise<AsyncIterable<Chunk>> {
    const { settings } = this.#place;
    const name = nameIn(pathIn(settings.path, range));
    // What stands around an array in a large document is not looked at: pages are small.
    const around = settings.recordsAt === undefined ? undefined : await smallJson(saved, settings.pageBytesMax);
    expectAll(this.#place, undefined, around);
    const list = at(around, settings.recordsAt ?? '');
    expectNoFailure(around, { name: this.#place.name, records: Array.isArray(list) ? list.length : 0 });
    const source = await openDocument(saved, name, settings, signal);
    return source.read({ window: range.window, parameters: range.parameters }, signal);
  }

  #named(reply: OpenReply) {
    const { settings, name } = this.#place;
    return { reply, sourceName: name, limits: settings };
  }

  /** All that decides what is asked and how it is read; of secrets only where they are found. */
  #purpose(range: ReadRange): Purpose {
    const { connection, settings } = this.#place;
    const whole = canonical([connection, settings, ...namedQuestion(settings, range)]);
    return { definition: createHash('sha256').update(whole).digest('hex'), from: range.from };
  }

  #letGo(): void {
    if (this.#held?.found.kind === 'reply') this.#held.found.reply.discard();
    this.#held = undefined;
  }
}

const isPull = (range: ReadRange): range is PullRanged => range.pull !== undefined;

const heldKey = ({ from, pull }: PullRanged): string =>
  JSON.stringify([from?.kind ?? null, from?.value ?? null, pull.force === true, pull.downloads]);

/** Throws SOURCE_INVALID where one page of many is taken for a document: the others would never be read. */
function expectAll({ name, settings }: Place, link: string | undefined, body: unknown): void {
  if (settings.pages !== undefined || settings.single) return;
  const further = leadsOn(body, link);
  if (further !== undefined) throw notAll(name, further, 'Say with `pages` how the others are asked for.');
}

/** What stands before the query, after the last slash: it tells the format. */
const nameIn = (path: string): string => path.split('?', 1)[0]?.split('/').at(-1) || 'document';

/** How many bytes will be read; unknown of what is packed. */
const plainLength = (reply: OpenReply): number | undefined =>
  reply.header('content-encoding') === undefined ? reply.length : undefined;

function clockNotices(from: Position | undefined, found: Validators): readonly LookNotice[] {
  const seconds = secondsBack(from, found);
  if (seconds === 0) return [];
  const message =
    `the document says that it was last changed at ${found.lastModified}, ` +
    `${seconds} s before the one that was read last`;
  return [{ kind: 'clock-went-back', message }];
}

/** The position stands at the last chunk alone: only then was all of it read. */
async function* ending(chunks: AsyncIterable<Chunk>, end: Position): AsyncGenerator<Chunk> {
  let held: Chunk | undefined;
  for await (const chunk of chunks) {
    if (held !== undefined) yield held;
    held = chunk;
  }
  yield held === undefined ? endChunk(end, { firstRow: 1 }) : { ...held, end };
}
