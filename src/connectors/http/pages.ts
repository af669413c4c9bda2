import { createHash } from 'node:crypto';
import { type Chunk, endChunk } from '../../model/chunk.ts';
import { WaybillError } from '../../model/errors.ts';
import type { Position } from '../../model/position.ts';
import { emittedFormats } from '../../objects/record-format.ts';
import type { Look, PullRange, Pulls, ReadRange, Source } from '../connector.ts';
import { getPage, orMissing, type Page } from './page.ts';
import { cursorAfter, goesOn, LoopWatch, type Paging, pagingOf, type Step } from './paging.ts';
import { type Place, readBy, stoppable } from './place.ts';
import { questionOf } from './question.ts';
import { markOf } from './reach.ts';
import type { PagesConfig } from './source-settings.ts';
import { UNCACHEABLE } from './validators.ts';

export const CURSOR = 'waybill/cursor';

type CursorConfig = Extract<PagesConfig, { by: 'cursor' }>;

/**
 * An API that gives its records page by page. Where the cursor is good for later it is the position, and each page is
 * committed with it. Otherwise nobody can tell from outside whether anything is new: all pages are one commit, and they
 * are read again only when that is asked for.
 */
export function pagedSource(place: Place, config: PagesConfig): Source {
  const pages =
    config.by === 'cursor' && config.resumes ? new ResumedPages(place, config) : new AllPages(place, config);
  const name = place.settings.path.split('?', 1)[0]?.split('/').at(-1) ?? '';
  return {
    emits: emittedFormats(name, place.settings),
    resumable: pages instanceof ResumedPages,
    read: (range, signal) => stoppable(pages.read(range, signal), signal),
    pulls: pages,
    close: async () => place.fetcher.close(),
  };
}

class AllPages implements Pulls {
  readonly #place: Place;
  readonly #config: PagesConfig;

  constructor(place: Place, config: PagesConfig) {
    this.#place = place;
    this.#config = config;
  }

  refuses({ kind }: Position): string | undefined {
    return kind === UNCACHEABLE ? undefined : `pages without a cursor that lasts have no position of the kind ${kind}`;
  }

