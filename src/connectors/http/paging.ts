import { createHash } from 'node:crypto';
import { WaybillError } from '../../model/errors.ts';
import { nextLink } from './next-link.ts';
import { lastOf, type Page } from './page.ts';
import { cursorText, cursorValue, identityOf } from './paths.ts';
import { askingFor } from './question.ts';
import { markOf, type Question, type Reach, type Stop } from './reach.ts';
import type { PagesConfig } from './source-settings.ts';

/** Where a page is asked for, and what tells it from all others. */
export interface Step {
  readonly stop: Stop;
  /** The cursor, where there is one. */
  readonly cursor?: string | undefined;
  /** The number of the page, or of the records before it. */
  readonly number: number;
  /** By the word of the flow there is none; it is asked for because that word may be wrong. */
  readonly onTrial?: boolean;
}

export interface Paging {
  first(cursor: string | undefined): Step;
  /** Undefined: there are no more. */
  next(step: Step, page: Page): Step | undefined;
}

type Kind<By extends PagesConfig['by']> = Extract<PagesConfig, { by: By }>;

/** How an API goes on from one page to the next. `base` is what is asked without what belongs to a page. */
export function pagingOf(config: PagesConfig, base: Question, reach: Reach): Paging {
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

function byLink(config: Kind<'link'>, base: Question, reach: Reach): Paging {
  const course = new Course(config);
  return {
    first: () => ({ stop: reach.start(base), number: 1 }),
    next: (step, page) => {
      const said = course.passed(page);
      const link = config.at === undefined ? nextLink(page.link) : page.value(config.at);
      course.pointed(page, link, config.at);
      if (said === 'no' || link === undefined || link === null || link === '') return undefined;
      if (typeof link !== 'string') {
        throw new WaybillError('SOURCE_INVALID', `${page.name} has no address at ${config.at} but something else`);
      }
      return { stop: reach.linked(page.stop, link), number: step.number + 1 };
    },
  };
}

function byPage(config: Kind<'page'>, base: Question, reach: Reach): Paging {
  const { parameter, parameterIn, size, sizeParameter } = config;
  const course = new Course(config);
  const at = (number: number): Step => {
    const sized = size === undefined || sizeParameter === undefined ? {} : { [sizeParameter]: size };
    return { stop: reach.start(askingFor(base, { [parameter]: number, ...sized }, parameterIn)), number };
  };
  return {
    first: () => at(config.first),
    next: (step, page) => {
      const done = step.number - config.first + 1;
      return on(course.outlook(config, page, { done, what: 'pages' }), at(step.number + 1));
    },
  };
}

function byOffset(config: Kind<'offset'>, base: Question, reach: Reach): Paging {
  const course = new Course(config);
  const at = (number: number): Step => {
    const asked = { [config.parameter]: number, [config.sizeParameter]: config.size };
    return { stop: reach.start(askingFor(base, asked, config.parameterIn)), number };
  };
  return {
    first: () => at(0),
    next: (step, page) => {
      // By what has come, not by what was asked for: some APIs give less than that on every page.
      const done = step.number + page.count;
      const outlook = course.outlook(config, page, { done, what: 'records' });
      return on(outlook, at(page.count === 0 ? step.number + config.size : done));
    },
  };
}

const on = (outlook: Outlook, next: Step): Step | undefined =>
  outlook === 'last' ? undefined : { ...next, onTrial: outlook === 'try' };

function byCursor(config: Kind<'cursor'>, base: Question, reach: Reach): Paging {
  const course = new Course(config);
  const at = (cursor: string | undefined, number: number): Step => {
    const value = cursor === undefined || config.parameterIn === 'query' ? cursor : cursorValue(cursor);
    const asked = value === undefined ? {} : { [config.parameter]: value };
    return { stop: reach.start(askingFor(base, asked, config.parameterIn)), cursor, number };
  };
  return {
    first: (cursor) => at(cursor ?? config.initial, 1),
    next: (step, page) => {
      const said = course.passed(page);
      const cursor = cursorAfter(config, page);
      if (config.at !== undefined) course.pointed(page, page.value(config.at), config.at);
      return cursor === undefined || said === 'no' ? undefined : at(cursor, step.number + 1);
    },
  };
}

/** Where reading goes on after a page, at once or in a later pull. */
export function cursorAfter(config: Kind<'cursor'>, page: Page): string | undefined {
  const textOf = config.parameterIn === 'query' ? identityOf : cursorText;
  if (config.ofRecord !== undefined) return lastOf(page, config.ofRecord, textOf);
  const value = page.value(config.at ?? '');
  if (value === undefined || value === null || value === '' || value === false) return undefined;
  const cursor = textOf(value);
  if (cursor !== undefined) return cursor;
  throw new WaybillError('SOURCE_INVALID', `${page.name} has no cursor at ${config.at} but something else`);
}

/** What a reply says of further pages, where a path of it is to say so. */
type Said = 'yes' | 'no' | 'nothing';

function saidBy({ more: path }: PagesConfig, page: Page): Said {
  const more = path === undefined ? undefined : page.value(path);
  if (more === undefined) return 'nothing';
  return more === null || more === false || more === '' || more === 0 ? 'no' : 'yes';
}

/** The reply itself says that further pages follow, whatever this one holds. */
export const goesOn = (config: PagesConfig, page: Page): boolean => saidBy(config, page) === 'yes';

/** `try`: by what the flow says this was the last page, but it may have been told by the wrong thing. */
type Outlook = 'further' | 'try' | 'last';

const EMPTY_MAX = 100;

/**
 * What the pages so far have shown. A path that leads to nothing, a size that the server does not give and a total of
 * something else all look like an end, and what stands behind it would be lost without a word. So an end is believed
 * that has been seen to be one: by a page that said so where others said the contrary, or was not as full as others.
 */
class Course {
  readonly #config: PagesConfig;
  #told = false;
  #pointed = false;
  #fullest = 0;
  #empty = 0;

  constructor(config: PagesConfig) {
    this.#config = config;
  }

  /** A page without a word of it is the last one where others had one; where none had, it is not known to speak. */
  passed(page: Page): Said {
    const said = saidBy(this.#config, page);
    this.#fullest = Math.max(this.#fullest, page.count);
    this.#empty = page.count === 0 ? this.#empty + 1 : 0;
    if (said !== 'nothing') this.#told = true;
    return said === 'nothing' && this.#told ? 'no' : said;
  }

  /** Throws SOURCE_INVALID where no page has led on as the flow says, and this one does in another way. */
  pointed(page: Page, found: unknown, path: string | undefined): void {
    if (found !== undefined || this.#told) this.#pointed = true;
    if (this.#pointed) return;
    const elsewhere = page.leadsOn();
    if (elsewhere === undefined) return;
    const nothing = path === undefined ? 'no header Link to a next page' : `nothing at ${path}`;
    throw new WaybillError('SOURCE_INVALID', `${page.name} has ${nothing}, but ${elsewhere}: more pages may follow`, {
      hint: 'Correct `pages` of the source: where the reply tells the next page.',
    });
  }

  /** What the reply says of further pages outranks what the page holds: a page in the middle may be empty. */
  outlook(config: Kind<'page'> | Kind<'offset'>, page: Page, { done, what }: Done): Outlook {
    const said = this.passed(page);
    const total = config.total === undefined ? undefined : totalAt(page, config.total);
    if (total !== undefined && page.count > 0 && done > total) {
      throw wrongTotal(`${page.name} is beyond the ${total} ${what} that \`total\` tells of`);
    }
    if (said === 'no') return 'last';
    if (total !== undefined && done >= total) return this.#isFull(page) || said === 'yes' ? 'try' : 'last';
    if (said === 'yes') return 'further';
    if (config.endsWith === 'short' && page.count < (config.size ?? 0)) return this.#isFull(page) ? 'try' : 'last';
    if (page.count === 0 && total === undefined) return 'last';
    if (this.#empty > EMPTY_MAX) {
      throw wrongTotal(`${this.#empty} pages in a row are empty, and \`total\` tells of ${total} ${what}`);
    }
    return config.more === undefined ? 'further' : 'try';
  }

  /** No page held more: for all that is known the server gives no fuller ones. */
  #isFull({ count }: Page): boolean {
    return count > 0 && count >= this.#fullest;
  }
}

interface Done {
  readonly done: number;
  readonly what: 'pages' | 'records';
}

const wrongTotal = (message: string): WaybillError =>
  new WaybillError('SOURCE_INVALID', message, {
    hint: 'Correct `total` of `pages`, or leave it out: then the pages end with the first one without records.',
  });

/** Null is no number: an API that cannot count says so in this way, and it is not the end. */
function totalAt(page: Page, path: string): number {
  const value = page.value(path);
  const total = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (Number.isSafeInteger(total) && (total as number) >= 0) return total as number;
  throw wrongTotal(`${page.name} has no number at ${path}`);
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
    const mark = createHash('sha256').update(markOf(stop)).digest('base64').slice(0, 20);
    if (this.#seen.has(mark)) throw loops(`${name} leads back to a page that was read before`);
    this.#seen.add(mark);
  }

  /** Holds the same bytes as the page before it. */
  isAgain({ digest, count }: Page): boolean {
    return count > 0 && this.#before === digest;
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
