/** Whether a subject fits one of the filters: `*` is any one token, `>` at the end is one or more of them. */
export function fitsSubject(subject: string, filters: readonly string[]): boolean {
  const tokens = subject.split('.');
  return filters.some((filter) => fitsTokens(tokens, filter.split('.')));
}

function fitsTokens(tokens: readonly string[], filter: readonly string[]): boolean {
  const open = filter.at(-1) === '>';
  const fixed = open ? filter.slice(0, -1) : filter;
  if (open ? tokens.length <= fixed.length : tokens.length !== fixed.length) return false;
  return fixed.every((token, at) => token === '*' || token === tokens[at]);
}