  async look({ from, pull }: ReadRange & { readonly pull: PullRange }): Promise<Look> {
    if (from?.kind !== UNCACHEABLE || pull.force === true) return { kind: 'new' };
    return { kind: 'uncacheable', why: 'nothing in its pages says whether they have changed since they were read' };
  }

  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    if (range.pull !== undefined && (await this.look({ ...range, pull: range.pull })).kind !== 'new') return;
    const paging = pagingFor(this.#place, this.#config, range);
    const place = readBy(this.#place, range);
    const digest = createHash('sha256');
    let [row, held] = [1, undefined as Chunk | undefined];
    for await (const { page } of walk(place, { config: this.#config, paging }, paging.first(undefined), signal)) {
      digest.update(page.digest);
      for (const chunk of page.chunks) {
        if (held !== undefined) yield held;
        held = chunk;
      }
      row += page.count;
    }
    if (range.pull === undefined) {
      if (held !== undefined) yield held;
      return;
    }
    const end = { sourceName: this.#place.name, kind: UNCACHEABLE, value: `sha256:${digest.digest('hex')}` };
    yield held === undefined ? endChunk(end, { firstRow: row }) : { ...held, end };
  }
}

class ResumedPages implements Pulls {
  readonly #place: Place;
  readonly #config: CursorConfig;
  /** The page that the last look was answered with, and the cursor it was asked by. */
  #held: { readonly cursor: string | undefined; readonly page: Page } | undefined;

  constructor(place: Place, config: CursorConfig) {
    this.#place = place;
    this.#config = config;
  }

  refuses({ kind, value }: Position): string | undefined {
    if (kind !== CURSOR) return `a cursor is no position of the kind ${kind}`;
    return value === '' ? 'a cursor is not empty' : undefined;
  }

  async look(range: ReadRange & { readonly pull: PullRange }, signal: AbortSignal): Promise<Look> {
    const cursor = cursorOf(range.from);
    const step = pagingFor(this.#place, this.#config, range).first(cursor);
    const page = await behind(cursor, pageAt(this.#place, { step, nth: 1, row: 1 }, signal));
    this.#held = { cursor, page };
    const next = cursorAfter(this.#config, page) ?? step.cursor;
    if (page.count > 0 || next !== step.cursor) return { kind: 'new' };
    return { kind: 'unchanged', why: 'there is nothing after the cursor' };
  }

  async *read(range: ReadRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const cursor = cursorOf(range.from);
    const looked = range.pull === undefined ? undefined : this.#held;
    const held = looked?.cursor === cursor ? looked?.page : undefined;
    this.#held = undefined;
    const paging = pagingFor(this.#place, this.#config, range);
    let row = 1;
    for await (const { page, step } of walk(
      readBy(this.#place, range),
      { config: this.#config, paging, held, kept: cursor },
      paging.first(cursor),
      signal,
    )) {
      row += page.count;
      const next = cursorAfter(this.#config, page);
      if (page.count === 0 && (next === undefined || next === step.cursor)) return;
      yield* this.#placed(page, { before: step.cursor, next }, row);
      // More may be there by now; the next pull will see.
      if (page.count === 0 && !goesOn(this.#config, page)) return;
    }
  }

  *#placed(
    page: Page,
    cursor: { readonly before?: string | undefined; readonly next?: string | undefined },
    row: number,
  ): Generator<Chunk> {
    const { before, next } = cursor;
    if (next === undefined || next === before) {
      throw new WaybillError('SOURCE_INVALID', `${page.name} holds records and no new cursor to go on from later`, {
        hint: 'Take the cursor from the last record (`ofRecord`), or set `resumes: false`: then all pages are read.',
      });
    }
    const end = { sourceName: this.#place.name, kind: CURSOR, value: next };
    yield* page.chunks.slice(0, -1);
    const last = page.chunks.at(-1);
    yield last === undefined ? endChunk(end, { firstRow: row }) : { ...last, end };
  }
}

const cursorOf = (from: Position | undefined): string | undefined => (from?.kind === CURSOR ? from.value : undefined);

const pagingFor = (place: Place, config: PagesConfig, range: ReadRange): Paging =>
  pagingOf(config, questionOf(place, range), place.fetcher.reach);

interface Way {
  readonly config: PagesConfig;
  readonly paging: Paging;
  /** The first page, where it is already here. */
  readonly held?: Page | undefined;
  /** The cursor of an earlier pull that the first page is asked for by. */
  readonly kept?: string | undefined;
}

/** Page after page, each asked for when the one before it has been taken. */
async function* walk(
  place: Place,
  { config, paging, held, kept }: Way,
  first: Step,
  signal: AbortSignal,
): AsyncGenerator<{ readonly page: Page; readonly step: Step }> {
  const loop = new LoopWatch(config);
  const resumes = config.by === 'cursor' && config.resumes;
  const endsMissing = 'endsWith' in config && config.endsWith === 'missing';
  let [step, row] = [first as Step | undefined, 1];
  loop.expectNew(first, 'page 1');
  for (let nth = 1; step !== undefined; nth++) {
    signal.throwIfAborted();
    if (nth > config.pagesMax) {
      if (resumes) return;
      throw new WaybillError('SOURCE_INVALID', `${place.name} has more than ${config.pagesMax} pages`, {
        hint: 'Raise `pagesMax` if that is meant; otherwise the API leads in a circle.',
      });
    }
    const [known, cursor] = nth === 1 ? [held, kept] : [];
    const asking = behind(cursor, known ?? pageAt(place, { step, nth, row }, signal));
    const page: Page | undefined = await (endsMissing && nth > 1 ? orMissing(asking) : tried(step, asking));
    if (page === undefined || (step.onTrial === true && loop.isAgain(page))) return;
    loop.passed(page);
    row += page.count;
    const next = following(paging, step, page);
    if (next !== undefined) loop.expectNew(next, `what follows page ${nth}`);
    yield { page, step };
    step = next;
  }
}

/** What APIs answer that are asked for a page behind the last one. */
const NO_SUCH_PAGE: ReadonlySet<unknown> = new Set([400, 404, 410, 416, 422, 500]);

/** Undefined where there is no page that is asked for on trial. */
async function tried({ onTrial }: Step, asking: Page | Promise<Page>): Promise<Page | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (onTrial === true && error instanceof WaybillError && NO_SUCH_PAGE.has(error.ids.status)) return undefined;
    throw error;
  }
}

const CURSOR_REFUSED: ReadonlySet<unknown> = new Set([400, 404, 410, 422]);

/** A cursor that was kept may have run out meanwhile, and nothing in the answer need say so. */
async function behind(cursor: string | undefined, asking: Page | Promise<Page>): Promise<Page> {
  try {
    return await asking;
  } catch (error) {
    if (cursor === undefined || !(error instanceof WaybillError) || !CURSOR_REFUSED.has(error.ids.status)) throw error;
    throw new WaybillError(error.code, `${error.message}; it was asked for by the cursor that was kept`, {
      hint:
        'If the API takes this cursor no longer: `waybill state FLOW reset` reads from the beginning, and `waybill ' +
        'state FLOW set` goes on from another one. The position has not moved.',
      ids: error.ids,
      cause: error,
    });
  }
}

/** The cursor of an empty page that leads to itself is the end of what there is now. */
function following(paging: Paging, step: Step, page: Page): Step | undefined {
  const next = paging.next(step, page);
  const leadsNowhere = page.count === 0 && next !== undefined && markOf(next.stop) === markOf(step.stop);
  return leadsNowhere ? undefined : next;
}

const pageAt = (
  place: Place,
  { step, nth, row }: { readonly step: Step; readonly nth: number; readonly row: number },
  signal: AbortSignal,
): Promise<Page> =>
  getPage(place, { name: `page ${nth}`, stop: step.stop, row, further: nth > 1, nullIsNone: true }, signal);
