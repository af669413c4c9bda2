import type { ErrorCodeEntry } from '../../src/model/error-codes.ts';

type Codes = Readonly<Record<string, ErrorCodeEntry>>;
type Meanings = Readonly<Record<number, string>>;

/** The pages of `docs/reference/errors/`, by file name: one for every code and an index. */
export function errorPages(codes: Codes, exits: Meanings): Map<string, string> {
  const pages = new Map([['README.md', indexPage(codes)]]);
  for (const [code, entry] of Object.entries(codes)) pages.set(`${code}.md`, page(code, entry, exits));
  return pages;
}

function indexPage(codes: Codes): string {
  const rows = Object.entries(codes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { exit, meaning }]) => `| [${code}](${code}.md) | ${exit} | ${meaning} |`);
  return `# Errors

Every error of Waybill has a code that does not change. It stands in the message, in \`--output json\` and in the
ledger. Each code has a page here; the command ends with the [exit code](../exit-codes.md) beside it.

| code | exit | means |
|---|---|---|
${rows.join('\n')}
`;
}

function page(code: string, entry: ErrorCodeEntry, exits: Meanings): string {
  return `# ${code}

${entry.meaning}

**What to do.** ${entry.hint}

**Exit code ${entry.exit}:** ${exits[entry.exit]}.

[All errors](README.md)
`;
}
