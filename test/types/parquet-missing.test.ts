import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;

/** The built formats, in a place from where the packages of Parquet cannot be found. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'waybill-no-parquet-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const room of ['formats', 'model']) cpSync(join(root, 'build', room), join(folder, room), { recursive: true });
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(join(root, 'node_modules/lossless-json'), join(folder, 'node_modules/lossless-json'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(script: string): Promise<{ code: string; hint: string; message: string }> {
  const path = join(folder, 'script.js');
  writeFileSync(
    path,
    `try { ${script} } catch (error) { console.log(JSON.stringify({ ...error, message: error.message })); }`,
  );
  const { stdout } = await promisify(execFile)(process.execPath, [path]);
  return JSON.parse(stdout) as { code: string; hint: string; message: string };
}

describe('Parquet without its packages', () => {
  it('is refused with the command that installs them, when a file is read or written and not before', async () => {
    const read = await run(`
      const { openParquet } = await import('./formats/parquet/read.js');
      await openParquet({ size: 0, read: async () => new ArrayBuffer(0) });`);
    expect(read).toMatchObject({ code: 'DRIVER_MISSING', message: 'Parquet files need the package hyparquet' });
    const written = await run(`
      const { ParquetFile } = await import('./formats/parquet/write.js');
      await new ParquetFile([{ name: 'a', type: { kind: 'int64' }, nullable: true }]).finish();`);
    expect(written).toMatchObject({
      code: 'DRIVER_MISSING',
      message: 'Parquet files need the package hyparquet-writer',
    });
    expect(written.hint).toContain('npm install hyparquet hyparquet-compressors hyparquet-writer');
  });
});
