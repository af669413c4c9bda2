import { WaybillError } from '../../model/errors.ts';
import { nextLink } from './next-link.ts';
import { at } from './paths.ts';
import type { Reply } from './reply.ts';
import { namedIn } from './telling-names.ts';

/** As APIs call what says that there is more. */
const MORE = /^(has|is)?(more|next)(pages?|results?|items|records)?$/;
const NEXT = /^(odata|page|pages|paging|links?)?next(page)?(cursor|token|link|links|url|uri|href|offset|key)?$/;

/**
 * Where a reply leads on to another page by a name that APIs use for that; undefined where none does, or one denies
 * it. It decides nothing by itself: names are only good to doubt that a page is the last one.
 */
export function leadsOn(body: unknown, link: string | undefined): string | undefined {
  if ((nextLink(link) ?? '') !== '') return 'a header Link to a next page';
  const named = [...namedIn(body)];
  const more = named.filter(({ bare }) => MORE.test(bare));
  if (more.some(({ held }) => held === false)) return undefined;
  const found =
    named.find(({ bare, held }) => (NEXT.test(bare) && isAddress(held)) || (bare === 'links' && hasNext(held))) ??
    more.find(({ held }) => held === true);
  return found === undefined ? undefined : `something at ${found.path}`;
}

/** A text, or a link as HAL writes it. */
function isAddress(held: unknown): boolean {
  const text = typeof held === 'object' && held !== null && 'href' in held ? held.href : held;
  return typeof text === 'string' && text !== '';
}

/** A list of links that say what they are, as OGC APIs and STAC have it. */
const hasNext = (held: unknown): boolean =>
  Array.isArray(held) && held.some((link) => typeof link === 'object' && link?.rel === 'next');

/** Of a reply that is taken for all there is. `where` is what leads on. */
export const notAll = (name: string, where: string, hint: string): WaybillError =>
  new WaybillError('SOURCE_INVALID', `${name} is not all: it has ${where}, which leads on to further pages`, {
    hint: `${hint} Or say \`pages: { by: none }\` if no more than this is meant.`,
  });

/** Whether a list in a reply goes on elsewhere: as the reply says at `more`, else by what it says of its own accord. */
export function listGoesOn(reply: Reply, body: unknown, more: string | undefined): boolean {
  const said = more === undefined ? undefined : at(body, more);
  if (said === undefined) return leadsOn(body, reply.header('link')) !== undefined;
  return said !== null && said !== false && said !== '';
}
