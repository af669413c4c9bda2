import { nextLink } from './next-link.ts';

const DEPTH_MAX = 4;
/** As APIs call what says that there is more, without the marks and capitals that they join words by. */
const MORE = /^(has|is)?(more|next)(pages?|results?|items|records)?$/;
const NEXT = /^(odata|page|pages|paging|links?)?next(page)?(cursor|token|link|links|url|uri|href|offset|key)?$/;

interface Found {
  /** Paths of what says yes. */
  readonly yes: string[];
  /** Paths that hold what a next page is asked for by. */
  readonly next: string[];
  saysNo: boolean;
}

/**
 * Where a reply leads on to another page by a name that APIs use for that; undefined where none does, or one denies
 * it. It decides nothing by itself: names are only good to doubt that a page is the last one.
 */
export function leadsOn(body: unknown, link: string | undefined): string | undefined {
  if ((nextLink(link) ?? '') !== '') return 'a header Link to a next page';
  const found: Found = { yes: [], next: [], saysNo: false };
  search(body, [], found);
  const path = found.saysNo ? undefined : (found.yes[0] ?? found.next[0]);
  return path === undefined ? undefined : `something at ${path}`;
}

/** Goes through objects alone: what stands in arrays are records. */
function search(value: unknown, above: readonly string[], found: Found): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || above.length > DEPTH_MAX) return;
  for (const [name, held] of Object.entries(value)) {
    const path = [...above, name];
    const bare = name.toLowerCase().replaceAll(/[^a-z]/g, '');
    if (held === true && MORE.test(bare)) found.yes.push(path.join('.'));
    if (held === false && MORE.test(bare)) found.saysNo = true;
    if (typeof held === 'string' && held !== '' && NEXT.test(bare)) found.next.push(path.join('.'));
    search(held, path, found);
  }
}
