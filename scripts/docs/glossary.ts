import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** Each word and its meaning, from `scripts/glossary.yaml`. */
export function readWords(): ReadonlyMap<string, string> {
  const text = readFileSync(new URL('../glossary.yaml', import.meta.url), 'utf8');
  return new Map(Object.entries(parse(text) as Record<string, string>));
}

export function glossaryPage(words: ReadonlyMap<string, string>): string {
  const rows = [...words].sort(([a], [b]) => (a < b ? -1 : 1)).map(([word, meaning]) => `| **${word}** | ${meaning} |`);
  return `# Glossary

One word has one meaning, in the code, in the ledger, on the command line and in these pages.

| word | meaning |
|---|---|
${rows.join('\n')}
`;
}
