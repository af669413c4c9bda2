import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../src/app/config.ts';
import { allConnectors } from '../src/app/connector-list.ts';
import { strategies } from '../src/strategies/all.ts';
import { projectFiles, readText } from './tidy/tree.ts';

/** Every flow file that a page shows, with where it stands. */
const shown = projectFiles()
  .filter((path) => path.endsWith('.md'))
  .flatMap((path) =>
    [...readText(path).matchAll(/^```yaml\n(version: 1\n[\s\S]*?)^```$/gm)].map((match, nth) => ({
      name: `${path} (${nth + 1})`,
      text: match[1]!,
    })),
  );

describe('flow files in the docs', () => {
  it('are there to be checked', () => {
    expect(shown.map(({ name }) => name)).toContain('README.md (1)');
  });

  it.each(shown)('$name is one that `waybill check` finds no fault in', async ({ text }) => {
    const folder = await mkdtemp(join(tmpdir(), 'waybill-docs-'));
    try {
      const path = join(folder, 'waybill.yaml');
      await writeFile(path, text);
      const named = [...text.matchAll(/\$\{([A-Z_]+)\}/g)].map((match) => [match[1]!, 'x']);
      const config = await loadConfig(path, {
        env: Object.fromEntries(named),
        cwd: folder,
        connectors: await allConnectors(),
        strategies,
      });
      expect(config.findings).toEqual([]);
      expect([...config.flows.keys()]).toEqual(config.flowNames);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
