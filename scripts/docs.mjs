// Writes the pages that are made from the source: all of docs/reference, and the glossary. `--check` writes nothing
// and fails when a page is not what it would be.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJiti } from 'jiti';

const root = fileURLToPath(new URL('..', import.meta.url));
// The sources are TypeScript, which Node 20 does not read by itself.
const { generatedPages, GENERATED_FOLDERS } = await createJiti(import.meta.url).import('./docs/pages.ts');
const pages = await generatedPages();
const old = GENERATED_FOLDERS.flatMap((folder) => (existsSync(join(root, folder)) ? pagesIn(folder) : []));
const stale = old.filter((path) => !pages.has(path));
const changed = [...pages].filter(
  ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text,
);

if (process.argv.includes('--check')) {
  for (const path of [...changed.map(([name]) => name), ...stale])
    console.error(`${path} is not what \`npm run docs\` makes`);
  process.exit(changed.length + stale.length > 0 ? 1 : 0);
}
for (const [path, text] of changed) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
for (const path of stale) rmSync(join(root, path));
console.log(`${pages.size} pages: ${changed.length} written, ${stale.length} removed`);

function pagesIn(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? pagesIn(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`],
  );
}
