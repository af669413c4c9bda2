import { describe, expect, it } from 'vitest';
import { readText } from './tree.ts';

interface Table {
  withTable(readme: string, entries: readonly unknown[]): string;
}

describe('the tally of campaigns', () => {
  it('is what the table in the README adds up', async () => {
    const { withTable } = (await import(`${process.cwd()}/scripts/sim/table.mjs`)) as Table;
    const readme = readText('README.md');
    const entries = JSON.parse(readText('docs/tally.json')) as readonly unknown[];
    expect(withTable(readme, entries) === readme, 'run `node scripts/sim/table.mjs`').toBe(true);
  });
});
