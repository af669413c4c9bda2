import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../src/cli/cli.ts';
import { RecordedProcess } from '../src/cli/recorded-process.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-vanished-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function waybill(...words: readonly string[]): Promise<string> {
  const io = new RecordedProcess({ cwd: folder, env: {} });
  expect(await run(words, io), io.stderr.text).toBe(0);
  return io.stdout.text;
}

it('U19: counts every record that the source has no longer, however many they are', async () => {
  writeFileSync(
    join(folder, 'waybill.yaml'),
    `version: 1
connections:
  here: { type: files }
flows:
  load:
    source: { connection: here, path: rows.ndjson, key: [id] }
    sink: { connection: here, path: "out/{{ batch }}.ndjson", recordsPerBatch: 20000 }
    strategy: ledgered-append
`,
  );
  const rows = (from: number, to: number): void =>
    writeFileSync(
      join(folder, 'rows.ndjson'),
      Array.from({ length: to - from }, (_, nth) => `{"id":${from + nth}}\n`).join(''),
    );
  rows(0, 120_000);
  await waybill('run', 'load');
  rows(119_990, 120_000);
  expect(await waybill('plan', 'load', '--refresh')).toContain('119,990');
  expect(await waybill('run', 'load', '--refresh')).toContain('119,990 records no longer in the source');
});
