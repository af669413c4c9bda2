import { createHash } from 'node:crypto';
import { WaybillError } from '../../model/errors.ts';
import { lastOf, type Page } from './page.ts';
import { identityOf } from './paths.ts';
import type { Reach, Stop } from './reach.ts';
import type { PagesConfig } from './source-settings.ts';

/** Where a page is asked for, and what tells it from all others. */
export interface Step {
  readonly stop: Stop;
  /** The cursor, where there is one. */
  readonly cursor?: string | undefined;
  /** The number of the page, or of the records before it. */
  readonly number: number;
}

export interface Paging {
  first(cursor: string | undefined): Step;
  /** Undefined: there are no more. */
  next(step: Step, page: Page): Step | undefined;
}

type Kind<By extends PagesConfig['by']> = Extract<PagesConfig, { by: By }>;

/** How an API goes on from one page to the next. `base` is the address without what belongs to a page. */
export function pagingOf(config: PagesConfig, base: URL, reach: Reach): Paging {
  switch (config.by) {
    case 'link':
      return byLink(config, base, reach);
    case 'page':
      return byPage(config, base, reach);
    case 'offset':
      return byOffset(config, base, reach);
    case 'cursor':
      return byCursor(config, base, reach);
  }
}

function byLink(config: Kind<'link'>, base: URL, reach: Reach): Paging {
  return {
    first: () => ({ stop: reach.start(base), number: 1 }),
    next: (step, page) => {
      if (ends(config, page)) return undefined;
      const link = config.at === undefined ? nextLink(page.link) : page.value(config.at);
      if (link === undefined || link === null || link === '') return undefined;
      if (typeof link !== 'string') {
        throw new WaybillError('SOURCE_INVALID', `${page.name} has no address at ${config.at} but something else`);
      }
      return { stop: reach.linked(page.stop, link), number: step.number + 1 };
    },
  };
}

function byPage(config: Kind<'page'>, base: URL, reach: Reach): Paging {
  const { parameter, size, sizeParameter } = config;
  const at = (number: number): Step => {
    const sized = size === undefined || sizeParameter === undefined ? {} : { [sizeParameter]: String(size) };
    return { stop: reach.start(withQuery(base, { [parameter]: String(number), ...sized })), number };
  };
  return {
    first: () => at(config.first),
    next: (step, page) => {
      const done = step.number - config.first + 1;
      return isLast(config, page, done) ? undefined : at(step.number + 1);
    },
  };
}

function byOffset(config: Kind<'offset'>, base: URL, reach: Reach): Paging {
  const at = (number: number): Step => {
    const query = { [config.parameter]: String(number), [config.sizeParameter]: String(config.size) };
    return { stop: reach.start(withQuery(base, query)), number };
  };
  return {
    first: () => at(0),
    next: (step, page) => {
      // By what has come, not by what was asked for: some APIs give less than that on every page.
      const done = step.number + page.count;
      if (isLast(config, page, done)) return undefined;
      return at(page.count === 0 ? step.number + config.size : done);
    },
  };
}

function byCursor(config: Kind<'cursor'>, base: URL, reach: Reach): Paging {
  const at = (cursor: string | undefined, number: number): Step => {
    const query = cursor === undefined ? {} : { [config.parameter]: cursor };
    return { stop: reach.start(withQuery(base, query)), cursor, number };
  };
  return {
    first: (cursor) => at(cursor ?? config.initial, 1),
    next: (step, page) => {
      const cursor = cursorAfter(config, page);
      return cursor === undefined || ends(config, page) ? undefined : at(cursor, step.number + 1);
    },
  };
}

/** Where reading goes on after a page, at once or in a later pull. */
export function cursorAfter(config: Kind<'cursor'>, page: Page): string | undefined {
  if (config.ofRecord !== undefined) return lastOf(page, config.ofRecord);
  const value = page.value(config.at ?? '');
  if (value === undefined || value === null || value === '' || value === false) return undefined;
  const cursor = identityOf(value);
  if (cursor !== undefined) return cursor;
  throw new WaybillError('SOURCE_INVALID', `${page.name} has no cursor at ${config.at} but something else`);
}

