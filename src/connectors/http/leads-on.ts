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
    more.find(({ held }) => held === true) ??
    named.find(({ bare, held }) => NEXT.test(bare) && typeof held === 'string' && held !== '');
  return found === undefined ? undefined : `something at ${found.path}`;
}

/** Whether a list in a reply goes on elsewhere: as the reply says at `more`, else by what it says of its own accord. */
export function listGoesOn(reply: Reply, body: unknown, more: string | undefined): boolean {
  const said = more === undefined ? undefined : at(body, more);
  if (said === undefined) return leadsOn(body, reply.header('link')) !== undefined;
  return said !== null && said !== false && said !== '';
}
