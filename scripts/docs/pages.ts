import { EXIT_MEANINGS } from '../../src/cli/exit-codes.ts';
import { ERROR_CODES } from '../../src/model/error-codes.ts';
import { errorPages } from './error-pages.ts';
import { exitCodePage } from './exit-code-page.ts';
import { glossaryPage, readWords } from './glossary.ts';

/** Folders in which every page is made: one that nothing makes any more is removed. */
export const GENERATED_FOLDERS = ['docs/reference/errors'];

/** Every page that is made and not written, by its path in the project. */
export function generatedPages(): Map<string, string> {
  const pages = new Map([
    ['docs/glossary.md', glossaryPage(readWords())],
    ['docs/reference/exit-codes.md', exitCodePage(EXIT_MEANINGS)],
  ]);
  for (const [name, text] of errorPages(ERROR_CODES, EXIT_MEANINGS)) pages.set(`docs/reference/errors/${name}`, text);
  return pages;
}