/** The reply itself says that this was the last page. */
export function ends(config: PagesConfig, page: Page): boolean {
  if (config.more === undefined) return false;
  const more = page.value(config.more);
  return more === undefined || more === null || more === false || more === '' || more === 0;
}

/** The reply itself says that further pages follow, whatever this one holds. */
export const goesOn = (config: PagesConfig, page: Page): boolean => config.more !== undefined && !ends(config, page);

/** What the reply says of further pages outranks what the page holds: a page in the middle may be empty. */
function isLast(config: Kind<'page'> | Kind<'offset'>, page: Page, done: number): boolean {
  const total = config.total === undefined ? undefined : totalAt(page, config.total);
  if (ends(config, page) || (total !== undefined && done >= total)) return true;
  if (goesOn(config, page)) return false;
  if (config.endsWith === 'short' && page.count < (config.size ?? 0)) return true;
  return page.count === 0 && total === undefined;
}

/** Null is no number: an API that cannot count says so in this way, and it is not the end. */
function totalAt(page: Page, path: string): number {
  const value = page.value(path);
  const total = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(total) && (total as number) >= 0) return total as number;
  throw new WaybillError('SOURCE_INVALID', `${page.name} has no number at ${path}`, {
    hint: 'Correct `total` of `pages`, or leave it out: then the pages end with the first one without records.',
  });
}

function withQuery(base: URL, values: Readonly<Record<string, string>>): URL {
  const url = new URL(base);
  for (const [name, value] of Object.entries(values)) url.searchParams.set(name, value);
  return url;
}

/** The target of `rel="next"` in a header `Link` (RFC 8288). */
export function nextLink(header: string | undefined): string | undefined {
  const text = header ?? '';
  const target = /[\s,]*<([^<>]*)>/y;
  // Matched in place, one after the other: a header is somebody else's text, and is to be gone through once.
  const parameter = /\s*;\s*([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+)))?/y;
  for (let link = target.exec(text); link !== null; link = target.exec(text)) {
    let relations: string | undefined;
    parameter.lastIndex = target.lastIndex;
    for (let found = parameter.exec(text); found !== null; found = parameter.exec(text)) {
      target.lastIndex = parameter.lastIndex;
      // Only the first `rel` of a link counts.
      if (found[1]?.toLowerCase() === 'rel') relations ??= found[2] ?? found[3] ?? '';
    }
    if (relations?.toLowerCase().split(/\s+/).includes('next')) return link[1];
  }
  return undefined;
}

const ALIKE_MAX = 2;

/** Notices an API that leads in a circle: by the same page twice, or by pages without end. */
export class LoopWatch {
  readonly #config: PagesConfig;
  readonly #seen = new Set<string>();
  #before: string | undefined;
  /** Pages in a row that held what the one before them held. */
  #alike = 0;

  constructor(config: PagesConfig) {
    this.#config = config;
  }

  /** Throws SOURCE_INVALID when this page was asked for before. */
  expectNew({ stop }: Step, name: string): void {
    // Only a few bytes of each are kept: there may be many, and cursors can be long.
    const mark = createHash('sha256').update(stop.url.href).digest('base64').slice(0, 20);
    if (this.#seen.has(mark)) throw loops(`${name} leads back to a page that was read before`);
    this.#seen.add(mark);
  }

  /**
   * Throws SOURCE_INVALID for the third page in a row that holds the same bytes: an API that counts pages gives two
   * that are alike only by chance.
   */
  passed({ digest, count, name }: Page): void {
    const counted = this.#config.by === 'page' || this.#config.by === 'offset';
    this.#alike = counted && count > 0 && this.#before === digest ? this.#alike + 1 : 0;
    this.#before = digest;
    if (this.#alike < ALIKE_MAX) return;
    const { parameter } = this.#config as { readonly parameter?: string };
    throw loops(`${name} holds the same as the pages before it: the API pays no heed to \`${parameter}\``);
  }
}

const loops = (message: string): WaybillError =>
  new WaybillError('SOURCE_INVALID', message, {
    hint: 'Correct `pages` of the source: where the next page is told, and by which parameter it is asked for.',
  });
