import { COMMANDS } from '../../src/cli/commands.ts';
import { EXIT_MEANINGS } from '../../src/cli/exit-codes.ts';
import { ERROR_CODES } from '../../src/model/error-codes.ts';
import { commandsPage } from './commands.ts';
import { connectorCardsPage } from './connector-cards.ts';
import { errorPages } from './error-pages.ts';
import { exitCodePage } from './exit-code-page.ts';
import { glossaryPage, readWords } from './glossary.ts';
import { withCode } from './guide-code.ts';
import { connectorPages, flowFilePage } from './reference.ts';
import { strategiesPage } from './strategies-page.ts';
import { typesPage } from './types-page.ts';

/** Folders in which every page is made: one that nothing makes any more is removed. */
export const GENERATED_FOLDERS = ['docs/reference'];

/** Every page that is made and not written, by its path in the project. */
export async function generatedPages(): Promise<Map<string, string>> {
  const pages = new Map([
    ['docs/glossary.md', glossaryPage(readWords())],
    ['docs/reference/exit-codes.md', exitCodePage(EXIT_MEANINGS)],
    ['docs/reference/commands.md', await commandsPage(COMMANDS)],
    ['docs/reference/flow-file.md', flowFilePage()],
    ['docs/guide/writing-a-connector.md', withCode('docs/guide/writing-a-connector.md')],
    ['docs/reference/connectors.md', await connectorCardsPage()],
    ['docs/reference/types.md', typesPage()],
    ['docs/reference/strategies.md', await strategiesPage()],
  ]);
  const folders = { errors: errorPages(ERROR_CODES, EXIT_MEANINGS), connectors: await connectorPages() };
  for (const [folder, made] of Object.entries(folders)) {
    for (const [name, text] of made) pages.set(`docs/reference/${folder}/${name}`, text);
  }
  return pages;
}
